"""The first of many aggregates in an order, in plain Python: the reference for the compiled kernel's `Selection`.

A page of a report out of millions of counters is found so without an object, or an order kept, for each merchant: the
counters are read once, and only what is among the first is held.
"""

from __future__ import annotations

from collections import defaultdict
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from tillroll.core.columns import Dictionary, read_counts

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator, Sequence

_WORD = (1 << 64) - 1
_WIDE = (1 << 128) - 1
_Row = tuple[int, int, bytes]  # window, part and cells of a segment
_Found = tuple[bytes, int, int]  # a datapoint, its events and its amount


class By(IntEnum):
    """What aggregates are ordered by: rising datapoints, or what falls, with ties by datapoint."""

    DATAPOINT = 0
    EVENTS = 1
    AMOUNT = 2


class Shape(NamedTuple):
    """How codes are laid out: how many a part has, how many a merchant, and whether merchants are told apart."""

    size: int
    step: int
    by_merchant: bool


class Cut(NamedTuple):
    """Which aggregates are the first."""

    limit: int
    order: By
    after: tuple[int, int, bytes] | None  # only those after: what they are ordered by, in two words, and the datapoint


class Selection:
    """The first aggregates out of segments and single counts, and the totals of all. Makes no datapoint of the others.

    A target is (before, after, inner codes): the codes of a merchant (I) that are one aggregate, and its datapoint's
    text before and after the merchant's name, where a zero byte stands for the window. Unless merchants are told apart,
    the codes of all are one aggregate. They have the first `known` numbers of `names`; only those `wanted` count. The
    order of datapoints is that of their bytes. Of a report without merchants `known` is 0.
    """

    def __init__(
        self,
        names: Dictionary,
        known: int,
        shape: Shape,
        targets: Sequence[tuple[bytes, bytes, array[int]]],
        wanted: array[int] | None,
        cut: Cut,
    ) -> None:
        """Begin with nothing.

        Raises:
            ValueError: a number is out of range.
        """
        size, step, self._by_merchant = shape
        if not 0 <= known <= len(names) or not 0 < step <= size or size % step or cut.limit < 1:
            raise ValueError("a selection's size, step or limit is out of range, or there are not so many names")
        if any(code >= step for _, _, inner in targets for code in inner):
            raise ValueError("a merchant has no such code")
        self._names, self._known = names, known
        self._size, self._step, self._targets = size, step, targets
        self._wanted = None if wanted is None else set(wanted)
        self._cut = cut
        self._held: list[_Found] = []
        self._datapoints = self._events = self._amount = 0

    def __len__(self) -> int:
        """Return how many aggregates are selected, at most the limit."""
        return len(self._held)

    def add(
        self,
        window: bytes,
        rows: list[_Row],
        codes: array[int],
        counts: array[int],
        lows: array[int],
        highs: array[int],
    ) -> None:
        """Take in all of one window: its segments, and single totals by code: counts, and sums in two words.

        Raises:
            ValueError: a segment is no row of counters or of merchants without a name, or a counter is out of range.
        """
        if not len(codes) == len(counts) == len(lows) == len(highs):
            raise ValueError("columns differ in length")
        totals = self._totals_by_target(rows, zip(codes, counts, _wide(lows, highs), strict=True))
        for (target, number), (count, amount) in totals.items():
            before, after, _ = self._targets[target]
            name = b"" if number is None else self._names.column(number, number + 1)[1]
            datapoint = before.replace(b"\0", window) + name + after.replace(b"\0", window)
            self._datapoints += 1
            self._events += count
            self._amount += amount
            one = (datapoint, count, amount)
            if self._cut.after is None or self._key(one) > self._after_key(*self._cut.after):
                self._held.append(one)
        if self._events > _WORD or self._amount > _WIDE:
            raise ValueError("a counter is out of range")
        self._held = sorted(self._held, key=self._key)[: self._cut.limit]

    def _totals_by_target(
        self, rows: list[_Row], loose: Iterable[tuple[int, int, int]]
    ) -> dict[tuple[int, int | None], tuple[int, int]]:
        totals: dict[tuple[int, int | None], tuple[int, int]] = {}
        by_inner: dict[int, list[int]] = defaultdict(list)
        for index, (_, _, inner) in enumerate(self._targets):
            for code in inner:
                by_inner[code].append(index)
        parts = max(1, -(-self._known // (self._size // self._step)))
        for code, count, amount in self._counts(rows, loose, parts):
            number, code_in = divmod(code, self._step)
            if self._wanted is not None and number not in self._wanted:
                continue
            for index in by_inner[code_in]:
                if self._by_merchant and number >= self._known:
                    raise ValueError("a counter is of a merchant that has no name")
                key = (index, number if self._by_merchant else None)
                events, cents = totals.get(key, (0, 0))
                totals[key] = (events + count, cents + amount)
        return totals

    def _counts(
        self, rows: list[_Row], loose: Iterable[tuple[int, int, int]], parts: int
    ) -> Iterator[tuple[int, int, int]]:
        for _, part, cells in rows:
            if not 0 <= part < parts:
                raise ValueError("a segment is no row of counters, or is of merchants that have no name")
            counts, lows, highs = read_counts(cells, self._size)
            for code, (count, amount) in enumerate(zip(counts, _wide(lows, highs), strict=True), part * self._size):
                if count:
                    yield code, count, amount
        for code, count, amount in loose:
            if code >= parts * self._size:
                raise ValueError("a count is of a merchant that has no name")
            if count:
                yield code, count, amount

    def _key(self, aggregate: _Found) -> tuple[int, bytes]:
        datapoint, events, amount = aggregate
        return -(0, events, amount)[self._cut.order], datapoint

    def _after_key(self, low: int, high: int, datapoint: bytes) -> tuple[int, bytes]:
        return -(high << 64 | low) if self._cut.order else 0, datapoint

    def best(self) -> list[tuple[str, int, int]]:
        """Return the selected aggregates in their order: datapoints, events and amounts."""
        return [(datapoint.decode(), events, amount) for datapoint, events, amount in self._held]

    def totals(self) -> tuple[int, int, int]:
        """Return how many aggregates there are, selected or not, and what their events and amounts add up to."""
        return self._datapoints, self._events, self._amount


def _wide(lows: Iterable[int], highs: Iterable[int]) -> Iterator[int]:
    return (high << 64 | low for low, high in zip(lows, highs, strict=True))
