"""Fold: count a batch into the reports. Pure, and the same for every report."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tillroll.core import kernel
from tillroll.core.codes import Codes, Numbers
from tillroll.core.dimension import BRACKETS
from tillroll.core.limits import METHODS
from tillroll.core.report import REPORTS, Report, datapoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tillroll.core.batch import Batch


class Counts(NamedTuple):
    """Events by window (q) and code (Q), sorted by both; counts and sums of amounts are Q, and counts above zero."""

    windows: array[int]
    codes: array[int]
    counts: array[int]
    sums: array[int]

    def rows(self) -> Iterator[tuple[int, int, int]]:
        """Yield (window, code, count)."""
        return zip(self.windows, self.codes, self.counts, strict=True)


class Cell(NamedTuple):
    """What a code stands for. What the report does not count by is 0."""

    bracket: int
    method: int
    merchant: int


def fold(reports: Sequence[Report], codes: Codes) -> list[Counts]:
    """Return what events count in each of the reports."""
    firsts, groupings = [], []
    for report in reports:
        window, keys = report.grouping
        column, first = window.windows(codes) if window else (None, 0)
        firsts.append(first)
        groupings.append(([] if column is None else [column], [key.column(codes) for key in keys]))
    grouped = kernel.group(codes.columns, codes.amounts, groupings)
    return [
        Counts(kernel.widen(memoryview(windows).cast("B"), 8, first, len(counts), "q"), cells, counts, sums)
        for first, ((windows, cells), counts, sums) in zip(firsts, grouped, strict=True)
    ]


def codes_of(batch: Batch, numbers: array[int]) -> Codes:
    """Return the codes of a batch, each of its list's merchants under its number (I)."""
    size = kernel.largest(numbers) + 1 if numbers else 1
    return Codes(batch.seconds, batch.amounts, batch.methods, Numbers(batch.merchants, numbers, size))


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
        codes = codes_of(batch, array("I", range(len(names))))
        for report, counts in zip(REPORTS, fold(REPORTS, codes), strict=True):
            for window, code, count in counts.rows():
                cell = cell_of(report, code)
                counted[datapoint(report, window, cell.bracket, cell.method, names[cell.merchant])] += count
    return counted
