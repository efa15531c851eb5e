"""The aggregates of one connection, wherever a report has them: in segments, or in rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tillroll.stores.sqlite.cells import Cells
from tillroll.stores.sqlite.segments import SPARSE, Segments

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from tillroll.core.fold import Counts
    from tillroll.core.report import Report
    from tillroll.stores.sqlite.segment_rows import Statement


def has_rows(report: Report) -> bool:
    """Tell whether a report has a row for each of its cells, and no segments."""
    return len(report.opens) > 1


class Counters:
    """Aggregates to be counted into. Call all within a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.segments = Segments(connection)
        self.cells = Cells(connection)

    def begin(self, reports: Iterable[Report]) -> None:
        """Make what each report begins with, unless it is there."""
        self.segments.begin(report for report in reports if not has_rows(report))

    def changes(self, reports: Sequence[Report], counts: Sequence[Counts]) -> list[Statement]:
        """Return what is to be executed so that each of some reports has its counts as well."""
        statements: list[Statement] = []
        for report, its in zip(reports, counts, strict=True):
            if has_rows(report):
                statements.append(self.cells.changes(report, its))
            else:
                statements += self.segments.changes(report, its)
        return statements


def clear(connection: sqlite3.Connection, key: str, most: int) -> bool:
    """Delete at most so many rows of what was counted under a key; return whether some may be left.

    Call within a transaction.
    """
    few = (f"{key}{SPARSE}", key)
    rows = "SELECT rowid FROM aggregate WHERE report IN (?, ?) LIMIT ?"
    deleted = connection.execute(f"DELETE FROM aggregate WHERE rowid IN ({rows})", (*few, most)).rowcount  # noqa: S608
    if deleted < most:
        rows = "SELECT window, ids FROM cell WHERE report = ? LIMIT ?"
        where = f"report = ? AND (window, ids) IN ({rows})"
        deleted += connection.execute(f"DELETE FROM cell WHERE {where}", (key, key, most - deleted)).rowcount  # noqa: S608
    return deleted == most


def stored_bytes(connection: sqlite3.Connection, key: str) -> int:
    """Return how many bytes the aggregates under a key take, about."""
    query = "SELECT coalesce(sum(length(cells) + 48), 0) FROM aggregate WHERE report IN (?, ?)"
    (segments,) = connection.execute(query, (key, f"{key}{SPARSE}")).fetchone()
    (cells,) = connection.execute(
        "SELECT coalesce(sum(length(ids) + 40), 0) FROM cell WHERE report = ?", (key,)
    ).fetchone()
    return int(segments) + int(cells)


def clear_segments(connection: sqlite3.Connection, most: int) -> bool:
    """Delete at most so many of the segments of a release before sums, then their table; return whether it is there.

    Call within a transaction.
    """
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'segment'").fetchone() is None:
        return False
    rows = "SELECT rowid FROM segment LIMIT ?"
    if connection.execute(f"DELETE FROM segment WHERE rowid IN ({rows})", (most,)).rowcount == most:  # noqa: S608
        return True
    connection.execute("DROP TABLE segment")
    return False
