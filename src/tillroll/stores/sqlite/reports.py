"""The versions of reports that a SQLite file holds: how far each is counted, and whether readers read it.

The five are versions like all others, but they stand where the store's `folded` does: commits fold them.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tillroll.core.definition import FORMAT, read_definition
from tillroll.core.dimension import MERCHANT, Open
from tillroll.core.report import FIVE, Report, Reports
from tillroll.core.versions import Version, VersionState
from tillroll.stores.sqlite import seal
from tillroll.stores.sqlite.damage import DamageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

REPORT_TABLES: Final = """
CREATE TABLE report (
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  definition TEXT NOT NULL,            -- empty of the five
  state TEXT NOT NULL,                 -- counting, readable, dropped (its aggregates go), or gone
  checksum INTEGER NOT NULL,           -- of all other columns
  PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE counted (
  report TEXT PRIMARY KEY,             -- its name and version; the five once they stand at `folded` are not here
  position INTEGER NOT NULL,           -- its aggregates count the events up to this one
  checksum INTEGER NOT NULL            -- of both
) STRICT, WITHOUT ROWID;
"""
_ROW: Final = "name, version, definition, state"
_REBUILD: Final = "Rebuild it and the aggregates from the journal: tillroll rebuild"
_T = TypeVar("_T")
_FIVE: Final = {report.name: report for report in FIVE}


def read_versions(connection: sqlite3.Connection, names: Iterable[str] | None = None) -> list[Version]:
    """Return all versions, or those of some names, by name and number. Call in a transaction.

    Raises:
        DamageError: one is not what was written, or of all some are missing.
    """
    versions = list(_whole(_versions(connection, read_positions(connection), names)))
    if names is None:
        seal.check(connection, "report", "the records of reports", [version[:4] for version in versions])
    return versions


def _whole(found: Iterable[_T | DamageError]) -> Iterator[_T]:
    """Yield what was found, and raise the first damage."""
    for each in found:
        if isinstance(each, DamageError):
            raise each
        yield each


def _versions(
    connection: sqlite3.Connection, positions: Mapping[str, int], names: Iterable[str] | None = None
) -> Iterator[Version | DamageError]:
    some = [] if names is None else list(dict.fromkeys(names))
    which = "" if names is None else f"WHERE name IN ({', '.join('?' * len(some))})"
    query = f"SELECT {_ROW}, checksum FROM report {which} ORDER BY name, version"  # noqa: S608 names, above
    for *row, checksum in connection.execute(query, some):
        if seal.checksum_of(row) == checksum:
            version = Version(*row)
            yield version._replace(position=positions.get(version.key))
        else:
            yield DamageError(f"the record of the report {row[0]} is damaged", _REBUILD)


def read_positions(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how far versions are counted, by key; the five that stand at `folded` are left out. Call in a transaction.

    Raises:
        DamageError: one is not what was written, or is missing.
    """
    positions = dict(_whole(_positions(connection)))
    seal.check(connection, "counted", "the records of how far reports are counted", positions.items())
    return positions


def _positions(connection: sqlite3.Connection) -> Iterator[tuple[str, int] | DamageError]:
    for report, position, checksum in connection.execute("SELECT report, position, checksum FROM counted"):
        if seal.checksum_of((report, position)) == checksum:
            yield report, position
        else:
            yield DamageError(f"how far the report {report} is counted is damaged", _REBUILD)


def write_versions(connection: sqlite3.Connection, versions: Iterable[Version]) -> None:
    """Write versions that are new or changed. Call in a transaction, and have the state tell of it."""
    changed = list({version.key: version for version in versions}.values())
    before = _found(connection, f"SELECT {_ROW} FROM report WHERE (name, version) = (?, ?)", [it[:2] for it in changed])  # noqa: S608
    insert_versions(connection, changed)
    seal.change(connection, "report", before, [version[:4] for version in changed])
    gone = [(version.key,) for version in changed if version.position is None]
    before = _found(connection, "DELETE FROM counted WHERE report = ? RETURNING report, position", gone)
    seal.change(connection, "counted", before, ())
    write_positions(connection, changed)


def insert_versions(connection: sqlite3.Connection, versions: Iterable[Version]) -> None:
    """Write the records of versions, and no seal: a file from before seals has none."""
    rows = [(*version[:4], seal.checksum_of(version[:4])) for version in versions]
    connection.executemany("INSERT OR REPLACE INTO report VALUES (?, ?, ?, ?, ?)", rows)


def write_positions(connection: sqlite3.Connection, versions: Iterable[Version]) -> None:
    """Write how far versions are counted, and nothing else of them. Call in a transaction."""
    rows = [(version.key, version.position) for version in versions if version.position is not None]
    before = _found(connection, "SELECT report, position FROM counted WHERE report = ?", [row[:1] for row in rows])
    insert_positions(connection, rows)
    seal.change(connection, "counted", before, rows)


def insert_positions(connection: sqlite3.Connection, rows: Iterable[tuple[str, int]]) -> None:
    """Write how far versions are counted, by key, and no seal."""
    sealed = [(*row, seal.checksum_of(row)) for row in rows]
    connection.executemany("INSERT OR REPLACE INTO counted VALUES (?, ?, ?)", sealed)


def _found(connection: sqlite3.Connection, query: str, keys: Iterable[tuple[object, ...]]) -> list[tuple[Any, ...]]:
    """Return what a statement finds for each of some keys."""
    return [row for key in keys for row in connection.execute(query, key).fetchall()]


def clear_versions(connection: sqlite3.Connection) -> None:
    """Have no version at all, for a rebuild to begin with. Call in a transaction."""
    for table in ("report", "counted"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 names, above
        seal.put(connection, table, ())


class Roster:
    """The versions of one generation of the definitions. A value: positions may have gone on since."""

    def __init__(self, versions: Sequence[Version], known: dict[str, Report | None]) -> None:
        """`known` are the reports of versions by key, None of a later format; what it lacks is added."""
        self.versions = versions
        self._reports: dict[str, Report | None] = {}
        for version in versions:
            if version.state != "gone":
                if version.key not in known:
                    known[version.key] = _report_of(version)
                self._reports[version.key] = known[version.key]

    def report(self, version: Version) -> Report | None:
        """Return the report that a version is; None if a later tillroll defined it in a format that is not known."""
        return self._reports[version.key]

    def of(self, *states: VersionState) -> list[tuple[Version, Report]]:
        """Return the versions in some states that this tillroll can count, with their reports."""
        found = ((version, self.report(version)) for version in self.versions if version.state in states)
        return [(version, report) for version, report in found if report is not None]

    @cached_property
    def catalogue(self) -> Reports:
        """The reports that can be read: the five, and those of one's own that are whole."""
        own = [report for version, report in self.of("readable") if report.is_own]
        return Reports([*FIVE, *own])

    @cached_property
    def five_are_whole(self) -> bool:
        """Whether the five have their sums: else those of a release before sums are read, and folded into."""
        return all(version.state == "readable" for version in self.versions if version.name in _FIVE)

    @cached_property
    def dictionaries(self) -> frozenset[str]:
        """The dictionaries that any version needs, the merchants' included."""
        reports = [*FIVE, *(report for _, report in self.of("counting", "readable"))]
        return frozenset(name for report in reports for name in dictionaries_of(report))

    @cached_property
    def own_dictionaries(self) -> frozenset[str]:
        """Those that are not the merchants'."""
        return self.dictionaries - {MERCHANT.dictionary}

    @cached_property
    def unknown(self) -> str:
        """What to say of definitions that this tillroll cannot count; empty when there are none."""
        names = [version.name for version in self.versions if version.stands and self.report(version) is None]
        if not names:
            return ""
        problem = f"a later tillroll defined {', '.join(names)} in a format that this one cannot count"
        return f"{problem} (it knows formats up to {FORMAT}): run the release that defined it"


def roster_of(connection: sqlite3.Connection) -> Roster:
    """Return what is not damaged of the versions, for who looks into damage. Call in a transaction."""
    positions = dict(found for found in _positions(connection) if not isinstance(found, DamageError))
    return Roster([version for version in _versions(connection, positions) if isinstance(version, Version)], {})


class Catalogue:
    """The roster of a file, for all connections of a process. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._generation = -1
        self._roster = Roster([], {})
        self._known: dict[str, Report | None] = {}

    def read(self, connection: sqlite3.Connection, definitions: int) -> Roster:
        """Return the roster of a generation of the definitions. Call in a transaction that has it."""
        with self._lock:
            if self._generation == definitions:
                return self._roster
            roster = Roster(read_versions(connection), self._known)
            if definitions > self._generation:
                self._generation, self._roster = definitions, roster
            return roster


def _report_of(version: Version) -> Report | None:
    if version.name in _FIVE:
        return _FIVE[version.name]
    definition = read_definition(version.definition)
    return None if definition is None else definition.report(version.version)


def dictionaries_of(report: Report) -> set[str]:
    """Return the dictionaries that a report counts by, or has conditions on."""
    dimensions = (*report.by, *(condition.dimension for condition in report.where))
    return {dimension.dictionary for dimension in dimensions if isinstance(dimension, Open)}
