"""The first of many aggregates in an order, in plain Python: the reference for the compiled kernel's `Selection`.

A page of a report out of millions of counters is found so without an object, or an order kept, for each merchant: the
counters are read once, and only what is among the first is held.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from tillroll.core.columns import Dictionary, read_counts

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Sequence

_WORD = (1 << 64) - 1
_Row = tuple[int, int, bytes]  # window, part and cells of a segment


class Shape(NamedTuple):
    """How codes are laid out: how many a part has, how many a merchant, and whether merchants are told apart."""

    size: int
    step: int
    by_merchant: bool


class Cut(NamedTuple):
    """Which aggregates are the first."""

    limit: int
    falling: bool  # by falling counts, then by datapoint; else by datapoint alone
    after: tuple[int, bytes] | None  # only those after this count and datapoint


class Selection:
    """The first aggregates out of segments and single counts, and the totals of all. Makes no datapoint of the others.

    A target is (before, after, residues): the codes of a merchant that are one aggregate, and its datapoint's text
    before and after the merchant's name, where a zero byte stands for the window. Unless merchants are told apart, the
    codes of all are one aggregate. They have the first `known` numbers of `names`; only those `wanted` count. The order
    of datapoints is that of their bytes.
    """

    def __init__(
        self,
        names: Dictionary,
        known: int,
        shape: Shape,
        targets: Sequence[tuple[bytes, bytes, bytes]],
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
        if any(residue >= step for _, _, residues in targets for residue in residues):
            raise ValueError("a merchant has no such code")
        self._names, self._known = names, known
        self._size, self._step, self._targets = size, step, targets
        self._wanted = None if wanted is None else set(wanted)
        self._cut = cut
        self._held: list[tuple[int, bytes]] = []
        self._datapoints = self._events = 0

    def __len__(self) -> int:
        """Return how many aggregates are selected, at most the limit."""
        return len(self._held)

    def add(self, window: bytes, rows: list[_Row], codes: array[int], counts: array[int]) -> None:
        """Take in all of one window: its segments, and single counts by code.

        Raises:
            ValueError: a segment is no row of counters or of merchants without a name, or a count passes 64 bits.
        """
        totals = self._totals_by_target(rows, zip(codes, counts, strict=True))
        for (target, number), count in totals.items():
            before, after, _ = self._targets[target]
            name = b"" if number is None else self._names.column(number, number + 1)[1]
            datapoint = before.replace(b"\0", window) + name + after.replace(b"\0", window)
            self._datapoints += 1
            self._events += count
            if self._cut.after is None or self._key((count, datapoint)) > self._key(self._cut.after):
                self._held.append((count, datapoint))
        if self._events > _WORD or any(count > _WORD for count in totals.values()):
            raise ValueError("a counter is out of range")
        self._held = sorted(self._held, key=self._key)[: self._cut.limit]

    def _totals_by_target(
        self, rows: list[_Row], loose: Iterable[tuple[int, int]]
    ) -> dict[tuple[int, int | None], int]:
        totals: dict[tuple[int, int | None], int] = defaultdict(int)
        by_residue: dict[int, list[int]] = defaultdict(list)
        for index, (_, _, residues) in enumerate(self._targets):
            for residue in residues:
                by_residue[residue].append(index)
        merchants = self._size // self._step
        parts = 1 if merchants == 1 else max(1, -(-self._known // merchants))
        for code, count in self._counts(rows, loose, parts):
            number, residue = divmod(code, self._step)
            if self._wanted is not None and number not in self._wanted:
                continue
            for index in by_residue[residue]:
                if self._by_merchant and number >= self._known:
                    raise ValueError("a counter is of a merchant that has no name")
                totals[index, number if self._by_merchant else None] += count
        return totals

    def _counts(self, rows: list[_Row], loose: Iterable[tuple[int, int]], parts: int) -> Iterable[tuple[int, int]]:
        for _, part, cells in rows:
            if not 0 <= part < parts or not cells:
                raise ValueError("a segment is no row of counters, or is of merchants that have no name")
            first = part * self._size
            yield from ((first + index, count) for index, count in enumerate(read_counts(cells, self._size)) if count)
        for code, count in loose:
            if code >= parts * self._size:
                raise ValueError("a count is of a merchant that has no name")
            if count:
                yield code, count

    def _key(self, aggregate: tuple[int, bytes]) -> tuple[int, bytes]:
        count, datapoint = aggregate
        return (-count if self._cut.falling else 0, datapoint)

    def best(self) -> list[tuple[str, int]]:
        """Return the selected aggregates in their order, as datapoints and counts."""
        return [(datapoint.decode(), count) for count, datapoint in self._held]

    def totals(self) -> tuple[int, int]:
        """Return how many aggregates there are, selected or not, and what they add up to."""
        return self._datapoints, self._events
