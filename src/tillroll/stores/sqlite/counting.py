"""Counting versions of reports that lag behind, a stride at a time, beside traffic.

All that takes long is done outside the transaction that writes: it is left with what is to be written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.stores.sqlite.chunks import chunk_start, read_chunks
from tillroll.stores.sqlite.counters import Counters
from tillroll.stores.sqlite.merchants import UnnumberedError
from tillroll.stores.sqlite.reports import dictionaries_of, read_positions, read_versions, write_positions
from tillroll.stores.sqlite.unfolded import Unfolded

if TYPE_CHECKING:
    import sqlite3

    from tillroll.core.fold import Counts
    from tillroll.core.report import Report
    from tillroll.core.versions import Version
    from tillroll.stores.sqlite.reader import Reader
    from tillroll.stores.sqlite.segment_rows import Statement
    from tillroll.stores.sqlite.state import StoreState

OWN_BEHIND_MAX: Final = 65_536  # events that a report of one's own may lag behind before it is counted in any case
_REPORTS_AT_ONCE: Final = 16  # counted in one transaction


class Lag(NamedTuple):
    """Versions that stand at one position, and how far they are to go together."""

    versions: list[Version]
    reports: list[Report]
    position: int
    target: int
    left: int  # events that are to be counted in all: once for each version that lacks them


class Bounds(NamedTuple):
    """How much a stride may be: events that are counted, and cells that change."""

    events: int
    cells: int


class Unnumbered(NamedTuple):
    """Texts of a dictionary that must have numbers before they can be counted."""

    dictionary: str
    texts: list[str]


class Stride(NamedTuple):
    """What a stretch of the journal changes in versions that stand at one position."""

    generation: int  # of the aggregates
    versions: list[Version]
    reached: int
    statements: list[Statement]

    def write(self, connection: sqlite3.Connection, state: StoreState) -> list[Version] | None:
        """Write it, and say how far the versions have come; return them. Call within a transaction.

        None, and nothing is written, when the versions do not stand as they did. Only counting changes their rows.
        """
        stand = set(read_versions(connection, [version.name for version in self.versions]))
        if state.generation != self.generation or not stand.issuperset(self.versions):
            return None
        for statement in self.statements:
            connection.executemany(*statement)
        versions = [version._replace(position=self.reached) for version in self.versions]
        write_positions(connection, versions)
        return versions


def find_lag(reader: Reader, *, all_behind: bool) -> Lag | None:
    """Return some of the versions that are furthest behind, None where none is to be counted.

    Versions that are read may lag a little, unless `all_behind` are asked for. They go no further than to where others
    of theirs stand, and from there on with these. Call within the reader's transaction.
    """
    events, folded = reader.state.events, reader.state.folded
    positions = read_positions(reader.connection)
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
    alike = [each for each in behind if each[2].is_own == first.is_own]
    some = [each for each in alike if each[0] == least][:_REPORTS_AT_ONCE]
    target = min([events if first.is_own else folded, *(each[0] for each in alike if each[0] > least)])
    left = sum(events - each[0] for each in behind)
    return Lag([each[1] for each in some], [each[2] for each in some], least, target, left)


class Strides:
    """Counts strides, one at a time. Holds the chunks of the last one, since large ones are counted in parts."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Hold nothing."""
        self._held = Unfolded(0, frozenset())
        self._generation = -1

    def next(self, reader: Reader, bounds: Bounds, *, all_behind: bool) -> Stride | Unnumbered | None:
        """Return the next stride; None where none is to be counted.

        Call within the reader's transaction.
        """
        lag = None if reader.roster.unknown else find_lag(reader, all_behind=all_behind)
        if lag is None:
            self.forget()
            return None
        upto = min(lag.position + bounds.events, lag.target)
        needed = frozenset(name for report in lag.reports for name in dictionaries_of(report))
        try:
            self._hold(reader, needed, lag.position, upto)
        except UnnumberedError as error:
            return unnumbered(reader, error.dictionary, lag.position, upto)
        reached = min(upto, self._held.last)
        counts = self._counts(reader, lag, reached)
        while (cells := sum(len(its.counts) for its in counts)) > bounds.cells and reached > lag.position + 1:
            reached = lag.position + max((reached - lag.position) * bounds.cells // (2 * cells), 1)
            counts = self._counts(reader, lag, reached)
        statements = Counters(reader.connection).changes(lag.reports, counts)
        return Stride(reader.state.generation, lag.versions, reached, statements)

    def _counts(self, reader: Reader, lag: Lag, upto: int) -> list[Counts]:
        return self._held.counts(lag.reports, lag.position, reader.dictionaries.find, upto=upto)

    def _hold(self, reader: Reader, needed: frozenset[str], after: int, upto: int) -> None:
        """Hold whole chunks, of the events after a number and up to another."""
        held, generation = self._held, reader.state.generation
        is_held = held.first <= after + 1 <= held.last + 1 and needed <= held.dictionaries
        is_of_now = self._generation == generation
        self.forget()  # unless all goes well
        if not (is_held and is_of_now):
            held = Unfolded(chunk_start(reader.connection, after), needed)
        elif held.last < upto:
            held.drop(after)
        if held.last < upto:
            for row in read_chunks(reader.connection, held.last, reader.state.events, upto=upto):
                batch = row.batch()
                held.extend(batch, {name: reader.dictionaries.of(name).known_ids(batch) for name in held.dictionaries})
        self._held, self._generation = held, generation


def unnumbered(reader: Reader, dictionary: str, after: int, upto: int) -> Unnumbered:
    """Return the texts that have no number yet, of the events after a number and up to another.

    Call within the reader's transaction.
    """
    texts: dict[str, None] = {}
    start = chunk_start(reader.connection, after)
    for row in read_chunks(reader.connection, start, reader.state.events, upto=upto):
        texts |= dict.fromkeys(reader.dictionaries.of(dictionary).unknown(row.batch()))
    return Unnumbered(dictionary, list(texts))
