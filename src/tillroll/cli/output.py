"""What commands write: JSON and CSV for programs, tables for people.

Rich is imported where something is drawn: it takes as long as the rest of a command's start.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from tillroll.core.query import DEFAULT_MEASURES, aggregate_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console
    from rich.table import Table

    from tillroll.core.csv_form import CsvForm
    from tillroll.core.decode import Reason
    from tillroll.core.query import Aggregate

_FILE_WIDTH = 500  # into a file or a pipe, a line is a line


def console() -> Console:
    """Return the console that people read results on. What merchants are called is never taken for markup."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _FILE_WIDTH
    made = Console(width=width, highlight=False, markup=False, emoji=False)
    made.on_broken_pipe = _reader_left  # type: ignore[method-assign] # rich would end with an exit code of 1
    return made


def _reader_left() -> None:
    raise BrokenPipeError


def messages() -> Console:
    """Return the console that progress and remarks go to."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def instant(seconds: float) -> str:
    """Return a moment, in seconds since 1970, in UTC to the second."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def explained(reason: Reason) -> str:
    """Return a reason as one line for people, which says the field it is about."""
    if reason.field is None or reason.field in reason.message:
        return reason.message
    return f"{reason.field}: {reason.message}"


def euro(cents: int) -> str:
    """Return an amount in euro as people read it, such as 1,234.50."""
    return f"{cents // 100:,}.{cents % 100:02}"


def measure_text(measure: str, value: int) -> str:
    """Return a measure as people read it: amounts in euro."""
    return f"{value:,}" if measure in DEFAULT_MEASURES else euro(value)


def write_json(value: Any) -> None:
    """Write a value as JSON, indented, and a line end."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value)) + b"\n")
    sys.stdout.buffer.flush()


def write_aggregates_json(pages: Iterable[Sequence[Aggregate]], measures: Sequence[str]) -> None:
    """Write aggregates in the report frontend's own format: a list of objects, one a line."""
    out = sys.stdout.buffer
    separator = b"[\n"
    for page in pages:
        for aggregate in page:
            out.write(separator + msgspec.json.encode(aggregate_object(aggregate, measures)))
            separator = b",\n"
    out.write(b"\n]\n" if separator == b",\n" else b"[]\n")
    out.flush()


def write_aggregates_csv(form: CsvForm, pages: Iterable[Sequence[Aggregate]]) -> None:
    """Write aggregates as CSV: UTF-8 whatever the locale, as over HTTP."""
    out = sys.stdout.buffer
    out.write(form.head())
    for page in pages:
        out.write(form.rows(page))
    out.flush()


def table(*columns: str, right: Iterable[str] = (), whole: Iterable[str] = ()) -> Table:
    """Return a table that reads well on a terminal and in a file; `whole` columns are never broken."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in right else "left"
        made.add_column(column, justify=justify, overflow="fold", no_wrap=column in whole)
    return made
