"""Fold: count a batch into the reports. Pure, and the same for every report."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import kernel
from tillroll.core.report import BRACKETS, METHODS, REPORTS, Report, datapoint

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Sequence

    from tillroll.core.batch import Batch


_WAYS: Final = [(report.window_s, report.keys) for report in REPORTS]


class Counts(NamedTuple):
    """Events by window (q) and code (Q), sorted by both; counts (Q) are above zero."""

    windows: array[int]
    codes: array[int]
    counts: array[int]


class Cell(NamedTuple):
    """What a code stands for. What the report does not count by is 0."""

    bracket: int
    method: int
    merchant: int


def fold(batch: Batch, merchant_ids: Sequence[int]) -> list[Counts]:
    """Return a batch's counts in each of REPORTS, its merchants under the ids given for its list of merchants."""
    return count_columns(batch.seconds, batch.amounts, batch.methods, batch.merchants, merchant_ids)


def count_columns(
    seconds: array[int], amounts: array[int], methods: array[int], merchants: array[int], merchant_ids: Sequence[int]
) -> list[Counts]:
    """Do the same for columns of that many events; `merchants` are indexes into `merchant_ids`."""
    return [Counts(*counts) for counts in kernel.group(seconds, amounts, methods, merchants, merchant_ids, _WAYS)]


def code_of(report: Report, cell: Cell) -> int:
    """Return the code of a cell in a report: its keys in mixed radix."""
    code = 0
    for key in report.keys:
        match key:
            case "bracket":
                code = code * len(BRACKETS) + cell.bracket
            case "method":
                code = code * len(METHODS) + cell.method
            case _:
                code = cell.merchant
    return code


def cell_of(report: Report, code: int) -> Cell:
    """Return what a code of a report stands for. The inverse of `code_of`."""
    bracket = method = merchant = 0
    for key in reversed(report.keys):
        match key:
            case "bracket":
                code, bracket = divmod(code, len(BRACKETS))
            case "method":
                code, method = divmod(code, len(METHODS))
            case _:
                merchant = code
    return Cell(bracket, method, merchant)


def count_datapoints(batches: Iterable[Batch]) -> Counter[str]:
    """Return how many events of the batches each datapoint of each report counts."""
    counted: Counter[str] = Counter()
    for batch in batches:
        names = batch.merchant_names
        for report, counts in zip(REPORTS, fold(batch, range(len(names))), strict=True):
            for window, code, count in zip(*counts, strict=True):
                cell = cell_of(report, code)
                counted[datapoint(report, window, cell.bracket, cell.method, names[cell.merchant])] += count
    return counted
