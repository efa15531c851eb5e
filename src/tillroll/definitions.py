"""Reports of one's own: what is known of them, and what a new one would take, as programs read it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tillroll.aws.prices import WRITE_UNIT
from tillroll.core.definition import Definition, read_definition
from tillroll.core.preview import EVENTS, preview
from tillroll.core.question import find_datapoint, find_report, spans_of
from tillroll.core.report import SEPARATOR
from tillroll.errors import CountingError
from tillroll.ports import Paced

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tillroll.core.report import Place, Report, Reports
    from tillroll.ports import ReportState, Store

_FOLD_IS_FASTER: Final = 40  # than a preview, at least


def state_object(state: ReportState) -> dict[str, Any]:
    """Return how far a version of a report is, as JSON has it."""
    report = state.report
    return {
        "name": report.name,
        "version": report.version,
        "title": report.title,
        "dimensions": report.dimensions,
        "window": report.window.name if report.window else None,
        "zone": report.window.clocks.name if report.window else None,
        "spans": spans_of(report),
        "own": report.is_own,
        "readable": state.readable,
        "whole": state.whole,
        "position": state.position,
        "journal_position": state.journal_position,
        "datapoints": state.datapoints,
        "bytes": state.stored_bytes,
        "sized_position": state.sized_position,
    }


def definition_object(report: Report) -> dict[str, Any]:
    """Return the definition of a report as it can be written again; of the five, what they are by."""
    stored = read_definition(report.definition) if report.is_own else None
    if stored is None:
        return {"name": report.name, "title": report.title, "by": report.dimensions}
    found = msgspec.to_builtins(stored)
    return {field: value for field, value in found.items() if value and field not in ("format", "changes")}


def find_readable(store: Store, name: str) -> Report:
    """Return the report of a name that can be read.

    Raises:
        CountingError: it is being counted still.
        QueryError: there is none.
    """
    reports = store.catalogue()
    _check_counted(store, reports, name)
    return find_report(reports, name)


def find_places(store: Store, datapoints: Iterable[str]) -> list[Place]:
    """Return where datapoints lie.

    Raises:
        CountingError: the report of one is being counted still.
        QueryError: no report could have one.
    """
    reports, places = store.catalogue(), []
    for datapoint in datapoints:
        if datapoint.startswith(SEPARATOR):
            _check_counted(store, reports, datapoint.split(SEPARATOR, 2)[1])
        places.append(find_datapoint(reports, datapoint))
    return places


def _check_counted(store: Store, reports: Reports, name: str) -> None:
    if reports.get(name) is None:
        for state in store.report_states():
            if state.report.name == name:
                raise CountingError(name, state.position, state.journal_position)


def stored_definitions(store: Store) -> dict[str, Definition]:
    """Return the newest definition of each report of one's own."""
    found = {}
    for state in store.report_states():
        stored = read_definition(state.report.definition) if state.report.is_own else None
        if stored is not None:
            found[stored.name] = stored
    return found


def planned(definition: Definition, store: Store, events: int | None) -> dict[str, Any]:
    """Return what a new version takes. The time is reckoned from that of the newest events, counted one by one."""
    began = time.perf_counter()
    aggregates, seen = preview(definition.report(0), store.last_events(EVENTS))
    each_s = (time.perf_counter() - began) / max(1, seen) / _FOLD_IS_FASTER
    units = 2 * len(aggregates)  # the counter, and its entry in the index
    units_s = store.count_write_units if isinstance(store, Paced) else 0
    seconds = max(each_s * (events or seen), units / units_s if units_s else 0)
    known = store.catalogue().get(definition.name)
    return {
        "name": definition.name,
        "change": "new" if known is None else f"a new version in place of {known.version}",
        "events": events,
        "seconds": round(seconds, 1),
        "datapoints_min": len(aggregates),
        "write_units_min": units,
        "write_units_a_second": units_s or None,
        "dollars_min": round(units * WRITE_UNIT, 2),
    }
