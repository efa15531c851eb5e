"""What a store that counts the five reports alone says about definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tillroll.core.report import REPORTS
from tillroll.errors import StoreError
from tillroll.ports import ReportState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tillroll.core.batch import Batch
    from tillroll.core.definition import Definition
    from tillroll.core.report import Reports
    from tillroll.ports import Status


class FiveOnly:
    """The part of the store port that is about definitions, where there are none."""

    def status(self) -> Status:
        """See ports.Journal."""
        raise NotImplementedError

    def catalogue(self) -> Reports:
        """See ports.Definitions."""
        return REPORTS

    def report_states(self) -> list[ReportState]:
        """See ports.Definitions."""
        at = self.status()
        return [
            ReportState(each, readable=True, position=at.folded_position, journal_position=at.journal_position)
            for each in REPORTS
        ]

    def apply(self, definitions: Sequence[Definition]) -> None:
        """See ports.Definitions."""
        if definitions:
            raise StoreError(f"this store cannot count {definitions[0].name}", "It counts the five reports alone")

    def drop(self, name: str) -> bool:
        """See ports.Definitions."""
        del name
        return False

    def count_some(self, seconds: float) -> bool:
        """See ports.Definitions."""
        del seconds
        return False

    def last_events(self, count: int) -> Iterator[Batch]:
        """See ports.Definitions."""
        del count
        yield from ()
