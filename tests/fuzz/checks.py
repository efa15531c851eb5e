"""What must hold of the decoders whatever the bytes are. Shared by the fuzzer and the property tests."""

from __future__ import annotations

import struct
import sys
import zlib
from array import array

from tillroll.core import chunk
from tillroll.core.accept import Body, Rejection, accept
from tillroll.core.batch import Batch, NameKind, Source
from tillroll.core.decode import Reason, decode_event
from tillroll.core.parse import parse, parse_by_reference

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NOW_S = 1_700_000_000.5
_SOURCE = Source(NameKind.KEY, "key")


def columns_in(batch: Batch) -> dict[str, object]:
    return {name: getattr(batch, name) for name in Batch.__slots__}


def check_texts(some: list[bytes], whole: list[bool], first: int, now_s: float = NOW_S) -> None:
    """The kernel and the reference find the same events and rejections."""
    firsts = array("Q", [first + index for index in range(len(some))])
    flags = bytes(whole)
    got, expected = parse(some, firsts, flags, now_s), parse_by_reference(some, firsts, flags, now_s)
    assert got.wrong == expected.wrong
    assert got.events == expected.events
    assert columns_in(got.batch) == columns_in(expected.batch)


def check_bodies(some: list[bytes], *, ndjson: bool) -> None:
    """Every event of a body comes out once, as an event or as a rejection of just its bytes, in order."""
    bodies = [Body(data, _SOURCE, ndjson) for data in some]
    batch, events, rejections = accept(bodies, NOW_S)
    start = 0
    for body, count, rejected in zip(bodies, events, rejections, strict=True):
        texts = dict(body.texts())
        positions = [*batch.positions[start : start + count], *(rejection.position for rejection in rejected)]
        assert sorted(positions) == sorted(texts)
        for index in range(start, start + count):
            assert decode_event(texts[batch.positions[index]], NOW_S) == batch.event(index)
        for rejection in rejected:
            line = texts[rejection.position]
            reason = decode_event(line, NOW_S)
            assert isinstance(reason, Reason)
            assert rejection == Rejection(_SOURCE, rejection.position, line, reason)
        start += count
    assert start == len(batch)


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
    check_chunk_bytes(b"TRC2" + struct.pack("<I", zlib.crc32(b"TRC2" + rest)) + rest)
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
