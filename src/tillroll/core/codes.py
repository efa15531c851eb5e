"""Codes: what events are grouped by, as columns, each made once for however many reports need it."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from tillroll.core import kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# (codes, radix), or (parent, table, radix): for each code of the column `parent`, the code here. See kernel.group.
CodeColumn: TypeAlias = "tuple[array[int], int] | tuple[int, array[int], int]"
Find: TypeAlias = "Callable[[str, str], int | None]"  # (dictionary, text) to the text's number there


class Numbers(NamedTuple):
    """Each event's value in a dictionary that grows.

    The value of event i has the number `numbers[indexes[i]]` in the dictionary, which is below `size`; without
    `numbers`, the number `indexes[i]`.
    """

    indexes: array[int]
    numbers: array[int] | None
    size: int


class CodesOfWindows(NamedTuple):
    """A column of windows: where it stands, and which window, counted from 1970, its code 0 stands for."""

    column: int
    first: int


class Codes:
    """Some events, and the columns of codes that were made of them.

    `opens` are the events' values by dictionary; `find` gives the number of a text in a dictionary, None when it has
    none.
    """

    def __init__(
        self,
        seconds: array[int],
        amounts: array[int],
        methods: array[int],
        opens: Mapping[str, Numbers],
        find: Find = lambda _dictionary, _text: None,
    ) -> None:
        self.seconds = seconds
        self.amounts = amounts
        self.methods = methods
        self.opens = opens
        self.find = find
        self.columns: list[CodeColumn] = []
        self.made: dict[object, int] = {}  # the index of each dimension's column
        self.windows: dict[object, CodesOfWindows] = {}

    def anew(self) -> Codes:
        """Return the codes of the same events, without a column yet."""
        return Codes(self.seconds, self.amounts, self.methods, self.opens, self.find)

    def add(self, key: object, column: CodeColumn) -> int:
        """Add a column, and return its index."""
        self.columns.append(column)
        self.made[key] = len(self.columns) - 1
        return self.made[key]

    def add_windows(self, key: object, column: CodeColumn, first: int) -> CodesOfWindows:
        """Add a column whose code 0 stands for a window."""
        self.windows[key] = CodesOfWindows(self.add(key, column), first)
        return self.windows[key]

    def radix(self, index: int) -> int:
        """Return how many codes a column may have."""
        return self.columns[index][-1]

    def flat(self, index: int) -> array[int]:
        """Return a column's code of each event."""
        column = self.columns[index]
        if len(column) == 2:
            return column[0]
        parents = self.flat(column[0])
        return kernel.pick(column[1], parents if parents.typecode == "I" else array("I", parents))

    def select(self, indexes: array[int]) -> Codes:
        """Return the codes of some of the events, by their indexes (I), without a column yet."""
        opens = {
            name: Numbers(kernel.pick(each.indexes, indexes), each.numbers, each.size)
            for name, each in self.opens.items()
        }
        seconds, amounts, methods = (
            kernel.pick(column, indexes) for column in (self.seconds, self.amounts, self.methods)
        )
        return Codes(seconds, amounts, methods, opens, self.find)
