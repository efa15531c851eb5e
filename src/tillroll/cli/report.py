"""`tillroll report`: a report as a table, a chart, CSV, JSON or Parquet."""

import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import chain
from typing import Annotated

import msgspec
import typer

from tillroll.cli import report_chart
from tillroll.cli.options import StoreOptions
from tillroll.cli.output import console, euro, measure_text, table, write_aggregates_csv, write_aggregates_json
from tillroll.core import limits, question
from tillroll.core.bracket_order import read_pages
from tillroll.core.csv_form import CsvForm
from tillroll.core.dimension import BRACKETS, HOUR
from tillroll.core.query import DEFAULT_MEASURES, Aggregate, Query, measured
from tillroll.core.report import FIVE
from tillroll.core.text import visible
from tillroll.definitions import find_readable
from tillroll.errors import ConfigError, QueryError
from tillroll.export.parquet import AGGREGATE_MEASURES, write_aggregates
from tillroll.ports import Store

_ROWS = 50  # of a table, unless more are asked for: it is read, not processed


class ColumnsOfCsv(StrEnum):
    """How CSV has a datapoint."""

    PACKED = "packed"
    SPLIT = "split"


class Format(StrEnum):
    """How a report is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


Filter = list[str] | None


def run(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help=f"One of {', '.join(report.name for report in FIVE)}, or your own.")
    ],
    *,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TABLE,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DAY|INSTANT",
            help="Start of the range, in UTC or the zone: 2026-11-01, or 2026-11-01T10:00:00Z.",
        ),
    ] = None,
    stop: Annotated[
        str | None, typer.Option("--to", metavar="DAY|INSTANT", help="End of the range, exclusive.")
    ] = None,
    bracket: Annotated[
        Filter,
        typer.Option(
            "--bracket",
            metavar="BRACKET",
            help=f"Only this: {', '.join(BRACKETS)} (quote < and >), or your own; may be repeated.",
        ),
    ] = None,
    method: Annotated[
        Filter,
        typer.Option("--method", metavar="METHOD", help=f"Only this: {', '.join(limits.METHODS)}; may be repeated."),
    ] = None,
    merchant: Annotated[
        Filter, typer.Option("--merchant", metavar="MERCHANT", help="Only this merchant, by its id; may be repeated.")
    ] = None,
    only: Annotated[
        Filter,
        typer.Option(
            "--only",
            metavar="DIMENSION=VALUE",
            help="Only this value of a dimension of your own, such as country=SE; may be repeated.",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="DIMENSIONS",
            help="Roll up to some of its dimensions, or to day, week, month, weekday or hour-of-day: week,bracket.",
        ),
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option(
            "--zone",
            metavar="ZONE",
            help="Time zone of days, weeks and hours, such as Europe/Stockholm; UTC by default.",
        ),
    ] = None,
    measures: Annotated[
        str | None,
        typer.Option("--measures", metavar="MEASURES", help="Measures, separated by commas: events, amount, average."),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(
            "--order",
            metavar="|".join(question.ORDERS),
            help="bracket is datapoint with brackets by their amounts; -events and -amount have the largest first.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="ROWS", min=1, help="Maximum rows; CSV and JSON have all by default."),
    ] = None,
    chart: Annotated[bool, typer.Option("--chart", help="Draw a chart.")] = False,
    columns: Annotated[
        ColumnsOfCsv | None, typer.Option("--columns", help="Of CSV: the datapoint packed, or split by dimension.")
    ] = None,
    bom: Annotated[bool, typer.Option("--bom", help="Begin CSV with a byte order mark, for Excel.")] = False,
    where: StoreOptions,
) -> None:
    """Show a report as a table, a chart, CSV, JSON or Parquet.

    CSV and JSON are what the report frontend reads: datapoint and events, all of them. Parquet has the amount as well.
    """
    single = {"from": start, "to": stop, "zone": zone, "by": by, "order": order}
    parameters = {key: [value] for key, value in single.items() if value is not None}
    parameters |= {
        key: values for key, values in {"bracket": bracket, "method": method, "merchant": merchant}.items() if values
    }
    shown = question.measures_of([] if measures is None else [measures])
    if form is Format.PARQUET and measures is None:
        shown = AGGREGATE_MEASURES
    _refuse(form, columns, bom=bom, chart=chart)
    with where.opened() as store:
        query = _query(store, name, parameters, only or [], where)
        query = msgspec.structs.replace(query, amounts=shown != DEFAULT_MEASURES)
        if order is None and (form is Format.TABLE or columns is ColumnsOfCsv.SPLIT):  # for people
            query = msgspec.structs.replace(query, brackets_by_amount=True)
        if chart and order is not None and report_chart.has_own_order(query):
            raise ConfigError("--order", "a chart of what has a time has its own order", "Leave out --order or --chart")
        if chart:
            report_chart.draw(console(), store, query, limit, shown)
            return
        match form:
            case Format.JSON:
                write_aggregates_json(_pages(store, query, limit), shown)
            case Format.CSV:
                packed = columns is not ColumnsOfCsv.SPLIT
                written = CsvForm(query, "packed" if packed else "split", measures=shown, marked=bom)
                write_aggregates_csv(written, _pages(store, query, limit))
            case Format.PARQUET:
                write_aggregates(sys.stdout.buffer, _pages(store, query, limit), shown)
            case Format.TABLE:
                _show(store, query, limit or _ROWS, shown)


def _refuse(form: Format, columns: ColumnsOfCsv | None, *, bom: bool, chart: bool) -> None:
    """Refuse flags that the form does not have."""
    for flag, given in (("--columns", columns), ("--bom", bom)):
        if given and form is not Format.CSV:
            raise ConfigError(flag, "it applies only to CSV", "Add --format csv, or leave it out")
    if form is Format.PARQUET and sys.stdout.isatty():
        raise ConfigError("--format", "Parquet cannot be shown on a terminal", "Write it to a file with > FILE")
    if chart and form is not Format.TABLE:
        raise ConfigError("--chart", f"a chart cannot be written as {form.value}", "Leave out --format")


def _query(store: Store, name: str, parameters: dict[str, list[str]], only: list[str], where: StoreOptions) -> Query:
    report = find_readable(store, name)
    _add_only(parameters, only, question.filters_of(report))
    if report.window is HOUR:
        parameters.setdefault("zone", [where.settings().zone])
    return question.parse_query(report, parameters)


def _add_only(parameters: dict[str, list[str]], only: list[str], dimensions: Sequence[str]) -> None:
    for text in only:
        dimension, equals, value = text.partition("=")
        if not equals or dimension not in dimensions:
            problem = f"{text!r} is not DIMENSION=VALUE of a dimension of this report"
            raise QueryError("--only", problem, f"It takes {', '.join(f'{each}=VALUE' for each in dimensions)}")
        parameters.setdefault(dimension, []).append(value)


def _pages(store: Store, query: Query, limit: int | None) -> Iterator[Sequence[Aggregate]]:
    """Yield the aggregates that match, in pages, up to a limit of them all."""
    for page in read_pages(store.page, msgspec.structs.replace(query, totals=False), limit):
        yield page.aggregates


def _show(store: Store, query: Query, limit: int, measures: Sequence[str]) -> None:
    pages = list(read_pages(store.page, query, limit))
    rows = table("datapoint", *measures, right=measures)
    for each in chain.from_iterable(page.aggregates for page in pages):
        rows.add_row(visible(each.text or each.datapoint), *_cells(each, measures))
    console().print(rows)
    found = pages[0].totals
    if found is not None:
        totals = f"{found.events:,} events in {found.datapoints:,} datapoints"
        if measures != DEFAULT_MEASURES:
            totals += f", {euro(found.amount)} euro"
        more = f"; {rows.row_count:,} shown, --limit shows more" if rows.row_count < found.datapoints else ""
        typer.echo(totals + more, err=True)


def _cells(aggregate: Aggregate, measures: Sequence[str]) -> Iterator[str]:
    """Yield the measures for people: amounts in euro."""
    for name, value in zip(measures, measured(aggregate, measures), strict=True):
        yield measure_text(name, value)
