"""Groups of rejections: what one source brought at once and was not accepted, as one compressed value.

A body of 230 bytes of gzip can hold 100,000 rejections, so they are kept by the group, not one by one:

    offset  size
    0       4     b"TRR1"
    4       4     CRC-32 of everything else
    8             the fields of a group as msgpack, in one zstd frame

Of a rejection that is discarded only the hash of its bytes stays, so that a repeat is still known.
"""

from __future__ import annotations

import hashlib
import struct
import sys
import zlib
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tillroll.core import limits
from tillroll.core.accept import Rejection
from tillroll.core.batch import NameKind, Source
from tillroll.core.decode import Reason

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

SOURCES_MAX: Final = 100  # that a summary names
GROUP_MAX: Final = 4_096  # rejections of a group: to discard one rewrites its group
GROUP_BYTES_MAX: Final = 256 * 2**10  # of their bodies, save that one of any size may stand alone
SOUGHT_MAX: Final = 4_096  # groups in which a repeat is looked for: one key for everything must not cost ever more
SOUGHT_BYTES_MAX: Final = 64 * 2**20  # and of what they hold: a body of 16 MiB can be stored as some 100 bytes
PAGE_BYTES_MAX: Final = 32 * 2**20  # of the bodies of a page, save that one of any size may stand alone
_MAGIC: Final = b"TRR1"
_CRC: Final = struct.Struct("<I")
_HEAD_BYTES: Final = 8
_HASH_BYTES: Final = 8


class GroupError(ValueError):
    """A group's bytes are not what was written: damaged, cut short or of an unknown format."""

    def __init__(self) -> None:
        super().__init__("rejected events are damaged on the disk")


class RejectedFilter(msgspec.Struct, frozen=True):
    """Which rejections: those of a reason's code, those of any of some sources; all unless told."""

    code: str | None = None
    sources: tuple[str, ...] = ()

    def takes_source(self, value: str) -> bool:
        """Tell whether rejections of a source are among these."""
        return not self.sources or value in self.sources


EVERY: Final = RejectedFilter()


class Capacity(NamedTuple):
    """How much of the rejected a store keeps: that many at once, and that many bytes as they are stored."""

    rejections: int
    stored_bytes: int


CAPACITY: Final = Capacity(1_000_000, 2**30)


class Group(msgspec.Struct, array_like=True):
    """Rejections of one source. Where `discarded` says so, the hash of a body stands in its place."""

    received_at: float
    kind: NameKind
    source: str
    gaps: list[int]  # each position less the one before
    reasons: list[Reason]
    reason_of: list[int]  # an index into `reasons` for each
    bodies: list[bytes]
    discarded: bytes  # a byte for each, 1 or 0
    ids: list[str] = []  # as release 0.1.0 had given them; else a rejection is known by its place in the group
    bytes_at: list[int | None] = []  # where each began in what it came in; none where nobody noted it

    def __len__(self) -> int:
        return len(self.bodies)

    @property
    def positions(self) -> list[int]:
        """The position of each."""
        return list(accumulate(self.gaps))

    def waiting(self) -> Iterator[tuple[int, Rejection]]:
        """Yield (index, rejection) of those that are not discarded."""
        source = Source(self.kind, self.source)
        for index, position in enumerate(accumulate(self.gaps)):
            if not self.discarded[index]:
                byte = self.bytes_at[index] if self.bytes_at else None
                yield index, Rejection(source, position, self.bodies[index], self.reasons[self.reason_of[index]], byte)

    @property
    def waiting_count(self) -> int:
        """How many are not discarded."""
        return self.discarded.count(0)

    def id_of(self, place: str, index: int) -> str:
        """Return the id of a rejection in a group that the store calls so."""
        return self.ids[index] if self.ids else f"{place}-{index}"

    def codes(self) -> dict[str, int]:
        """Return how many are waiting by the code of their reason."""
        counts: dict[str, int] = {}
        for reason, discarded in zip(self.reason_of, self.discarded, strict=True):
            if not discarded:
                code = self.reasons[reason].code
                counts[code] = counts.get(code, 0) + 1
        return counts

    def new(self, rejections: Sequence[Rejection]) -> list[Rejection]:
        """Return those of some rejections of this source that are not in the group, discarded or not."""
        held: tuple[set[tuple[int, bytes]], set[tuple[int, bytes]]] = set(), set()
        for position, body, discarded in zip(self.positions, self.bodies, self.discarded, strict=True):
            held[discarded].add((position, body))
        waiting, gone = held
        left = [each for each in rejections if (each.position, each.body) not in waiting]
        return [each for each in left if (each.position, _hash(each.body)) not in gone] if gone else left

    def discard(self, indexes: Iterable[int]) -> int:
        """Replace bodies by their hashes; return how many there were to replace."""
        discarded = bytearray(self.discarded)
        done = 0
        for index in indexes:
            if 0 <= index < len(discarded) and not discarded[index]:
                discarded[index] = 1
                self.bodies[index] = b"" if self.kind is NameKind.NONE else _hash(self.bodies[index])
                done += 1
        self.discarded = bytes(discarded)
        used = {reason for reason, gone in zip(self.reason_of, self.discarded, strict=True) if not gone}
        for index, reason in enumerate(self.reasons):
            if index not in used:  # a message may show what the body held
                self.reasons[index] = Reason(reason.code, reason.field, "")
        return done

    def encode(self) -> bytes:
        """Return the group as bytes."""
        rest = zstd.compress(_encode(self))
        return _MAGIC + _CRC.pack(zlib.crc32(rest, zlib.crc32(_MAGIC))) + rest


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Group).decode


def decode(data: bytes) -> Group:
    """Return the group of some bytes.

    Raises:
        GroupError: they are not what `encode` returned.
    """
    magic, rest = data[:4], memoryview(data)[_HEAD_BYTES:]
    if magic != _MAGIC or data[4:_HEAD_BYTES] != _CRC.pack(zlib.crc32(rest, zlib.crc32(magic))):
        raise GroupError
    try:
        return _decode(zstd.decompress(rest))
    except (zstd.ZstdError, msgspec.DecodeError) as error:
        raise GroupError from error


def size_of(data: bytes) -> int:
    """Return how many bytes `decode` would unpack, without doing so.

    Raises:
        GroupError: they are not what `encode` returned.
    """
    try:
        return zstd.get_frame_info(data[_HEAD_BYTES:]).decompressed_size or 0
    except zstd.ZstdError as error:
        raise GroupError from error


def group_of(rejections: Sequence[Rejection], received_at: float, ids: Sequence[str] = ()) -> Group:
    """Return rejections of one source as a group."""
    reasons: dict[Reason, int] = {}
    reason_of = [reasons.setdefault(rejection.reason, len(reasons)) for rejection in rejections]
    positions = [rejection.position for rejection in rejections]
    source = rejections[0].source
    return Group(
        received_at,
        source.kind,
        source.value,
        positions[:1] + [after - before for before, after in pairwise(positions)],
        list(reasons),
        reason_of,
        [rejection.body for rejection in rejections],
        bytes(len(rejections)),
        list(ids),
        [rejection.byte for rejection in rejections] if any(each.byte is not None for each in rejections) else [],
    )


def in_groups(rejections: Iterable[Rejection]) -> Iterator[list[Rejection]]:
    """Cut rejections where the source changes and where a group is full; the order stays."""
    group: list[Rejection] = []
    size = 0
    for rejection in rejections:
        size += len(rejection.body)
        full = len(group) == GROUP_MAX or size > GROUP_BYTES_MAX
        if group and (full or rejection.source != group[0].source):
            yield group
            group, size = [], len(rejection.body)
        group.append(rejection)
    if group:
        yield group


def once(rejections: Sequence[Rejection]) -> list[Rejection]:
    """Return rejections of one source without repeats; what nothing names has none."""
    if rejections[0].source.kind is NameKind.NONE:
        return list(rejections)
    first: dict[tuple[int, bytes], Rejection] = {}
    for rejection in rejections:
        first.setdefault((rejection.position, rejection.body), rejection)
    return list(first.values())


def may_go_on(page: Sequence[Rejection], limit: int) -> bool:
    """Tell whether a page of at most `limit` may have ended before what is kept did."""
    most = PAGE_BYTES_MAX - limits.BODY_BYTES_MAX
    return len(page) >= limit or sum(len(each.body) for each in page) > most


def falling(codes: Mapping[str, int]) -> dict[str, int]:
    """Return counts by code, the most first."""
    return dict(sorted(codes.items(), key=lambda item: (-item[1], item[0])))


def _hash(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_HASH_BYTES).digest()


def place_of(rejected_id: str) -> tuple[str, int] | None:
    """Return (place, index) of an id, None of what is none, or is one of release 0.1.0."""
    place, dash, index = rejected_id.partition("-")
    if not (dash and index.isascii() and index.isdigit() and len(index) <= len(str(GROUP_MAX))):
        return None
    return place, int(index)


class SourceCount(msgspec.Struct, frozen=True):
    """How many rejections of one source are waiting, and by reason, the most first.

    `kind` is that of its NameKind, in small letters.
    """

    kind: str
    value: str
    rejected: int
    codes: dict[str, int]


class RejectedSummary(msgspec.Struct, frozen=True):
    """How many rejections are waiting: by reason, and of the SOURCES_MAX sources with the most; the most first.

    Sources of as many stand by value and kind.
    """

    rejected: int
    codes: dict[str, int]
    sources: list[SourceCount]
    sources_total: int
