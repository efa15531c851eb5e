"""Planted faults of the embedded store: each leaves out one step that keeps its counts exact."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.planted import Planted
from tests.simulation.sqlite_world import FULL_DISK, OWN_REPORTS, READERS, REBUILDS

from tillroll.core import versions
from tillroll.core.report import FIVE
from tillroll.ports import Outcome
from tillroll.stores.sqlite import audit, counting, definitions
from tillroll.stores.sqlite import reader as reader_module
from tillroll.stores.sqlite.commits import FOLD_STRIDE, Commits
from tillroll.stores.sqlite.counting import Lag, Stride
from tillroll.stores.sqlite.dedupe import Classified, Dedupe, Tried
from tillroll.stores.sqlite.merchants import Merchants
from tillroll.stores.sqlite.reader import Tail
from tillroll.stores.sqlite.reports import read_versions, write_positions
from tillroll.stores.sqlite.state import StoreState, read_state, write_state
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tillroll.core.versions import Version

_classify = Dedupe.classify
_take_over = audit.take_over
_ids = Merchants.ids


def _fold_in_two(self: Commits) -> int:
    """Count in one transaction, and move the position in the next."""
    writer = self._writer
    with writer.write():
        state = writer.state()
        if state.folded == state.events:
            return state.folded
        writer.read_unfolded(state, FOLD_STRIDE)
        writer.segments.add_all(FIVE, writer.unfolded.counts(FIVE))
        last = writer.unfolded.last
    with writer.write():
        writer.save(writer.state()._replace(folded=last))
    return last


def _position_first(self: Commits) -> int:
    """Move the position in one transaction, and count in the next."""
    writer = self._writer
    with writer.write():
        state = writer.state()
        writer.save(state._replace(folded=state.events))
    with writer.write():
        if state.folded < state.events:
            writer.read_unfolded(state, FOLD_STRIDE)
            writer.segments.add_all(FIVE, writer.unfolded.counts(FIVE))
    return state.events


def _indexes_nothing(self: Dedupe, batch: Any, rows: Any, events: int) -> Tried:
    """Take every batch for new."""
    del rows
    self.add_runs(batch, events)
    return Tried(all_new=True, free=0)


def _repeats_inside(self: Dedupe, batch: Any, rows: Any, free: int = 0) -> Classified:
    """Find repeats of what is journaled, and none inside the batch."""
    found = _classify(self, batch, rows, free)
    outcomes = bytearray(found.outcomes)
    taken = {batch.event(at) for at in range(len(batch)) if outcomes[at] == Outcome.ACCEPTED}
    for at, outcome in enumerate(outcomes):
        if outcome == Outcome.DUPLICATE and batch.event(at) in taken:
            outcomes[at] = Outcome.ACCEPTED
    return Classified(bytes(outcomes), found.moved)


def _content_not_compared(self: Dedupe, batch: Any, rows: Any, free: int = 0) -> Classified:
    """Take a conflict for a repeat."""
    outcomes, moved = _classify(self, batch, rows, free)
    return Classified(bytes(Outcome.DUPLICATE if x == Outcome.CONFLICT else x for x in outcomes), moved)


def _lines_not_indexed(self: Dedupe, batch: Any, events: int) -> None:
    """Forget which lines of a named import are journaled."""


def _counts_again(self: Tail, connection: Any, dictionaries: Any, state: StoreState, after: int) -> None:
    """Count the tail without forgetting what was folded meanwhile."""
    self._unfolded.first = after + 1
    _catch_up(self, connection, dictionaries, state, after)


_catch_up = Tail.catch_up


@contextmanager
def _no_transaction(connection: Any, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Read each thing at its own moment."""
    del connection, kind
    yield


def _committed_apart(self: Commits, batch: Any) -> bytes:
    """Journal in one transaction, and index in the next."""
    writer = self._writer
    rows = writer.dedupe.rows(batch)
    with writer.write():
        state = writer.state()
        writer.connection.execute("SAVEPOINT found")
        new, _ = writer.dedupe.add_all_new(batch, rows, state.events)
        writer.connection.execute("ROLLBACK TO found")
        if new:
            self._append(batch, state)
    if not new:
        return _commit(self, batch)
    with writer.write():
        writer.dedupe.add_all_new(batch, rows, state.events)
    return bytes(len(batch))


_commit = Commits._commit


def _answers_first(self: Commits, batch: Any) -> bytes:
    """Answer when the events are in memory, and commit them with the next batch."""
    waiting = self.__dict__.setdefault("waiting", [])
    for earlier in waiting:
        _commit(self, earlier)
    waiting[:] = [batch]
    return bytes(len(batch))


def _not_renumbered(connection: Any, recount: Any, now: float) -> None:
    """Replace the aggregates without telling other processes that merchants have other numbers."""
    generation = read_state(connection).generation
    _take_over(connection, recount, now)
    write_state(connection, read_state(connection)._replace(generation=generation))


def _rebuild_to_the_end(connection: Any, recount: Any, now: float) -> None:
    """Take a recount for whole that does not know what came since."""
    _take_over(connection, recount, now)
    state = read_state(connection)
    write_state(connection, state._replace(folded=state.events))


def _without_merchants(connection: Any, recount: Any, now: float) -> None:
    """Replace the merchants by those of the recount, though the tail has others."""
    _take_over(connection, recount, now)
    known = recount.merchants
    connection.execute("DELETE FROM merchant WHERE id >= ?", (len(known),))
    state = read_state(connection)
    write_state(connection, state._replace(merchants=len(known), merchants_crc=known.crc))


def _shares_early(self: Merchants, batch: Any) -> Any:
    """Let others see the names of a transaction that may be rolled back."""
    numbers = _ids(self, batch)
    if self._new:
        self._shared.extend(self._generation, self.known, self._new, self.crc)
    return numbers


_append = Commits._append


def _head_first(self: Commits, batch: Any, state: StoreState) -> StoreState:
    """Say how far the journal has come before it has."""
    after = _append(self, batch, state)
    self._writer.files.raise_head(after)
    return after


def _set_aside_nothing(_self: SqliteStore, rejections: Any, _now_s: float) -> int:
    """Keep no rejected event, and say that all are kept."""
    return len(rejections)


def _aggregates_lag(self: Tail, _connection: Any, _dictionaries: Any, _state: StoreState, after: int) -> None:
    """Show what is folded, and not the tail."""
    self.clear(after)


def _joins_in_the_middle(reader: Any, *, all_behind: bool) -> Lag | None:
    """Take all versions that lag for one that stands where the first of them does."""
    lag = _find_lag(reader, all_behind=all_behind)
    if lag is None or not lag.reports[0].is_own:
        return lag
    positions = {version.key: version for version in read_versions(reader.connection)}
    some = [(positions[version.key], report) for version, report in reader.roster.of("counting", "readable")]
    own = [(version, report) for version, report in some if report.is_own]
    return lag._replace(versions=[version for version, _ in own], reports=[report for _, report in own])


def _written_though_changed(self: Stride, connection: Any, state: StoreState) -> Any:
    """Add a stride though another process may have counted it, or the version was dropped."""
    del state
    for statement in self.statements:
        connection.executemany(*statement)
    versions = [version._replace(position=self.reached) for version in self.versions]
    write_positions(connection, versions)
    return versions


def _whole_too_early(self: Stride, connection: Any, state: StoreState) -> Any:
    """Take a version for whole after its first stride."""
    return _write_stride(self._replace(reached=state.events), connection, state)


def _changed_under_its_name(versions: Any, definitions: Any) -> list[Version]:
    """Put another definition under a version that is there."""
    changed = _applied(versions, definitions)
    stand = {version.name: version for version in versions if version.state in {"counting", "readable"}}
    return [
        stand[one.name]._replace(definition=one.definition) if one.state == "counting" and one.name in stand else one
        for one in changed
    ]


_find_lag = counting.find_lag
_write_stride = Stride.write
_applied = versions.applied


PLANTED: Final = (
    Planted(
        "a report joins in the middle of a range", 400, ((counting, "find_lag", _joins_in_the_middle),), OWN_REPORTS
    ),
    Planted(
        "a stride written though the version changed", 800, ((Stride, "write", _written_though_changed),), OWN_REPORTS
    ),
    Planted("a version readable before it has caught up", 400, ((Stride, "write", _whole_too_early),), OWN_REPORTS),
    Planted(
        "a definition changed under its name", 400, ((definitions, "applied", _changed_under_its_name),), OWN_REPORTS
    ),
    Planted("fold position moved in a later transaction", 50, ((Commits, "fold", _fold_in_two),)),
    Planted("fold position moved in an earlier transaction", 50, ((Commits, "fold", _position_first),)),
    Planted("identities not indexed", 50, ((Dedupe, "add_all_new", _indexes_nothing),)),
    Planted("lines of a named import not indexed", 200, ((Dedupe, "add_runs", _lines_not_indexed),)),
    Planted("in-batch repeats not collapsed", 200, ((Dedupe, "classify", _repeats_inside),)),
    Planted("content not compared", 200, ((Dedupe, "classify", _content_not_compared),)),
    Planted("journaled and indexed in two transactions", 200, ((Commits, "_commit", _committed_apart),)),
    Planted("answered before the commit", 50, ((Commits, "_commit", _answers_first),)),
    Planted("tail counted twice", 200, ((Tail, "catch_up", _counts_again),), READERS),
    Planted("tail not counted", 50, ((Tail, "catch_up", _aggregates_lag),)),
    Planted("a reader without a transaction", 200, ((reader_module, "transaction", _no_transaction),), READERS),
    Planted("rebuild taken for whole", 400, ((audit, "take_over", _rebuild_to_the_end),), REBUILDS),
    Planted("rebuild forgets the tail's merchants", 800, ((audit, "take_over", _without_merchants),), REBUILDS),
    Planted("rebuild does not tell", 800, ((audit, "take_over", _not_renumbered),), REBUILDS),
    Planted("names shared before the commit", 800, ((Merchants, "ids", _shares_early),), FULL_DISK),
    Planted("head written before the commit", 200, ((Commits, "_append", _head_first),), first=27),
    Planted("rejected events not kept", 50, ((SqliteStore, "set_aside", _set_aside_nothing),)),
)
