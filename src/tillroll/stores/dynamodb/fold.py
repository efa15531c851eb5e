"""Fold: count what is journaled into the counters, exactly once, whoever does it and however often. No I/O.

A range lies between two marks of the ledger, which is immutable: so every worker that folds it computes the same sums.
It is declared in the folder's state before a counter is touched. Each counter takes its sum on condition that it has
not been folded so far, and only when all have does the position move. They take it in a fixed order, so that whoever
comes next goes on from where the last one noted; a late worker finds every condition failing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

from tillroll.core.fold import batch_codes, fold
from tillroll.core.report import FIVE
from tillroll.errors import StoreError
from tillroll.stores.dynamodb.calls import (
    ConditionFailed,
    Count,
    Discard,
    QueryTable,
    Scan,
    is_passing,
    read_batch,
    run_call,
    run_calls,
)
from tillroll.stores.dynamodb.definitions import point_all, reports_of
from tillroll.stores.dynamodb.ledger import (
    append_mark,
    damaged,
    decode_entry,
    missing_entry,
    read_head,
    read_page,
    require_chunks,
)
from tillroll.stores.dynamodb.schema import EPOCH, LEDGER, LedgerEntry, folder_key, index_key, is_state, key_of
from tillroll.stores.dynamodb.state import (
    UNMARKED,
    Folder,
    check_token,
    mark_epoch,
    open_state,
    put_state,
    read_folder,
    read_folders,
    take_epoch,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tillroll.core.batch import Batch
    from tillroll.core.fold import Counts
    from tillroll.core.report import Report
    from tillroll.ports import Progress
    from tillroll.stores.dynamodb.calls import Context, Item, Procedure, QueryReply, ScanReply
    from tillroll.stores.dynamodb.ledger import Head
    from tillroll.stores.dynamodb.schema import ChunkRef
    from tillroll.stores.dynamodb.state import FolderGroup, FoldState

_CHUNKS_AT_ONCE: Final = 25  # of at most limits.CHUNK_BYTES_MAX each
_UPDATES_AT_ONCE: Final = 200  # to begin with; as many as take about a second
_UPDATES_AT_ONCE_MAX: Final = 8_000
_BATCH_S: Final = 1.0
_ENTRIES_A_CHECK: Final = 25
_ENTRIES_KEPT: Final = 5_000  # of a range, from finding its end to counting it; those of a longer one are read again
_EVENTS_OF_OLDER_MAX: Final = 1_000_000  # up to so many, a journal of 0.1.0 is counted again, for amounts, by itself
_SLICE_EVENTS: Final = 200_000  # at most 5 datapoints each, some 300 bytes a datapoint
_NOTE_S: Final = 5.0  # how often progress is noted: what is not noted is done again
_LEASE_S: Final = 30.0  # how long another waits for a worker of whom nothing is heard


class Share(NamedTuple):
    """Some of all datapoints, by hash: those of a folder, and of a slice of its range."""

    folder: int = 0
    folders: int = 1
    slice: int = 0
    slices: int = 1

    def has(self, datapoint: str) -> bool:
        """Tell whether a datapoint is among them."""
        digest = crc32(datapoint.encode())
        return digest % self.folders == self.folder and digest // self.folders % self.slices == self.slice

    @property
    def is_all(self) -> bool:
        """Whether every datapoint is among them."""
        return self.folders == self.slices == 1


class Sum(NamedTuple):
    """What a counter counts: what it is indexed by, its events, and the sum of their amounts.

    `text` is its datapoint where that is very long, and the counter is called by a hash.
    """

    report: str
    events: int
    amount: int
    text: str | None = None


Totals = dict[str, Sum]  # by the counter's key


class Range(NamedTuple):
    """Entries of the ledger that are folded together: those after `start`, to a mark. `entries` None: to be read."""

    start: int
    until: int
    token: str  # of the entry at its end
    events: int
    entries: list[LedgerEntry] | None = None


class StaleError(Exception):
    """The state is another by now: what is to be done has to be looked at anew."""


class _StoppedError(Exception):
    """The time is up."""


def _always() -> bool:
    return True


def fold_ledger(
    context: Context, may_go_on: Callable[[], bool] = _always, *, to_head: bool = False, alone: bool = True
) -> Procedure[int]:
    """Fold every range that has an end, or everything journaled so far (`to_head`); return the folded position.

    `alone` leaves to another what that is folding. Once `may_go_on` says no, it notes how far it has come, and leaves
    the rest to the next.
    """
    worker = context.token()
    while True:
        state = yield from open_state(context)
        if not state.epoch and (yield from read_head(context)).entry.events <= _EVENTS_OF_OLDER_MAX:
            yield from take_epoch(context, state)
            continue
        if state.main.first == UNMARKED:
            yield from mark_epoch(context, state)
            continue
        try:
            return (yield from fold_group(context, state, state.main, worker, may_go_on, to_head=to_head, alone=alone))
        except StaleError:
            continue


def fold_group(
    context: Context,
    state: FoldState,
    group: FolderGroup,
    worker: str,
    may_go_on: Callable[[], bool],
    *,
    to_head: bool,
    alone: bool,
) -> Procedure[int]:
    """Fold what a group counts, folder after folder, that first which has come least far; return the least position.

    Raises:
        StaleError: there is no such group any more.
        LaterFormatError: it has a report that this release cannot count.
    """
    positions = []
    reports = yield from reports_of(context, state, group)
    for number in (yield from _in_turn(context, group)):
        work = _FolderWork(context, state, group, reports, number, worker, may_go_on, alone=alone)
        positions.append((yield from work.run(to_head=to_head)))
    return min(positions)


def _in_turn(context: Context, group: FolderGroup) -> Procedure[Sequence[int]]:
    """Return the folders of a group in the order in which to fold them: with little time, each has its turn."""
    if group.folders == 1:
        return (0,)
    folders = yield from read_folders(context, group)
    return sorted(range(group.folders), key=lambda number: folders[number].position)


def is_taken(folder: Folder, worker: str, now: float) -> bool:
    """Tell whether another worker is at a folder, as far as is known."""
    return folder.worker not in ("", worker) and 0 < folder.worker_until - now <= _LEASE_S


class _FolderWork:
    """A worker at one folder."""

    def __init__(
        self,
        context: Context,
        state: FoldState,
        group: FolderGroup,
        reports: Sequence[Report],
        number: int,
        worker: str,
        may_go_on: Callable[[], bool],
        *,
        alone: bool,
    ) -> None:
        self.context = context
        self.state = state
        self.group = group
        self.reports = reports
        self.number = number
        self.key = folder_key(group.id, number)
        self.worker = worker
        self.may_go_on = may_go_on
        self.alone = alone
        self.item: Item | None = None
        self.folder: Folder
        self.noted_at = 0.0
        self.at_once = _UPDATES_AT_ONCE
        self.pace = None if group == state.main else context.pace

    def run(self, *, to_head: bool) -> Procedure[int]:
        """Fold range after range; returns the position at which there is nothing more to do, or no more time."""
        while True:
            yield from self._read()
            if not self.may_go_on() or (self.alone and self._is_taken()):
                return self.folder.position
            stride = yield from next_range(self.context, self.group, self.folder)
            if stride.token:
                try:
                    yield from self._fold_range(stride)
                except _StoppedError:
                    return self.folder.position
            elif to_head and stride.until > stride.start:
                yield from append_mark(self.context)
                to_head = False  # what is journaled after this mark is not asked for
            else:
                return self.folder.position

    def _read(self) -> Procedure[None]:
        found = yield from read_folder(self.context, self.group, self.number)
        if found is None:
            raise StaleError
        self.item, self.folder = found

    def _is_taken(self) -> bool:
        return is_taken(self.folder, self.worker, self.context.clock())

    def _fold_range(self, stride: Range) -> Procedure[None]:
        """Count a range, then move the position past it. Returns early when another worker has come as far."""
        slices = self.folder.slices if self.folder.until else self._slices(stride)
        declared = self.folder._replace(until=stride.until, until_token=stride.token, slices=slices)
        if not (yield from self._put(self._at_work(declared))):
            return
        for number in range(self.folder.slice, slices):
            share = Share(self.number, self.group.folders, number, slices)
            totals = yield from count_range(self.context, stride, self.reports, share)
            yield from self._write(number, totals, stride.until)
        if self.group.clears and not stride.start:
            yield from self._discard_older(slices)
        now = round(self.context.clock(), 3)
        yield from self._put_on(self.folder.moved(stride.until, stride.token, now))

    def _slices(self, stride: Range) -> int:
        """Return into how many slices a range is cut, so that one fits in memory."""
        return 1 + stride.events * len(self.reports) // (_SLICE_EVENTS * len(FIVE) * self.group.folders)

    def _at_work(self, folder: Folder) -> Folder:
        """Return it with the note that this worker is at it."""
        self.noted_at = self.context.clock()
        return folder._replace(worker=self.worker, worker_until=round(self.noted_at + _LEASE_S, 3))

    def _put(self, folder: Folder) -> Procedure[bool]:
        item = folder.item(self.key)
        if not (yield from put_state(self.context, item, self.item)):
            return False
        self.item, self.folder = item, folder
        return True

    def _put_on(self, folder: Folder) -> Procedure[None]:
        """Write the folder's state, over what others noted of this range meanwhile: both are true.

        Raises:
            StaleError: the range is done, or the state another.
        """
        under_way = self.folder.position, self.folder.until
        while not (yield from self._put(folder)):
            yield from self._read()
            if (self.folder.position, self.folder.until) != under_way or (self.alone and self._is_taken()):
                raise StaleError

    def _write(self, number: int, totals: Totals, until: int) -> Procedure[None]:
        """Have every counter of a slice take its sum, in order, from where the last worker noted."""
        after = self.folder.after if self.folder.slice == number else ""
        order = sorted(key for key in totals if key > after)
        anew = until == self.group.first
        at = 0
        while at < len(order):
            at_once = self.at_once
            if self.pace is not None:
                yield from self.pace.wait()
                at_once = min(at_once, self.pace.writes_at_once)
            started = self.context.clock()
            keys = order[at : at + at_once]
            at += yield from self._count({key: totals[key] for key in keys}, until, anew=anew)
            faster = self.context.clock() - started < _BATCH_S
            self.at_once = min(self.at_once * 2, _UPDATES_AT_ONCE_MAX) if faster else max(self.at_once // 2, 1)
            if at < len(order):
                yield from self._go_on(self.folder._replace(slice=number, after=order[at - 1] if at else after))
        if number + 1 < self.folder.slices:
            yield from self._go_on(self.folder._replace(slice=number + 1, after=""))

    def _go_on(self, done: Folder) -> Procedure[None]:
        """Note progress from time to time, and when the time is up.

        Raises:
            _StoppedError: it is.
            StaleError: the range is done, or another is at it.
        """
        if not self.may_go_on():
            yield from self._put_on(done._replace(worker="", worker_until=0.0))
            raise _StoppedError
        if abs(self.context.clock() - self.noted_at) >= _NOTE_S:
            yield from self._put_on(self._at_work(done))

    def _count(self, sums: Totals, until: int, *, anew: bool) -> Procedure[int]:
        """Have counters take their sums; return how many of them, from the first on, have. All, unless time is up.

        A condition that fails says that somebody was here, or that the counter is of another epoch.
        """
        state = self.state
        calls = [self._call(key, found, until, anew=anew) for key, found in sums.items()]
        replies = yield from run_calls(self.context, calls, self.may_go_on)
        if self.pace is not None:
            self.pace.took(len(replies) + replies.count(True))  # with the entry in the index of each that is new
        failed = [key for key, reply in zip(sums, replies, strict=True) if isinstance(reply, ConditionFailed)]
        older = []
        for item in (yield from read_batch(self.context, "aggregates", failed)):
            epoch = int(item.get("fold", 0)) // EPOCH
            if epoch < state.epoch:
                older.append(str(item["datapoint"]))
            elif epoch > state.epoch:
                yield from self._check_epoch(str(item["datapoint"]), epoch)
        # What an older epoch left had no event in this one before this range: its sum is all there is.
        yield from run_calls(self.context, [self._call(key, sums[key], until, anew=True) for key in older])
        return next((done for done, reply in enumerate(replies) if is_passing(reply)), len(replies))

    def _call(self, key: str, found: Sum, until: int, *, anew: bool) -> Count:
        state = self.state
        amount = found.amount if state.epoch else None
        fold, epoch = state.epoch_fold + until, state.epoch_fold
        return Count(key, found.report, found.events, amount, fold, epoch, text=found.text, anew=anew)

    def _check_epoch(self, datapoint: str, epoch: int) -> Procedure[None]:
        """Look whether a counter's later epoch is this worker's lateness, or the state's.

        Raises:
            StoreError: it is the state's.
        """
        yield from self._read()
        problem = f"{datapoint} is of epoch {epoch}, and the state of the fold of epoch {self.state.epoch}"
        raise StoreError(problem, "The aggregates were restored in part: run tillroll rebuild")

    def _discard_older(self, slices: int) -> Procedure[None]:
        """Delete what the recount lacks: every counter that was left in an older epoch."""
        after = self.folder.after if self.folder.slice == slices else None
        last: str | None = after or None
        while True:
            reply: ScanReply = yield from run_call(self.context, Scan(last))
            yield from run_calls(self.context, [Discard(key, self.state.epoch_fold) for key in self._left(reply.items)])
            last = reply.last
            if last is None:
                return
            yield from self._go_on(self.folder._replace(slice=slices, after=last))

    def _left(self, items: Iterable[Item]) -> list[str]:
        share = Share(self.number, self.group.folders)
        left = [str(item["datapoint"]) for item in items if int(item.get("fold", 0)) < self.state.epoch_fold]
        return [key for key in left if not is_state(key) and share.has(key)]


def rebuild(context: Context, progress: Progress | None) -> Procedure[int]:
    """Count the whole journal again in a new epoch; return its events.

    Every counter is set to what the journal has of it, and what it has nothing of is deleted. Interrupted, it is
    completed by the next fold, whoever folds.

    Raises:
        StoreError: the journal is damaged. Nothing is changed then.
    """
    head = yield from read_head(context)
    yield from _check_whole(context, head, progress)
    while not (yield from take_epoch(context, (yield from open_state(context)))):
        pass
    yield from point_all(context)
    yield from fold_ledger(context, alone=False)
    return head.entry.events


def _check_whole(context: Context, head: Head, progress: Progress | None) -> Procedure[None]:
    done = number = 0
    last: int | None = 0
    while last is not None and number < head.number:
        entries, last = yield from read_page(context, number, _ENTRIES_A_CHECK)
        refs = [ref for _, entry in entries for ref in entry.chunks]
        for ref, _ in (yield from require_chunks(context, refs)):
            done += ref.events
        if progress is not None:
            progress(done, max(head.entry.events, done))
        number += len(entries)


def next_range(context: Context, group: FolderGroup, folder: Folder) -> Procedure[Range]:
    """Return the range that a folder is to fold next. Without a mark it has no token, and ends with the ledger.

    Raises:
        StoreError: the journal is not the one that the aggregates were counted from.
    """
    if folder.position < group.first:
        return (yield from _first_range(context, group))
    entries: list[LedgerEntry] | None = []
    number, events = folder.position, 0
    last: int | None = max(number - 1, 0)
    checked = number == 0
    while last is not None:
        reply: QueryReply = yield from run_call(context, QueryTable(LEDGER, last))
        for found, entry in map(decode_entry, reply.items):
            if not checked:
                check_token(entry.token if found == number else None, folder.token, number)
                checked = True
                continue
            if found != number + 1:
                raise missing_entry(number + 1)
            number = found
            events += sum(ref.events for ref in entry.chunks)
            if entries is not None:
                entries.append(entry)
                entries = entries if len(entries) <= _ENTRIES_KEPT else None
            if entry.mark:
                stride = Range(folder.position, number, entry.token, events, entries)
                _check_declared(folder, stride)
                return stride
        last = reply.last
    if not checked:
        check_token(None, folder.token, number)
    stride = Range(folder.position, number, "", events)
    _check_declared(folder, stride)
    return stride


def _first_range(context: Context, group: FolderGroup) -> Procedure[Range]:
    reply: QueryReply = yield from run_call(context, QueryTable(LEDGER, group.first - 1, limit=1))
    number, entry = decode_entry(reply.items[0]) if reply.items else (0, LedgerEntry())
    check_token(entry.token if number == group.first else None, group.first_token, group.first)
    return Range(0, group.first, entry.token, entry.events)


def _check_declared(folder: Folder, found: Range) -> None:
    """Refuse a journal in which the range under way ends otherwise: some counters may have taken it as it was."""
    if folder.until and (folder.until, folder.until_token) != (found.until, found.token):
        check_token(found.token if found.until >= folder.until else None, folder.until_token, folder.until)
        raise damaged(f"ledger entry {folder.until} no longer ends a range of the fold")


def count_range(context: Context, stride: Range, reports: Sequence[Report], share: Share) -> Procedure[Totals]:
    """Return what each datapoint of a share counts in a range."""
    totals: Totals = {}
    if stride.entries is not None:
        refs = [ref for entry in stride.entries for ref in entry.chunks]
        yield from count_chunks(context, totals, refs, reports, share)
        return totals
    last: int | None = stride.start
    number = stride.start
    while last is not None and number < stride.until:
        entries, last = yield from read_page(context, number)
        refs = [ref for found, entry in entries if found <= stride.until for ref in entry.chunks]
        yield from count_chunks(context, totals, refs, reports, share)
        number += len(entries)
    if number < stride.until:
        raise missing_entry(number + 1)
    return totals


def count_chunks(
    context: Context,
    totals: Totals,
    refs: Sequence[ChunkRef],
    reports: Sequence[Report],
    share: Share,
) -> Procedure[None]:
    """Count the events of chunks into totals."""
    for at in range(0, len(refs), _CHUNKS_AT_ONCE):
        for _, batch in (yield from require_chunks(context, refs[at : at + _CHUNKS_AT_ONCE])):
            add_batch(totals, batch, reports, share)


def add_batch(totals: Totals, batch: Batch, reports: Sequence[Report], share: Share) -> None:
    """Count a batch into reports, for the datapoints of a share."""
    codes, texts = batch_codes(batch, reports)
    for report, counts in zip(reports, fold(reports, codes), strict=True):
        indexed = index_key(report)
        names = [texts[dimension.dictionary] for dimension in report.opens]
        for datapoint, events, amount in zip(
            _datapoints(report, counts, names), counts.counts, counts.sums, strict=True
        ):
            stored = report.datapoint(datapoint)
            key = key_of(report, stored)
            if share.is_all or share.has(key):
                found = totals.get(key)
                if found is not None:
                    events, amount = found.events + events, found.amount + amount  # noqa: PLW2901 with what there was
                totals[key] = Sum(indexed, events, amount, None if stored is datapoint else datapoint)


def _datapoints(report: Report, counts: Counts, names: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the datapoint of each cell, in full; `names` are the values of each open dimension, by number."""
    before: int | None = None
    forms: list[tuple[str, ...]] = []
    for at, (window, code) in enumerate(zip(counts.windows, counts.codes, strict=True)):
        if window != before:
            forms, before = report.forms(window), window
        if len(names) <= 1:
            number, inner = divmod(code, report.inner)
            first, *rest = forms[inner]
            yield f"{first}{names[0][number]}{rest[0]}" if rest else first
            continue
        first, *rest = forms[code]
        values = (each[column[at]] for each, column in zip(names, counts.numbers, strict=True))
        yield first + "".join(f"{value}{after}" for value, after in zip(values, rest, strict=True))
