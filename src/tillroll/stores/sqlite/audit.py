"""Recounting the journal in SQLite: to audit, to repair, to rebuild, and to show what is behind a number.

An audit counts by texts, see `comparison`; a rebuild counts by the fold, in segments in a file of their own. So
the memory of neither grows with the journal.
"""

from __future__ import annotations

import shutil
import tempfile
from array import array
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import chunk, kernel, limits
from tillroll.core.batch import told
from tillroll.core.decode import encode_event_of
from tillroll.core.dimension import MERCHANT
from tillroll.core.fold import indexes_behind
from tillroll.core.report import FIVE, Place
from tillroll.core.versions import Version
from tillroll.errors import LaterFormatError, StoreError
from tillroll.ports import Audit, Difference, Progress, Trace
from tillroll.stores.sqlite import imports, notes, rejected, schema
from tillroll.stores.sqlite.cells import Cells
from tillroll.stores.sqlite.chunks import (
    GENESIS,
    Chunk,
    broken_end,
    chain_where_one_ends,
    doubtful_chunks,
    is_linked,
    read_chunks,
)
from tillroll.stores.sqlite.comparison import Compared, Comparison, Names, SegmentKey, Total
from tillroll.stores.sqlite.counters import Counters
from tillroll.stores.sqlite.damage import DamageError
from tillroll.stores.sqlite.dedupe import Dedupe
from tillroll.stores.sqlite.head import another, compare
from tillroll.stores.sqlite.layout import layout_of
from tillroll.stores.sqlite.locks import locked
from tillroll.stores.sqlite.merchants import Dictionaries
from tillroll.stores.sqlite.naming import read_naming
from tillroll.stores.sqlite.reports import Roster, clear_versions, read_versions, roster_of, write_versions
from tillroll.stores.sqlite.schema import transaction
from tillroll.stores.sqlite.segments import Segments, counted_events, segments_of, unlike
from tillroll.stores.sqlite.state import StoreState, doubtful_state, read_state, write_state
from tillroll.stores.sqlite.unfolded import Unfolded
from tillroll.stores.sqlite.upgrade import AGGREGATE_TABLES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from tillroll.core.batch import Batch
    from tillroll.stores.sqlite.head import Head

_DAY_S: Final = 86_400
_TAKEN_OVER: Final = {"merchant": 2, "aggregate": 7, "cell": 7, "dictionary": 4, "value": 3}  # tables: their columns
_WORD: Final = (1 << 64) - 1
_WORK_PREFIXES: Final = ("audit-", "recount-")


class Found(NamedTuple):
    """An audit, and what sets it right."""

    audit: Audit
    deltas: dict[SegmentKey, dict[int, Total]]  # by what each differing counter must be raised: by segment, then code
    unindexed: list[int]  # the first event of each chunk whose names the index lacks
    damaged: bool  # whether something is not as written that a rebuild makes anew
    generation: int  # of the aggregates that were compared


class Walk:
    """A way through the whole journal, which notes what is wrong with it."""

    def __init__(self) -> None:
        self.chain = GENESIS  # of the last chunk
        self.problems: list[Difference] = []
        self.unindexed: dict[int, int] = {}  # how many rows the index lacks of the chunk with this first event

    def batches(
        self, journal: sqlite3.Connection, last: int, progress: Progress | None
    ) -> Iterator[tuple[Chunk, Batch]]:
        """Yield each chunk up to an event that can be used, noting those that are missing or damaged."""
        index = None if list(_naming_problems(journal)) else Dedupe(journal)
        expected = 1
        for row in doubtful_chunks(journal, last):
            if row.first != expected:
                self._missing(expected, row.first - 1)
            batch = self._read(row, linked=row.first != expected or is_linked(row, self.chain))
            self.chain, expected = row.chain, row.first + row.events
            if batch is not None:
                yield row, batch
            if batch is not None and index is not None:
                self._check_index(index, batch, row.first)
            if progress is not None:
                progress(min(expected - 1, last), last)
        if expected <= last:
            self._missing(expected, last)

    def _read(self, row: Chunk, *, linked: bool) -> Batch | None:
        """Return a chunk's events, None when they cannot be used, having noted what is wrong with it."""
        try:
            batch = chunk.decode(row.payload)
        except chunk.LaterChunkError as error:
            raise LaterFormatError(f"the chunk of events {row.first} to {row.last}: {error}") from error
        except (TypeError, chunk.ChunkError) as error:  # damage may change what type SQLite takes a column for
            self._unusable(row, None, str(error))
            return None
        if len(batch) != row.events:
            self._unusable(row, len(batch), f"it holds {len(batch)} events where {row.events} are recorded")
            return None
        if not linked:
            self._unusable(row, len(batch), "it is not what was written there, after the chunk before it")
            return None
        return batch

    def _check_index(self, index: Dedupe, batch: Batch, first: int) -> None:
        missing = index.missing(batch, first - 1)
        lacking = len(missing.names) + len(missing.runs)
        if lacking:
            self.unindexed[first] = lacking

    def _unusable(self, row: Chunk, found: int | None, problem: str) -> None:
        message = f"the chunk of events {row.first} to {row.last} cannot be used: {problem}"
        self.problems.append(Difference("chunk", str(row.first), row.events, found, message))

    def _missing(self, first: int, last: int) -> None:
        message = f"events {first} to {last} are missing from the journal"
        self.problems.append(Difference("chunk", str(first), None, last - first + 1, message))


class Recount(Walk):
    """Segments counted anew from the journal, in a file of their own."""

    def __init__(self, path: Path, roster: Roster) -> None:
        """Count the five, and whatever else a roster has to be counted."""
        super().__init__()
        self.path = path
        own = [report for _, report in roster.of("counting", "readable") if report.is_own]
        self.reports = [*FIVE, *own]
        self.dictionaries = roster.dictionaries
        self._unfolded = Unfolded(0, self.dictionaries)
        self.connection = schema.connect(path)
        self.connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        self.connection.executescript(AGGREGATE_TABLES)
        self._dictionaries = Dictionaries(self.connection)
        self.merchants = self._dictionaries.merchants
        self._counters = Counters(self.connection)
        self._counters.begin(self.reports)
        self.events = 0

    def count(self, journal: sqlite3.Connection, last: int, progress: Progress | None) -> None:
        """Count the journal's events up to a number."""
        with transaction(self.connection):
            for row, batch in self.batches(journal, last, progress):
                self._add(batch)
                self.events += row.events

    def _add(self, batch: Batch) -> None:
        held = self._unfolded
        held.extend(batch, {name: self._dictionaries.of(name).ids(batch) for name in held.dictionaries})
        counts = held.counts(self.reports, find=self._dictionaries.find)
        for statement in self._counters.changes(self.reports, counts):
            self.connection.executemany(*statement)
        held.clear(held.last)

    def close(self) -> None:
        """Release the file."""
        self.connection.close()


@contextmanager
def _work_directory(path: Path, prefix: str) -> Iterator[Path]:
    """Lend a directory beside a file, and remove those that a killed process left: their lock went with it."""
    with ExitStack() as held:
        try:
            with locked(path.parent):  # so that nobody takes a directory that is not locked yet for one that was left
                for kind in _WORK_PREFIXES:
                    for left in path.parent.glob(f"{kind}*"):
                        with suppress(OSError), locked(left, wait=False):
                            shutil.rmtree(left)
                directory = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
                held.enter_context(locked(directory))
        except OSError as error:
            problem = f"no directory can be made in {path.parent} to count in ({error.strerror})"
            raise StoreError(problem, "Check the disk and the permissions", retry_after_s=5) from error
        try:
            yield directory
        except OSError as error:
            problem = f"{path} cannot be audited: the audit needs free space next to it ({error.strerror})"
            raise StoreError(problem, "Check the disk and the permissions", retry_after_s=5) from error
        finally:
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def recounted(path: Path, progress: Progress | None) -> Iterator[Recount]:
    """Lend a recount of the journal in the file at `path`, as far as it was folded at the start."""
    journal = schema.connect(path)
    with transaction(journal, "DEFERRED"):
        roster = roster_of(journal)
    with _work_directory(path, "recount-") as directory:
        recount = Recount(directory / "recount.db", roster)
        try:
            with transaction(journal, "DEFERRED"):
                events = _journaled(journal)
                recount.count(journal, events, progress)
            yield recount
        finally:
            recount.close()
            journal.close()


def _journaled(connection: sqlite3.Connection) -> int:
    """Return how many events there are, though the state is damaged."""
    try:
        return read_state(connection).events
    except DamageError:
        return _last(connection)


def _last(connection: sqlite3.Connection) -> int:
    """Return the number of the last event that any chunk says to have."""
    ends = "SELECT coalesce(max(first + events - 1), 0) FROM chunk WHERE typeof(events) = 'integer'"  # or it is damage
    (last,) = connection.execute(ends).fetchone()
    return int(last)


def audit(path: Path, head: Head | None, since: int, progress: Progress | None) -> Found:
    """Recount the file at `path` up to its folded position and compare; `since` is a day since 1970.

    `head` is what the head's file said before.
    """
    live = schema.connect(path)
    walk, counted = Walk(), 0
    with _work_directory(path, "audit-") as directory:
        try:
            with transaction(live, "DEFERRED"):  # one moment: traffic goes on beside it
                doubtful = doubtful_state(live)
                events = _journaled(live)
                folded = min(doubtful.folded, events)
                comparison = _comparison(live, folded, since, directory)
                for row, batch in walk.batches(live, events, progress):
                    comparison.count(batch, row.first)
                    counted += row.events if row.first <= folded else 0
                broken = [
                    *_damage("position", "state", lambda: read_state(live)),
                    *_file_problems(live),
                    *_list_problems(live),
                ]
                problems = [
                    *broken,
                    *_head_problems(live, head, doubtful),
                    *_naming_problems(live),
                    *walk.problems,
                    *(Difference("rejected", "rejected", None, None, told) for told in rejected.damage(live)),
                ]
                problems += _position_problems(live, doubtful, walk)
                comparison.compare(_names(live, doubtful, comparison))
        finally:
            live.close()
    differences = [*problems, *_index_differences(walk.unindexed), *comparison.differences]
    return Found(
        Audit(
            position=folded,
            events=counted,
            datapoints=comparison.datapoints,
            differences=differences[: limits.REJECTED_LISTED_MAX],
            differences_total=len(problems) + len(walk.unindexed) + comparison.total,
        ),
        comparison.deltas if not walk.problems else {},
        list(walk.unindexed),
        (bool(broken) or comparison.damaged) and not walk.problems,
        doubtful.generation,
    )


def _damage(kind: str, subject: str, read: Callable[[], object]) -> Iterator[Difference]:
    """Yield what is wrong with something that is read, if it is damaged."""
    try:
        read()
    except DamageError as error:
        yield Difference(kind, subject, None, None, str(error))


def _naming_problems(live: sqlite3.Connection) -> Iterator[Difference]:
    return _damage("index", "key", lambda: read_naming(live))


def _head_problems(live: sqlite3.Connection, head: Head | None, state: StoreState) -> Iterator[Difference]:
    try:
        compare(head, state.events, state.chain)
        if head is not None and chain_where_one_ends(live, head.events) != head.chain:
            raise another(head)
    except DamageError as error:
        yield Difference("position", "head", None if head is None else head.events, state.events, str(error))


def _file_problems(live: sqlite3.Connection) -> Iterator[Difference]:
    """Yield what SQLite itself finds wrong with the file: trees out of order, indexes that differ from their tables."""
    for table, problem in schema.problems(live, "integrity_check"):
        yield Difference("file", table, None, None, f"the file is damaged: {problem}")


def _list_problems(live: sqlite3.Connection) -> Iterator[Difference]:
    """Yield what is wrong with lists and notes that the journal does not have."""
    yield from _damage("file", "import", lambda: imports.read(live))
    yield from _damage("file", "import_run", lambda: imports.runs(live, 0))
    for table in (notes.FIELDS, notes.OUTCOMES):
        yield from _damage("file", table, partial(notes.check, live, table))
    yield from _damage("rejected", "rejected", lambda: rejected.check_total(live))


def _index_differences(unindexed: dict[int, int]) -> Iterator[Difference]:
    for first, lacking in islice(unindexed.items(), limits.REJECTED_LISTED_MAX):
        message = (
            f"{lacking} names of the chunk from event {first} on are not indexed: sent again, they would count again"
        )
        yield Difference("index", str(first), None, lacking, message)


def _position_problems(live: sqlite3.Connection, state: StoreState, walk: Walk) -> list[Difference]:
    """Return what is wrong with the recorded positions themselves."""
    problems = []
    events, folded = state.events, state.folded
    last = _last(live)
    if last != events:
        message = f"the journal is recorded to end at event {events}, and its last chunk ends at {last}"
        problems.append(Difference("position", "events", events, last, message))
    elif walk.chain != state.chain and not walk.problems:
        problems.append(Difference("chunk", "chain", events, last, str(broken_end(last))))
    aligned = live.execute("SELECT 1 FROM chunk WHERE first + events - 1 = ?", (folded,)).fetchone()
    try:
        stored = counted_events(segments_of(live, roster_of(live)), FIVE[0])
    except ValueError:  # the comparison names the segment
        return problems
    if (folded and not aligned) or (stored != folded and not walk.problems):
        problems.append(Difference("position", "folded", folded, stored, unlike(folded, stored, FIVE[0])))
    return problems


def _comparison(live: sqlite3.Connection, folded: int, since: int, directory: Path) -> Comparison:
    """Return a comparison of all reports of a file: those that can be read, and those that are being counted."""
    roster, problem = roster_of(live), ""
    try:
        read_versions(live)
    except DamageError as error:
        problem = error.problem
    if roster.unknown:
        raise LaterFormatError(roster.unknown)
    read, own, cells = segments_of(live, roster), Segments(live), Cells(live)
    some = [Compared(report, folded, read, cells, None) for report in FIVE]
    some += [
        Compared(report, version.position if report.is_own else min(version.position, folded), own, cells, None)
        for version, report in roster.of("counting", "readable")
        if version.position is not None
    ]
    if since:
        some = [
            each._replace(start=each.report.window.at(since * _DAY_S))
            for each in some
            if each.report.window is not None
        ]
    comparison = Comparison(some, directory)
    if problem:
        comparison.note("report", problem)
    return comparison


def _names(live: sqlite3.Connection, state: StoreState, comparison: Comparison) -> dict[str, Names]:
    """Return the texts of all dictionaries, having noted those that are not as written."""
    found = {MERCHANT.dictionary: (state.merchants, state.merchants_crc)}
    for name, size, crc in live.execute("SELECT name, size, crc FROM dictionary"):
        found[str(name)] = (size, crc)
    names = {}
    for dictionary, (size, crc) in found.items():
        names[dictionary] = Names(live, dictionary)
        if not names[dictionary].is_as(size, crc):
            what = f"{size} merchants" if dictionary == MERCHANT.dictionary else f"{size} values of {dictionary}"
            comparison.note(dictionary, f"the names of the {what} are not as written")
    return names


def apply(five: Segments, own: Segments, deltas: dict[SegmentKey, dict[int, Total]]) -> None:
    """Raise differing counters by what they lack. Exact however far traffic went on since. Call in a transaction."""
    for (report, window, part), by_code in deltas.items():
        segments = own if report.is_own else five
        size = layout_of(report).size
        counts, lows, highs = kernel.read_counts(segments.cells(report, window, part), size)
        for code, (events, amount) in by_code.items():
            at = code - part * size
            total = (highs[at] << 64 | lows[at]) + amount
            counts[at] += events
            lows[at], highs[at] = total & _WORD, total >> 64
        codes = array("Q", range(size))
        segments.put(report, window, part, kernel.add_counts(b"", 0, size, codes, counts, lows, highs))


def take_over(connection: sqlite3.Connection, recount: Recount, now: float) -> None:
    """Put a recount in place of the aggregates. Call within a transaction; what came since is the tail again."""
    doubtful = doubtful_state(connection)
    events = _journaled(connection)
    connection.execute("DROP TABLE IF EXISTS segment")  # of a release before sums
    for table, columns in _TAKEN_OVER.items():
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 names, above
        rows = recount.connection.execute(f"SELECT * FROM {table}")  # noqa: S608
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})", rows)  # noqa: S608
    dictionaries = Dictionaries(connection)  # readers count the tail, so they must find its merchants too
    dictionaries.begin(0, len(recount.merchants), recount.merchants.crc)
    chain = recount.chain
    for row in read_chunks(connection, recount.events, events, chain=chain):
        batch = row.batch()
        for name in recount.dictionaries:
            dictionaries.of(name).ids(batch)
        chain = row.chain
    names = (len(dictionaries.merchants), dictionaries.merchants.crc)
    _stand_at(connection, recount)
    imports.put_seals(connection)
    notes.put_seals(connection)
    rejected.put_total(connection)
    generations = (doubtful.generation + 1, doubtful.definitions + 1)
    write_state(connection, StoreState(events, recount.events, now, generations[0], *names, chain, generations[1]))


def _stand_at(connection: sqlite3.Connection, recount: Recount) -> None:
    """Have all versions that were counted stand where the recount does; forget what is damaged of others."""
    roster, counted = roster_of(connection), {report.key for report in recount.reports}
    stand = [Version(report.name, report.version, "", "readable") for report in FIVE]
    for version in roster.versions:
        if version.state in {"dropped", "gone"}:
            stand.append(version)
        elif version.key in counted and version.definition:
            stand.append(version._replace(position=recount.events))
        elif version.definition:  # it came while the recount was made
            stand.append(version._replace(position=0, state="counting"))
    Counters(connection).begin(report for _, report in roster.of("counting", "readable") if report.key not in counted)
    clear_versions(connection)
    write_versions(connection, stand)


def trace(connection: sqlite3.Connection, at: Place, datapoint: str, after: int) -> Iterator[Trace]:
    """Yield the events behind a datapoint after so many, in journal order. Call within a transaction.

    All chunks are read, so that none that is damaged or missing is passed over.
    """
    report = at.report
    state = read_state(connection)
    low, high = -(1 << 62), 1 << 62
    if report.window and at.texts:
        low, high = report.window.bounds(at.window)
    for row in read_chunks(connection, 0, state.events):
        if row.high < low or row.low >= high:
            continue
        batch = row.batch()
        found = indexes_behind(report, batch, datapoint)
        left, after = found[after:], max(0, after - len(found))
        sources = list(batch.sources()) if left else []
        for index in left:
            yield Trace(
                chunk=f"events from {row.first}",
                index=index,
                folded=row.first + index <= state.folded,
                name=told(batch.identity(index, sources[index])),
                event=encode_event_of(batch, index),
            )
