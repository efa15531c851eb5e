"""Batches out of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tillroll.core.batch import UNNAMED, BatchBuilder

if TYPE_CHECKING:
    from tillroll.core.batch import Batch, Event, Source


def batch_of(events: list[Event], source: Source = UNNAMED, first_position: int = 0) -> Batch:
    """Return a batch of events that came in one body, at consecutive positions."""
    builder = BatchBuilder()
    for position, event in enumerate(events, first_position):
        builder.add(event, source, position)
    return builder.build()
