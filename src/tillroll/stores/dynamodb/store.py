"""The DynamoDB store: journal, aggregates and rejected events in two tables.

This module only binds the procedures to a client; what they do, and why it is exact, stands with them: `commit`,
`fold`, `audit`, `reader`, `rejected`. `schema` describes the tables.
"""

from __future__ import annotations

import math
import random
import threading
import time
import uuid
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from tillroll.core import own_names
from tillroll.core.export import ALL_EVENTS
from tillroll.core.field_tally import FieldTally
from tillroll.core.outcome_tally import OutcomeTally
from tillroll.core.rejection import CAPACITY, EVERY, Capacity
from tillroll.errors import ConfigError
from tillroll.ports import Outcome, Status
from tillroll.stores.dynamodb import audit as audit_module
from tillroll.stores.dynamodb import definitions as definitions_module
from tillroll.stores.dynamodb import export, notes, reader
from tillroll.stores.dynamodb import rejected as rejected_module
from tillroll.stores.dynamodb.calls import Context, QueryTable, run_call
from tillroll.stores.dynamodb.client import open_client
from tillroll.stores.dynamodb.commit import KnownLogs, commit
from tillroll.stores.dynamodb.counting import count_some
from tillroll.stores.dynamodb.fold import fold_ledger, rebuild
from tillroll.stores.dynamodb.ledger import decode_entry, read_head
from tillroll.stores.dynamodb.pace import Pace
from tillroll.stores.dynamodb.restore import accept_restored
from tillroll.stores.dynamodb.schema import LEDGER
from tillroll.stores.dynamodb.state import least_of, read_folded, read_main, read_state, share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tillroll.core.accept import Rejection
    from tillroll.core.batch import Batch
    from tillroll.core.definition import Definition
    from tillroll.core.export import Chosen
    from tillroll.core.query import Aggregate, Page
    from tillroll.core.query import Query as Asked
    from tillroll.core.rejection import RejectedFilter, RejectedSummary
    from tillroll.core.report import Reports
    from tillroll.ports import Audit, Clock, JournalPart, Opening, Progress, ReportState, StoredRejection, Trace
    from tillroll.stores.dynamodb.calls import Procedure, QueryReply
    from tillroll.stores.dynamodb.client import Client

_COUNT_S_MIN: Final = 5.0
_PATIENCE_S: Final = 30.0  # with a service that refuses, or with others who are first
_GRACE_S_MAX: Final = 5.0  # for the worker whose commit ends a range to fold it


class DynamoDBStore:
    """The store port over two DynamoDB tables. Safe to use from any number of threads and processes."""

    def __init__(
        self,
        client: Client,
        *,
        freshness_s: float,
        clock: Clock = time.time,
        monotonic: Clock = time.monotonic,
        capacity: Capacity = CAPACITY,
        commit_s: float = math.inf,
        count_write_units: int = 0,
    ) -> None:
        """Use the tables of a client. `freshness_s` is how often commits let a range of the fold end.

        `capacity` is that of the rejected; a commit that cannot be made in `commit_s` is given up. `count_write_units`
        is what counting reports of one's own may take a second; 0: what the tables give.
        """
        self.client = client
        pace = Pace(count_write_units, monotonic) if count_write_units else None
        self.context = Context(clock, random.random, lambda: uuid.uuid4().hex, _PATIENCE_S, {}, pace)
        self.count_write_units = count_write_units  # ports.Paced
        self._freshness_s = freshness_s
        self._commit_s = commit_s
        self._logs = KnownLogs()
        self._commits = threading.Lock()  # guards _logs; commits of one process would only race each other
        self._monotonic = monotonic
        self._journals = False
        self.ranges_ended = 0  # by commits of this store
        self.writes_minutes = True  # ports.BilledByMinute
        self._fold_is_due = True  # what others marked and did not fold
        self._unfolded_since: float | None = None  # the oldest commit of this store that no mark covers
        self._room = rejected_module.Room(capacity)

    def close(self) -> None:
        """See ports.Store."""
        self.client.close()

    # The journal.

    def journal(self, batch: Batch) -> bytes:
        """See ports.Journal."""
        return own_names.with_rest(batch, own_names.outcomes_of(batch, self._piece_of), self._journal)

    def _piece_of(self, token: str, number: int) -> own_names.Piece | None:
        return self.client.run(export.piece_of(self.context, token, number))

    def _journal(self, batch: Batch) -> bytes:
        self._journals = True
        with self._commits:
            in_time = self._until(self._commit_s)
            done = self.client.run(commit(self.context, self._logs, batch, self._freshness_s, in_time))
            if done.marked:
                self.ranges_ended += 1
                self._fold_is_due = True
                self._unfolded_since = None
            elif self._unfolded_since is None and Outcome.ACCEPTED in done.outcomes:
                self._unfolded_since = self.context.clock()
        return done.outcomes

    def read(self, after: int = 0, upto: int | None = None, chosen: Chosen = ALL_EVENTS) -> Iterator[JournalPart]:
        """See ports.Journal. Positions are ledger entries: an entry's is reached with the last of its events."""
        upto = self.client.run(export.read_end(self.context, after, upto))
        while after < upto:
            parts = self.client.run(export.read_some(self.context, after, upto, chosen))
            yield from parts
            after = parts[-1].position

    def status(self) -> Status:
        """See ports.Journal. Positions are ledger entries; of rejections refused this process knows its own."""
        found = self.client.run(_status(self.context))
        return msgspec.structs.replace(found, rejected_full=self._room.refused)

    def audit(self, *, since: int = 0, progress: Progress | None = None, repair: bool = False) -> Audit:
        """See ports.Journal."""
        return self.client.run(audit_module.audit(self.context, since=since, progress=progress, repair=repair))

    def rebuild(self, progress: Progress | None = None) -> int:
        """See ports.Journal.

        The frontend reads items by their datapoint, so a second generation cannot be prepared beside the first.
        Instead each counter is set to the recount, in a new epoch, and each that should not be is deleted.
        """
        return self.client.run(rebuild(self.context, progress))

    def accept_end(self) -> int:
        """See ports.Restorable. Both tables are made to agree, and everything is counted."""
        lost = self.client.run(accept_restored(self.context))
        self.fold()
        return lost

    def folders(self) -> int:
        """See ports.Foldered."""
        return self.client.run(_folders(self.context))

    def share_fold(self, folders: int) -> None:
        """See ports.Foldered."""
        self.client.run(share(self.context, folders))

    def trace(self, datapoint: str, after: int = 0) -> Iterator[Trace]:
        """See ports.Journal."""
        entry: int | None = 0
        while entry is not None:
            traces, entry = self.client.run(reader.trace(self.context, datapoint, entry))
            yield from traces[after:]
            after = max(0, after - len(traces))

    # The aggregates.

    def fold(self, seconds: float | None = None) -> int:
        """See ports.Aggregates. With a bound on its time it also leaves to another what that is folding."""
        since, self._unfolded_since = self._unfolded_since, None
        try:
            return self._fold(fold_ledger(self.context, self._until(seconds), to_head=True, alone=seconds is not None))
        except BaseException:
            self._unfolded_since = since
            raise

    def fold_if_due(self, seconds: float | None = None) -> int | None:
        """See ports.Aggregates.

        The store whose commit ends a range, as happens once in `freshness_s`, folds it, so that several do not do the
        same work; so does one that journals nothing, which looks every time. What came last before a pause is folded by
        a store that committed some of it.
        """
        if self._fold_is_due or not self._journals:
            return self._fold(fold_ledger(self.context, self._until(seconds)))
        if self._unfolded_since is None or self._is_fresh(self._unfolded_since):
            return None
        since, folded = self.client.run(_unfolded(self.context))
        if since is None:
            self._unfolded_since = None
            return folded
        if self._is_fresh(since):  # others fold: what this store committed is counted
            self._unfolded_since = since
            return None
        return self.fold(seconds)

    def _until(self, seconds: float | None) -> Callable[[], bool]:
        """Return what tells whether there is time left, from now on; always, when there is no bound."""
        if seconds is None:
            return lambda: True
        ends_at = self._monotonic() + seconds
        return lambda: self._monotonic() < ends_at

    def _is_fresh(self, since: float) -> bool:
        grace_s = min(_GRACE_S_MAX, self._freshness_s / 2)
        return abs(self.context.clock() - since) < self._freshness_s + grace_s

    def _fold(self, protocol: Procedure[int]) -> int:
        self._fold_is_due = False
        try:
            return self.client.run(protocol)
        except BaseException:
            self._fold_is_due = True
            raise

    def page(self, query: Asked) -> Page:
        """See ports.Aggregates."""
        return self.client.run(reader.page(self.context, query))

    def get(self, datapoints: Sequence[str], *, amounts: bool = False) -> list[Aggregate]:
        """See ports.Aggregates."""
        return self.client.run(reader.get(self.context, datapoints, amounts=amounts))

    def merchants(self, containing: str, limit: int) -> list[str]:
        """See ports.Aggregates."""
        return self.client.run(reader.merchants(self.context, containing, limit))

    # Definitions.

    def catalogue(self) -> Reports:
        """See ports.Definitions."""
        return self.client.run(definitions_module.catalogue(self.context))

    def report_states(self) -> list[ReportState]:
        """See ports.Definitions. Positions are ledger entries."""
        return self.client.run(definitions_module.report_states(self.context))

    def apply(self, definitions: Sequence[Definition]) -> None:
        """See ports.Definitions."""
        self.client.run(definitions_module.apply(self.context, definitions))

    def drop(self, name: str) -> bool:
        """See ports.Definitions."""
        return self.client.run(definitions_module.drop(self.context, name))

    def count_some(self, seconds: float, *, beside_traffic: bool = False) -> bool:  # noqa: ARG002 it waits for the network
        """See ports.Definitions. It takes some seconds in any case: what it reads to count it would read each time."""
        return self.client.run(count_some(self.context, self._until(max(seconds, _COUNT_S_MIN))))

    def last_events(self, count: int) -> Iterator[Batch]:
        """See ports.Definitions."""
        after = self.client.run(export.before_last(self.context, count))
        yield from (part.batch for part in self.read(after))

    # Fields.

    def note_fields(self, tally: FieldTally) -> None:
        """See ports.Fields."""
        self.client.run(notes.note(self.context, notes.FIELDS, tally))

    def noted_fields(self) -> FieldTally:
        """See ports.Fields."""
        return self.client.run(notes.read(self.context, notes.FIELDS, FieldTally))[0]

    # Outcomes.

    def note_outcomes(self, tally: OutcomeTally) -> None:
        """See ports.Outcomes."""
        self.client.run(notes.note(self.context, notes.OUTCOMES, tally))

    def noted_outcomes(self) -> OutcomeTally:
        """See ports.Outcomes."""
        return self.client.run(notes.read(self.context, notes.OUTCOMES, OutcomeTally))[0]

    # Rejected events.

    def set_aside(self, rejections: Sequence[Rejection], now_s: float) -> int:
        """See ports.RejectedStore."""
        return self.client.run(rejected_module.set_aside(self.context, rejections, now_s, self._room))

    def rejected(
        self, *, after: str | None = None, limit: int = 100, which: RejectedFilter = EVERY
    ) -> list[StoredRejection]:
        """See ports.RejectedStore."""
        return self.client.run(rejected_module.rejected(self.context, after, limit, which))

    def find_rejected(self, rejected_id: str) -> StoredRejection | None:
        """See ports.RejectedStore."""
        return self.client.run(rejected_module.find(self.context, rejected_id))

    def rejected_summary(self) -> RejectedSummary:
        """See ports.RejectedStore."""
        return self.client.run(rejected_module.summary(self.context))

    def discard(self, rejected_ids: Sequence[str]) -> None:
        """See ports.RejectedStore."""
        self.client.run(rejected_module.discard(self.context, rejected_ids, self._room))


def _status(context: Context) -> Procedure[Status]:
    head = yield from read_head(context)
    state, folders = yield from read_main(context)
    least = least_of(folders)
    folded = max(least.position, state.main.begins)  # while all is counted anew, reports show what they did
    since = yield from _oldest_after(context, folded)
    kept = yield from rejected_module.count(context)
    return Status(
        events=head.entry.events,
        journal_position=head.number,
        folded_position=folded,
        visible_position=folded,
        folded_at=least.folded_at or None,
        unfolded_since=since,
        rejected=kept,
    )


def _folders(context: Context) -> Procedure[int]:
    state = yield from read_state(context)
    return state.main.folders


def _unfolded(context: Context) -> Procedure[tuple[float | None, int]]:
    """Read when the oldest commit was that is not counted, None when all are, and up to where they are counted."""
    folded = yield from read_folded(context)
    return (yield from _oldest_after(context, folded)), folded


def _oldest_after(context: Context, folded: int) -> Procedure[float | None]:
    reply: QueryReply = yield from run_call(context, QueryTable(LEDGER, folded, limit=10))
    return next((entry.at for _, entry in map(decode_entry, reply.items) if entry.chunks), None)


def open_address(address: str, opening: Opening) -> DynamoDBStore:
    """Return the store at dynamodb://REGION/AGGREGATES_TABLE/JOURNAL_TABLE.

    An empty region is the profile's. The one option is `endpoint`, a server's URL in place of AWS.

    Raises:
        ConfigError: the address is not of this form.
        StoreError: AWS is not configured.
    """
    url = urlsplit(address)
    tables = url.path.strip("/").split("/")
    options = {name: values[-1] for name, values in parse_qs(url.query).items()}
    endpoint = options.pop("endpoint", None)
    if "freshness" in options:
        remedy = "Set freshness_s instead: in tillroll.toml, as TILLROLL_FRESHNESS_S or as --freshness-s"
        raise ConfigError("data", f"{address} has the option freshness, which is a setting of its own", remedy)
    if len(tables) != 2 or not all(tables) or options:
        remedy = "Give dynamodb://REGION/AGGREGATES_TABLE/JOURNAL_TABLE; it may end with ?endpoint=URL"
        raise ConfigError("data", f"{address} does not name two tables", remedy)
    client = open_client(url.netloc or None, tables[0], tables[1], endpoint)
    return DynamoDBStore(
        client,
        freshness_s=opening.freshness_s,
        capacity=opening.capacity,
        commit_s=opening.commit_s,
        count_write_units=opening.count_write_units,
    )
