"""The embedded store: journal, aggregates and rejected events in one SQLite file.

A commit is one transaction, and so is a fold. Readers see aggregates plus the tail of the journal that is not folded
yet, counted in memory: so an event is in the reports as soon as it is acknowledged, and folds can be few and large. Any
number of threads and processes may share the file; SQLite lets one write at a time.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from tillroll.core import own_names
from tillroll.core.export import ALL_EVENTS
from tillroll.core.field_tally import FieldTally
from tillroll.core.outcome_tally import OutcomeTally
from tillroll.core.rejection import CAPACITY, EVERY, Capacity
from tillroll.errors import StoreError
from tillroll.stores.sqlite import export, notes, schema
from tillroll.stores.sqlite import imports as imports_module
from tillroll.stores.sqlite import rejected as rejected_module
from tillroll.stores.sqlite.commits import Commits
from tillroll.stores.sqlite.definitions import Definitions
from tillroll.stores.sqlite.files import Files
from tillroll.stores.sqlite.merchants import SharedNames, UnnumberedError
from tillroll.stores.sqlite.reader import LagError
from tillroll.stores.sqlite.readers import Readers
from tillroll.stores.sqlite.reports import Catalogue
from tillroll.stores.sqlite.schema import translated
from tillroll.stores.sqlite.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tillroll.core.accept import Rejection
    from tillroll.core.batch import Batch
    from tillroll.core.definition import Definition
    from tillroll.core.export import Chosen
    from tillroll.core.query import Aggregate, Page, Query
    from tillroll.core.rejection import RejectedFilter, RejectedSummary
    from tillroll.core.report import Reports
    from tillroll.ports import (
        Audit,
        Backup,
        Clock,
        ImportHead,
        ImportRun,
        JournalPart,
        Opening,
        Progress,
        ReportState,
        Room,
        Status,
        StoredRejection,
        Trace,
    )
    from tillroll.stores.sqlite.reader import Reader
    from tillroll.stores.sqlite.repair import Repair

_T = TypeVar("_T")
_PAGES_AT_ONCE: Final = os.cpu_count() or 1


class SqliteStore:
    """The store port over one SQLite file in a directory."""

    def __init__(self, directory: Path, clock: Clock = time.time, capacity: Capacity = CAPACITY) -> None:
        """Open the file in the directory; both are made when missing. `capacity` is that of the rejected.

        Raises:
            StoreError: the directory cannot be written, or holds something else.
        """
        self._capacity = capacity
        # More at once would not end sooner, and each would keep commits waiting for Python's lock.
        self._pages = threading.Semaphore(_PAGES_AT_ONCE)
        self._files = Files(directory)
        self.path = self._files.path
        self._connection = self._files.connection
        names, catalogue = SharedNames(), Catalogue()
        self._readers = Readers(self._files, names, catalogue)
        self._writer = Writer(self._files, names, catalogue, clock)
        self._commits = Commits(self._writer, clock)
        self._definitions = Definitions(self._writer, self._readers)
        self._clock = clock
        self._read = self._readers.lend
        self._write = self._writer.write

    def accept_end(self) -> int:
        """See ports.Restorable."""
        return self._files.accept_end()

    def imports(self) -> list[ImportHead]:
        """See ports.ImportList."""
        with self._files.lock, translated(self.path), schema.transaction(self._connection, "DEFERRED"):
            return imports_module.read(self._connection)

    def note_import(self, head: ImportHead) -> None:
        """See ports.ImportList."""
        with self._write(sync=False):
            imports_module.note(self._connection, head)

    def note_run(self, run: ImportRun) -> None:
        """See ports.ImportList."""
        with self._write(sync=False):
            imports_module.note_run(self._connection, run)

    def import_runs(self, limit: int) -> list[ImportRun]:
        """See ports.ImportList."""
        with self._read() as reader:
            return imports_module.runs(reader.connection, limit)

    def backup(self, target: Path, progress: Progress | None = None) -> Backup:
        """See ports.Copyable. By a connection of its own, in one read transaction: nobody waits for it."""
        from tillroll.stores.sqlite import backup  # noqa: PLC0415 most commands need none

        with (
            translated(self.path),
            closing(schema.connect(self.path)) as connection,
            self._files.at_one_moment(connection),
        ):
            return backup.copy(connection, target, progress)

    def check(self) -> None:
        """See ports.Watchable."""
        self._files.place.check()

    def room(self) -> Room:
        """See ports.Watchable."""
        return self._files.place.room()

    def close(self) -> None:
        """Release every connection."""
        self._definitions.close()
        with self._files.lock:
            self._readers.close()
            self._files.close()
        self._commits.close()

    # The journal.

    def journal(self, batch: Batch) -> bytes:
        """See ports.Journal."""
        return own_names.with_rest(batch, own_names.outcomes_of(batch, self._piece_of), self._commits.journal)

    def _piece_of(self, token: str, number: int) -> own_names.Piece | None:
        """Return what the journal has under a name that it gave. A chunk never changes: this needs no transaction."""
        with self._files.lock, translated(self.path):
            return export.piece_of(self._connection, token, number)

    def read(self, after: int = 0, upto: int | None = None, chosen: Chosen = ALL_EVENTS) -> Iterator[JournalPart]:
        """See ports.Journal. By a connection of its own: it needs no aggregate, and may take as long as it likes."""
        with translated(self.path), closing(schema.connect(self.path)) as connection:
            yield from export.read(partial(self._files.at_one_moment, connection), after, upto, chosen)

    def status(self) -> Status:
        """See ports.Journal. Positions are event numbers."""
        with self._read() as reader:
            return reader.status()

    # The aggregates.

    def fold(self, seconds: float | None = None) -> int:  # noqa: ARG002 none takes that long
        """See ports.Aggregates. Readers need none; it keeps what they count themselves short."""
        return self._commits.fold()

    def fold_if_due(self, seconds: float | None = None) -> int | None:  # noqa: ARG002 as fold
        """See ports.Aggregates. Readers are up to date without; it is for their speed."""
        return self._commits.fold_if_due()

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
                self._definitions.count_stride(all_behind=True)
            except UnnumberedError as error:
                self._definitions.number_tail(error.dictionary)

    def merchants(self, containing: str, limit: int) -> list[str]:
        """See ports.Aggregates."""
        with self._pages, self._read() as reader:
            return reader.dictionaries.merchants.search(containing, limit)

    # Definitions.

    def catalogue(self) -> Reports:
        """See ports.Definitions."""
        return self._definitions.catalogue()

    def report_states(self) -> list[ReportState]:
        """See ports.Definitions."""
        return self._definitions.states()

    def apply(self, definitions: Sequence[Definition]) -> None:
        """See ports.Definitions."""
        self._definitions.apply(definitions)

    def drop(self, name: str) -> bool:
        """See ports.Definitions."""
        return self._definitions.drop(name)

    def last_events(self, count: int) -> Iterator[Batch]:
        """See ports.Definitions."""
        return self._definitions.last_events(count)

    def count_some(self, seconds: float, *, beside_traffic: bool = False) -> bool:
        """See ports.Definitions."""
        return self._definitions.count_some(seconds, apart=beside_traffic)

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
        """See ports.RejectedStore. The log is emptied of the bytes as well, as soon as nobody reads them."""
        with self._files.lock, translated(self.path), rejected_module.erasing(self._connection):
            with self._write():
                rejected_module.discard(self._connection, rejected_ids)
            self._files.empty_log()

    # Fields.

    def note_fields(self, tally: FieldTally) -> None:
        """See ports.Fields."""
        with self._write(sync=False):
            notes.add(self._connection, notes.FIELDS, tally)

    def noted_fields(self) -> FieldTally:
        """See ports.Fields."""
        with self._read() as reader:
            return notes.read(reader.connection, notes.FIELDS, FieldTally)

    # Outcomes.

    def note_outcomes(self, tally: OutcomeTally) -> None:
        """See ports.Outcomes."""
        with self._write(sync=False):
            notes.add(self._connection, notes.OUTCOMES, tally)

    def noted_outcomes(self) -> OutcomeTally:
        """See ports.Outcomes."""
        with self._read() as reader:
            return notes.read(reader.connection, notes.OUTCOMES, OutcomeTally)

    # Proof and repair.

    def audit(self, *, since: int = 0, progress: Progress | None = None, repair: bool = False) -> Audit:
        """See ports.Journal."""
        return self._repair().audit(since, progress, repair=repair)

    def rebuild(self, progress: Progress | None = None) -> int:
        """See ports.Journal."""
        return self._repair().rebuild(progress)

    def _repair(self) -> Repair:
        from tillroll.stores.sqlite.repair import Repair  # noqa: PLC0415 most commands need none

        return Repair(self._writer, self._clock)

    def trace(self, datapoint: str, after: int = 0) -> Iterator[Trace]:
        """See ports.Journal."""
        from tillroll.stores.sqlite import audit  # noqa: PLC0415 most commands need none

        with self._read() as reader:
            at = reader.roster.catalogue.place(datapoint)
            if at is not None:
                yield from audit.trace(reader.connection, at, datapoint, after)


def open_address(address: str, opening: Opening) -> SqliteStore:
    """Return the store in a directory, see ports.Opening."""
    directory = Path(address)
    if not opening.make and not (directory / schema.FILE_NAME).is_file():
        remedy = "Name another with --data, or make one with `tillroll import` or `tillroll serve`"
        raise StoreError(f"there is no store in {address}", remedy)
    return SqliteStore(directory, capacity=opening.capacity)
