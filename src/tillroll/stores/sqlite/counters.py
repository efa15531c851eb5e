"""The aggregates of one connection, wherever a report has them: in segments, or in rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tillroll.stores.sqlite.cells import Cells, subtotals_key, subtotals_of
from tillroll.stores.sqlite.segments import SPARSE, Segments

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from tillroll.core.fold import Counts
    from tillroll.core.report import Report
    from tillroll.stores.sqlite.segment_rows import Statement

_MARKS: Final = "?, ?, ?, ?"  # for names


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
        self.segments.begin(subtotals_of(report) if has_rows(report) else report for report in reports)

    def changes(self, reports: Sequence[Report], counts: Sequence[Counts]) -> list[Statement]:
        """Return what is to be executed so that each of some reports has its counts as well."""
        statements: list[Statement] = []
        for report, its in zip(reports, counts, strict=True):
            if has_rows(report):
                statements += self.cells.changes(report, its)
            else:
                statements += self.segments.changes(report, its)
        return statements


def clear(connection: sqlite3.Connection, key: str, most: int) -> bool:
    """Delete at most so many rows of what was counted under a key; return whether some may be left.

    Call within a transaction.
    """
    rows = f"SELECT rowid FROM aggregate WHERE report IN ({_MARKS}) LIMIT ?"  # noqa: S608 its own words
    names = _names_of(key)
    deleted = connection.execute(f"DELETE FROM aggregate WHERE rowid IN ({rows})", (*names, most)).rowcount  # noqa: S608
    if deleted < most:
        rows = "SELECT window, ids FROM cell WHERE report = ? LIMIT ?"
        where = f"report = ? AND (window, ids) IN ({rows})"
        deleted += connection.execute(f"DELETE FROM cell WHERE {where}", (key, key, most - deleted)).rowcount  # noqa: S608
    return deleted == most


def _names_of(key: str) -> tuple[str, ...]:
    """Return what the segments of a report, or its subtotals, stand under."""
    first = subtotals_key(key)
    return (key, f"{key}{SPARSE}", first, f"{first}{SPARSE}")


def stored_bytes(connection: sqlite3.Connection, key: str) -> int:
    """Return how many bytes the aggregates under a key take, about."""
    query = f"SELECT coalesce(sum(length(cells) + 48), 0) FROM aggregate WHERE report IN ({_MARKS})"  # noqa: S608
    (segments,) = connection.execute(query, _names_of(key)).fetchone()
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
