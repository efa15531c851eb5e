"""A store that keeps everything in memory, written from docs/new-store.md: what a store must do, and no more.

Nothing here is fast, and nothing survives the process: a Disk stands for what another store has on a disk.
"""

from __future__ import annotations

import copy
import hashlib
import secrets
import threading
import time
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from tillroll.core import chunk, kernel, limits, own_names
from tillroll.core.batch import Identity, NameKind, Source, told
from tillroll.core.decode import encode_event_of
from tillroll.core.definition import Definition, same
from tillroll.core.export import ALL_EVENTS, Chosen, named
from tillroll.core.field_tally import FieldTally
from tillroll.core.outcome_tally import OutcomeTally
from tillroll.core.query import Aggregate, Page, Query, Row, answer
from tillroll.core.recount import STORED, Recount
from tillroll.core.rejection import CAPACITY, EVERY, PAGE_BYTES_MAX, SOURCES_MAX, RejectedSummary, SourceCount
from tillroll.core.report import FIVE, Place, Report, Reports
from tillroll.errors import CountingError, QueryError, StoreDamagedError, StoreError
from tillroll.ports import Audit, Difference, JournalPart, Outcome, ReportState, Status, StoredRejection, Trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tillroll.core.accept import Rejection
    from tillroll.core.batch import Batch
    from tillroll.core.recount import Differences
    from tillroll.core.rejection import Capacity, RejectedFilter
    from tillroll.ports import Clock, Progress, Store

Known = tuple[Source, int, bytes]  # of a rejection: its source, its position, the hash of its bytes


class Commit(NamedTuple):
    """An entry of the ledger: the name of a chunk, the place of its events in the journal, and when it was made."""

    token: str
    first: int
    stop: int
    at: float


@dataclass
class Cell:
    """The total of a datapoint, which is given in full."""

    text: str
    place: Place
    events: int = 0
    amount: int = 0


@dataclass
class Version:
    """A version of a report, how far it is counted, and its counters by datapoint as it is stored."""

    report: Report
    definition: Definition | None = None
    readable: bool = True
    position: int = 0
    cells: dict[str, Cell] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.report.name

    def cell(self, text: str) -> Cell:
        key = self.report.datapoint(text)
        if key not in self.cells:
            texts = self.report.parse(text)
            assert texts is not None
            self.cells[key] = Cell(text, Place(self.report, texts))
        return self.cells[key]

    def count(self, commit: Commit, batch: Batch) -> None:
        for index, event in enumerate(batch.events()):
            text = self.report.text_of(event, batch.kept_of(index))
            if text is not None:
                cell = self.cell(text)
                cell.events += 1
                cell.amount += event.amount
        self.position = commit.stop

    def put(self, text: str, events: int, amount: int) -> None:
        cell = self.cell(text)
        cell.events, cell.amount = events, amount
        if not events:
            del self.cells[self.report.datapoint(text)]

    def is_from(self, day: int, window: int) -> bool:
        return not day or (self.report.window is not None and self.report.window.hour(window) >= day * 24)

    def recount(self, recount: Recount, batch: Batch, day: int) -> None:
        """Have a recount of this report alone count a batch's events from a day on."""
        window = self.report.window
        mask = bytes(self.is_from(day, window.at(second) if window else 0) for second in batch.seconds)
        recount.count(batch.masked(mask), b"\1")

    def compare(self, recount: Recount, day: int) -> Differences:
        """Compare a recount with what is stored of windows from a day on."""
        cells = [one for one in self.cells.values() if self.is_from(day, one.place.window)]
        strings = (array("I", range(len(cells))), *kernel.join_strings([one.text for one in cells]))
        lows, highs = (array("Q", [one.amount >> shift & 2**64 - 1 for one in cells]) for shift in (0, 64))
        recount.tally.add(STORED, 0, [strings], array("Q", [one.events for one in cells]), lows, highs)
        return recount.differing(b"\1", limits.REJECTED_LISTED_MAX)


@dataclass
class Disk:
    """What is stored. Who holds the lock sees all of it at one moment, and what he changes is seen in one step."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    ledger: list[Commit] = field(default_factory=list)
    chunks: dict[str, bytes] = field(default_factory=dict)  # by token
    contents: dict[Identity, tuple[int, int, str]] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=lambda: [Version(report) for report in FIVE])  # these always first
    numbers: Counter[str] = field(default_factory=Counter)  # the last version ever, by the name of its report
    merchants: set[str] = field(default_factory=set)
    folded_at: float | None = None
    rejected: dict[str, StoredRejection] = field(default_factory=dict)  # by id, oldest first
    known: set[Known] = field(default_factory=set)
    ids: int = 0  # how many rejections were kept, ever
    rejected_full: bool = False
    fields: FieldTally = field(default_factory=FieldTally)
    outcomes: OutcomeTally = field(default_factory=OutcomeTally)

    @property
    def end(self) -> int:
        return self.ledger[-1].stop if self.ledger else 0

    @property
    def folded(self) -> int:
        return self.versions[0].position

    def batch(self, commit: Commit) -> Batch:
        try:
            return chunk.decode(self.chunks[commit.token])
        except (KeyError, chunk.ChunkError) as error:
            what = "missing" if isinstance(error, KeyError) else "damaged"
            raise StoreDamagedError(f"Chunk {commit.token} is {what}", "See what else is, by an audit") from error

    def after(self, position: int) -> Iterator[tuple[Commit, Batch]]:
        for commit in [commit for commit in self.ledger if commit.stop > position]:
            yield commit, self.batch(commit)


class MemoryStore:
    """A user of what a Disk has, one of as many as there may be."""

    def __init__(
        self, disk: Disk, capacity: Capacity = CAPACITY, freshness_s: float = 1.0, clock: Clock = time.time
    ) -> None:
        self.disk, self.capacity, self.freshness_s, self.clock = disk, capacity, freshness_s, clock

    def close(self) -> None:
        pass

    # The journal.

    def journal(self, batch: Batch) -> bytes:
        with self.disk.lock:
            return own_names.with_rest(batch, own_names.outcomes_of(batch, self._piece), self._journal)

    def _piece(self, token: str, number: int) -> own_names.Piece | None:
        for commit in self.disk.ledger:
            if commit.token == token and number < commit.stop - commit.first:
                return own_names.Piece(self.disk.batch(commit), 0)
        return None

    def _journal(self, batch: Batch) -> bytes:
        disk, outcomes, new = self.disk, bytearray(), dict[Identity, tuple[int, int, str]]()
        for event, identity in zip(batch.events(), batch.identities(), strict=True):
            content = (event.amount, event.method, event.merchant)
            first = None if identity is None else disk.contents.get(identity) or new.get(identity)
            if first is not None:
                outcomes.append(Outcome.DUPLICATE if first == content else Outcome.CONFLICT)
                continue
            outcomes.append(Outcome.ACCEPTED)
            if identity is not None:
                new[identity] = content
        events = batch.masked(bytes(outcome == Outcome.ACCEPTED for outcome in outcomes))
        most = limits.CHUNK_EVENTS_MAX
        parts = [events.slice(at, min(at + most, len(events))) for at in range(0, len(events), most)]
        for part, data in [(part, chunk.encode(part)) for part in parts]:
            commit = Commit(secrets.token_hex(8), disk.end, disk.end + len(part), self.clock())
            disk.chunks[commit.token] = data
            disk.ledger.append(commit)
        disk.contents |= new
        return bytes(outcomes)

    def read(self, after: int = 0, upto: int | None = None, chosen: Chosen = ALL_EVENTS) -> Iterator[JournalPart]:
        end = self.disk.end
        if max(after, upto or 0) > end:
            raise StoreError(f"The journal ends at {end}", "Ask for what it has")
        end = end if upto is None else upto
        for commit, batch in self.disk.after(after):
            start, stop = max(after, commit.first), min(end, commit.stop)
            if start < stop:
                part = named(batch, commit.token, 0).slice(start - commit.first, stop - commit.first)
                yield JournalPart(chosen.of(part), stop)

    def last_events(self, count: int) -> Iterator[Batch]:
        for _, batch in self.disk.after(max(0, self.disk.end - count)):
            yield batch

    def trace(self, datapoint: str, after: int = 0) -> Iterator[Trace]:
        yield from islice(self._traces(datapoint), after, None)

    def _traces(self, datapoint: str) -> Iterator[Trace]:
        place = self.catalogue().place(datapoint)
        if place is None:
            return
        for commit, batch in self.disk.after(0):
            for index, (event, identity) in enumerate(zip(batch.events(), batch.identities(), strict=True)):
                text = place.report.text_of(event, batch.kept_of(index))
                if text is not None and datapoint in {text, place.report.datapoint(text)}:
                    folded, data = commit.stop <= self.disk.folded, encode_event_of(batch, index)
                    yield Trace(chunk=commit.token, index=index, folded=folded, name=told(identity), event=data)

    def status(self) -> Status:
        disk = self.disk
        with disk.lock:
            return Status(
                events=disk.end,
                journal_position=disk.end,
                folded_position=disk.folded,
                visible_position=disk.folded,
                folded_at=disk.folded_at,
                unfolded_since=next((commit.at for commit in disk.ledger if commit.stop > disk.folded), None),
                rejected=len(disk.rejected),
                merchants=len(disk.merchants),
                rejected_full=disk.rejected_full,
            )

    # The counters.

    def fold(self, seconds: float | None = None) -> int:
        stop = None if seconds is None else time.monotonic() + seconds
        with self.disk.lock:
            for commit, batch in self.disk.after(self.disk.folded):
                for version in self.disk.versions:
                    if version.readable:
                        version.count(commit, batch)
                self.disk.merchants |= set(batch.merchant_names)
                if stop is not None and time.monotonic() > stop:
                    break
            self.disk.folded_at = self.clock()
            return self.disk.folded

    def fold_if_due(self, seconds: float | None = None) -> int | None:
        since = self.status().unfolded_since
        return None if since is None or self.clock() - since < self.freshness_s else self.fold(seconds)

    def rebuild(self, progress: Progress | None = None) -> int:
        with self.disk.lock:
            beside = [Version(one.report, one.definition, one.readable) for one in self.disk.versions]
            for commit, batch in self.disk.after(0):
                for version in beside:
                    if version.readable:
                        version.count(commit, batch)
                self.disk.merchants |= set(batch.merchant_names)
                if progress:
                    progress(commit.stop, self.disk.end)
            self.disk.versions, self.disk.folded_at = beside, self.clock()
            return self.disk.end

    def page(self, query: Query) -> Page:
        with self.disk.lock:
            version = next((one for one in self.disk.versions if one.report == query.report), None)
            if version is None:
                problem = f"{query.report.name} was dropped or replaced by another version"
                raise QueryError("report", problem, "Try again")
            if not version.readable:
                raise CountingError(version.name, version.position, self.disk.end)
            cells = version.cells.values()
            return answer(query, [Row(one.place.window, one.place.keys, one.events, one.amount) for one in cells])

    def get(self, datapoints: Sequence[str], *, amounts: bool = False) -> list[Aggregate]:  # noqa: ARG002 all are counted
        with self.disk.lock:
            reports, found = self.catalogue(), list[Aggregate]()
            cells = {version.report: version.cells for version in self.disk.versions}
            for datapoint in datapoints:
                place = reports.place(datapoint)
                cell = None if place is None else cells[place.report].get(place.report.datapoint(datapoint))
                text = cell.text if cell and cell.text != datapoint else None
                found.append(Aggregate(datapoint, cell.events, cell.amount, text) if cell else Aggregate(datapoint, 0))
            return found

    def merchants(self, containing: str, limit: int) -> list[str]:
        text = containing.casefold()
        with self.disk.lock:
            found = [merchant for merchant in self.disk.merchants if text in merchant.casefold()]
        return sorted(found, key=lambda merchant: (not merchant.casefold().startswith(text), merchant))[:limit]

    def audit(self, *, since: int = 0, progress: Progress | None = None, repair: bool = False) -> Audit:
        with self.disk.lock:
            position, found = self.disk.folded, list[Difference]()
            versions = [one for one in self.disk.versions if one.readable and (one.report.window or not since)]
            recounts = [Recount([version.report]) for version in versions]
            for commit in [commit for commit in self.disk.ledger if commit.stop <= position]:
                try:
                    batch = self.disk.batch(commit)
                except StoreDamagedError as error:
                    found.append(Difference("chunk", commit.token, None, None, str(error)))
                    continue
                if not self.disk.contents.keys() >= set(batch.identities()) - {None}:
                    found.append(Difference("index", commit.token, None, None, "Names of its events are missing"))
                for version, recount in zip(versions, recounts, strict=True):
                    version.recount(recount, batch, since)
                if progress:
                    progress(commit.stop, position)
            whole, total, datapoints = not found, len(found), 0
            for version, recount in zip(versions, recounts, strict=True):
                differences = version.compare(recount, since)
                total, datapoints = total + differences.total, datapoints + differences.datapoints
                for one in differences.first:
                    message = f"{one.text} is {one.stored_events} events, and {one.events} when counted again"
                    found.append(Difference("aggregate", one.text, one.stored_events, one.events, message))
                    if repair and whole:  # what the journal has lost, the counters still know
                        version.put(one.text, one.events, one.amount)
        return Audit(
            position=position,
            events=position,
            datapoints=datapoints,
            differences=found[: limits.REJECTED_LISTED_MAX],
            differences_total=total,
        )

    # The reports.

    def catalogue(self) -> Reports:
        return Reports([state.report for state in self.report_states() if state.readable])

    def report_states(self) -> list[ReportState]:
        with self.disk.lock:
            states = [ReportState(one.report, one.readable, one.position, self.disk.end) for one in self.disk.versions]
        return states[: len(FIVE)] + sorted(states[len(FIVE) :], key=lambda one: (one.report.name, one.report.version))

    def apply(self, definitions: Sequence[Definition]) -> None:
        with self.disk.lock:
            versions, numbers = self.disk.versions, self.disk.numbers.copy()
            for definition in definitions:
                name = definition.name
                alike = [
                    one for one in versions if one.definition and one.name == name and same(definition, one.definition)
                ]
                versions = [one for one in versions if one.name != name or one.readable or one in alike]
                if not alike:
                    numbers[name] += 1
                    versions.append(Version(definition.report(numbers[name]), definition, readable=False))
            self.disk.versions, self.disk.numbers = versions, numbers

    def drop(self, name: str) -> bool:
        with self.disk.lock:
            stay = [one for one in self.disk.versions if one.definition is None or one.name != name]
            dropped, self.disk.versions = len(stay) < len(self.disk.versions), stay
            return dropped

    def count_some(self, seconds: float, *, beside_traffic: bool = False) -> bool:  # noqa: ARG002 the port has it
        stop = time.monotonic() + seconds
        with self.disk.lock:
            self.fold(seconds)
            for version in [one for one in self.disk.versions if not one.readable]:
                for commit, batch in self.disk.after(version.position):
                    if commit.stop > self.disk.folded:
                        break
                    version.count(commit, batch)
                    if time.monotonic() > stop:
                        return True
                version.readable = True
                others = [one for one in self.disk.versions if one.name != version.name]
                self.disk.versions = [*others, version]
            return False

    # What is not accepted.

    def set_aside(self, rejections: Sequence[Rejection], now_s: float) -> int:
        disk = self.disk
        with disk.lock:
            size = sum(len(kept.rejection.body) for kept in disk.rejected.values())
            for index, rejection in enumerate(rejections):
                known = (rejection.source, rejection.position, hashlib.sha256(rejection.body).digest())
                if known in disk.known and rejection.source.kind is not NameKind.NONE:
                    continue
                size += len(rejection.body)
                if len(disk.rejected) >= self.capacity.rejections or size > self.capacity.stored_bytes:
                    disk.rejected_full = True
                    return index
                disk.known.add(known)
                disk.ids += 1
                kept = StoredRejection(id=f"{disk.ids:012}", received_at=now_s, rejection=rejection)
                disk.rejected[kept.id] = kept
            return len(rejections)

    def rejected(
        self, *, after: str | None = None, limit: int = 100, which: RejectedFilter = EVERY
    ) -> list[StoredRejection]:
        page, size = list[StoredRejection](), 0
        with self.disk.lock:
            for kept in self.disk.rejected.values():
                code, source = kept.rejection.reason.code, kept.rejection.source
                if kept.id > (after or "") and which.code in {None, code} and which.takes_source(source.value):
                    size += len(kept.rejection.body)
                    if len(page) == limit or (page and size > PAGE_BYTES_MAX):
                        break
                    page.append(kept)
        return page

    def find_rejected(self, rejected_id: str) -> StoredRejection | None:
        return self.disk.rejected.get(rejected_id)

    def rejected_summary(self) -> RejectedSummary:
        codes, sources = Counter[str](), defaultdict[Source, Counter[str]](Counter)
        with self.disk.lock:
            for kept in self.disk.rejected.values():
                codes[kept.rejection.reason.code] += 1
                sources[kept.rejection.source][kept.rejection.reason.code] += 1
        counts = [
            SourceCount(source.kind.name.lower(), source.value, of.total(), dict(of.most_common()))
            for source, of in sorted(sources.items(), key=lambda item: (-item[1].total(), item[0].value, item[0].kind))
        ]
        return RejectedSummary(codes.total(), dict(codes.most_common()), counts[:SOURCES_MAX], len(counts))

    def discard(self, rejected_ids: Sequence[str]) -> None:
        with self.disk.lock:
            for rejected_id in rejected_ids:
                if self.disk.rejected.pop(rejected_id, None):
                    self.disk.rejected_full = False

    # What fields events bring, and what became of events.

    def note_fields(self, tally: FieldTally) -> None:
        with self.disk.lock:
            self.disk.fields.add(tally)

    def noted_fields(self) -> FieldTally:
        with self.disk.lock:
            return copy.deepcopy(self.disk.fields)

    def note_outcomes(self, tally: OutcomeTally) -> None:
        with self.disk.lock:
            self.disk.outcomes.add(tally)

    def noted_outcomes(self) -> OutcomeTally:
        with self.disk.lock:
            return copy.deepcopy(self.disk.outcomes)


class MemoryBench:
    """How the suite opens, and damages, a store in memory."""

    def __init__(self, _directory: Path | None = None) -> None:
        self.disk = Disk()
        self.opened: list[Store] = []

    def open(self, capacity: Capacity = CAPACITY) -> Store:
        self.opened.append(MemoryStore(self.disk, capacity))
        return self.opened[-1]

    def add(self, datapoint: str, events: int) -> None:
        version = next(one for one in self.disk.versions if one.name == "bracket-method")
        version.cell(datapoint).events += events

    def lose_chunk(self) -> None:
        del self.disk.chunks[self.disk.ledger[0].token]

    def flip_bit(self) -> None:
        token = self.disk.ledger[0].token
        data = bytearray(self.disk.chunks[token])
        data[len(data) // 2] ^= 8
        self.disk.chunks[token] = bytes(data)
