"""Questions: turn what a person or a program typed into a query, or say which part of it no report can answer. Pure.

The same words and rules over HTTP and on the command line, so both read them here.
"""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Final, TypeVar

from tillroll.core import limits
from tillroll.core.bracket_order import can_order
from tillroll.core.clocks import UTC_CLOCKS
from tillroll.core.dimension import HOUR, KEYS, WINDOWS, Closed, Open
from tillroll.core.export import Chosen
from tillroll.core.pattern import pattern
from tillroll.core.query import DEFAULT_MEASURES, MEASURES, Order, Query
from tillroll.core.report import FIVE, Place, Report, Reports
from tillroll.core.spans import SPANS, parse_day
from tillroll.core.zone import DAY_S, FIRST_LOCAL_S, HOUR_S, LAST_LOCAL_S, UTC, find_zone, zone_remedy
from tillroll.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tillroll.core.zone import Zone

_T = TypeVar("_T", bound=str)

ORDERS: Final = ("datapoint", "bracket", "-events", "-amount")  # bracket is datapoint with brackets by their amounts
_SINGLE: Final = ("from", "to", "zone", "order", "limit", "cursor")
# What a question is made of beside the dimensions. A kept field of such a name is written `field.NAME`.
PARAMETERS: Final = (*_SINGLE[:3], "by", *_SINGLE[3:])
OF_ANSWERS: Final = ("measures", "format", "columns", "bom", "download")
RESERVED: Final = frozenset((*WINDOWS, *KEYS, *PARAMETERS, *OF_ANSWERS))
CURSOR_CHARACTERS_MAX: Final = 5_000  # a total and the longest text fit, which a roll-up by kept fields has
_SPAN_NAMES: Final = tuple(SPANS)
_INSTANT: Final = pattern(
    r"(\d{4}-\d{2}-\d{2})T([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,9}))?)?"
    r"(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)
_MEASURE_CURSOR: Final = pattern(r"[1-9]\d{0,38}\|.+|0\|.+", re.ASCII | re.DOTALL)


def parse_query(report: Report, parameters: Mapping[str, Sequence[str]]) -> Query:
    """Return the query that text parameters, by name, put to a report.

    Names are those in PARAMETERS. Filters and `by` take several values, `by` also parted by commas; the others one.

    Raises:
        QueryError: a parameter is unknown to the report, or a value is not one it can have.
    """
    single = _single_values(report, parameters)
    named = _one_of("order", single.get("order", ORDERS[0]), ORDERS)
    order: Order = "-events" if named == "-events" else "-amount" if named == "-amount" else "datapoint"
    by = _by(parameters.get("by", ()), report)
    zone = _zone(single["zone"], report) if "zone" in single else None
    start = _window("from", single["from"], report, zone) if "from" in single else None
    stop = _window("to", single["to"], report, zone) if "to" in single else None
    if start is not None and stop is not None and start >= stop:
        remedy = f"The range ends before `to`, so give a later one than {single['from']}"
        raise QueryError("to", f"{single['to']} is not after {single['from']}", remedy)
    query = Query(
        report=report,
        start=start,
        stop=stop,
        filters={name: _filter(name, parameters[name], report) for name in filters_of(report) if parameters.get(name)},
        by=by,
        zone=zone,
        order=order,
        brackets_by_amount=named == "bracket",
        limit=whole_number("limit", single["limit"], 1, limits.PAGE_MAX) if "limit" in single else limits.PAGE_DEFAULT,
        after=_cursor(single["cursor"], order) if "cursor" in single else None,
    )
    if named == "bracket" and not can_order(query):
        raise QueryError("order", "the answer has no brackets to order", "Leave it out")
    return query


def measures_of(values: Sequence[str]) -> tuple[str, ...]:
    """Return the measures that an answer shows, in the order asked, of texts that may be parted by commas.

    Raises:
        QueryError: one is unknown, or given twice.
    """
    return _several("measures", values, MEASURES, "measure") or DEFAULT_MEASURES


def find_report(reports: Reports, name: str) -> Report:
    """Return the report of a name.

    Raises:
        QueryError: there is none.
    """
    report = reports.get(name)
    if report is None:
        raise QueryError("report", f"there is no report {_shown(name)}", f"There are {_listed(reports.names)}")
    return report


def find_datapoint(reports: Reports, text: str) -> Place:
    """Return where a datapoint lies.

    Raises:
        QueryError: no report could have it.
    """
    found = reports.place(text)
    if found is None:
        forms = _listed(report.text(report.dimensions) for report in reports)
        raise QueryError(
            "datapoint",
            f"{_shown(text)} is a datapoint of no report",
            f"Write it as a report shows it: {forms}",
        )
    return found


def dimensions_of(report: Report) -> tuple[str, ...]:
    """Return what a report can be rolled up to: its dimensions, and the spans that its windows lie in."""
    return *report.dimensions, *spans_of(report)


def spans_of(report: Report) -> tuple[str, ...]:
    """Return the spans that a report's windows can be added up to."""
    window = report.window
    if window is None:
        return ()
    return tuple(
        name for name in _SPAN_NAMES if window.unit_hours <= SPANS[name].hours and name not in report.dimensions
    )


def filters_of(report: Report) -> tuple[str, ...]:
    """Return the dimensions that a question can keep some values of."""
    return tuple(dimension.name for dimension in report.by if dimension is not report.window)


def instant(field: str, text: str) -> int:
    """Return the second since 1970 at which a day, an hour or an instant in UTC begins.

    Raises:
        QueryError: it is none, or lies within a second.
    """
    seconds, exact = _instant(field, text, UTC_CLOCKS.first_at)
    if not exact:
        raise QueryError(field, f"{_shown(text)} lies within a second", "Give a whole second")
    return seconds


def chosen_of(start: str | None, stop: str | None, merchants: Sequence[str] | None, prefix: str = "--") -> Chosen:
    """Return which events are exported, of a range of instants and of some merchants; `prefix` is that of the names.

    Raises:
        QueryError: the range is none.
    """
    chosen = Chosen(
        None if start is None else instant(f"{prefix}from", start),
        None if stop is None else instant(f"{prefix}to", stop),
        frozenset(merchants) if merchants else None,
    )
    if chosen.start is not None and chosen.stop is not None and chosen.start >= chosen.stop:
        raise QueryError(f"{prefix}to", f"{stop} is not after {start}", "Give a later one")
    return chosen


def whole_number(field: str, text: str, low: int, high: int) -> int:
    """Return the number a text holds.

    Raises:
        QueryError: it is not a whole number between the bounds.
    """
    if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) and low <= int(text) <= high:
        return int(text)
    raise QueryError(field, f"{_shown(text)} is not a whole number from {low} to {high}", "Give one, or leave it out")


def _single_values(report: Report, parameters: Mapping[str, Sequence[str]]) -> dict[str, str]:
    no_part = set() if report.window else {"from", "to", "zone"}
    if report.window and report.window.unit_hours > 1:
        no_part = {"zone"}
    known = [name for name in (*PARAMETERS[:3], *filters_of(report), *PARAMETERS[3:]) if name not in no_part]
    single = {}
    for name, values in parameters.items():
        if name in KEYS and name not in report.dimensions:
            remedy = f"It counts by {_listed(report.dimensions)}"
            raise QueryError(name, f"the report {report.name} does not count by {name}", remedy)
        if name not in PARAMETERS and name not in known:
            raise QueryError(name, "unknown parameter", f"There are {_listed(known)}")
        if name in _SINGLE and values:
            if len(values) > 1:
                raise QueryError(name, f"it is given {len(values)} times", "Give it once")
            single[name] = values[0]
    return single


def _zone(name: str, report: Report) -> Zone | None:
    """Return the zone of a name, None for that of the report."""
    clocks = report.window.clocks if report.window else UTC_CLOCKS
    if name == clocks.name or (report.window is None and name == UTC):
        return None
    zone = find_zone(name)
    if zone is None:
        raise QueryError("zone", f"{_shown(name)} is not a time zone", zone_remedy(name))
    if report.window is not HOUR:
        hourly = _listed(each.name for each in FIVE if each.window is HOUR)
        unit = f"{report.window.name}s" if report.window else ""
        what = f"counts whole {unit} of {clocks.name}" if report.window else "is over all time"
        raise QueryError(
            "zone", f"the report {report.name} {what}", f"Leave it out, or query a report by hour: {hourly}"
        )
    return zone


def _window(field: str, text: str, report: Report, zone: Zone | None) -> int:
    """Return the window that begins at an instant, or at a date and hour by the zone's clocks."""
    if report.window is None:
        raise QueryError(field, f"the report {report.name} is over all time", _windowed_remedy(report))
    seconds, exact = _instant(field, text, (zone or report.window.clocks).first_at)
    if not FIRST_LOCAL_S <= seconds < LAST_LOCAL_S:
        raise QueryError(field, f"{_shown(text)} is outside the years 0001 to 9999 in UTC", "Leave it out for no limit")
    window = report.window.cut(seconds) if exact else None
    if window is None:
        near = [instant_text(bound) for bound in report.window.cuts_near(seconds)]
        article = "an" if report.window.unit_hours == 1 else "a"
        problem = f"{_shown(text)} lies inside {article} {report.window.name} of the report"
        raise QueryError(field, problem, f"The nearest it can answer are {near[0]} and {near[1]}")
    return window


def _windowed_remedy(report: Report) -> str:
    """Say which question answers, for a range of time, what a report over all time counts."""
    by = ",".join(report.dimensions)
    for each in FIVE:
        if each.window and set(report.dimensions) <= set(each.dimensions):
            return f"Query {each.name} with by={by} and the range: it counts the same, by {each.window.name}"
    windowed = _listed(each.name for each in FIVE if each.window)
    return f"Leave it out: no report counts by {by} within a range. By time count {windowed}"


def _instant(field: str, text: str, first_at: Callable[[int], int]) -> tuple[int, bool]:
    """Return (seconds since 1970, whether that is all of it). `first_at` is for dates and hours that clocks show."""
    day, hour = parse_day(text), HOUR.parse(text)
    local_s = day * DAY_S if day is not None else None if hour is None else hour * HOUR_S
    if local_s is not None:
        return first_at(local_s), True
    match = _INSTANT.fullmatch(text)
    day = parse_day(match[1]) if match else None
    if match is None or day is None:
        remedy = (
            "Write 2011-12-03, 2011-12-03:10, 2011-12-03T10:00:00Z or 2011-12-03T12:00:00+02:00 (in a URL, %2B for +)"
        )
        raise QueryError(field, f"{_shown(text)} is not a date or an instant", remedy)
    _, hours, minutes, seconds, fraction, sign, offset_hours, offset_minutes = match.groups()
    at = day * DAY_S + int(hours) * HOUR_S + int(minutes) * 60 + int(seconds or 0)
    if sign:
        offset = int(offset_hours) * HOUR_S + int(offset_minutes) * 60
        at += offset if sign == "-" else -offset
    return at, not (fraction or "").strip("0")


def instant_text(seconds: int) -> str:
    """Return an instant in UTC as questions have it, within the years that they may name."""
    seconds = min(max(seconds, FIRST_LOCAL_S), LAST_LOCAL_S - HOUR_S)
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=seconds)
    return moment.isoformat().replace("+00:00", "Z")


def _filter(name: str, values: Sequence[str], report: Report) -> frozenset[str]:
    if len(values) > limits.FILTER_VALUES_MAX:
        problem = f"{len(values)} values are more than the limit of {limits.FILTER_VALUES_MAX}"
        raise QueryError(name, problem, "Send several queries")
    (dimension,) = (each for each in report.by if each.name == name)
    for value in values:
        if isinstance(dimension, Closed):
            _one_of(name, value, dimension.texts)
        elif isinstance(dimension, Open) and not 0 < len(value) <= dimension.characters_max:
            problem = f"{_shown(value)} is not 1 to {dimension.characters_max} characters long"
            raise QueryError(name, problem, f"Give the {name} as its events do")
    return frozenset(values)


def _by(values: Sequence[str], report: Report) -> tuple[str, ...]:
    chosen = _several("by", values, dimensions_of(report), "dimension")
    times = [name for name in chosen if name in spans_of(report) or name in WINDOWS]
    if len(times) > 1:
        raise QueryError("by", f"{' and '.join(times[:2])} are both given", "Give one of them")
    return chosen


def _several(field: str, values: Sequence[str], known: Sequence[str], what: str) -> tuple[str, ...]:
    """Return known values in the order given, each once, of texts that may be parted by commas."""
    chosen: list[str] = []
    for value in (part for text in values for part in text.split(",")):
        found = _one_of(field, value, known, ": one, or several separated by commas")
        if found in chosen:
            raise QueryError(field, f"{found} is given twice", f"Give each {what} once")
        chosen.append(found)
    return tuple(chosen)


def _cursor(text: str, order: Order) -> str:
    fits = order == "datapoint" or _MEASURE_CURSOR.fullmatch(text) is not None
    fits = fits and not (order == "-events" and text.startswith("0"))  # what nobody counted is not there
    if not fits or not 0 < len(text) <= CURSOR_CHARACTERS_MAX:
        problem = f"{_shown(text)} is not a cursor of the order {order}"
        raise QueryError("cursor", problem, "Use the value from the previous page")
    return text


def _one_of(field: str, value: str, known: Sequence[_T], how: str = "") -> _T:
    for each in known:
        if each == value:
            return each
    raise QueryError(field, f"{_shown(value)} is not one of its values", f"They are {_listed(known)}{how}")


def _listed(values: Iterable[str]) -> str:
    return ", ".join(values)


def _shown(text: str) -> str:
    shown = text if len(text) <= 80 else f"{text[:80]}…"
    return repr(shown)
