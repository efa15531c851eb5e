"""Recount: count events by the text of their datapoints, by another way than the fold.

What counts here shares nothing with `core.fold` but the definition of a report: each dimension says how the text of an
event is spelled, the text is written out, and counted in a table of texts. So a fault of the fold is not made twice.
"""

from __future__ import annotations

import struct
from array import array
from enum import IntEnum
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias
from zlib import crc32

from tillroll.core import kernel
from tillroll.core.batch import Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tillroll._kernel import PackedReport, PackedSpelling
    from tillroll.core.batch import Batch
    from tillroll.core.dimension import Dimension
    from tillroll.core.report import Report

RECOUNTED: Final = 0  # the sides of a tally
STORED: Final = 1
MERCHANTS: Final = "merchant"  # the string column of all events; any other is a kept field's, by its name
_RECORD: Final = struct.Struct("=QQqQQqII")  # events, low and high word of amounts of both sides; report; bytes of text
_WORD: Final = (1 << 64) - 1

Strings: TypeAlias = (
    "tuple[array[int], array[int], bytes]"  # indexes (I) of the rows, and a string column: ends (I), heap
)


class Kind(IntEnum):
    """What of an event a text is made of. As native/recount.c numbers them."""

    CLOCK = 0
    AMOUNT = 1
    METHOD = 2
    STRING = 3


class Spelling(NamedTuple):
    """How a dimension's text of an event is spelled.

    CLOCK: by a pattern as strftime has it, of %Y %m %d %H %G %V %a %z, with the offset in force from each start on.
    AMOUNT: the text after as many texts as there are starts not above it. METHOD: the text of the method's number.
    STRING: the text in a column, by its name.
    """

    kind: Kind
    pattern: str = ""
    starts: tuple[int, ...] = ()
    offsets: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    column: str = ""


class Differing(NamedTuple):
    """A datapoint that is counted in two ways."""

    report: int  # its index
    text: str
    events: int
    amount: int
    stored_events: int
    stored_amount: int


class Differences(NamedTuple):
    """What two counts say: how many datapoints were recounted, how many differ, and the first of those."""

    datapoints: int
    total: int
    first: list[Differing]


class Recount:
    """Two counts of each datapoint of some reports: what is recounted from events, and what is stored.

    Texts are datapoints in full, however long. `plain` counts by `Report.text_of`, an event at a time. The counts stand
    in `tally`, which takes those that are stored.
    """

    def __init__(self, reports: Sequence[Report], *, plain: bool = False) -> None:
        dimensions = [each for report in reports for each in (*report.by, *(part.dimension for part in report.where))]
        by_key = {each.key: each.spelling for each in dimensions}
        fields = {each.column for each in by_key.values() if each.kind is Kind.STRING} - {MERCHANTS}
        self._columns = (MERCHANTS, *sorted(fields))
        self.tally: kernel.Tally | PlainTally
        if kernel.compiled and not plain:
            self.tally = kernel.Tally(*_packed(reports, by_key, self._columns))
        else:
            self.tally = PlainTally(reports, self._columns[1:])

    def count(self, batch: Batch, wanted: bytes) -> None:
        """Recount a batch into the reports whose byte is 1."""
        strings: list[Strings] = [(batch.merchants, batch.name_ends, batch.name_bytes)]
        strings += map(batch.kept_column, self._columns[1:])
        self.tally.count(wanted, batch.seconds, batch.amounts, batch.methods, strings)

    def differing(self, amounts: bytes, most: int) -> Differences:
        """Compare the sides: by events, and by amounts in reports whose byte is 1. At most so many are named."""
        datapoints, total, first = self.tally.differing(amounts, most)
        return Differences(datapoints, total, [Differing(*one) for one in first])


def disagreements(reports: Sequence[Report], batch: Batch) -> Differences:
    """Recount a batch by the kernel, and an event at a time by `Report.text_of`, which stands for what is stored."""
    recount, plain, everything = Recount(reports), Recount(reports, plain=True), b"\1" * len(reports)
    recount.count(batch, everything)
    plain.count(batch, everything)
    for one in records(plain.tally.take(1, 0)[0]):
        ends, heap = kernel.join_strings([one.text])
        words = (array("Q", [word]) for word in (one.events, one.amount & _WORD, one.amount >> 64))
        recount.tally.add(STORED, one.report, [(array("I", [0]), ends, heap)], *words)
    return recount.differing(everything, len(batch))


def records(data: bytes) -> Iterator[Differing]:
    """Yield what is in records."""
    at = 0
    while at < len(data):
        events, low, high, stored, stored_low, stored_high, report, size = _RECORD.unpack_from(data, at)
        at += _RECORD.size + size
        text = data[at - size : at].decode()
        yield Differing(report, text, events, high << 64 | low, stored, stored_high << 64 | stored_low)


def _packed(
    reports: Sequence[Report], by_key: Mapping[tuple[object, ...], Spelling], columns: Sequence[str]
) -> tuple[tuple[PackedSpelling, ...], tuple[PackedReport, ...]]:
    places = {key: place for place, key in enumerate(by_key)}

    def place(dimension: Dimension) -> int:
        return places[dimension.key]

    packed = tuple(
        (
            int(each.kind),
            each.pattern.encode(),
            array("q", each.starts).tobytes(),
            array("q", each.offsets).tobytes(),
            tuple(map(str.encode, each.texts)),
            columns.index(each.column) if each.kind is Kind.STRING else 0,
        )
        for each in by_key.values()
    )
    return packed, tuple(
        (
            report.prefix.encode(),
            tuple(map(place, report.by)),
            tuple((place(part.dimension), tuple(sorted(map(str.encode, part.texts)))) for part in report.where),
        )
        for report in reports
    )


class PlainTally:
    """What native/recount.c does, an event at a time."""

    def __init__(self, reports: Sequence[Report], fields: Sequence[str]) -> None:
        self._reports = reports
        self._fields = fields
        self._held: dict[tuple[int, str], list[int]] = {}
        self._bytes = 0

    def count(
        self,
        wanted: bytes,
        seconds: array[int],
        amounts: array[int],
        methods: array[int],
        strings: Sequence[Strings],
    ) -> None:
        """See Recount."""
        columns = [_texts(column) for column in strings]
        for row, (second, amount, method) in enumerate(zip(seconds, amounts, methods, strict=True)):
            merchant, *values = (column[row] for column in columns)
            event = Event(second, 0, amount, method, merchant)
            kept = dict(zip(self._fields, values, strict=True))
            for index, report in enumerate(self._reports):
                text = report.text_of(event, kept) if wanted[index] else None
                if text is not None:
                    self._add(RECOUNTED, index, text, 1, amount)

    def add(
        self, side: int, report: int, pieces: Sequence[Strings], events: array[int], lows: array[int], highs: array[int]
    ) -> None:
        """Add rows of a report, by its index: events (Q), and the words (Q) of their amounts.

        A row's text is its pieces one after another; a row of 0 events and 0 cents is none. A piece has the index (I)
        of each row's text in a string column: ends (I), heap.
        """
        columns = [_texts(piece) for piece in pieces]
        for row, (count, low, high) in enumerate(zip(events, lows, highs, strict=True)):
            if count or low or high:
                text = "".join([column[row] for column in columns])
                self._add(side, report, text, count, (high - (high >> 63 << 64)) << 64 | low)

    def _add(self, side: int, report: int, text: str, events: int, amount: int) -> None:
        held = self._held.get((report, text))
        if held is None:
            held = self._held[report, text] = [0, 0, 0, 0]
            self._bytes += 200 + len(text)
        held[2 * side] += events
        held[2 * side + 1] += amount

    def size(self) -> int:
        """Return about how many bytes are held."""
        return self._bytes

    def take(self, parts: int, level: int) -> list[bytes]:
        """Return what is held as records, parted by their texts' hashes, and hold nothing.

        Levels part the same texts in ways that have nothing to do with each other.
        """
        taken = [bytearray() for _ in range(parts)]
        for (report, text), held in self._held.items():
            encoded = text.encode()
            part = taken[crc32(encoded, level) * parts >> 32]
            words = [word for each in (held[:2], held[2:]) for word in (each[0], each[1] & _WORD, each[1] >> 64)]
            part += _RECORD.pack(*words, report, len(encoded)) + encoded
        self._held.clear()
        self._bytes = 0
        return list(map(bytes, taken))

    def load(self, data: bytes) -> None:
        """Add the records that a tally of the same reports has given."""
        for report, text, events, amount, stored_events, stored_amount in records(data):
            self._add(RECOUNTED, report, text, events, amount)
            self._add(STORED, report, text, stored_events, stored_amount)

    def differing(self, amounts: bytes, most: int) -> tuple[int, int, list[tuple[int, str, int, int, int, int]]]:
        """See Recount."""
        differing = [
            (report, text, *held)
            for (report, text), held in self._held.items()
            if held[0] != held[2] or (amounts[report] and held[1] != held[3])
        ]
        datapoints = sum(held[0] != 0 for held in self._held.values())
        differing.sort(key=itemgetter(0, 1))  # by code points, which is the order of their bytes
        return datapoints, len(differing), differing[:most]  # type: ignore[return-value]


def _texts(column: Strings) -> Sequence[str]:
    indexes, ends, heap = column
    texts = kernel.split_strings(ends, heap)
    return [texts[index] for index in indexes]
