"""Consecutive events of the journal, as columns under the numbers of their values, to be counted when it is asked."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from tillroll.core import kernel
from tillroll.core.codes import Codes, Numbers
from tillroll.core.dimension import MERCHANT
from tillroll.core.fold import Counts, fold, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tillroll.core.batch import Batch
    from tillroll.core.codes import Find
    from tillroll.core.report import Report

MERCHANTS = frozenset({MERCHANT.dictionary})


def find_nothing(dictionary: str, text: str) -> int | None:
    """Find no text: what the five need, which have no conditions."""
    del dictionary, text
    return None


class Unfolded:
    """Consecutive events of the journal that wait to be counted.

    A fold of many small commits groups them all at once, and needs not read back what this process has just written.
    """

    def __init__(self, after: int, dictionaries: frozenset[str] = MERCHANTS) -> None:
        self.dictionaries = dictionaries
        self.clear(after)

    def clear(self, after: int) -> None:
        """Hold nothing; the next event is the one after this number."""
        self.first = after + 1
        self.events = 0
        self._seconds: array[int] = array("q")
        self._amounts: array[int] = array("q")
        self._methods: array[int] = array("B")
        self._numbers = {dictionary: array("I") for dictionary in self.dictionaries}

    @property
    def last(self) -> int:
        """The number of the last event held."""
        return self.first + self.events - 1

    def extend(self, batch: Batch, ids: Mapping[str, array[int]]) -> None:
        """Append the events that follow; `ids` has the numbers of the batch's values by dictionary."""
        self._seconds.extend(batch.seconds)
        self._amounts.extend(batch.amounts)
        self._methods.extend(batch.methods)
        for dictionary, numbers in self._numbers.items():
            numbers.extend(kernel.pick(ids[dictionary], values_of(batch, dictionary).indexes))
        self.events += len(batch)

    def drop(self, upto: int) -> None:
        """Forget the events up to a number."""
        count = upto + 1 - self.first
        if count > 0:
            for column in (self._seconds, self._amounts, self._methods, *self._numbers.values()):
                del column[:count]
            self.first += count
            self.events -= count

    def counts(
        self,
        reports: Sequence[Report],
        after: int | None = None,
        find: Find = find_nothing,
        *,
        upto: int | None = None,
    ) -> list[Counts]:
        """Return what is held in each of some reports: of all events, or of those after a number, or up to one."""
        start = 0 if after is None else after + 1 - self.first
        stop = self.events if upto is None else upto + 1 - self.first
        in_part = start > 0 or stop < self.events
        columns = (self._seconds, self._amounts, self._methods)
        seconds, amounts, methods = (column[start:stop] if in_part else column for column in columns)
        opens = {}
        for dictionary, numbers in self._numbers.items():
            some = numbers[start:stop] if in_part else numbers
            opens[dictionary] = Numbers(some, None, kernel.largest(some) + 1 if some else 1)
        return fold(reports, Codes(seconds, amounts, methods, opens, find))
