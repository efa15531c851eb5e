"""What the product needs of the world: a store, a queue, a clock. Each obligation stands where it is promised.

The contract suite in tests/contract runs every adapter, and the oracle, against the obligations written here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from tillroll.core.export import ALL_EVENTS
from tillroll.core.rejection import EVERY

if TYPE_CHECKING:
    from pathlib import Path

    from tillroll.core.accept import Rejection
    from tillroll.core.batch import Batch
    from tillroll.core.decode import Reason
    from tillroll.core.definition import Definition
    from tillroll.core.export import Chosen
    from tillroll.core.field_tally import FieldTally
    from tillroll.core.outcome_tally import OutcomeTally
    from tillroll.core.query import Aggregate, Page, Query
    from tillroll.core.rejection import Capacity, RejectedFilter, RejectedSummary
    from tillroll.core.report import Report, Reports

Clock = Callable[[], float]  # seconds since 1970; nothing but freshness and the "future" rule depends on it
Progress = Callable[[int, int], None]  # (done, of), in events; may be called often


class Outcome(IntEnum):
    """What became of one event that was handed to the journal."""

    ACCEPTED = 0
    DUPLICATE = 1  # its identity is journaled with the same content: a success that changes nothing
    CONFLICT = 2  # its identity is journaled with other content: changes nothing


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Where a store stands. Positions only grow; their unit is the store's own (events, or ledger entries)."""

    events: int | None  # in the journal; None where counting them is dear
    journal_position: int
    folded_position: int  # how far the stored aggregates go
    visible_position: int  # how far reports go: further, where readers count the rest themselves
    folded_at: float | None  # when the last fold finished, seconds since 1970
    unfolded_since: float | None  # when the oldest commit that no reader sees yet was made; None: readers see all
    rejected: int | None  # waiting to be corrected
    merchants: int | None = None  # how many have ever bought; None where counting them is expensive
    rejected_full: bool = False  # rejections came for which there was no room, and none was discarded since


class Difference(msgspec.Struct, frozen=True):
    """Something `audit` found wrong.

    `kind` is `aggregate` (a total differs from the recount, or its row is damaged), `chunk` (missing or damaged),
    `index` (names of events by which repeats are found are missing from it), `rejected` (what is kept is
    damaged), `file` (the file's own structure is damaged), `ledger`, `position`, or `recount` (the audit's own two ways
    of counting differ).
    """

    kind: str
    subject: str  # the datapoint, the chunk, the position
    stored: int | None
    recounted: int | None
    message: str


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What `audit` did: everything up to a position was counted again, and compared with what readers see of it."""

    position: int
    events: int
    datapoints: int
    differences: list[Difference]  # at most limits.REJECTED_LISTED_MAX of them
    differences_total: int


class StoredRejection(msgspec.Struct, frozen=True, kw_only=True):
    """A rejection as it is kept."""

    id: str
    received_at: float
    rejection: Rejection


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One event behind a number: where it is journaled, and whether it is folded."""

    chunk: str
    index: int
    folded: bool
    name: str  # its identity, for people: core.batch.told
    event: bytes  # the contract's JSON, with its kept fields


class JournalPart(NamedTuple):
    """Some events of the journal, in order, and the position up to which all events are given with them."""

    batch: Batch  # may be empty: what a filter leaves of it is not said
    position: int


class Journal(Protocol):
    """The accepted events: the truth."""

    def journal(self, batch: Batch) -> bytes:
        """Store a batch's new events durably and return an Outcome per event, in the order of the batch.

        When it returns, every ACCEPTED event survives a kill -9 and a power cut, and a DUPLICATE's first one does. When
        it raises, any part of the batch may have been stored: calling again with the same batch completes it, and
        counts nothing twice. Repeats inside the batch are found as well: the first is the one accepted. An event that
        nothing names is always new. Safe against any number of other callers, in any process.

        Raises:
            StoreError: the store cannot take it now; `retry_after_s` says when to try again, if that can help.
        """
        ...

    def read(self, after: int = 0, upto: int | None = None, chosen: Chosen = ALL_EVENTS) -> Iterator[JournalPart]:
        """Yield the events after a position in the order they were journaled, up to a position, or to the end as it is.

        Each has a name: what nothing else names is named by its place in the journal, always the same, and by no other
        journal so (`core.export`). Given to `journal` again, each is its own duplicate. Only those that are `chosen`. A
        later call goes on from a part's position: the last events of a position come with the part that reaches it.
        Memory is bounded, and nobody waits for whoever takes the parts, however slowly.

        Raises:
            StoreError: the store cannot be read, or the journal does not reach `after` or `upto`. It may come with the
                first part, or later.
        """
        ...

    def status(self) -> Status:
        """Return where the store stands."""
        ...

    def audit(self, *, since: int = 0, progress: Progress | None = None, repair: bool = False) -> Audit:
        """Recount the journal and compare with every aggregate at one position, in bounded memory, on live traffic.

        `since` is a day (from 1970): only windows from that day on are compared; reports without a window are left out,
        and a window that begins before the day may be.
        `repair` sets the differing aggregates to what was recounted, unless chunks are missing.
        """
        ...

    def rebuild(self, progress: Progress | None = None) -> int:
        """Drop all aggregates and count the journal again; return the events counted.

        Readers see the old aggregates until the new ones are whole. An interrupted rebuild changes nothing, or is
        completed by the next.
        """
        ...

    def trace(self, datapoint: str, after: int = 0) -> Iterator[Trace]:
        """Yield the events behind a datapoint, in journal order, after so many of them."""
        ...


class Aggregates(Protocol):
    """The counts: a materialised view of the journal."""

    def fold(self, seconds: float | None = None) -> int:
        """Count everything journaled so far into the aggregates, exactly once; return the new folded position.

        May be called at any time, by any number of callers at once, and killed anywhere. Where it may take long it
        stops after about so many seconds, when they are given; the next call goes on from there.
        """
        ...

    def fold_if_due(self, seconds: float | None = None) -> int | None:
        """Fold when what this store journaled has waited as long as it may; return the folded position, else None.

        It costs nothing when nothing is due: call it every second or so, also after the last commit. Any number of
        callers, in any processes, share the work: between them they fold about once in the time that the store allows.
        `seconds` is as for `fold`.
        """
        ...

    def page(self, query: Query) -> Page:
        """Return one page of a report, as `core.query.answer` defines it, of one prefix of the journal.

        Raises:
            CountingError: this version of the report, or an amount that is asked for, is still being counted.
            QueryError: the report was dropped, or another version has taken its place.
        """
        ...

    def get(self, datapoints: Sequence[str], *, amounts: bool = False) -> list[Aggregate]:
        """Return the aggregate of each datapoint in the order asked, of 0 events for one that nobody counted yet.

        `amounts` says whether they are asked for: those that are still being counted are an error then, and else 0.

        Raises:
            CountingError: they are being counted.
        """
        ...

    def merchants(self, containing: str, limit: int) -> list[str]:
        """Return merchants whose name contains the text, case folded, those that begin with it first, then by name."""
        ...


class RejectedStore(Protocol):
    """The events that were not accepted, kept byte for byte."""

    def set_aside(self, rejections: Sequence[Rejection], now_s: float) -> int:
        """Keep rejections durably, from the first on while there is room; return how many are kept, or were known.

        The same bytes at the same position of the same named source are kept once, and known if they were discarded.
        Call it right after the events beside them are journaled, and before the sender is told: a crash in between
        leaves a sender who asks again.
        """
        ...

    def rejected(
        self, *, after: str | None = None, limit: int = 100, which: RejectedFilter = EVERY
    ) -> list[StoredRejection]:
        """Return what is kept, oldest first, after an id, whether that is still kept or not.

        At most `limit` of them, and of no more bytes than core.rejection.PAGE_BYTES_MAX save that there is one: so
        that there are no more is said by an empty list alone.
        """
        ...

    def find_rejected(self, rejected_id: str) -> StoredRejection | None:
        """Return one kept rejection, or None when there is none of this id."""
        ...

    def rejected_summary(self) -> RejectedSummary:
        """Return how many are kept, by reason and of the sources with the most."""
        ...

    def discard(self, rejected_ids: Sequence[str]) -> None:
        """Forget rejections that were corrected and accepted, or given up. What is not kept is passed over.

        Their bytes are gone from what the store has written, as soon as nobody reads them; a hash stays. With none this
        erases what an earlier call could not.
        """
        ...


class Fields(Protocol):
    """What fields events bring, as samples tell."""

    def note_fields(self, tally: FieldTally) -> None:
        """Count samples in with those of all processes. Some may be lost when two do so at once: they are samples."""
        ...

    def noted_fields(self) -> FieldTally:
        """Return what all processes have noted."""
        ...


class Outcomes(Protocol):
    """What became of events over time: a picture for people. The counts themselves stand in the journal."""

    def note_outcomes(self, tally: OutcomeTally) -> None:
        """Count in what a process has seen. Some may be lost when two do so at once.

        Raises:
            StoreError: it cannot be stored now; nothing of it was.
        """
        ...

    def noted_outcomes(self) -> OutcomeTally:
        """Return what all processes have noted, of the newest windows. The caller may change it."""
        ...


class ReportState(NamedTuple):
    """One version of a report, and how far it is counted. Positions are the store's own, as in Status."""

    report: Report
    readable: bool
    position: int
    journal_position: int
    datapoints: int | None = None  # None where counting them is expensive
    stored_bytes: int | None = None
    sized_position: int | None = None  # up to which these two are told, which may have been a while ago

    @property
    def whole(self) -> bool:
        """Whether all of the journal is counted."""
        return self.position >= self.journal_position


class Definitions(Protocol):
    """The reports that the store counts: the five, and those of one's own."""

    def catalogue(self) -> Reports:
        """Return the reports that can be read: the five, then by name. Cheap: call it for every question."""
        ...

    def report_states(self) -> list[ReportState]:
        """Return every version of every report: the five first, then by name and version."""
        ...

    def apply(self, definitions: Sequence[Definition]) -> None:
        """Store definitions, all or none: each that differs from the newest under its name is a new version.

        A new version is counted from the journal's beginning, by `count_some`, and takes the place of the one before
        when it is whole. One that differs from the newest, and not from the readable one, is no new version: it
        withdraws the newest. Version numbers are never used again.
        """
        ...

    def drop(self, name: str) -> bool:
        """Forget a report of one's own with all its versions; return whether there was one.

        Nobody reads it from then on. Its aggregates go behind it, by `count_some`.
        """
        ...

    def count_some(self, seconds: float, *, beside_traffic: bool = False) -> bool:
        """Count versions that lag, for about so long, in short transactions; return whether something is left to do.

        May be called at any time, by any number of callers at once, and killed anywhere. `beside_traffic` has what the
        other threads of this process do go first.
        """
        ...

    def last_events(self, count: int) -> Iterator[Batch]:
        """Yield the newest events in the order of the journal: so many, or the last whole commits that hold them."""
        ...


class Store(Journal, Aggregates, Definitions, RejectedStore, Fields, Outcomes, Protocol):
    """A technology that keeps all of them."""

    def close(self) -> None:
        """Release everything. The store is unusable afterwards."""
        ...


class Opening(NamedTuple):
    """How a store is to be opened. `tillroll.app` names the module of each kind of store, which has `open_address`.

    `open_address(address: str, opening: Opening) -> Store` raises ConfigError when the address is not of its form, and
    StoreError when there is no store there, or it cannot be used.
    """

    make: bool  # whether a directory without a store becomes one; tables are made by a deployment
    freshness_s: float  # the setting of that name; for stores whose readers do not count what is not folded
    capacity: Capacity  # of what is not accepted
    commit_s: float = math.inf  # after which a commit that cannot be made is given up, where there is a deadline
    count_write_units: int = 0  # a second, of counting reports of one's own; 0: no bound. For stores that bill writes


class Message(NamedTuple):
    """A queue's envelope around one body of events."""

    id: str  # the queue's own of the first time it was sent: the same at every redelivery, and after a burial
    receipt: str  # of this delivery
    body: bytes
    event_id: str | None  # the producer's idempotency key, if it sent one
    sent_at: float | None  # seconds since 1970
    first_position: int = 0  # where the body stood in the one it was cut from
    reason: Reason | None = None  # why it was buried, if it was


class Queue(Protocol):
    """At-least-once delivery: a message may come twice, late, out of order and to two receivers at once."""

    def send(self, bodies: Sequence[tuple[bytes, str | None]]) -> None:
        """Put (body, event id) pairs on the queue durably. When it raises, any of them may have been sent."""
        ...

    def receive(self, wait_s: float) -> list[Message]:
        """Return messages, waiting up to so long for the first. They come back unless deleted in time."""
        ...

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete messages of which everything is journaled or set aside. One that fails comes back, which is safe."""
        ...

    def extend(self, messages: Sequence[Message], visible_after_s: float) -> None:
        """Keep messages from being delivered again for so long from now."""
        ...

    def bury(self, bodies: Sequence[tuple[Message, Rejection]]) -> set[str]:
        """Put rejected events in the dead-letter queue, each with its reason and the id of the message it came in.

        Return the receipts of messages of which anything could not be buried: leave them to the queue's own redrive.
        """
        ...


class QueueDepth(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages a queue has, approximately."""

    waiting: int
    in_flight: int  # received, and neither deleted nor back


@runtime_checkable
class MeasuredQueue(Protocol):
    """A queue that can say how full it is.

    Raises:
        QueueError: it cannot now, or whoever asks may not.
    """

    def depth(self) -> QueueDepth:
        """Return how many messages there are."""
        ...

    def dead_letters_depth(self) -> QueueDepth:
        """Return how many messages were set aside."""
        ...


class ImportHead(msgspec.Struct, frozen=True):
    """An import: its name, and the hash of so many bytes at the beginning of its content."""

    name: str
    head_bytes: int
    sha256: str


class ImportRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of an import, as it was last noted. Times are seconds since 1970."""

    name: str
    began_at: float
    noted_at: float
    done: bool  # false while it runs, and for ever when it was stopped
    accepted: int
    duplicates: int
    conflicts: int
    rejected: int


@runtime_checkable
class ImportList(Protocol):
    """A store that remembers its imports, so that one under another name, or of other content, is asked about."""

    def imports(self) -> list[ImportHead]:
        """Return every import that was noted."""
        ...

    def note_import(self, head: ImportHead) -> None:
        """Note an import, as durably as what is journaled after it. One that is noted already is not noted again."""
        ...

    def note_run(self, run: ImportRun) -> None:
        """Note how far a run of an import has come. One of the same name and beginning is replaced."""
        ...

    def import_runs(self, limit: int) -> list[ImportRun]:
        """Return the newest runs, those that began last first. At least the last thousand are kept."""
        ...


class Backup(NamedTuple):
    """A copy of a store that was opened and found whole: how many events it has, and how many bytes."""

    events: int
    size: int


@runtime_checkable
class Copyable(Protocol):
    """A store that can be copied to one file, beside traffic."""

    def backup(self, target: Path, progress: Progress | None = None) -> Backup:
        """Copy all of one moment to a file, which is there whole or not at all; opened and checked before.

        Raises:
            StoreError: the store cannot be read, or the copy is not whole.
            OSError: the file cannot be written.
        """
        ...


@runtime_checkable
class Served(Protocol):
    """A store behind a server, which does by itself what callers do with a store of their own."""

    def fields(self) -> dict[str, Any]:
        """Return which fields are kept and which others events bring, as `GET /fields` has it."""
        ...

    def retry(self, rejected_id: str, body: bytes | None) -> dict[str, Any] | None:
        """Have a rejected event taken again; return what became of it. None when nothing is kept under the id."""
        ...

    def retry_some(self, which: RejectedFilter, after: str | None) -> dict[str, Any]:
        """Have some taken again as they were; return what became of them, and where to go on."""
        ...


class Room(NamedTuple):
    """The bytes that a store's files take on their disk, and those that are left on it for them."""

    stored_bytes: int
    free_bytes: int


@runtime_checkable
class Watchable(Protocol):
    """A store of files: they may be taken away beneath it, and their disk may fill."""

    def room(self) -> Room:
        """Return what the files take, and what is left on their disk.

        Raises:
            OSError: they are not there.
        """
        ...

    def check(self) -> None:
        """Find what is open still in its place. Cheap enough to be called every second.

        Raises:
            StoreGoneError: it was deleted or replaced: what is written now, nobody would find.
        """
        ...


@runtime_checkable
class BilledByMinute(Protocol):
    """A journal that writes an item, and is billed for it, for each minute of `date` that a commit has events of."""

    writes_minutes: bool

    def journal(self, batch: Batch) -> bytes:
        """As Journal.journal. The fewer minutes a batch is spread over, the less it costs."""
        ...


@runtime_checkable
class RangeEnding(Protocol):
    """A store whose commits say, from time to time, that a fold is due."""

    @property
    def ranges_ended(self) -> int:
        """How many commits of this store object said so: only grows."""
        ...


@runtime_checkable
class Paced(Protocol):
    """A store that is billed by write units. Counting reports of one's own takes so many a second; 0: no bound."""

    count_write_units: int

    def count_some(self, seconds: float, *, beside_traffic: bool = False) -> bool:
        """As Definitions.count_some."""
        ...


@runtime_checkable
class Foldered(Protocol):
    """A store whose aggregates may be shared by folders, which several fold at the same time."""

    def folders(self) -> int:
        """Return how many folders share the aggregates. Cheap."""
        ...

    def share_fold(self, folders: int) -> None:
        """Have so many share them from now on, beside any traffic. Killed and called again, it is done."""
        ...


@runtime_checkable
class Restorable(Protocol):
    """A store that knows how far its journal had come, and refuses one that ends earlier."""

    def accept_end(self) -> int:
        """Take the journal for whole as it stands, after a restore; return how many events are given up."""
        ...
