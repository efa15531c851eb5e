"""The journal's chunk: a batch as bytes, the same on every store.

    offset  size
    0       4     b"TRC2"
    4       4     CRC-32 of everything else
    8       4     number of events
    12      4     length of the columns before compression
    16            the columns, as one zstd frame

Columns hold offsets from their least value in as few bytes as fit, byte by byte; names as runs by source, and UUIDs in
16 bytes; so that a purchase takes 40 bytes or less however it is named. Integers are little-endian. Any change is a new
magic. Of b"TRC1", which is still read, the numbers were item by item, and the CRC left out the magic.

Where fields were to be kept the magic is b"TRC3", and after the columns of b"TRC2" stands

    size
    2     number of fields, from 1
    4     number of values of all fields
    10    for each field: 4 distinct values, 1 width of their indexes,
          4 events whose value could not be kept, 1 width of the indexes of these
          the fields' names, then the values, field by field, as core.kept spells them: each a string column
          for each field: for each event the index of its value, in as few bytes as fit, byte by byte
          for each field: the rising indexes of the events whose value could not be kept, likewise
    4     length of all this, so that it can be found from the end
"""

from __future__ import annotations

import operator
import struct
import sys
import zlib
from array import array
from typing import Final

from tillroll.core import kernel, limits
from tillroll.core.batch import NANOS, Batch, KeptColumn, NameKind, Run, Source
from tillroll.core.kept import ABSENT
from tillroll.core.limits import METHODS

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
from tillroll.core.pattern import pattern

_MAGIC: Final = b"TRC2"
_MAGIC_KEPT: Final = b"TRC3"
_MAGIC_UNSHUFFLED: Final = b"TRC1"
_MAGICS: Final = (_MAGIC, _MAGIC_KEPT, _MAGIC_UNSHUFFLED)
_NONE: Final = array("I")
_FAMILY: Final = pattern(rb"TRC[0-9A-Za-z]")
_HEAD: Final = struct.Struct("<4sIII")
_COLUMNS: Final = struct.Struct("<qBBBBBBHII")  # base second, five widths, has ids, spare, merchants, runs
_KEPT: Final = struct.Struct("<HI")
_FIELD: Final = struct.Struct("<IBIB")
_LENGTH: Final = struct.Struct("<I")
_RUN: Final = struct.Struct("<BQI")  # kind, first position, events
_LEVEL: Final = 1  # zstd's own default, 3, saves 4 % of the bytes and takes twice the time
_RAW_BYTES_MAX: Final = 1 << 30
_EVENT_BYTES_MAX: Final = 1 << 18  # more than an event, its merchant, its id and its source can take
_KEPT_BYTES_MAX: Final = 1 << 20  # more than the kept fields of an event, and their names, can take
_SIZES: Final = struct.Struct("<II")
_CRC: Final = struct.Struct("<I")
_idle: Final[list[zstd.ZstdCompressor]] = []  # one serves one thread at a time; making it takes long


class ChunkError(ValueError):
    """A chunk's bytes are not what was written: damaged, cut short or of an unknown format."""


class LaterChunkError(ChunkError):
    """A chunk is of a format that this program does not know. Nothing says that it is damaged."""

    def __init__(self, magic: bytes) -> None:
        super().__init__(f"a journal chunk of the format {magic.decode()} was written by a later tillroll")


def encode(batch: Batch) -> bytes:
    """Return a batch as a chunk. The batch must have at least one event and at most CHUNK_EVENTS_MAX."""
    events = len(batch)
    if not 0 < events <= limits.CHUNK_EVENTS_MAX:
        raise ValueError(f"a chunk holds 1 to {limits.CHUNK_EVENTS_MAX} events, not {events}")
    raw = _encode_columns(batch)
    magic = _MAGIC
    if batch.kept:
        magic = _MAGIC_KEPT
        raw += _encode_kept(batch)
    if len(raw) > _raw_bytes_max(magic, events):
        raise ValueError(f"a chunk of {events} events has {len(raw)} bytes of columns, which is too much")
    rest = _SIZES.pack(events, len(raw)) + _compress(raw)
    return magic + _CRC.pack(_checksum(magic, rest)) + rest


def _checksum(magic: bytes, rest: bytes | memoryview) -> int:
    return zlib.crc32(rest) if magic == _MAGIC_UNSHUFFLED else zlib.crc32(rest, zlib.crc32(magic))


def _compress(raw: bytes) -> bytes:
    try:
        compressor = _idle.pop()
    except IndexError:
        compressor = zstd.ZstdCompressor(_LEVEL)
    compressed = compressor.compress(raw, zstd.ZstdCompressor.FLUSH_FRAME)
    _idle.append(compressor)
    return compressed


def _raw_bytes_max(magic: bytes, events: int) -> int:
    return min(_RAW_BYTES_MAX, events * (_KEPT_BYTES_MAX if magic == _MAGIC_KEPT else _EVENT_BYTES_MAX))


def _encode_columns(batch: Batch) -> bytes:
    base, _ = kernel.bounds(batch.seconds)
    seconds_width, seconds = _encode_column(batch.seconds, base)
    nanos_width, nanos = _encode_column(batch.nanos)
    amounts_width, amounts = _encode_column(batch.amounts)
    merchants_width, merchants = _encode_column(batch.merchants)
    gaps_width, gaps, runs = _encode_runs(batch)
    head = _COLUMNS.pack(
        base,
        seconds_width,
        nanos_width,
        amounts_width,
        merchants_width,
        gaps_width,
        bool(batch.id_ends),
        0,
        len(batch.name_ends),
        len(batch.runs),
    )
    names = kernel.pack_strings(batch.name_ends, batch.name_bytes)
    parts = [head, seconds, nanos, amounts, batch.methods.tobytes(), merchants, gaps, names, runs]
    if batch.id_ends:
        parts.append(kernel.pack_strings(batch.id_ends, batch.id_bytes))
    return b"".join(parts)


def _encode_column(values: array[int], base: int = 0) -> tuple[int, bytes]:
    width, data = kernel.narrow(values, base)
    return width, kernel.shuffle(data, width) if width > 1 else data


def _encode_runs(batch: Batch) -> tuple[int, bytes, bytes]:
    """Return (width, gaps, runs): how many positions of its run were skipped before each event, and the runs packed."""
    if sum(run.events for run in batch.runs) != len(batch):
        raise ValueError("the runs do not add up to the events")
    positions = batch.positions
    heads = []
    start = 0
    contiguous = True
    for run in batch.runs:
        events = run.events
        first = positions[start]
        heads.append(_RUN.pack(run.source.kind, first, events))
        start += events
        contiguous = contiguous and positions[start - 1] - first == events - 1
    values = kernel.pack_strings(*kernel.join_strings([run.source.value for run in batch.runs]))
    runs = b"".join(heads) + values
    if contiguous:
        return 0, b"", runs
    return *_encode_column(kernel.gaps_of(positions, array("Q", [run.events for run in batch.runs]))), runs


def _encode_kept(batch: Batch) -> bytes:
    """Return the fields that were to be kept, as they stand after the columns."""
    heads, columns, unkept = [], [], []
    ends = array("I")
    start = 0
    for name, column in batch.kept.items():
        width, indexes = _encode_column(column.indexes)
        without = batch.unkept.get(name, _NONE)
        without_width, without_indexes = _encode_column(without)
        heads.append(_FIELD.pack(len(column.ends), width, len(without), without_width))
        columns.append(indexes)
        unkept.append(without_indexes)
        ends.extend([start + end for end in column.ends] if start else column.ends)
        start += len(column.heap)
    values = kernel.pack_strings(ends, b"".join([column.heap for column in batch.kept.values()]))
    names = kernel.pack_strings(*kernel.join_strings(list(batch.kept)))
    kept = b"".join([_KEPT.pack(len(batch.kept), len(ends)), *heads, names, values, *columns, *unkept])
    return kept + _LENGTH.pack(len(kept) + _LENGTH.size)


def events_in(data: bytes) -> int:
    """Return how many events a chunk says it holds, without reading them.

    Raises:
        ChunkError: this is no chunk.
    """
    if len(data) >= _HEAD.size and data.startswith(_MAGICS):
        return int(_HEAD.unpack_from(data)[2])
    if _FAMILY.match(data) and not any(_is_sound(data, magic) for magic in _MAGICS):
        raise LaterChunkError(bytes(data[:4]))
    raise ChunkError("this is not a journal chunk: it does not begin with TRC3, TRC2 or TRC1")


def _is_sound(data: bytes, magic: bytes) -> bool:
    """Tell whether a chunk has the checksum that it would have with a magic."""
    return len(data) >= _HEAD.size and _checksum(magic, memoryview(data)[8:]) == _HEAD.unpack_from(data)[1]


def decode(data: bytes) -> Batch:
    """Return the batch that a chunk holds.

    Raises:
        ChunkError: any bit differs from what `encode` wrote.
    """
    events = events_in(data)
    magic, _, _, raw_bytes = _HEAD.unpack_from(data)
    if not _is_sound(data, magic):
        raise ChunkError("a journal chunk is damaged: its checksum does not match")
    if not 0 < events <= limits.CHUNK_EVENTS_MAX or raw_bytes > _raw_bytes_max(magic, events):
        raise ChunkError(f"a journal chunk claims {events} events in {raw_bytes} bytes")
    try:
        decompressor = zstd.ZstdDecompressor()
        raw = decompressor.decompress(memoryview(data)[_HEAD.size :], raw_bytes + 1)
        if len(raw) != raw_bytes or not decompressor.eof or decompressor.unused_data:
            raise ChunkError(f"a journal chunk has {len(raw)} bytes of columns where {raw_bytes} are said")
        return _decode_raw(magic, raw, events)
    except (zstd.ZstdError, ValueError, struct.error) as error:
        raise ChunkError(f"a journal chunk cannot be read: {error}") from error


def _decode_raw(magic: bytes, raw: bytes, events: int) -> Batch:
    read = _Reader(raw, shuffled=magic != _MAGIC_UNSHUFFLED)
    batch = _decode_columns(read, events)
    if magic == _MAGIC_KEPT:
        _decode_kept(read, batch)
    if read.at != len(raw):
        raise ValueError(f"{len(raw) - read.at} bytes are left over")
    return batch


class _Reader:
    """Hands out consecutive pieces of the columns."""

    def __init__(self, raw: bytes, *, shuffled: bool) -> None:
        self.raw = memoryview(raw)
        self._shuffled = shuffled
        self.at = 0

    def take(self, size: int) -> memoryview:
        piece = self.raw[self.at : self.at + size]
        if len(piece) != size:
            raise ValueError(f"{size} bytes wanted, {len(piece)} left")
        self.at += size
        return piece

    def column(self, width: int, base: int, count: int, code: str) -> array[int]:
        data: bytes | memoryview = self.take(width * count)
        if self._shuffled and width > 1:
            data = kernel.unshuffle(data, width)
        return kernel.widen(data, width, base, count, code)

    def strings(self, count: int) -> tuple[array[int], bytes]:
        ends, heap, size = kernel.unpack_strings(self.raw[self.at :], count)
        self.at += size
        return ends, heap


def _decode_columns(read: _Reader, events: int) -> Batch:
    base, seconds_w, nanos_w, amounts_w, merchants_w, gaps_w, has_ids, spare, merchant_count, run_count = (
        _COLUMNS.unpack(read.take(_COLUMNS.size))
    )
    if has_ids > 1 or spare or merchant_count > events or run_count > events:
        raise ValueError("the head of the columns contradicts itself")
    batch = Batch()
    batch.seconds = read.column(seconds_w, base, events, "q")
    batch.nanos = read.column(nanos_w, 0, events, "I")
    batch.amounts = read.column(amounts_w, 0, events, "q")
    batch.methods = read.column(1, 0, events, "B")
    batch.merchants = read.column(merchants_w, 0, events, "I")
    gaps = read.column(gaps_w, 0, events, "Q")
    batch.name_ends, batch.name_bytes = read.strings(merchant_count)
    heads = list(_RUN.iter_unpack(read.take(_RUN.size * run_count)))
    values = kernel.split_strings(*read.strings(run_count))
    batch.runs = [
        Run(Source(NameKind(kind), value), count) for (kind, _, count), value in zip(heads, values, strict=True)
    ]
    firsts = array("Q", [first for _, first, _ in heads])
    batch.positions = kernel.positions_of(firsts, array("Q", [count for _, _, count in heads]), gaps)
    if has_ids:
        batch.id_ends, batch.id_bytes = read.strings(events)
    _check_ranges(batch, merchant_count)
    return batch


def _decode_kept(read: _Reader, batch: Batch) -> None:
    events = len(batch)
    at = read.at
    fields, values = _KEPT.unpack(read.take(_KEPT.size))
    if fields > limits.KEPT_FIELDS_MAX:
        raise ValueError(f"there are {fields} kept fields")
    heads = list(_FIELD.iter_unpack(read.take(_FIELD.size * fields)))
    names = kernel.split_strings(*read.strings(fields))
    ends, heap = read.strings(values)
    if not 0 < len(set(names)) == fields or values != sum(distinct for distinct, *_ in heads):
        raise ValueError("the head of the kept fields contradicts itself")
    if not all(0 < distinct <= events and without <= events for distinct, _, without, _ in heads):
        raise ValueError("a kept field has no value, or more than there are events")
    if not heap.isascii():
        kernel.split_strings(ends, heap)  # each is UTF-8
    zeros = array("I", bytes(4 * events))  # of all fields that have one value: they may be many
    start = first = 0
    for name, (distinct, width, _, _) in zip(names, heads, strict=True):
        indexes = read.column(width, 0, events, "I") if width else zeros
        if kernel.largest(indexes) >= distinct:
            raise ValueError("a value is not in the list of its field")
        mine = ends[first : first + distinct]
        batch.kept[name] = KeptColumn(
            indexes, array("I", [end - start for end in mine]) if start else mine, heap[start : mine[-1]]
        )
        start, first = mine[-1], first + distinct
    for name, (_, _, without, width) in zip(names, heads, strict=True):
        indexes = read.column(width, 0, without, "I")
        if without:
            _check_unkept(indexes, batch.kept[name])
            batch.unkept[name] = indexes
    if _LENGTH.unpack(read.take(_LENGTH.size))[0] != read.at - at:
        raise ValueError("the length of the kept fields is another")


def _check_unkept(indexes: array[int], column: KeptColumn) -> None:
    if any(map(operator.ge, indexes, indexes[1:])) or indexes[-1] >= len(column.indexes):
        raise ValueError("the events whose value could not be kept do not rise")
    if {column.values[index] for index in set(kernel.pick(column.indexes, indexes))} != {ABSENT}:
        raise ValueError("an event has a value, and one that could not be kept")


def _check_ranges(batch: Batch, merchant_count: int) -> None:
    if not batch.name_bytes.isascii():
        kernel.split_strings(batch.name_ends, batch.name_bytes)  # each is UTF-8
    if kernel.largest(batch.merchants) >= merchant_count:
        raise ValueError("a merchant is not in the chunk's list")
    if kernel.largest(batch.methods) >= len(METHODS):
        raise ValueError("a payment method is unknown")
    if kernel.largest(batch.nanos) >= NANOS:
        raise ValueError("a fraction of a second is a second or more")
    least, largest = kernel.bounds(batch.amounts)
    if least < 0 or largest > limits.AMOUNT_MAX:
        raise ValueError("an amount is out of range")
