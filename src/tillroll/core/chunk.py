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
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from typing import Final

from tillroll.core import kernel, limits
from tillroll.core.batch import NANOS, Batch, NameKind, Run, Source
from tillroll.core.limits import METHODS

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MAGIC: Final = b"TRC2"
_MAGIC_UNSHUFFLED: Final = b"TRC1"
_HEAD: Final = struct.Struct("<4sIII")
_COLUMNS: Final = struct.Struct("<qBBBBBBHII")  # base second, five widths, has ids, spare, merchants, runs
_RUN: Final = struct.Struct("<BQI")  # kind, first position, events
_LEVEL: Final = 1  # zstd's own default, 3, saves 4 % of the bytes and takes twice the time
_RAW_BYTES_MAX: Final = 1 << 30
_EVENT_BYTES_MAX: Final = 1 << 18  # more than an event, its merchant, its id and its source can take
_SIZES: Final = struct.Struct("<II")
_CRC: Final = struct.Struct("<I")
_idle: Final[list[zstd.ZstdCompressor]] = []  # one serves one thread at a time; making it takes long


class ChunkError(ValueError):
    """A chunk's bytes are not what was written: damaged, cut short or of an unknown format."""


def encode(batch: Batch) -> bytes:
    """Return a batch as a chunk. The batch must have at least one event and at most CHUNK_EVENTS_MAX."""
    events = len(batch)
    if not 0 < events <= limits.CHUNK_EVENTS_MAX:
        raise ValueError(f"a chunk holds 1 to {limits.CHUNK_EVENTS_MAX} events, not {events}")
    raw = _encode_columns(batch)
    if len(raw) > _raw_bytes_max(events):
        raise ValueError(f"a chunk of {events} events has {len(raw)} bytes of columns, which is too much")
    rest = _SIZES.pack(events, len(raw)) + _compress(raw)
    return _MAGIC + _CRC.pack(_checksum(_MAGIC, rest)) + rest


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


def _raw_bytes_max(events: int) -> int:
    return min(_RAW_BYTES_MAX, events * _EVENT_BYTES_MAX)


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


def events_in(data: bytes) -> int:
    """Return how many events a chunk says it holds, without reading them.

    Raises:
        ChunkError: this is no chunk.
    """
    if len(data) < _HEAD.size or not data.startswith((_MAGIC, _MAGIC_UNSHUFFLED)):
        raise ChunkError("this is not a journal chunk: it does not begin with TRC2 or TRC1")
    return int(_HEAD.unpack_from(data)[2])


def decode(data: bytes) -> Batch:
    """Return the batch that a chunk holds.

    Raises:
        ChunkError: any bit differs from what `encode` wrote.
    """
    events = events_in(data)
    magic, crc, _, raw_bytes = _HEAD.unpack_from(data)
    if _checksum(magic, memoryview(data)[8:]) != crc:
        raise ChunkError("a journal chunk is damaged: its checksum does not match")
    if not 0 < events <= limits.CHUNK_EVENTS_MAX or raw_bytes > _raw_bytes_max(events):
        raise ChunkError(f"a journal chunk claims {events} events in {raw_bytes} bytes")
    try:
        decompressor = zstd.ZstdDecompressor()
        raw = decompressor.decompress(memoryview(data)[_HEAD.size :], raw_bytes + 1)
        if len(raw) != raw_bytes or not decompressor.eof or decompressor.unused_data:
            raise ChunkError(f"a journal chunk has {len(raw)} bytes of columns where {raw_bytes} are said")
        return _decode_columns(_Reader(raw, shuffled=magic == _MAGIC), events)
    except (zstd.ZstdError, ValueError, struct.error) as error:
        raise ChunkError(f"a journal chunk cannot be read: {error}") from error


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
    if read.at != len(read.raw):
        raise ValueError(f"{len(read.raw) - read.at} bytes are left over")
    _check_ranges(batch, merchant_count)
    return batch


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
