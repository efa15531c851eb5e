"""Fold: count a batch into reports. Pure, and the same for every report."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple

from tillroll.core import kernel
from tillroll.core.batch import KeptColumn
from tillroll.core.codes import Codes, Numbers
from tillroll.core.dimension import FIELD_PREFIX, MERCHANT, Open

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tillroll.core.batch import Batch
    from tillroll.core.dimension import Dimension
    from tillroll.core.report import Condition, Report

_COLUMNS_MAX = 32  # of one call of the kernel; no report alone has half as many
_REPORTS_MAX = 256


class Counts(NamedTuple):
    """Events of each cell that has any, sorted by window, numbers and code.

    `windows` are q; `codes` Q; counts and `sums` of amounts Q. A report of one open dimension or none has codes of
    `number * inner + inner_code` (see Report), and no `numbers`; one of several has a column of numbers (Q) for each,
    and codes of the closed dimensions alone.
    """

    windows: array[int]
    codes: array[int]
    counts: array[int]
    sums: array[int]
    numbers: tuple[array[int], ...] = ()


def fold(reports: Sequence[Report], codes: Codes) -> list[Counts]:
    """Return what events count in each of the reports."""
    found: dict[Report, Counts] = {}
    for where, some in _by_condition(reports):
        its = _select(codes, where) if where else codes.anew()
        found.update(zip(some, _group(some, its), strict=True))
    return [found[report] for report in reports]


def _by_condition(reports: Sequence[Report]) -> Iterator[tuple[tuple[Condition, ...], list[Report]]]:
    some: dict[object, tuple[tuple[Condition, ...], list[Report]]] = {}
    for report in reports:
        key = tuple((condition.dimension.key, condition.texts) for condition in report.where)
        some.setdefault(key, (report.where, []))[1].append(report)
    yield from some.values()


def _select(codes: Codes, where: tuple[Condition, ...]) -> Codes:
    """Return the events for which all conditions hold."""
    return codes.select(_indexes(codes, where))


def _indexes(codes: Codes, wanted: Iterable[tuple[Dimension, frozenset[str]]]) -> array[int]:
    """Return the indexes (I) of the events that have one of the texts wanted of each dimension."""
    together = int.from_bytes(b"\1" * len(codes.seconds), "little")
    for dimension, texts in wanted:
        together &= int.from_bytes(dimension.mask(codes, texts), "little")
    return kernel.indexes_of(together.to_bytes(len(codes.seconds), "little"))


def indexes_behind(report: Report, batch: Batch, datapoint: str) -> array[int]:
    """Return the indexes (I) of a batch's events that a datapoint counts. A long one is in full, or its hash."""
    texts = report.parse(datapoint)
    if texts is None or report.is_hashed(datapoint):
        return array("I", report.indexes_of(batch, datapoint))
    if not len(batch):
        return array("I")
    codes, _ = batch_codes(batch, [report])
    wanted = zip(report.by, (frozenset((text,)) for text in texts), strict=True)
    return _indexes(codes, [*report.where, *wanted])


def _group(reports: Sequence[Report], codes: Codes) -> list[Counts]:
    firsts, groupings = [], []
    for report in reports:
        column, first = report.window.windows(codes) if report.window else (None, 0)
        firsts.append(first)
        opens = [dimension.column(codes) for dimension in report.opens]
        closed = [dimension.column(codes) for dimension in report.closed]
        cells = [[*opens, *closed]] if len(opens) <= 1 else [*([each] for each in opens), closed]
        groupings.append([[] if column is None else [column], *cells])
    if len(reports) > 1 and (len(codes.columns) > _COLUMNS_MAX or len(reports) > _REPORTS_MAX):
        half = len(reports) // 2
        return _group(reports[:half], codes.anew()) + _group(reports[half:], codes.anew())
    grouped = kernel.group(codes.columns, codes.amounts, groupings)
    return [
        Counts(
            kernel.widen(memoryview(windows).cast("B"), 8, first, len(counts), "q"),
            cells[-1],
            counts,
            sums,
            tuple(cells[:-1]),
        )
        for first, ((windows, *cells), counts, sums) in zip(firsts, grouped, strict=True)
    ]


def values_of(batch: Batch, dictionary: str) -> KeptColumn:
    """Return a batch's values of a dictionary: the merchants, or a kept field's."""
    if dictionary == MERCHANT.dictionary:
        return KeptColumn(batch.merchants, batch.name_ends, batch.name_bytes)
    return batch.kept_column(dictionary.removeprefix(FIELD_PREFIX))


def batch_codes(batch: Batch, reports: Sequence[Report]) -> tuple[Codes, dict[str, list[str]]]:
    """Return the codes of a batch by its own lists of values, and these lists, of each dictionary that reports need."""
    dimensions = [each for report in reports for each in (*report.by, *(part.dimension for part in report.where))]
    opens: dict[str, Numbers] = {}
    texts: dict[str, list[str]] = {}
    for dictionary in dict.fromkeys(each.dictionary for each in dimensions if isinstance(each, Open)):
        column = values_of(batch, dictionary)
        texts[dictionary] = column.values
        opens[dictionary] = Numbers(column.indexes, None, len(texts[dictionary]))

    def find(dictionary: str, text: str) -> int | None:
        return texts[dictionary].index(text) if text in texts[dictionary] else None

    return Codes(batch.seconds, batch.amounts, batch.methods, opens, find), texts


def codes_of(batch: Batch, numbers: array[int]) -> Codes:
    """Return the codes of a batch, each of its list's merchants under its number (I)."""
    size = kernel.largest(numbers) + 1 if numbers else 1
    merchants = Numbers(batch.merchants, numbers, size)
    return Codes(batch.seconds, batch.amounts, batch.methods, {MERCHANT.dictionary: merchants})
