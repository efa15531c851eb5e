"""Commits and folds: new events into the journal, and the journal into the aggregates."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from tillroll.core import limits
from tillroll.core.dimension import MERCHANT
from tillroll.core.fold import codes_of
from tillroll.core.fold import fold as fold_into
from tillroll.core.report import FIVE
from tillroll.stores.sqlite.chunks import Chunk, append
from tillroll.stores.sqlite.damage import DamageError, UnfoldableError, damaged
from tillroll.stores.sqlite.dedupe import IS_NEW, may_repeat
from tillroll.stores.sqlite.state import StoreState

if TYPE_CHECKING:
    from tillroll.core.batch import Batch
    from tillroll.core.identity import IdentityRows
    from tillroll.ports import Clock
    from tillroll.stores.sqlite.writer import Writer

_log: Final = logging.getLogger(__name__)
_FOLD_IN_COMMIT: Final = 16_384  # a batch of this size is folded by its own commit, while its columns are at hand
FOLD_STRIDE: Final = 1 << 20  # events a fold counts in one transaction
_FOLD_BEHIND_MAX: Final = 200_000  # a commit folds when the tail that readers count has grown to this
FOLD_AFTER_S: Final = 1.0


class Commits:
    """Journals and folds. A commit is one transaction, and so is a stride of a fold."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._connection = writer.connection
        self._clock = clock
        self._encoder = ThreadPoolExecutor(1, "tillroll-encode")  # encodes one large batch while it is folded
        self._owes_fold = False
        self._folded_at = 0.0  # when the last fold that was due began
        self._told_unknown = ""

    def journal(self, batch: Batch) -> bytes:
        """Journal the new events of a batch; return the outcomes of all."""
        events = len(batch)
        if events <= limits.CHUNK_EVENTS_MAX:
            return self._commit(batch) if events else b""
        starts = range(0, events, limits.CHUNK_EVENTS_MAX)
        return b"".join([self._commit(batch.slice(start, start + limits.CHUNK_EVENTS_MAX)) for start in starts])

    def close(self) -> None:
        """Release the thread."""
        self._encoder.shutdown()

    def _commit(self, batch: Batch) -> bytes:
        rows = self._rows(batch)
        try:
            return self._commit_rows(batch, rows)
        except UnfoldableError as error:  # the journal has all that a repair needs: it must not wait for one
            self._writer.put_off(error)
        return self._commit_rows(batch, rows)

    def _rows(self, batch: Batch) -> IdentityRows:
        try:
            return self._writer.dedupe.rows(batch)
        except DamageError as error:
            raise damaged(self._writer.files.path, error) from error

    def _commit_rows(self, batch: Batch, rows: IdentityRows) -> bytes:
        writer = self._writer
        with writer.write():
            state = writer.state()
            outcomes, fresh = bytes(len(batch)), batch
            if may_repeat(batch, rows):
                outcomes, fresh = self._index(batch, rows, state.events)
            appended = self._append(fresh, state) if fresh else None
        if appended is not None:
            writer.files.raise_head(appended)
        return outcomes

    def _index(self, batch: Batch, rows: IdentityRows, events: int) -> tuple[bytes, Batch]:
        """Return the outcomes of a batch and its new events, having indexed these from number `events` + 1 on."""
        dedupe = self._writer.dedupe
        self._connection.execute("SAVEPOINT all_new")
        all_new, free = dedupe.add_all_new(batch, rows, events)
        if not all_new:
            self._connection.execute("ROLLBACK TO all_new")
        self._connection.execute("RELEASE all_new")  # or SQLite would note how to undo every page from here on
        if all_new:
            return bytes(len(batch)), batch
        classified = dedupe.classify(batch, rows, free)
        fresh = batch.masked(classified.outcomes.translate(IS_NEW))
        if len(fresh):
            dedupe.add_new(fresh, classified, events)
        return classified.outcomes, fresh

    def _append(self, batch: Batch, state: StoreState) -> StoreState:
        """Journal new events after those of a state; return the state from then on."""
        writer = self._writer
        now = self._clock()
        events, added = state.events, len(batch)
        head = events + added
        foldable = writer.is_foldable()
        fold = foldable and state.folded == events and added >= _FOLD_IN_COMMIT
        encoding = self._encoder.submit(Chunk.encoded, events + 1, batch, now) if fold else None
        merchants = writer.merchants
        merchant_ids = merchants.ids(batch) if foldable or writer.can_number() else None
        if fold and merchant_ids is not None:
            writer.count(fold_into(FIVE, codes_of(batch, merchant_ids)), state)
        if writer.roster.own_dictionaries:
            writer.number_values(batch)
        row, digest = encoding.result() if encoding else Chunk.encoded(events + 1, batch, now)
        chain = append(self._connection, row, digest, state.chain)
        names = (len(merchants), merchants.crc) if merchant_ids is not None else state.names
        folded, folded_at = (head, now) if fold else (state.folded, state.folded_at)
        state = StoreState(head, folded, folded_at, state.generation, *names, chain, state.definitions)
        self._owes_fold = True  # though there be nothing left to be counted: it raises the head again
        unfolded = writer.unfolded
        if fold:
            unfolded.clear(head)
            return writer.save(state)
        if not foldable or merchant_ids is None:
            unfolded.clear(head)  # what waits for a repair may become long: it is read again
            return writer.save(state)
        if unfolded.last != events:  # another process journaled in between, or folded
            unfolded.clear(events)
        unfolded.extend(batch, {MERCHANT.dictionary: merchant_ids})
        if head - state.folded >= _FOLD_BEHIND_MAX:
            state = self._fold_stride(state)
        return writer.save(state)

    def fold(self) -> int:
        """Fold all that is journaled; return how far the aggregates have come.

        What is damaged puts it off, and is told to who reads it.
        """
        writer = self._writer
        behind = True
        while behind:
            if writer.roster.unknown != self._told_unknown:
                self._told_unknown = writer.roster.unknown
                _log.error("%s. Events are journaled meanwhile, and counted later", self._told_unknown)
            try:
                with writer.write(sync=False):
                    state = writer.state()
                    if state.folded < state.events and writer.is_foldable():
                        state = writer.save(self._fold_stride(state))
                behind = state.folded < state.events and writer.is_foldable()
            except UnfoldableError as error:
                writer.put_off(error)
        writer.files.raise_head(state, unless_more=True)
        return state.folded

    def fold_if_due(self) -> int | None:
        """Fold when something was journaled since the last fold, which began a while ago; else return None."""
        self._writer.files.finish()
        now = self._clock()
        if not self._owes_fold or abs(now - self._folded_at) < FOLD_AFTER_S:
            return None
        self._owes_fold, self._folded_at = False, now
        try:
            return self.fold()
        except BaseException:
            self._owes_fold = True
            raise

    def _fold_stride(self, state: StoreState) -> StoreState:
        """Fold whole chunks up to a stride's worth of events; return the new state, which is to be written."""
        writer = self._writer
        unfolded, merchants = writer.unfolded, writer.merchants
        if unfolded.first != state.folded + 1 or not unfolded.events:
            writer.read_unfolded(state, FOLD_STRIDE)
        writer.count(unfolded.counts(FIVE), state)
        last = unfolded.last
        unfolded.clear(last)
        names = (len(merchants), merchants.crc)
        return StoreState(state.events, last, self._clock(), state.generation, *names, state.chain, state.definitions)
