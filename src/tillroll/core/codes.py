"""Codes: what events are grouped by, as columns, each made once for however many reports need it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from array import array

# (codes, radix), or (parent, table, radix): for each code of the column `parent`, the code here. See kernel.group.
CodeColumn: TypeAlias = "tuple[array[int], int] | tuple[int, array[int], int]"


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
    """Some events, and the columns of codes that were made of them."""

    def __init__(self, seconds: array[int], amounts: array[int], methods: array[int], merchants: Numbers) -> None:
        self.seconds = seconds
        self.amounts = amounts
        self.methods = methods
        self.merchants = merchants
        self.columns: list[CodeColumn] = []
        self.made: dict[object, int] = {}  # the index of each dimension's column
        self.windows: dict[object, CodesOfWindows] = {}

    def add(self, key: object, column: CodeColumn) -> int:
        """Add a column, and return its index."""
        self.columns.append(column)
        self.made[key] = len(self.columns) - 1
        return self.made[key]

    def radix(self, index: int) -> int:
        """Return how many codes a column may have."""
        return self.columns[index][-1]
