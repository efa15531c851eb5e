"""The embedded store: journal, aggregates and rejected events in one SQLite file.

A commit is one transaction, and so is a fold. Readers see aggregates plus the tail of the journal that is not folded
yet, counted in memory: so an event is in the reports as soon as it is acknowledged, and folds can be few and large. Any
number of threads and processes may share the file; SQLite lets one write at a time.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from tillroll.core import chunk, kernel, limits, own_names
from tillroll.core.dimension import MERCHANT
from tillroll.core.export import ALL_EVENTS
from tillroll.core.field_tally import FieldTally
from tillroll.core.fold import codes_of
from tillroll.core.fold import fold as fold_into
from tillroll.core.outcome_tally import OutcomeTally
from tillroll.core.rejection import CAPACITY, EVERY, Capacity, GroupError
from tillroll.core.report import FIVE
from tillroll.core.versions import Version, applied, dropped, swapped
from tillroll.errors import StoreDamagedError, StoreError
from tillroll.ports import ReportState
from tillroll.stores.sqlite import audit as audit_module
from tillroll.stores.sqlite import backup as backup_module
from tillroll.stores.sqlite import export, notes, reindex, schema
from tillroll.stores.sqlite import head as head_module
from tillroll.stores.sqlite import imports as imports_module
from tillroll.stores.sqlite import rejected as rejected_module
from tillroll.stores.sqlite.chunks import Chunk, append, chain_at, chunk_of, chunk_start, read_chunks
from tillroll.stores.sqlite.counters import Counters, clear, clear_segments, stored_bytes
from tillroll.stores.sqlite.counting import count_stride, find_lag
from tillroll.stores.sqlite.damage import DamageError
from tillroll.stores.sqlite.dedupe import IS_NEW, Dedupe, may_repeat
from tillroll.stores.sqlite.head import Head, HeadFile
from tillroll.stores.sqlite.merchants import Dictionaries, SharedNames, UnnumberedError
from tillroll.stores.sqlite.place import Place
from tillroll.stores.sqlite.reader import LAG_MAX, LagError, Reader, segments_of
from tillroll.stores.sqlite.reports import Catalogue, Roster, read_versions, write_versions
from tillroll.stores.sqlite.schema import transaction, translated
from tillroll.stores.sqlite.segments import Segments
from tillroll.stores.sqlite.state import StoreState, read_state, write_state
from tillroll.stores.sqlite.unfolded import Unfolded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tillroll.core.accept import Rejection
    from tillroll.core.batch import Batch
    from tillroll.core.definition import Definition
    from tillroll.core.export import Chosen
    from tillroll.core.identity import IdentityRows
    from tillroll.core.query import Aggregate, Page, Query
    from tillroll.core.rejection import RejectedFilter, RejectedSummary
    from tillroll.core.report import Report, Reports
    from tillroll.ports import (
        Audit,
        Backup,
        Clock,
        ImportHead,
        ImportRun,
        JournalPart,
        Opening,
        Progress,
        Room,
        Status,
        StoredRejection,
        Trace,
    )

_T = TypeVar("_T")
_log: Final = logging.getLogger(__name__)
_FOLD_IN_COMMIT: Final = 16_384  # a batch of this size is folded by its own commit, while its columns are at hand
_PAGES_AT_ONCE: Final = os.cpu_count() or 1
_FOLD_STRIDE: Final = 1 << 20  # events a fold counts in one transaction
_FOLD_BEHIND_MAX: Final = 200_000  # a commit folds when the tail that readers count has grown to this
_FOLD_AFTER_S: Final = 1.0
_COUNT_STRIDE: Final = 16_384  # events of a version that lags, counted in one transaction, at first
_COUNT_S: Final = 0.02  # that such a transaction should take
_CLEARED_AT_ONCE: Final = 256  # rows of aggregates that nobody reads, deleted in one transaction
_RESTORE: Final = "Restore the file from a copy, or export the journal and import it elsewhere"
_LOOK_EVERY_S: Final = 0.02  # at the files, and at what is known of them: a commit must not pay for it every time
_FOLD_AFTER_DAMAGE_S: Final = 30.0  # a rebuild ends the wait at once


class _UnfoldableError(StoreDamagedError):
    """The aggregates, or the names of the merchants, are damaged: nothing can be counted into them."""

    def __init__(self, problem: str, remedy: str, *, names: bool) -> None:
        super().__init__(problem, remedy)
        self.names = names


class _Owed:
    """What folds have to do, and have done."""

    def __init__(self) -> None:
        self.fold = False
        self.folded_at = 0.0  # when the last one that was due began
        self.log_holds_erased = False
        self.told_unknown = ""


class _Pause:
    """Aggregates that were found damaged, which are left alone for a while."""

    def __init__(self) -> None:
        self.generation = -1  # theirs
        self.names_are_damaged = False
        self.until = 0.0


class SqliteStore:
    """The store port over one SQLite file in a directory."""

    def __init__(self, directory: Path, clock: Clock = time.time, capacity: Capacity = CAPACITY) -> None:
        """Open the file in the directory; both are made when missing. `capacity` is that of the rejected.

        Raises:
            StoreError: the directory cannot be written, or holds something else.
        """
        self.path = directory / schema.FILE_NAME
        self._clock = clock
        self._capacity = capacity
        # Python finds attributes quickly while an object has at most 30: a commit looks at them hundreds of times.
        self._owed = _Owed()
        self._lock = threading.RLock()
        self._readers: list[Reader] = []
        # More at once would not end sooner, and each would keep commits waiting for Python's lock.
        self._pages = threading.Semaphore(_PAGES_AT_ONCE)
        try:
            directory.mkdir(0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{directory} cannot be made ({error.strerror})", "Name another with --data") from error
        with translated(self.path), ExitStack() as opened:
            self._connection = opened.enter_context(closing(schema.connect(self.path)))
            before = schema.version(self._connection, self.path)
            self._head = opened.enter_context(
                closing(self._open_head(directory / head_module.FILE_NAME, make=before < schema.VERSION_WITH_HEAD))
            )
            schema.migrate(self._connection, self.path)
            imports_module.remove_file(directory)
            rejected_module.convert(self._connection)
            self._index_upgraded()
            opened.pop_all()  # `close` closes them
        self._names = SharedNames()
        self._catalogue = Catalogue()
        self._roster = Roster([], {})
        self._dictionaries = Dictionaries(self._connection, self._names)
        self._merchants = self._dictionaries.merchants
        self._segments = Segments(self._connection)
        self._dedupe = Dedupe(self._connection)
        self._unfolded = Unfolded(0)
        self._generation = -1
        self._left: StoreState | None = None  # as this connection left it; None where it is to be read
        self._seen = 0  # SQLite's number for what other connections have committed
        self._looked_at = 0.0
        self._stride = _COUNT_STRIDE
        self._own_counted_at = 0.0
        self._holds_segments = True  # those of a release before sums, maybe
        self._datapoints: dict[str, tuple[int, int]] = {}  # of versions: at which position, and how many
        self._pause = _Pause()
        self._encoder = ThreadPoolExecutor(1, "tillroll-encode")  # compresses one large batch while it is folded
        self._place = Place(self.path, self._head.path)
        self._loss = self._find_loss()

    def _index_upgraded(self) -> None:
        try:
            reindex.index_again(self._connection, self.path)
        except DamageError as error:
            raise _damaged(self.path, error) from error

    def _rows(self, batch: Batch) -> IdentityRows:
        try:
            return self._dedupe.rows(batch)
        except DamageError as error:
            raise _damaged(self.path, error) from error

    def _open_head(self, path: Path, *, make: bool) -> HeadFile:
        """Return the head's file. Made for a file that had none before it is written to: behind it heals itself."""
        try:
            head = HeadFile(path)
            if make:
                head.begin()
        except OSError as error:
            problem = f"{path} cannot be written ({error.strerror})"
            raise StoreError(problem, "Check the disk, and who may write there") from error
        return head

    def _find_loss(self) -> DamageError | None:
        """Compare the journal with its head as it is at the opening, and raise a head that is behind."""
        with translated(self.path):
            try:
                head = self._head.read()
                with transaction(self._connection, "DEFERRED"):
                    state = read_state(self._connection)
                    head_module.compare(head, state.events, state.chain)
                    if head is not None and chain_at(self._connection, head.events) != head.chain:
                        return head_module.another(head)
            except DamageError as error:
                return error
        self._raise_head(state, unless_more=True)
        return None

    def _refuse_loss(self) -> None:
        if self._loss is not None:
            raise DamageError(self._loss.problem, self._loss.remedy)

    def accept_end(self) -> int:
        """See ports.Restorable."""
        with self._lock, translated(self.path):
            try:
                with transaction(self._connection):
                    head = self._head.read()
                    state = read_state(self._connection)
                    self._head.replace(Head(state.events, state.chain))
            except DamageError as error:
                raise _damaged(self.path, error) from error
            self._loss = self._find_loss()
        return 0 if head is None else max(0, head.events - state.events)

    def imports(self) -> list[ImportHead]:
        """See ports.ImportList."""
        with self._lock, translated(self.path):
            return imports_module.read(self._connection)

    def note_import(self, head: ImportHead) -> None:
        """See ports.ImportList."""
        with self._write():
            imports_module.note(self._connection, head)

    def note_run(self, run: ImportRun) -> None:
        """See ports.ImportList."""
        with self._write():
            imports_module.note_run(self._connection, run)

    def import_runs(self, limit: int) -> list[ImportRun]:
        """See ports.ImportList."""
        with self._read() as reader:
            return imports_module.runs(reader.connection, limit)

    def backup(self, target: Path, progress: Progress | None = None) -> Backup:
        """See ports.Copyable. By a connection of its own, in one read transaction: nobody waits for it."""
        with (
            translated(self.path),
            closing(schema.connect(self.path)) as connection,
            self._at_one_moment(connection),
        ):
            return backup_module.copy(connection, target, progress)

    def check(self) -> None:
        """See ports.Watchable."""
        self._place.check()

    def room(self) -> Room:
        """See ports.Watchable."""
        return self._place.room()

    def close(self) -> None:
        """Release every connection."""
        with self._lock:
            for reader in self._readers:
                reader.close()
            self._readers.clear()
            self._connection.close()
            self._head.close()
        self._encoder.shutdown()

    # The journal.

    def journal(self, batch: Batch) -> bytes:
        """See ports.Journal."""
        known = own_names.outcomes_of(batch, self._piece_of)
        return self._journal(batch) if known is None else own_names.with_rest(batch, known, self._journal)

    def _piece_of(self, token: str, number: int) -> own_names.Piece | None:
        """Return what the journal has under a name that it gave. A chunk never changes: this needs no transaction."""
        with self._lock, translated(self.path):
            try:
                return export.piece_of(self._connection, token, number)
            except DamageError as error:
                raise _damaged(self.path, error) from error

    def _journal(self, batch: Batch) -> bytes:
        events = len(batch)
        if events <= limits.CHUNK_EVENTS_MAX:
            return self._commit(batch) if events else b""
        starts = range(0, events, limits.CHUNK_EVENTS_MAX)
        return b"".join([self._commit(batch.slice(start, start + limits.CHUNK_EVENTS_MAX)) for start in starts])

    def _commit(self, batch: Batch) -> bytes:
        rows = self._rows(batch)
        try:
            return self._commit_rows(batch, rows)
        except _UnfoldableError as error:  # the journal has all that a repair needs: it must not wait for one
            self._put_off(error)
        return self._commit_rows(batch, rows)

    def _commit_rows(self, batch: Batch, rows: IdentityRows) -> bytes:
        with self._write():
            state = self._state()
            outcomes, fresh = bytes(len(batch)), batch
            if may_repeat(batch, rows):
                outcomes, fresh = self._index(batch, rows, state.events)
            appended = self._append(fresh, state) if fresh else None
        if appended is not None:
            self._raise_head(appended)
        return outcomes

    def _index(self, batch: Batch, rows: IdentityRows, events: int) -> tuple[bytes, Batch]:
        """Return the outcomes of a batch and its new events, having indexed these from number `events` + 1 on."""
        self._connection.execute("SAVEPOINT all_new")
        all_new, free = self._dedupe.add_all_new(batch, rows, events)
        if not all_new:
            self._connection.execute("ROLLBACK TO all_new")
        self._connection.execute("RELEASE all_new")  # or SQLite would note how to undo every page from here on
        if all_new:
            return bytes(len(batch)), batch
        classified = self._dedupe.classify(batch, rows, free)
        fresh = batch.masked(classified.outcomes.translate(IS_NEW))
        if len(fresh):
            self._dedupe.add_new(fresh, classified, events)
        return classified.outcomes, fresh

    def _raise_head(self, state: StoreState, *, unless_more: bool = False) -> None:
        """Say how far the journal has come. Call after the commit: a head that is ahead means loss."""
        try:
            with self._lock:
                if unless_more:
                    self._head.read()
                self._head.raise_to(Head(state.events, state.chain))
        except OSError as error:  # the events are committed; a head that is behind heals itself
            _log.warning("%s cannot be written: %s", self._head.path, error)

    def _append(self, batch: Batch, state: StoreState) -> StoreState:
        """Journal new events after those of a state; return the state from then on."""
        now = self._clock()
        events, added = state.events, len(batch)
        head = events + added
        foldable = self._is_foldable()
        fold = foldable and state.folded == events and added >= _FOLD_IN_COMMIT
        encoding = self._encoder.submit(chunk.encode, batch) if fold else None
        merchant_ids = self._merchants.ids(batch) if foldable or not self._pause.names_are_damaged else None
        if fold and merchant_ids is not None:
            with self._told_unfoldable():
                self._segments.add_all(FIVE, fold_into(FIVE, codes_of(batch, merchant_ids)))
        if self._roster.own_dictionaries:
            self._number_values(batch)
        payload = encoding.result() if encoding else chunk.encode(batch)
        row = Chunk(events + 1, added, *kernel.bounds(batch.seconds), now, payload)
        chain = append(self._connection, row, state.chain)
        names = (len(self._merchants), self._merchants.crc) if merchant_ids is not None else state.names
        folded, folded_at = (head, now) if fold else (state.folded, state.folded_at)
        state = StoreState(head, folded, folded_at, state.generation, *names, chain, state.definitions)
        if fold:
            self._unfolded.clear(head)
            return self._save(state)
        self._owed.fold = True
        if not foldable or merchant_ids is None:
            self._unfolded.clear(head)  # what waits for a repair may become long: it is read again
            return self._save(state)
        if self._unfolded.last != events:  # another process journaled in between, or folded
            self._unfolded.clear(events)
        self._unfolded.extend(batch, {MERCHANT.dictionary: merchant_ids})
        if head - state.folded >= _FOLD_BEHIND_MAX:
            state = self._fold_stride(state)
        return self._save(state)

    def read(self, after: int = 0, upto: int | None = None, chosen: Chosen = ALL_EVENTS) -> Iterator[JournalPart]:
        """See ports.Journal. By a connection of its own: it needs no aggregate, and may take as long as it likes."""
        with translated(self.path):
            connection = schema.connect(self.path)
        try:
            yield from export.read(partial(self._at_one_moment, connection), after, upto, chosen)
        except DamageError as error:
            raise _damaged(self.path, error) from error
        finally:
            connection.close()

    @contextmanager
    def _at_one_moment(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """Lend a connection in a read transaction on a journal that lost nothing."""
        with translated(self.path):
            self._refuse_loss()
            head = self._head.read()  # before the transaction, which then sees all that the head knows
            with transaction(connection, "DEFERRED"):
                state = read_state(connection)
                head_module.compare(head, state.events, state.chain)
                self._place.check_now_and_then()
                yield connection

    def status(self) -> Status:
        """See ports.Journal. Positions are event numbers."""
        with self._read() as reader:
            return reader.status()

    # The aggregates.

    def fold(self, seconds: float | None = None) -> int:  # noqa: ARG002 none takes that long
        """See ports.Aggregates. Readers need none; it keeps what they count themselves short.

        What is damaged puts it off, and is told to who reads it.
        """
        behind = True
        while behind:
            if self._roster.unknown != self._owed.told_unknown:
                self._owed.told_unknown = self._roster.unknown
                _log.error("%s. Events are journaled meanwhile, and are counted then", self._owed.told_unknown)
            try:
                with self._write():
                    state = self._state()
                    if state.folded < state.events and self._is_foldable():
                        state = self._save(self._fold_stride(state))
                behind = state.folded < state.events and self._is_foldable()
            except _UnfoldableError as error:
                self._put_off(error)
        self._raise_head(state, unless_more=True)
        if self._owed.log_holds_erased:
            with self._lock, translated(self.path):
                self._owed.log_holds_erased = not rejected_module.empty_log(self._connection)
        return state.folded

    def fold_if_due(self, seconds: float | None = None) -> int | None:  # noqa: ARG002 as fold
        """See ports.Aggregates. Readers are up to date without; it is for their speed."""
        now = self._clock()
        if not self._owed.fold or abs(now - self._owed.folded_at) < _FOLD_AFTER_S:
            return None
        self._owed.fold, self._owed.folded_at = False, now
        try:
            return self.fold()
        except BaseException:
            self._owed.fold = True
            raise

    def _fold_stride(self, state: StoreState) -> StoreState:
        """Fold whole chunks up to a stride's worth of events; return the new state, which is to be written."""
        if self._unfolded.first != state.folded + 1 or not self._unfolded.events:
            self._read_unfolded(state)
        with self._told_unfoldable():
            self._segments.add_all(FIVE, self._unfolded.counts(FIVE))
        last = self._unfolded.last
        self._unfolded.clear(last)
        names = (len(self._merchants), self._merchants.crc)
        return StoreState(state.events, last, self._clock(), state.generation, *names, state.chain, state.definitions)

    # Definitions.

    def catalogue(self) -> Reports:
        """See ports.Definitions."""
        with self._read() as reader:
            return reader.roster.catalogue

    def report_states(self) -> list[ReportState]:
        """See ports.Definitions. Readers count what is not stored themselves, so what can be read is whole."""
        with self._read() as reader:
            versions, events = read_versions(reader.connection), reader.state.events
            states = []
            for version, report in Roster(versions, {}).of("counting", "readable"):
                stored = reader.state.folded if version.position is None else version.position
                readable = version.state == "readable" or not report.is_own
                counted = self._datapoints_of(reader, report, stored) if version.state == "readable" else None
                size = stored_bytes(reader.connection, report.key)
                states.append(ReportState(report, readable, events if readable else stored, events, counted, size))
        five = [report.name for report in FIVE]
        return sorted(states, key=lambda each: len(five) if each.report.is_own else five.index(each.report.name))

    def _datapoints_of(self, reader: Reader, report: Report, position: int) -> int:
        held = self._datapoints.get(report.key)
        if held is None or held[0] != position:
            held = self._datapoints[report.key] = (position, reader.stored_datapoints(report))
        return held[1]

    def apply(self, definitions: Sequence[Definition]) -> None:
        """See ports.Definitions."""
        self._change(lambda versions: applied(versions, definitions))

    def drop(self, name: str) -> bool:
        """See ports.Definitions."""
        return self._change(lambda versions: dropped(versions, name))

    def _change(self, change: Callable[[list[Version]], list[Version]]) -> bool:
        """Change versions in one transaction; return whether there was anything to be changed."""
        with self._write():
            state = self._state()
            changed = change(read_versions(self._connection))
            if changed:
                begun = [report for _, report in Roster(changed, {}).of("counting")]
                Counters(self._connection).begin(begun)
                self._write_definitions(changed, state)
        return bool(changed)

    def _write_definitions(self, changed: list[Version], state: StoreState) -> None:
        write_versions(self._connection, changed)
        self._save(state._replace(definitions=state.definitions + 1))

    def last_events(self, count: int) -> Iterator[Batch]:
        """See ports.Definitions."""
        with self._read() as reader:
            first = max(reader.state.events - count, 0)
            rows = read_chunks(reader.connection, chunk_start(reader.connection, first), reader.state.events)
            batches = [row.batch().slice(max(first + 1 - row.first, 0), row.events) for row in rows]
        yield from batches

    def count_some(self, seconds: float) -> bool:
        """See ports.Definitions."""
        give_up = time.monotonic() + seconds
        while True:
            try:
                left = self._count_stride()
            except StoreDamagedError as error:  # what is damaged is told to who reads it
                _log.error("%s. What lags is counted then", error)
                return False
            if not left or time.monotonic() >= give_up:
                return left

    def _count_stride(self, *, all_behind: bool = False) -> bool:
        """Count a stride of the versions that are furthest behind; return whether something is left.

        What is slow is done before the transaction: no commit waits for it.
        """
        own_are_due = time.monotonic() - self._own_counted_at >= _FOLD_AFTER_S
        stride, unnumbered = None, ""
        with self._read() as reader:
            if reader.roster.unknown:
                return False
            lag = find_lag(reader, all_behind=all_behind or own_are_due)
            if lag is not None:
                try:
                    stride = count_stride(reader, lag, self._stride)
                except UnnumberedError as error:
                    unnumbered = error.dictionary
        if lag is None:
            self._own_counted_at = time.monotonic() if own_are_due else self._own_counted_at
            return self._clear_some()
        if stride is None:
            self._number_chunks(unnumbered, lag.position, self._stride)
            return True
        with self._write():
            state = self._state()
            began = time.monotonic()
            versions = stride.write(self._connection, state)
            if versions is not None and stride.reached >= state.folded:
                self._swap([version for version in versions if version.state == "counting"], state)
        took = time.monotonic() - began
        self._stride = min(max(int(self._stride * _COUNT_S / max(took, _COUNT_S / 4)), 1), _FOLD_STRIDE)
        return True

    def _swap(self, whole: list[Version], state: StoreState) -> None:
        """Have readers read, and commits fold into, versions that have come to where readers are: one write."""
        if whole:
            self._write_definitions(swapped(read_versions(self._connection), whole), state)

    def _clear_some(self) -> bool:
        """Delete some of the aggregates that nobody reads any more; return whether there may be more."""
        gone = any(version.state == "dropped" for version in self._roster.versions)
        if not gone and not self._holds_segments:
            return False
        with self._write():
            state = self._state()
            versions = [version for version in self._roster.versions if version.state == "dropped"]
            if versions:
                if not clear(self._connection, versions[0].key, _CLEARED_AT_ONCE):
                    left = versions[0]._replace(definition="", state="gone", position=None)
                    self._write_definitions([left], state)
                return True
            if self._roster.five_are_whole:
                self._holds_segments = clear_segments(self._connection, _CLEARED_AT_ONCE)
        return self._holds_segments

    def _number_values(self, batch: Batch) -> None:
        """Number the values of the kept fields that reports count by. What is damaged is numbered after a rebuild."""
        for dictionary in self._roster.own_dictionaries:
            with suppress(DamageError):
                self._dictionaries.of(dictionary).ids(batch)

    def _number_tail(self, dictionary: str) -> None:
        """Number values that were journaled by a process that did not know that they are counted by."""
        with self._read() as reader:
            after = reader.least
        self._number_chunks(dictionary, after, LAG_MAX)

    def _number_chunks(self, dictionary: str, after: int, events: int) -> None:
        with self._write():
            state = self._state()
            for row in read_chunks(self._connection, after, state.events, upto=after + events):
                self._dictionaries.of(dictionary).ids(row.batch())

    @contextmanager
    def _told_unfoldable(self) -> Iterator[None]:
        """Tell damage of what a rebuild makes anew from damage of the journal, which nobody may write on."""
        try:
            yield
        except ValueError as error:
            raise _UnfoldableError(*_damage(self.path, error), names=False) from error
        except sqlite3.DatabaseError as error:
            if schema.is_damage(error):
                problem = f"{self.path}: what is stored of the aggregates cannot be read ({error})"
                raise _UnfoldableError(problem, _RESTORE, names=False) from error
            raise

    def _put_off(self, error: _UnfoldableError) -> None:
        """Journal without folds for some time, or until a rebuild."""
        _log.error("%s. Events are journaled meanwhile, and are counted then", error)
        self._pause.generation = self._generation
        self._pause.names_are_damaged = error.names
        self._pause.until = time.monotonic() + _FOLD_AFTER_DAMAGE_S

    def _is_foldable(self) -> bool:
        """Tell whether all definitions are known, and no aggregate of the generation was found damaged a moment ago."""
        if self._roster.unknown:
            return False
        return self._pause.generation != self._generation or time.monotonic() >= self._pause.until

    def _read_unfolded(self, state: StoreState) -> None:
        self._unfolded.clear(state.folded)
        upto = state.folded + _FOLD_STRIDE
        for row in read_chunks(self._connection, state.folded, state.events, upto=upto):
            batch = row.batch()
            self._unfolded.extend(batch, {MERCHANT.dictionary: self._merchants.ids(batch)})

    def page(self, query: Query) -> Page:
        """See ports.Aggregates."""
        with self._pages:
            return self._ask(lambda reader: reader.page(query))

    def get(self, datapoints: Sequence[str], *, amounts: bool = False) -> list[Aggregate]:
        """See ports.Aggregates."""
        return self._ask(lambda reader: [reader.get(datapoint, amounts=amounts) for datapoint in datapoints])

    def _ask(self, question: Callable[[Reader], _T]) -> _T:
        """Return the answer to a question, having counted and numbered first what it needs."""
        while True:
            try:
                with self._read() as reader:
                    return question(reader)
            except LagError:
                self._count_stride(all_behind=True)
            except UnnumberedError as error:
                self._number_tail(error.dictionary)

    def merchants(self, containing: str, limit: int) -> list[str]:
        """See ports.Aggregates."""
        with self._pages, self._read() as reader:
            return reader.search(containing, limit)

    # Rejected events.

    def set_aside(self, rejections: Sequence[Rejection], now_s: float) -> int:
        """See ports.RejectedStore. Most of the work is done while others write."""
        with self._read() as reader:
            prepared = rejected_module.prepare(reader.connection, rejections, now_s)
        with self._write():
            return rejected_module.set_aside(self._connection, prepared, now_s, self._capacity)

    def rejected(
        self, *, after: str | None = None, limit: int = 100, which: RejectedFilter = EVERY
    ) -> list[StoredRejection]:
        """See ports.RejectedStore."""
        with self._read() as reader:
            return rejected_module.rejected(reader.connection, after, limit, which)

    def find_rejected(self, rejected_id: str) -> StoredRejection | None:
        """See ports.RejectedStore."""
        with self._read() as reader:
            return rejected_module.find(reader.connection, rejected_id)

    def rejected_summary(self) -> RejectedSummary:
        """See ports.RejectedStore."""
        with self._read() as reader:
            return rejected_module.summary(reader.connection)

    def discard(self, rejected_ids: Sequence[str]) -> None:
        """See ports.RejectedStore. The log is emptied of the bytes as well, now or by a later fold."""
        with self._lock, translated(self.path), rejected_module.erasing(self._connection):
            with self._write():
                rejected_module.discard(self._connection, rejected_ids)
            self._owed.log_holds_erased = not rejected_module.empty_log(self._connection)

    # Fields.

    def note_fields(self, tally: FieldTally) -> None:
        """See ports.Fields."""
        with self._write():
            notes.add(self._connection, notes.FIELDS, tally)

    def noted_fields(self) -> FieldTally:
        """See ports.Fields."""
        with self._read() as reader:
            return notes.read(reader.connection, notes.FIELDS, FieldTally)

    # Outcomes.

    def note_outcomes(self, tally: OutcomeTally) -> None:
        """See ports.Outcomes."""
        with self._write():
            notes.add(self._connection, notes.OUTCOMES, tally)

    def noted_outcomes(self) -> OutcomeTally:
        """See ports.Outcomes."""
        with self._read() as reader:
            return notes.read(reader.connection, notes.OUTCOMES, OutcomeTally)

    # Proof and repair.

    def audit(self, *, since: int = 0, progress: Progress | None = None, repair: bool = False) -> Audit:
        """See ports.Journal."""
        with translated(self.path):
            found = audit_module.audit(self.path, self._head.read(), since, progress)
        if repair and found.damaged:
            self.rebuild(progress)
        elif repair and found.deltas:
            self._repair(found)
        if repair:
            self._index_again(found.unindexed)
        return found.audit

    def _repair(self, found: audit_module.Found) -> None:
        """Set right what an audit found, unless the aggregates were set right since: they would be raised twice."""
        with self._write():
            state = self._state()
            if state.generation != found.generation:
                problem = f"{self.path} was repaired or rebuilt by another process while this one audited it"
                raise StoreError(problem, "Run tillroll audit --repair again; nothing was changed")
            audit_module.apply(self._segments, Segments(self._connection), found.deltas)
            self._save(state._replace(generation=state.generation + 1))

    def _index_again(self, chunks: Iterable[int]) -> None:
        """Put back what the index lacks of the chunks that begin with these events."""
        for first in chunks:
            with self._write():
                self._dedupe.restore(chunk_of(self._connection, first).batch(), first - 1)

    def rebuild(self, progress: Progress | None = None) -> int:
        """See ports.Journal. Traffic goes on until the recount is taken over, which is one transaction."""
        with translated(self.path), audit_module.recounted(self.path, progress) as recount, self._write():
            if recount.problems:
                raise StoreError(recount.problems[0].message, "Restore the file from a copy; nothing was changed")
            audit_module.take_over(self._connection, recount, self._clock())
            self._forget()
        self._index_again(recount.unindexed)
        return recount.events

    def trace(self, datapoint: str) -> Iterator[Trace]:
        """See ports.Journal."""
        with self._read() as reader:
            at = reader.roster.catalogue.place(datapoint)
            if at is not None:
                yield from audit_module.trace(reader.connection, at, datapoint)

    # Transactions.

    def _state(self) -> StoreState:
        """Return the state, having dropped what is cached if another process rebuilt. Call in a transaction.

        Where no other connection has committed it is as this one left it; even so it is read now and then.
        """
        (seen,) = self._connection.execute("PRAGMA data_version").fetchone()
        state = self._left
        if state is None or seen != self._seen:
            state = read_state(self._connection)
            head_module.compare(self._head.read(), state.events, state.chain)
            if state.generation != self._generation:
                self._forget()
                self._generation = state.generation
            roster = self._catalogue.read(self._connection, state.definitions)
            if roster is not self._roster:
                self._segments = segments_of(self._connection, roster)
                self._roster = roster
            self._left, self._seen = state, seen
        if self._is_foldable() or not self._pause.names_are_damaged:
            try:
                self._dictionaries.begin(state.generation, *state.names)
                self._merchants = self._dictionaries.merchants
            except DamageError as error:
                raise _UnfoldableError(*_damage(self.path, error), names=True) from error
        return state

    def _save(self, state: StoreState) -> StoreState:
        """Write the state, and return it. Call in the transaction whose state it follows."""
        write_state(self._connection, state)
        before = self._left
        same = before is not None and before.definitions == state.definitions and before.generation == state.generation
        self._left = state if same else None
        return state

    def _forget(self) -> None:
        self._left = None
        self._dictionaries.forget()
        self._dedupe.forget()
        self._unfolded.clear(0)

    @contextmanager
    def _write(self) -> Iterator[None]:
        """Write in one transaction. All in one piece, since each commit passes through it."""
        with self._lock:
            try:
                self._refuse_loss()
                now = self._clock()
                if not 0.0 <= now - self._looked_at < _LOOK_EVERY_S:  # clocks may be put back
                    self._looked_at = now
                    self._left = None
                    self._place.check()
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
                self._dictionaries.commit()
            except BaseException as error:
                self._forget()
                with translated(self.path):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    if isinstance(error, ValueError):
                        raise _damaged(self.path, error) from error
                    raise

    @contextmanager
    def _read(self) -> Iterator[Reader]:
        """Lend a reader in one read transaction: everything it reads is of one moment."""
        with translated(self.path):
            with self._lock:
                reader = self._readers.pop() if self._readers else None
            if reader is None:
                reader = Reader(schema.connect(self.path), self._names, self._catalogue)
            whole = True
            try:
                self._refuse_loss()
                head = self._head.read()  # before the transaction, which then sees all that the head knows
                with reader.transaction() as state:
                    head_module.compare(head, state.events, state.chain)
                    self._place.check_now_and_then()
                    yield reader
            except Exception as error:
                whole = False  # what the reader keeps between transactions may be
                if isinstance(error, ValueError):
                    raise _damaged(self.path, error) from error
                raise
            finally:
                if whole:
                    with self._lock:
                        self._readers.append(reader)
                else:
                    reader.close()


def _damaged(path: Path, error: ValueError) -> StoreDamagedError:
    """Return the error for bytes in the file that are not what was written."""
    return StoreDamagedError(*_damage(path, error))


def _damage(path: Path, error: ValueError) -> tuple[str, str]:
    """Return the problem and the remedy of bytes in the file that are not what was written."""
    match error:
        case DamageError():
            return f"{path}: {error.problem}", error.remedy
        case GroupError():
            return f"{path}: {error}", "Restore the file from a copy; no count is concerned"
        case chunk.ChunkError():
            return f"{path}: {error}", "Run tillroll audit to see which chunk it is"
        case _:
            return f"{path}: an aggregate is damaged ({error})", "Count the journal again with: tillroll rebuild"


def open_address(address: str, opening: Opening) -> SqliteStore:
    """Return the store in a directory, see ports.Opening."""
    directory = Path(address)
    if not opening.make and not (directory / schema.FILE_NAME).is_file():
        remedy = "Name another with --data, or make one with `tillroll import` or `tillroll serve`"
        raise StoreError(f"there is no store in {address}", remedy)
    return SqliteStore(directory, capacity=opening.capacity)
