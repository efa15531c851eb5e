"""Aggregates as CSV (RFC 4180): UTF-8, lines that end with CR LF. The same bytes over HTTP and on the command line."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final, Literal, get_args

from tillroll.core.query import DEFAULT_MEASURES, dimensions_of, measured
from tillroll.core.report import SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tillroll.core.query import Aggregate, Query

Columns = Literal["packed", "split"]
COLUMNS: Final[tuple[Columns, ...]] = get_args(Columns)
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"  # by which Excel tells UTF-8
# https://owasp.org/www-community/attacks/CSV_Injection, which has the full-width forms as well
_FORMULA_BEGINS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 so they are written


class CsvForm:
    """How one answer is written: the datapoint packed in a column, or split into a column for each dimension."""

    def __init__(
        self,
        query: Query,
        columns: Columns = "packed",
        *,
        measures: Sequence[str] = DEFAULT_MEASURES,
        marked: bool = False,
    ) -> None:
        """`marked` begins the text with a byte order mark, for Excel."""
        self._split = columns == "split"
        self._measures = measures
        self._prefix = query.report.prefix if query.is_whole else ""
        self._header = [*(dimensions_of(query) if self._split else ["datapoint"]), *measures]
        # A datapoint as the report has it is a key, for programs. Rolled up to merchants it is a cell that people read.
        opens = {dimension.name for dimension in query.report.opens}
        self._guarded = self._split or not opens.isdisjoint(query.by[:1])
        self._mark = _BYTE_ORDER_MARK if marked else b""

    def head(self) -> bytes:
        """Return the line of names."""
        return self._mark + _lines([self._header])

    def rows(self, aggregates: Iterable[Aggregate]) -> bytes:
        """Return a line for each aggregate."""
        return _lines([*self._cells(each), *measured(each, self._measures)] for each in aggregates)

    def _cells(self, aggregate: Aggregate) -> list[str]:
        cells = [aggregate.datapoint]
        if self._split:
            cells = (aggregate.text or aggregate.datapoint).removeprefix(self._prefix).split(SEPARATOR)
        return [guarded(cell) for cell in cells] if self._guarded else cells


def guarded(cell: str) -> str:
    """Return a cell as text that no spreadsheet takes for a formula: behind an apostrophe if it looks like one."""
    return f"'{cell}" if cell.startswith(_FORMULA_BEGINS) or cell.lstrip().startswith(_FORMULA_BEGINS) else cell


def _lines(rows: Iterable[Sequence[str | int]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode()
