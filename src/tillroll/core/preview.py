"""Preview: what a report of one's own would show of some events. Stores nothing."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tillroll.core.query import Query, aggregate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tillroll.core.batch import Batch
    from tillroll.core.query import Aggregate
    from tillroll.core.report import Report

EVENTS = 10_000  # that a preview counts, unless told


def preview(report: Report, batches: Iterable[Batch]) -> tuple[list[Aggregate], int]:
    """Return the aggregates of the events of some batches, by datapoint, and how many events there were."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    events = 0
    for batch in batches:
        events += len(batch)
        for index, event in enumerate(batch.events()):
            text = report.text_of(event, batch.kept_of(index))
            if text is not None:
                total = totals[text]
                total[0] += 1
                total[1] += event.amount
    query = Query(report=report)
    found = [aggregate(query, text, *total) for text, total in totals.items()]
    return sorted(found), events
