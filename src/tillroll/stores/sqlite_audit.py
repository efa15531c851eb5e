"""Recounting the journal in SQLite: to audit, to repair, to rebuild, and to show what is behind a number.

The recount is made by the same segments in a file of its own, so its memory does not grow with the journal.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from array import array
from contextlib import contextmanager, suppress
from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import chunk, kernel, limits
from tillroll.core.accept import encode_event_of
from tillroll.core.batch import NameKind
from tillroll.core.report import FIVE, Place, Report
from tillroll.errors import LaterFormatError, StoreError
from tillroll.ports import Audit, Difference, Progress, Trace
from tillroll.stores import sqlite_rejected, sqlite_schema
from tillroll.stores.damage import DamageError
from tillroll.stores.layout import layout_of
from tillroll.stores.merchants import Merchants
from tillroll.stores.segments import Segments
from tillroll.stores.sqlite_chunks import (
    GENESIS,
    Chunk,
    broken_end,
    chain_at,
    doubtful_chunks,
    is_linked,
    read_chunks,
)
from tillroll.stores.sqlite_dedupe import Dedupe
from tillroll.stores.sqlite_head import another, compare
from tillroll.stores.sqlite_naming import read_naming
from tillroll.stores.sqlite_reader import segments_of
from tillroll.stores.sqlite_reports import Version, read_versions, write_versions
from tillroll.stores.sqlite_schema import transaction
from tillroll.stores.sqlite_state import State, doubtful_state, read_state, write_state
from tillroll.stores.sqlite_upgrade import AGGREGATE_TABLES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from tillroll.core.batch import Batch
    from tillroll.stores.sqlite_head import Head

_DAY_S: Final = 86_400
_BY_NAME: Final = {report.name: report for report in FIVE}
_WORD: Final = (1 << 64) - 1
_WORK_PREFIXES: Final = ("audit-", "recount-")
SegmentKey = tuple[str, int, int]
Total = tuple[int, int]  # events and amount
_Row = tuple[tuple[int, int], bytes, str | None]  # a segment with its problem; None: it is of the recount


class Found(NamedTuple):
    """An audit, and what sets it right."""

    audit: Audit
    deltas: dict[SegmentKey, dict[int, Total]]  # by what each differing counter must be raised: by segment, then code
    unindexed: list[int]  # the first event of each chunk whose names the index lacks
    damaged: bool  # whether something is not as written that a rebuild makes anew
    generation: int  # of the aggregates that were compared


class Recount:
    """Segments counted anew from the journal, in a file of their own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = sqlite_schema.connect(path)
        self.connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        self.connection.executescript(AGGREGATE_TABLES)
        self.merchants = Merchants(self.connection)
        self.segments = Segments(self.connection)
        self.segments.begin(FIVE)
        self.events = 0
        self.chain = GENESIS  # of the last chunk
        self.problems: list[Difference] = []
        self.unindexed: dict[int, int] = {}  # how many rows the index lacks of the chunk with this first event

    def count(self, journal: sqlite3.Connection, upto: int, last: int, progress: Progress | None) -> None:
        """Count the journal's events up to a number, noting every chunk up to `last` that is missing or damaged."""
        index = None if list(_naming_problems(journal)) else Dedupe(journal)
        expected = 1
        with transaction(self.connection):
            for row in doubtful_chunks(journal, last):
                if row.first != expected:
                    self._missing(expected, row.first - 1)
                batch = self._read(row, linked=row.first != expected or is_linked(row, self.chain))
                self.chain, expected = row.chain, row.first + row.events
                if batch is not None and row.first <= upto:
                    self.segments.add_batch(batch, self.merchants.ids(batch))
                    self.events += row.events
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
        self.problems.append(
            Difference(kind="chunk", subject=str(row.first), stored=row.events, recounted=found, message=message)
        )

    def _missing(self, first: int, last: int) -> None:
        message = f"events {first} to {last} are missing from the journal"
        count = last - first + 1
        self.problems.append(
            Difference(kind="chunk", subject=str(first), stored=None, recounted=count, message=message)
        )

    def close(self) -> None:
        """Release the file."""
        self.connection.close()


@contextmanager
def _work_directory(path: Path, prefix: str) -> Iterator[Path]:
    """Lend a directory beside a file, and remove those that a killed process left: their lock went with it."""
    try:
        with _locked(path.parent):  # so that nobody takes a directory that is not locked yet for one that was left
            for kind in _WORK_PREFIXES:
                for left in path.parent.glob(f"{kind}*"):
                    with suppress(OSError), _locked(left, wait=False):
                        shutil.rmtree(left)
            directory = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
            held = _lock(directory, wait=True)
    except OSError as error:
        problem = f"no directory can be made in {path.parent} to count in ({error.strerror})"
        raise StoreError(problem, "Check the disk, and who may write there", retry_after_s=5) from error
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(held)


@contextmanager
def _locked(directory: Path, *, wait: bool = True) -> Iterator[None]:
    held = _lock(directory, wait=wait)
    try:
        yield
    finally:
        os.close(held)


def _lock(directory: Path, *, wait: bool) -> int:
    """Return a descriptor that has a directory locked until it is closed. Raises OSError."""
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise
    return held


@contextmanager
def recounted(path: Path, progress: Progress | None) -> Iterator[Recount]:
    """Lend a recount of the journal in the file at `path`, as far as it was folded at the start."""
    journal = sqlite_schema.connect(path)
    with _work_directory(path, "recount-") as directory:
        recount = Recount(directory / "recount.db")
        try:
            with transaction(journal, "DEFERRED"):
                events = _journaled(journal)
                recount.count(journal, events, events, progress)
            yield recount
        finally:
            recount.close()
            journal.close()


def _journaled(connection: sqlite3.Connection) -> int:
    """Return how many events there are, though the state is damaged."""
    try:
        return read_state(connection).events
    except DamageError:
        (last,) = connection.execute("SELECT coalesce(max(first + events - 1), 0) FROM chunk").fetchone()
        return int(last)


def audit(path: Path, head: Head | None, since: int, progress: Progress | None) -> Found:
    """Recount the file at `path` up to its folded position and compare; `since` is a day since 1970.

    `head` is what the head's file said before.
    """
    live = sqlite_schema.connect(path)
    with _work_directory(path, "audit-") as directory:
        recount = Recount(directory / "recount.db")
        try:
            with transaction(live, "DEFERRED"):  # one moment: traffic goes on beside it
                doubtful = doubtful_state(live)
                events = _journaled(live)
                folded = min(doubtful.folded, events)
                recount.count(live, folded, events, progress)
                broken = [*_state_problems(live), *_file_problems(live)]
                problems = [
                    *broken,
                    *_head_problems(live, head, doubtful),
                    *_naming_problems(live),
                    *recount.problems,
                    *_rejected_problems(live),
                ]
                problems += _position_problems(live, doubtful, recount)
                differing = _Comparison(live, recount, since)
                differing.run()
        finally:
            recount.close()
            live.close()
    differences = [*problems, *_index_differences(recount.unindexed), *differing.differences]
    return Found(
        Audit(
            position=folded,
            events=recount.events,
            datapoints=differing.datapoints,
            differences=differences[: limits.REJECTED_LISTED_MAX],
            differences_total=len(problems) + len(recount.unindexed) + differing.total,
        ),
        differing.deltas if not recount.problems else {},
        list(recount.unindexed),
        (bool(broken) or differing.damaged) and not recount.problems,
        doubtful.generation,
    )


def _state_problems(live: sqlite3.Connection) -> Iterator[Difference]:
    try:
        read_state(live)
    except DamageError as error:
        yield Difference(kind="position", subject="state", stored=None, recounted=None, message=str(error))


def _naming_problems(live: sqlite3.Connection) -> Iterator[Difference]:
    try:
        read_naming(live)
    except DamageError as error:
        yield Difference(kind="index", subject="key", stored=None, recounted=None, message=str(error))


def _head_problems(live: sqlite3.Connection, head: Head | None, state: State) -> Iterator[Difference]:
    try:
        compare(head, state.events, state.chain)
        if head is not None and chain_at(live, head.events) != head.chain:
            raise another(head)
    except DamageError as error:
        stored = None if head is None else head.events
        message = str(error)
        yield Difference(kind="position", subject="head", stored=stored, recounted=state.events, message=message)


def _rejected_problems(live: sqlite3.Connection) -> Iterator[Difference]:
    for message in sqlite_rejected.damage(live):
        yield Difference(kind="rejected", subject="rejected", stored=None, recounted=None, message=message)


def _file_problems(live: sqlite3.Connection) -> Iterator[Difference]:
    """Yield what SQLite itself finds wrong with the file: trees out of order, indexes that differ from their tables."""
    for (table,) in live.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        for (message,) in live.execute(f"PRAGMA integrity_check('{table}')"):
            # Of a key that is not the first columns of its table SQLite 3.40 says wrongly that others are NULL.
            if message != "ok" and not message.startswith("NULL value in"):
                text = f"the file is damaged: {message}"
                yield Difference(kind="file", subject=table, stored=None, recounted=None, message=text)


def _index_differences(unindexed: dict[int, int]) -> Iterator[Difference]:
    for first, lacking in islice(unindexed.items(), limits.REJECTED_LISTED_MAX):
        message = (
            f"{lacking} names of the chunk from event {first} on are not indexed: sent again, they would count again"
        )
        yield Difference(kind="index", subject=str(first), stored=None, recounted=lacking, message=message)


def _position_problems(live: sqlite3.Connection, state: State, recount: Recount) -> list[Difference]:
    """Return what is wrong with the recorded positions themselves."""
    problems = []
    events, folded = state.events, state.folded
    (last,) = live.execute("SELECT coalesce(max(first + events - 1), 0) FROM chunk").fetchone()
    if last != events:
        message = f"the journal is recorded to end at event {events}, and its last chunk ends at {last}"
        problems.append(Difference(kind="position", subject="events", stored=events, recounted=last, message=message))
    elif recount.chain != state.chain and not recount.problems:
        message = str(broken_end(last))
        problems.append(Difference(kind="chunk", subject="chain", stored=events, recounted=last, message=message))
    aligned = live.execute("SELECT 1 FROM chunk WHERE first + events - 1 = ?", (folded,)).fetchone()
    whole = FIVE[0]
    try:
        segments, size = segments_of(live, read_versions(live)), layout_of(whole).size
        stored = sum(sum(kernel.read_counts(cells, size)[0]) for _, _, cells in segments.read(whole))
    except ValueError:  # the comparison names the segment
        return problems
    if (folded and not aligned) or (stored != folded and not recount.problems):
        message = f"the folded position is recorded as {folded}, and the aggregates of {whole.name} add up to {stored}"
        problems.append(Difference(kind="position", subject="folded", stored=folded, recounted=stored, message=message))
    return problems


class _Comparison:
    """Compares the segments that readers see with a recount."""

    def __init__(self, live: sqlite3.Connection, recount: Recount, since: int) -> None:
        self._stored, self._recounted = segments_of(live, _versions(live)), recount.segments
        self._live, self._recount = live, recount.connection
        self._renamed = _renamed(live, recount.connection)
        self._since = since
        self.datapoints = 0
        self.total = 0
        self.differences: list[Difference] = []
        self.deltas: dict[SegmentKey, dict[int, Total]] = {}
        self.damaged = bool(self._renamed)  # whether a row is not as written, whatever it counts

    def run(self) -> None:
        """Compare every report that the range concerns."""
        for report in FIVE:
            if self._since and not report.window:
                continue
            start = report.window.at(self._since * _DAY_S) if self._since and report.window else None
            stored = self._stored.doubtful_rows(report)
            recounted = (((window, part), cells, None) for window, part, cells in self._recounted.read(report))
            rows: Iterator[_Row] = merge(stored, recounted, key=itemgetter(0))
            for key, some in groupby(rows, key=itemgetter(0)):
                have, right, problem = b"", b"", ""
                for _, cells, noted in some:
                    if noted is None:
                        right = cells
                    else:
                        have, problem = cells, noted
                if start is None or key[0] >= start:
                    self._compare(report, key, have, right, problem)

    def _compare(self, report: Report, key: tuple[int, int], stored: bytes, recounted: bytes, problem: str) -> None:
        window, part = key
        size = layout_of(report).size
        counts, *words = kernel.read_counts(recounted, size)
        self.datapoints += size - counts.count(0)
        self.damaged = self.damaged or bool(problem)
        if stored == recounted and not self._renamed:
            if problem:
                self._note(report, window, part, problem)
            return
        try:
            have, *have_words = kernel.read_counts(stored, size)
        except (TypeError, ValueError) as error:
            self._note(report, window, part, f"a segment cannot be read: {error}")
            return
        total, has_sums = self.total, self._stored.has_sums
        for index in range(size):
            code = part * size + index
            renamed = bool(report.opens) and code // report.inner in self._renamed
            right = (counts[index], _wide(words, index) if has_sums else 0)
            held = (have[index], _wide(have_words, index))
            if held != right or (renamed and have[index]):
                self._differs(report, window, code, held, right)
        if problem and self.total == total:
            self._note(report, window, part, problem)

    def _differs(self, report: Report, window: int, code: int, stored: Total, recounted: Total) -> None:
        self.total += 1
        key = (report.name, window, code // layout_of(report).size)
        self.deltas.setdefault(key, {})[code] = (recounted[0] - stored[0], recounted[1] - stored[1])
        if len(self.differences) < limits.REJECTED_LISTED_MAX:
            merchant, inner = divmod(code, report.inner)
            stored_name = _name(self._live, merchant)
            name = _name(self._recount, merchant) or stored_name or f"merchant {merchant}"
            try:
                before, after = report.forms(window)[inner]
            except (OverflowError, ValueError):  # damage has made a window of it that no calendar has
                before, after = f"{report.name} {window} ", ""
            subject = f"{before}{name}{after}" if report.opens else before
            measure = int(stored[0] == recounted[0] and stored[1] != recounted[1])
            has, should = stored[measure], recounted[measure]
            message = f"{'the amount of ' if measure else ''}{subject} is stored as {has}, and the journal has {should}"
            if report.opens and merchant in self._renamed and stored_name != name:
                message += f"; the merchant is stored as {stored_name}"
            self.differences.append(
                Difference(kind="aggregate", subject=subject, stored=has, recounted=should, message=message)
            )

    def _note(self, report: Report, window: int, part: int, message: str) -> None:
        self.total += 1
        subject = f"{report.name} {window} {part}"
        self.differences.append(
            Difference(kind="aggregate", subject=subject, stored=None, recounted=None, message=message)
        )


def _name(connection: sqlite3.Connection, number: int) -> str | None:
    found = connection.execute("SELECT name FROM merchant WHERE id = ?", (number,)).fetchone()
    return found[0] if found else None


def _renamed(live: sqlite3.Connection, recount: sqlite3.Connection) -> set[int]:
    """Return the numbers of the recount that the other file has for another name, or for none."""
    query = "SELECT id, name FROM merchant ORDER BY id"
    stored, differing = live.execute(query), set()
    held = next(stored, None)
    for number, name in recount.execute(query):
        while held is not None and held[0] < number:
            held = next(stored, None)
        if held != (number, name):
            differing.add(number)
    return differing


def apply(segments: Segments, deltas: dict[SegmentKey, dict[int, Total]]) -> None:
    """Raise differing counters by what they lack. Exact however far traffic went on since. Call in a transaction."""
    for (name, window, part), by_code in deltas.items():
        report = _BY_NAME[name]
        size = layout_of(report).size
        counts, *words = kernel.read_counts(segments.cells(report, window, part), size)
        for code, (events, amount) in by_code.items():
            at = code - part * size
            counts[at] += events
            for word, value in zip(words, _words(_wide(words, at) + amount), strict=True):
                word[at] = value
        codes = array("Q", range(size))
        segments.put(report, window, part, kernel.add_counts(b"", 0, size, codes, counts, *words))


def _wide(words: Sequence[array[int]], at: int) -> int:
    lows, highs = words
    return highs[at] << 64 | lows[at]


def _words(amount: int) -> tuple[int, int]:
    return amount & _WORD, amount >> 64


def _versions(live: sqlite3.Connection) -> list[Version]:
    try:
        return read_versions(live)
    except DamageError:
        return []


def take_over(connection: sqlite3.Connection, recount: Recount, now: float) -> None:
    """Put a recount in place of the aggregates. Call within a transaction; what came since is the tail again."""
    doubtful = doubtful_state(connection)
    events = _journaled(connection)
    connection.execute("DROP TABLE IF EXISTS segment")  # of a release before sums
    connection.execute("DELETE FROM aggregate")
    connection.execute("DELETE FROM merchant")
    for table, values in (("merchant", "?, ?"), ("aggregate", "?, ?, ?, ?, ?, ?, ?")):
        rows = recount.connection.execute(f"SELECT * FROM {table}")  # noqa: S608 two names, above
        connection.executemany(f"INSERT INTO {table} VALUES ({values})", rows)  # noqa: S608
    merchants = Merchants(connection)  # readers count the tail, so they must find its merchants too
    merchants.begin(0, len(recount.merchants), recount.merchants.crc)
    chain = recount.chain
    for row in read_chunks(connection, recount.events, events, chain=chain):
        merchants.ids(row.batch())
        chain = row.chain
    names = (len(merchants), merchants.crc)
    write_versions(connection, (Version(report.name, 1, "", None, "readable") for report in FIVE))
    generations = (doubtful.generation + 1, doubtful.definitions + 1)
    write_state(connection, State(events, recount.events, now, generations[0], *names, chain, generations[1]))


def trace(connection: sqlite3.Connection, at: Place) -> Iterator[Trace]:
    """Yield the events behind a datapoint, in journal order. Call within a transaction.

    All chunks are read, so that none that is damaged or missing is passed over.
    """
    report = at.report
    state = read_state(connection)
    low, high = -(1 << 62), 1 << 62
    if report.window:
        low, high = report.window.bounds(at.window)
    for row in read_chunks(connection, 0, state.events):
        if row.high < low or row.low >= high:
            continue
        batch = row.batch()
        sources = list(batch.sources())
        for index in _matching(batch, at):
            identity = batch.identity(index, sources[index])
            name = "unnamed"
            if identity is not None:
                position = "" if identity.kind is NameKind.ID else f" at {identity.position}"
                name = f"{identity.kind.name.lower()} {identity.value}{position}"
            yield Trace(
                chunk=f"events from {row.first}",
                index=index,
                folded=row.first + index <= state.folded,
                name=name,
                event=encode_event_of(batch, index),
            )


def _matching(batch: Batch, at: Place) -> Iterator[int]:
    text = at.report.text(at.texts)
    return (
        index for index, event in enumerate(batch.events()) if at.report.text_of(event, batch.kept_of(index)) == text
    )
