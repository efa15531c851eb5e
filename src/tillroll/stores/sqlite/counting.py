"""Counting versions of reports that lag behind, a stride at a time, beside traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.stores.sqlite.chunks import read_chunks
from tillroll.stores.sqlite.counters import Counters
from tillroll.stores.sqlite.reports import dictionaries_of, read_versions, write_positions
from tillroll.stores.sqlite.unfolded import Unfolded

if TYPE_CHECKING:
    import sqlite3

    from tillroll.core.fold import Counts
    from tillroll.core.report import Report
    from tillroll.core.versions import Version
    from tillroll.stores.sqlite.reader import Reader
    from tillroll.stores.sqlite.state import StoreState

OWN_BEHIND_MAX: Final = 65_536  # events that a report of one's own may lag behind before it is counted in any case
_REPORTS_AT_ONCE: Final = 16  # counted in one transaction


class Lag(NamedTuple):
    """Versions that stand at one position, and where they are to go."""

    versions: list[Version]
    reports: list[Report]
    position: int
    target: int


class Stride(NamedTuple):
    """What a stretch of the journal counts in versions that stand at one position."""

    generation: int  # of the aggregates
    lag: Lag
    reached: int
    counts: list[Counts]

    def write(self, connection: sqlite3.Connection, state: StoreState) -> list[Version] | None:
        """Add the counts, and say how far the versions have come; return them. Call within a transaction.

        None, and nothing is written, when the versions do not stand as they did.
        """
        stand = set(read_versions(connection))
        if state.generation != self.generation or not stand.issuperset(self.lag.versions):
            return None
        Counters(connection).add_all(self.lag.reports, self.counts)
        versions = [version._replace(position=self.reached) for version in self.lag.versions]
        write_positions(connection, versions)
        return versions


def find_lag(reader: Reader, *, all_behind: bool) -> Lag | None:
    """Return some of the versions that are furthest behind, None where none is to be counted.

    Versions that are read may lag a little, unless `all_behind` are asked for. Call within the reader's transaction.
    """
    events, folded = reader.state.events, reader.state.folded
    positions = {version.key: version.position for version in read_versions(reader.connection)}
    behind: list[tuple[int, Version, Report]] = []
    for version, report in reader.roster.of("counting", "readable"):
        position = positions.get(version.key)
        if position is None:  # the five, which commits fold
            continue
        late = events - position
        if version.state == "counting" or late >= OWN_BEHIND_MAX or (all_behind and late):
            behind.append((position, version._replace(position=position), report))
    if not behind:
        return None
    least, _, first = min(behind, key=lambda each: (each[0], each[2].is_own))
    some = [each for each in behind if each[0] == least and each[2].is_own == first.is_own][:_REPORTS_AT_ONCE]
    return Lag([each[1] for each in some], [each[2] for each in some], least, events if first.is_own else folded)


def count_stride(reader: Reader, lag: Lag, events: int) -> Stride:
    """Count whole chunks up to so many events. Call within the reader's transaction.

    Raises:
        UnnumberedError: a value has no number yet.
    """
    needed = frozenset(name for report in lag.reports for name in dictionaries_of(report))
    unfolded = Unfolded(lag.position, needed)
    for row in read_chunks(reader.connection, lag.position, lag.target, upto=lag.position + events):
        batch = row.batch()
        unfolded.extend(batch, {name: reader.dictionaries.of(name).known_ids(batch) for name in needed})
    counts = unfolded.counts(lag.reports, find=reader.dictionaries.find)
    return Stride(reader.state.generation, lag, unfolded.last, counts)
