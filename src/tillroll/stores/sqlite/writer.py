"""The connection that writes: its transactions, and what it holds in memory between them."""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from tillroll.core.dimension import MERCHANT
from tillroll.core.report import FIVE
from tillroll.stores.sqlite import head as head_module
from tillroll.stores.sqlite import schema
from tillroll.stores.sqlite.chunks import read_chunks
from tillroll.stores.sqlite.damage import DamageError, UnfoldableError, damage_of, damaged
from tillroll.stores.sqlite.dedupe import Dedupe
from tillroll.stores.sqlite.merchants import Dictionaries
from tillroll.stores.sqlite.reports import Roster, write_versions
from tillroll.stores.sqlite.schema import translated
from tillroll.stores.sqlite.segments import Segments, check_folded, segments_of
from tillroll.stores.sqlite.state import read_state, write_state
from tillroll.stores.sqlite.unfolded import Unfolded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tillroll.core.batch import Batch
    from tillroll.core.fold import Counts
    from tillroll.core.versions import Version
    from tillroll.stores.sqlite.files import Files
    from tillroll.stores.sqlite.merchants import SharedNames
    from tillroll.stores.sqlite.reports import Catalogue
    from tillroll.stores.sqlite.state import StoreState

_log: Final = logging.getLogger(__name__)
_RESTORE: Final = "Restore the file from a copy, or export the journal and import it elsewhere"
_LOOK_EVERY_S: Final = 0.02  # at the files, and at what is known of them: a commit must not pay for it every time
_FOLD_AFTER_DAMAGE_S: Final = 30.0  # a rebuild ends the wait at once


class _Pause:
    """Aggregates that were found damaged, which are left alone for a while."""

    def __init__(self) -> None:
        self.generation = -1  # theirs
        self.names_are_damaged = False
        self.until = 0.0


class Writer:
    """What one process writes a store with. One thread at a time is in `write`; all else is called within it.

    An object of more than 30 attributes is slow, and a commit looks at these hundreds of times.
    """

    def __init__(self, files: Files, names: SharedNames, catalogue: Catalogue, clock: Callable[[], float]) -> None:
        self.files = files
        self.connection = files.connection
        self.roster = Roster([], {})
        self.dictionaries = Dictionaries(self.connection, names)
        self.merchants = self.dictionaries.merchants
        self.segments = Segments(self.connection)
        self.dedupe = Dedupe(self.connection)
        self.unfolded = Unfolded(0)
        self._lock = files.lock
        self._catalogue = catalogue
        self._generation = -1
        self._is_new = True  # the state, since events were counted
        self._left: StoreState | None = None  # as this connection left it; None where it is to be read
        self._seen = 0  # SQLite's number for what other connections have committed
        self._clock = clock
        self._looked_at = 0.0
        self._syncs = True  # how the connection commits
        self._pause = _Pause()

    @contextmanager
    def write(self, *, sync: bool = True) -> Iterator[None]:
        """Write in one transaction. All in one piece, since each commit passes through it.

        Without `sync` a power cut may undo it, until a later one is synced: for what is counted again then, for what is
        but noted, and for what need not last longer than what follows.
        """
        with self._lock:
            try:
                self.files.refuse_loss()
                now = self._clock()
                if not 0.0 <= now - self._looked_at < _LOOK_EVERY_S:  # clocks may be put back
                    self._looked_at = now
                    self._left = None
                    self.files.place.check()
                if sync != self._syncs:
                    self.connection.execute(schema.SYNCED if sync else schema.SYNCED_LATER)
                    self._syncs = sync
                self.connection.execute("BEGIN IMMEDIATE")
                yield
                self.connection.execute("COMMIT")
                self.dictionaries.commit()
            except BaseException as error:
                self.forget()
                with translated(self.files.path):
                    if self.connection.in_transaction:
                        self.connection.execute("ROLLBACK")
                    if isinstance(error, ValueError):
                        raise damaged(self.files.path, error) from error
                    raise

    def state(self) -> StoreState:
        """Return the state, having dropped what is cached if another process rebuilt. Call in a transaction.

        Where no other connection has committed it is as this one left it; even so it is read now and then.
        """
        (seen,) = self.connection.execute("PRAGMA data_version").fetchone()
        state = self._left
        if state is None or seen != self._seen:
            schema.refuse_newer(self.connection, self.files.path)
            state = read_state(self.connection)
            head_module.compare(self.files.head.read(), state.events, state.chain)
            if state.generation != self._generation:
                self.forget()
                self._generation = state.generation
            roster = self._catalogue.read(self.connection, state.definitions)
            if roster is not self.roster:
                self.segments = segments_of(self.connection, roster)
                self.roster = roster
            self._left, self._seen = state, seen
            self._is_new = True
        if self.can_number() or self.is_foldable():
            try:
                self.dictionaries.begin(state.generation, *state.names)
                self.merchants = self.dictionaries.merchants
            except DamageError as error:
                raise UnfoldableError(*damage_of(self.files.path, error), names=True) from error
        return state

    def save(self, state: StoreState) -> StoreState:
        """Write the state, and return it. Call in the transaction whose state it follows."""
        write_state(self.connection, state)
        before = self._left
        same = before is not None and before.definitions == state.definitions and before.generation == state.generation
        self._left = state if same else None
        return state

    def write_definitions(self, changed: list[Version], state: StoreState) -> None:
        """Write versions that are new or changed, and have the state tell of it. Call in its transaction."""
        write_versions(self.connection, changed)
        self.save(state._replace(definitions=state.definitions + 1))

    def forget(self) -> None:
        """Forget what is held in memory: the file may be otherwise."""
        self._left = None
        self.dictionaries.forget()
        self.dedupe.forget()
        self.unfolded.clear(0)

    # Numbers of merchants and other values.

    def can_number(self) -> bool:
        """Tell whether no names of merchants were found damaged."""
        return not self._pause.names_are_damaged

    def number_values(self, batch: Batch) -> None:
        """Number the values of the kept fields that reports count by. What is damaged is numbered after a rebuild."""
        for dictionary in self.roster.own_dictionaries:
            with suppress(DamageError):
                self.dictionaries.of(dictionary).ids(batch)

    def read_unfolded(self, state: StoreState, events: int) -> None:
        """Hold whole chunks of what is not folded, up to so many events."""
        self.unfolded.clear(state.folded)
        for row in read_chunks(self.connection, state.folded, state.events, upto=state.folded + events):
            batch = row.batch()
            self.unfolded.extend(batch, {MERCHANT.dictionary: self.merchants.ids(batch)})

    # Aggregates that are damaged.

    def count(self, counts: Sequence[Counts], state: StoreState) -> None:
        """Add what events count in the five to what a state has folded. Call in its transaction.

        Raises:
            UnfoldableError: what is stored cannot be counted into.
        """
        path = self.files.path
        try:
            if self._is_new:
                check_folded(self.segments, state.folded)
                self._is_new = False
            self.segments.add_all(FIVE, counts)
        except ValueError as error:  # a rebuild makes that anew; damage of the journal is another matter
            raise UnfoldableError(*damage_of(path, error), names=False) from error
        except sqlite3.DatabaseError as error:
            if schema.is_damage(error):
                problem = f"{path}: what is stored of the aggregates cannot be read ({error})"
                raise UnfoldableError(problem, _RESTORE, names=False) from error
            raise

    def put_off(self, error: UnfoldableError) -> None:
        """Journal without folds for some time, or until a rebuild."""
        _log.error("%s. Events are journaled meanwhile, and counted later", error)
        self._pause.generation = self._generation
        self._pause.names_are_damaged = error.names
        self._pause.until = time.monotonic() + _FOLD_AFTER_DAMAGE_S

    def is_foldable(self) -> bool:
        """Tell whether all definitions are known, and no aggregate of the generation was found damaged a moment ago."""
        if self.roster.unknown:
            return False
        return self._pause.generation != self._generation or time.monotonic() >= self._pause.until
