"""Audit: count the journal again and compare with every counter, on a live system. No I/O but what spills to disk.

The position audited is the folded one at the start. A counter says up to where it is folded: one that was folded since
is compared with the recount up to there, so traffic that goes on does not blur the result. A version of a report that
lags is audited so too, up to its own position. A counter that says another epoch was left by an earlier recount, and is
wrong whatever it says. What is counted again shares nothing with the fold, see `core.recount`.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import limits
from tillroll.core.recount import Recount, records
from tillroll.core.report import FIVE, Place, Reports
from tillroll.errors import LaterFormatError, StoreError
from tillroll.ports import Audit, Difference
from tillroll.stores.dynamodb.calls import DropState, PutState, QueryTable, Scan, run_call, run_calls
from tillroll.stores.dynamodb.definitions import reports_of
from tillroll.stores.dynamodb.ledger import decode_chunk, decode_entry, read_chunks, read_head, read_ledger
from tillroll.stores.dynamodb.schema import (
    EPOCH,
    FOLD_KEY,
    LEDGER,
    LedgerEntry,
    datapoint_of,
    index_key,
    is_state,
    key_of,
    shard_of,
    version_of,
)
from tillroll.stores.dynamodb.spill import Spill
from tillroll.stores.dynamodb.state import DOUBT_S, Folder, FoldState, least_of, read_least, read_main, read_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tillroll.core.batch import Batch
    from tillroll.core.report import Report
    from tillroll.ports import Progress
    from tillroll.stores.dynamodb.calls import Context, Item, Procedure, QueryReply, ScanReply
    from tillroll.stores.dynamodb.schema import ChunkRef
    from tillroll.stores.dynamodb.spill import Line

_CHUNKS_AT_ONCE: Final = 25
_ENTRIES_A_PAGE: Final = 500
_CORRECTIONS_AT_ONCE: Final = 500
_EVENTS, _FOLD, _AMOUNT = 0, 1, 2  # the positions under which a stored counter's numbers are spilled
_DAY_MINUTES: Final = 1_440
_FIVE: Final = Reports()


class _Found:
    """The differences found: all counted, the first ones kept."""

    def __init__(self) -> None:
        self.differences: list[Difference] = []
        self.total = 0
        self.journal_is_whole = True

    def add(
        self, kind: str, subject: str, message: str, stored: int | None = None, recounted: int | None = None
    ) -> None:
        self.total += 1
        if kind in {"chunk", "ledger"}:
            self.journal_is_whole = False
        if len(self.differences) < limits.REJECTED_LISTED_MAX:
            self.differences.append(Difference(kind, subject, stored, recounted, message))


def audit(context: Context, *, since: int, progress: Progress | None, repair: bool) -> Procedure[Audit]:
    """Audit the tables; see ports.Journal. A journal that is damaged is not a measure to repair by.

    Raises:
        StoreError: the tables cannot be read.
    """
    work = _Audit(context, since, progress)
    try:
        return (yield from work.run(repair=repair))
    finally:
        work.close()


class _Counted(NamedTuple):
    """Up to where the counters of a report are folded, at least; with the end of the first range, which is one step."""

    position: int
    first: int = 0

    def step(self, number: int) -> int:
        """Return up to where counters are folded that have taken an entry; 0 stands for all that have to have it."""
        return 0 if number <= self.position else max(number, self.first)


class _Audit:
    def __init__(self, context: Context, since: int, progress: Progress | None) -> None:
        self.context = context
        self.since = since
        self.progress = progress
        self.found = _Found()
        self.reports: tuple[Report, ...] = FIVE
        self.own: dict[str, Report] = {}  # by version
        self.counted: dict[Report, _Counted] = {}
        self.recount = Spill()
        self.stored = Spill()
        self.chunks = Spill()
        self.position = 0
        self.events = 0
        self.done = 0
        self.of = 0
        self.range_has_events = False
        self.last = LedgerEntry()
        self.state = FoldState()
        self.folders: list[Folder] = []  # of its main group
        self.furthest = 0  # that any counter is folded

    def close(self) -> None:
        for spill in (self.recount, self.stored, self.chunks):
            spill.close()

    def run(self, *, repair: bool) -> Procedure[Audit]:
        upto, token = yield from self._begin()
        head = yield from read_head(self.context)
        self.of = head.entry.events
        self.position = min(upto, head.number)
        self.counted |= {report: _Counted(self.position) for report in self.reports if report not in self.counted}
        yield from self._walk_ledger()
        if upto > head.number or self.last.token != token:
            said = "has another entry there" if upto <= head.number else f"ends at {head.number}"
            message = f"the aggregates were counted up to ledger entry {upto}, but the ledger {said}: it was restored"
            self.found.add("position", FOLD_KEY, message, upto, self.position)
            self.found.journal_is_whole = False  # as a measure for these aggregates
        self._check_chunk_numbers()
        greatest = yield from self._scan()
        yield from self._check_position(greatest)
        corrections = []
        datapoints = 0
        for correction in self._compare():
            datapoints += 1
            if correction is not None and repair and self.found.journal_is_whole:
                corrections.append(correction)
                if len(corrections) >= _CORRECTIONS_AT_ONCE:
                    yield from run_calls(self.context, corrections)
                    corrections = []
        if corrections:
            yield from run_calls(self.context, corrections)
        return Audit(
            position=self.position,
            events=self.events,
            datapoints=datapoints,
            differences=self.found.differences,
            differences_total=self.found.total,
        )

    def _begin(self) -> Procedure[tuple[int, str]]:
        """Read what is counted, the position up to which it is, and the token of the entry there."""
        self.state = yield from read_state(self.context)
        self.reports = tuple((yield from reports_of(self.context, self.state, self.state.main)))
        for group in self.state.groups[1:]:
            lagging = yield from reports_of(self.context, self.state, group)
            least = yield from read_least(self.context, group)
            self.counted |= dict.fromkeys(lagging, _Counted(least.position, group.first))
            self.reports += tuple(lagging)
        self.own = {report.key: report for report in self.reports if report.is_own}
        return (yield from self._read_position())

    def _read_position(self) -> Procedure[tuple[int, str]]:
        """Read the least position of any folder of the main group, and the token of the entry there.

        Raises:
            StoreError: a recount of everything is under way, or has been, so that no position is that of all counters.
        """
        state, self.folders = yield from read_main(self.context)
        if self.state.epoch != state.epoch:
            problem = "everything was counted again while the audit counted"
            raise StoreError(problem, "Audit again", retry_after_s=1.0)
        self.state = state
        least = least_of(self.folders)
        if least.position < state.main.first:
            problem = "everything is being counted again"
            raise StoreError(problem, "Wait until it is done, or have tillroll rebuild do it now", retry_after_s=60.0)
        return least.position, least.token

    def _walk_ledger(self) -> Procedure[None]:
        """Recount the ledger up to the position, and see that no entry is missing."""
        at = 0
        while at < self.position:
            limit = min(_ENTRIES_A_PAGE, self.position - at)
            reply: QueryReply = yield from run_call(self.context, QueryTable(LEDGER, at, limit=limit))
            refs: list[tuple[int, ChunkRef]] = []
            for item in reply.items:
                if int(item["number"]) > self.position:
                    break
                at = self._take_entry(at, item, refs)
            yield from self._count(refs)
            if reply.last is None or not reply.items:
                break
        if at < self.position:
            self.found.add("ledger", f"{LEDGER} {at + 1}", f"the ledger ends at {at} before {self.position}")

    def _take_entry(self, at: int, item: Item, refs: list[tuple[int, ChunkRef]]) -> int:
        try:
            number, entry = decode_entry(item)
        except LaterFormatError:
            raise
        except StoreError as error:
            number = int(item["number"])
            self.found.add("ledger", f"{LEDGER} {number}", str(error))
            return number
        if number != at + 1:
            missing = f"{LEDGER} {at + 1}" if number == at + 2 else f"{LEDGER} {at + 1} to {number - 1}"
            self.found.add("ledger", missing, f"{missing} is missing")
        elif entry.events != self.last.events + sum(ref.events for ref in entry.chunks):
            message = f"ledger entry {number} says {entry.events} events where its chunks add up to another number"
            self.found.add("ledger", f"{LEDGER} {number}", message)
        refs.extend((number, ref) for ref in entry.chunks)
        for ref in entry.chunks:
            self.chunks.add(ref.log, ref.number, 1)
        self.range_has_events = bool(entry.chunks) or (self.range_has_events and not self.last.mark)
        self.last = entry
        return number

    def _count(self, refs: list[tuple[int, ChunkRef]]) -> Procedure[None]:
        """Recount chunks, each with the number of its entry, or of the mark that ends its range."""
        if self.since:
            refs = [(number, ref) for number, ref in refs if ref.minute // _DAY_MINUTES >= self.since]
        for steps, some in groupby(refs, lambda each: self._steps(each[0])):
            chunks = [ref for _, ref in some]
            for start in range(0, len(chunks), _CHUNKS_AT_ONCE):
                yield from self._count_chunks(chunks[start : start + _CHUNKS_AT_ONCE], steps)

    def _steps(self, number: int) -> list[int]:
        return [self.counted[report].step(number) for report in self.reports]

    def _count_chunks(self, refs: Sequence[ChunkRef], steps: Sequence[int]) -> Procedure[None]:
        items = yield from read_chunks(self.context, refs)
        recount = Recount(self.reports)
        events = 0
        for ref in refs:
            batch = self._open(ref, items.get(ref))
            if batch is not None:
                recount.count(batch, b"\1" * len(self.reports))
                events += len(batch)
        for found in records(recount.tally.take(1, 0)[0]):
            report = self.reports[found.report]
            key = key_of(report, report.datapoint(found.text))
            self.recount.add(key, 2 * steps[found.report], found.events)
            self.recount.add(key, 2 * steps[found.report] + 1, found.amount)
        self.done += events
        self.events += 0 if steps[0] else events  # the first report is of the five
        if self.progress is not None:
            self.progress(self.done, max(self.of, self.done))

    def _open(self, ref: ChunkRef, item: Item | None) -> Batch | None:
        name = f"{ref.log} {ref.number}"
        if item is None:
            self.found.add("chunk", name, f"chunk {ref.number} of {ref.log} is missing", None, ref.events)
            return None
        try:
            batch = decode_chunk(item)
        except LaterFormatError:
            raise
        except StoreError as error:
            self.found.add("chunk", name, str(error), None, ref.events)
            return None
        if len(batch) != ref.events:
            message = f"chunk {ref.number} of {ref.log} holds another number of events than the ledger says"
            self.found.add("chunk", name, message, len(batch), ref.events)
        return batch

    def _check_chunk_numbers(self) -> None:
        """See that the ledger lists the chunks of each log from 1 without a gap or a repeat."""
        log, last = "", 0
        for key, number, times in self.chunks.lines():
            if key != log:
                log, last = key, 0
            if number != last + 1:
                self.found.add("ledger", f"{log} {last + 1}", f"no ledger entry lists chunk {last + 1} of {log}")
            if times != 1:
                self.found.add("ledger", f"{log} {number}", f"{times} ledger entries list it", times, 1)
            last = number

    def _scan(self) -> Procedure[int]:
        """Take down every counter; return the greatest position any of the five reports is folded to."""
        greatest = 0
        after: str | None = None
        while True:
            reply: ScanReply = yield from run_call(self.context, Scan(after))
            for item in reply.items:
                key = str(item["datapoint"])
                fold = int(item.get("fold", 0))
                if is_state(key):
                    continue
                if fold // EPOCH == self.state.epoch:
                    self.furthest = max(self.furthest, fold % EPOCH)
                    greatest = greatest if version_of(key) else max(greatest, fold % EPOCH)
                self.stored.add(key, _EVENTS, int(item.get("events", 0)))
                self.stored.add(key, _FOLD, fold)
                if "amount" in item:
                    self.stored.add(key, _AMOUNT, int(item["amount"]))
            if reply.last is None:
                return greatest
            after = reply.last

    def _is_compared(self, key: str) -> bool:
        """Tell whether a counter is compared: not of a version that came or went meanwhile, or is being counted."""
        report, version = self._report_of(key), version_of(key)
        if version and report is None:
            name, _, number = version.partition(".")
            last = max((each.version for each in self.state.versions if each.name == name), default=0)
            return not number.isdecimal() or int(number) > last
        if report is None or not self.since:
            return True
        texts = report.parse(datapoint_of(report, key))
        if texts is None or report.window is None:
            return False
        # By the moment and not by what clocks show: to the east of UTC a day begins the day before, which is left out.
        return report.window.begins(Place(report, texts).window) >= self.since * _DAY_MINUTES * 60

    def _report_of(self, key: str) -> Report | None:
        """Return the report that a counter is of, None when it is of none that is audited."""
        version = version_of(key)
        if not version:
            at = _FIVE.place(key)
            return None if at is None else at.report
        stands = any(each.key == version and each.stands for each in self.state.versions)
        return self.own.get(version) if stands else None

    def _check_position(self, greatest: int) -> Procedure[None]:
        """Extend the recount over the ranges folded meanwhile, and see that the position fits the counters."""
        upto, _ = yield from self._read_position()
        ahead = max(folder.position for folder in self.folders)
        doubt_until = self.state.main.began_at + DOUBT_S  # the group before this one may have counted as far
        furthest = max(self.furthest, *(each.position for each in self.counted.values()))
        entries = yield from read_ledger(self.context, self.position)
        allowed = self.position
        chunks: list[ChunkRef] = []
        for number, entry in entries:
            chunks.extend(entry.chunks)
            if entry.mark:
                if number <= furthest:
                    yield from self._count([(number, ref) for ref in chunks])
                chunks = []
                if allowed <= ahead or entry.at <= doubt_until:
                    allowed = number
        if greatest > allowed:
            message = f"the folded position is {upto}, but a counter is folded up to {greatest}: it was moved back"
            self.found.add("position", FOLD_KEY, message, upto, greatest)
        elif self.position and not self.last.mark:
            message = f"the folded position is {self.position}, which is not where a range of the fold ends"
            self.found.add("position", FOLD_KEY, message, self.position, None)
        elif self.range_has_events and greatest < self.position:
            message = f"the folded position is {self.position}, but no counter is folded further than {greatest}"
            self.found.add("position", FOLD_KEY, message, self.position, greatest)

    def _compare(self) -> Iterator[PutState | DropState | None]:
        """Yield for each datapoint how to correct it, None when it is right."""
        for key, recounted, stored in _join(self.recount.lines(), self.stored.lines()):
            if not self._is_compared(key):
                continue
            fold = stored.get(_FOLD, 0)
            is_older = _EVENTS in stored and fold // EPOCH != self.state.epoch
            report = self._report_of(key)
            least = self.counted[report].position if report in self.counted else self.position
            basis = least if is_older else max(least, fold % EPOCH)
            expected = sum(number for at, number in recounted.items() if at % 2 == 0 and at // 2 <= basis)
            amount = sum(number for at, number in recounted.items() if at % 2 and at // 2 <= basis)
            events = stored.get(_EVENTS)
            is_right = (events or 0) == expected and (events is not None or not expected) and not is_older
            if is_right and (not self.state.epoch or stored.get(_AMOUNT, 0) == amount):
                if expected or events is not None:
                    yield None
                continue
            if is_right:
                message = f"{key} says an amount of {stored.get(_AMOUNT)}, and the journal has {amount}"
                self.found.add("aggregate", key, message, stored.get(_AMOUNT), amount)
            else:
                said = "is missing" if events is None else f"says {events}"
                message = f"{key} {said}, and the journal has {expected}" + ("" if report else "; it is of no report")
                self.found.add(
                    "aggregate", key, message + ("; it is of an earlier count" if is_older else ""), events, expected
                )
            if report is not None and report.is_hashed(datapoint_of(report, key)):
                yield None  # its text is not known here: a rebuild sets it right
                continue
            before = None if events is None else {"events": events, "fold": fold or None}
            index = "" if report is None else index_key(report)
            item: Item = {"datapoint": key, "events": expected, "fold": self.state.epoch_fold + basis}
            item = {**item, "report": index, "shard": shard_of(index, key)}
            item = {**item, "amount": amount} if self.state.epoch else item
            yield PutState(item, before) if expected else DropState(key, before or {})


def _join(recount: Iterator[Line], stored: Iterator[Line]) -> Iterator[tuple[str, dict[int, int], dict[int, int]]]:
    """Yield each key of two sorted streams once, with its numbers by position from both."""
    streams = [recount, stored]
    heads = [next(stream, None) for stream in streams]
    while True:
        keys = [head[0] for head in heads if head is not None]
        if not keys:
            return
        key = min(keys)
        numbers: list[dict[int, int]] = [{}, {}]
        for which, stream in enumerate(streams):
            head = heads[which]
            while head is not None and head[0] == key:
                numbers[which][head[1]] = head[2]
                head = next(stream, None)
            heads[which] = head
        yield key, numbers[0], numbers[1]
