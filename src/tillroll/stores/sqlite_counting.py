"""Counting versions of reports that lag behind, a stride at a time, beside traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tillroll.core.report import FIVE
from tillroll.stores.segments import Segments, Unfolded
from tillroll.stores.sqlite_chunks import read_chunks
from tillroll.stores.sqlite_reports import Version, read_versions, write_versions

if TYPE_CHECKING:
    import sqlite3

    from tillroll.core.fold import Counts
    from tillroll.stores.sqlite_reader import Reader


class Stride(NamedTuple):
    """What a stretch of the journal counts in the versions that are furthest behind."""

    generation: int  # of the aggregates, and
    versions: list[Version]  # how these stood when it was counted: written only while they stand so
    reached: int
    counts: list[Counts]

    def write(self, connection: sqlite3.Connection) -> list[Version]:
        """Add the counts, and say how far the versions have come; return them. Call within a transaction."""
        Segments(connection).add_all(FIVE, self.counts)
        versions = [version._replace(position=self.reached) for version in self.versions]
        write_versions(connection, versions)
        return versions


def read_stride(reader: Reader, events: int) -> Stride | None:
    """Count whole chunks up to so many events, none past the folded position; None when no version lags.

    Call within the reader's transaction.
    """
    versions = read_versions(reader.connection)
    lagging = [version for version in versions if version.state == "counting"]
    if not lagging:
        return None
    state, position = reader.state, min(version.position or 0 for version in lagging)
    unfolded = Unfolded(position)
    for row in read_chunks(reader.connection, position, state.folded, upto=position + events):
        batch = row.batch()
        unfolded.extend(batch, reader.merchants.known_ids(batch))
    return Stride(state.generation, versions, unfolded.last, unfolded.counts())
