"""A preview counts some events as a report would, and no others."""

from __future__ import annotations

from tests.batches import batch_of

from tillroll.core.batch import Event
from tillroll.core.definition import define
from tillroll.core.preview import preview

DAY_S = 86_400


def test_a_preview_has_the_datapoints_and_sums_of_the_events_that_the_report_counts() -> None:
    report = define({"name": "own", "by": ["day", "method"], "where": {"method": ["PAY_NOW"]}}).report(0)
    batches = [
        batch_of([Event(DAY_S, 0, 300, 0, "m"), Event(DAY_S, 0, 200, 1, "m")]),
        batch_of([Event(DAY_S + 1, 0, 4, 0, "n"), Event(0, 0, 1, 0, "n")]),
    ]
    found, events = preview(report, batches)
    assert events == 4
    assert [(each.datapoint, each.events, each.amount) for each in found] == [
        ("|own|1970-01-01|PAY_NOW", 1, 1),
        ("|own|1970-01-02|PAY_NOW", 2, 304),
    ]
    assert preview(report, []) == ([], 0)
