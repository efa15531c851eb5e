"""What must hold of the decoders whatever the bytes are. Shared by the fuzzer and the property tests."""

from __future__ import annotations

import struct
import sys
import zlib
from typing import TYPE_CHECKING

from tillroll.core import body, chunk
from tillroll.core.accept import Body, Rejection, accept
from tillroll.core.batch import Batch, NameKind, Source
from tillroll.core.decode import Reason, decode_event
from tillroll.core.parse import Places, parse, parse_by_reference

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW_S = 1_700_000_000.5
_SOURCE = Source(NameKind.KEY, "key")


def columns_in(batch: Batch) -> dict[str, object]:
    return {name: getattr(batch, name) for name in Batch.__slots__}


def check_texts(some: list[bytes], whole: list[bool], first: int, now_s: float = NOW_S) -> None:
    """The kernel and the reference find the same events and rejections."""
    places = Places()
    for index, text in enumerate(some):
        places.add(index, first + index, 0, len(text), single=whole[index])
    got, expected = parse(some, places, now_s), parse_by_reference(some, places, now_s)
    assert got.wrong == expected.wrong
    assert got.events == expected.events
    assert columns_in(got.batch) == columns_in(expected.batch)


def check_bodies(some: list[bytes]) -> None:
    """Every event of a body comes out once, as an event or as a rejection of just its bytes, in order."""
    bodies = [Body(data, _SOURCE) for data in some]
    batch, events, rejections = accept(bodies, NOW_S)
    start = 0
    for each, count, rejected in zip(bodies, events, rejections, strict=True):
        texts = {position: text for position, _, text in each.events()}
        bytes_of = {position: byte for position, byte, _ in each.events()}
        positions = [*batch.positions[start : start + count], *(rejection.position for rejection in rejected)]
        assert sorted(positions) == sorted(texts)
        for index in range(start, start + count):
            assert decode_event(texts[batch.positions[index]], NOW_S) == batch.event(index)
        for rejection in rejected:
            line = texts[rejection.position]
            reason = decode_event(line, NOW_S)
            assert isinstance(reason, Reason)
            assert rejection == Rejection(_SOURCE, rejection.position, line, reason, bytes_of[rejection.position])
        start += count
    assert start == len(batch)


def check_parts(data: bytes, cuts: Sequence[int], most: int) -> None:
    """The kernel parts a body as the reference does, and the same wherever it is cut, so many events at once."""
    state = body.PartingState()
    while True:
        for final in (False, True):
            got, expected = body.part(data, state, final, most), body.part_by_reference(data, state, final, most)
            assert got == expected
        if got.size == 0 or got.state.mode == body.LINES:
            break
        data, state = data[got.size :], got.state
    assert _all_parts(data, cuts, most) == _all_parts(data, [], sys.maxsize)


def _all_parts(data: bytes, cuts: Sequence[int], most: int) -> tuple[list[tuple[int, int, int]], int, int | None]:
    """The places of a body that comes in pieces which end at these cuts; where its lines begin, and which is first."""
    begun = body.part(data, body.PartingState(), True, 0)  # what it begins as, which may take a MiB to tell
    parting = body.Parting(begun.state)
    found: list[tuple[int, int, int]] = []
    first = None
    lines = at = begun.size
    for cut in [*sorted(cut for cut in cuts if at < cut < len(data)), len(data)]:
        while True:
            parts = parting.part(data[at:cut], final=cut == len(data), most=most)
            assert parts.byte == at
            begins = [parts.starts, parts.ends, parts.positions]
            found += [(at + start, at + end, place) for start, end, place in zip(*begins, strict=True)]
            if parts.line is not None:
                first, lines = parts.line, at + parts.lines
            at += parts.size
            if len(parts.starts) < most:
                break
    assert at == len(data)
    return found, lines, first


def check_chunk_bytes(data: bytes) -> None:
    """Any bytes are a chunk or a ChunkError; a chunk holds just what it is encoded from."""
    try:
        batch = chunk.decode(data)
    except chunk.ChunkError:
        return
    assert columns_in(chunk.decode(chunk.encode(batch))) == columns_in(batch)


def check_chunk_columns(events: int, raw: bytes) -> None:
    """The same of columns that come with a right checksum."""
    rest = struct.pack("<II", events, len(raw)) + zstd.compress(raw, 1)
    for magic in (b"TRC2", b"TRC3"):
        check_chunk_bytes(magic + struct.pack("<I", zlib.crc32(magic + rest)) + rest)
    check_chunk_bytes(b"TRC1" + struct.pack("<I", zlib.crc32(rest)) + rest)


def check_round_trip(batch: Batch) -> bytes:
    """A batch comes back from its chunk as it was. Return the chunk."""
    data = chunk.encode(batch)
    assert columns_in(chunk.decode(data)) == columns_in(batch)
    return data


def check_damage(data: bytes, at: int, change: int) -> None:
    """A chunk of which one byte differs is refused."""
    damaged = bytearray(data)
    damaged[at % len(data)] ^= change
    try:
        chunk.decode(bytes(damaged))
    except chunk.ChunkError:
        return
    assert bytes(damaged) == data
