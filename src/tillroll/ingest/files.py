"""Import: take a file of events into a store, in bounded memory, as often as one likes.

A file is JSON in any of the forms of a body (core.body), or CSV (core.csv_events). An event's identity is the import's
name and the event's place, its line (where it has no id of its own), so a run that was killed is simply run again.
One thread reads, one parses and one journals, each a block behind the other: all leave Python's lock alone for most of
their time.
"""

from __future__ import annotations

import gzip
import mmap
import os
import queue
import sys
import threading
import zlib
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, compress, cycle
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeVar, cast

import msgspec

from tillroll.core.accept import Reader, Rejection
from tillroll.core.body import LINES, Parting, PartingState
from tillroll.core.csv_events import FIELDS, CsvReader, Header, column_of, header_of, sample_of
from tillroll.core.export import NAME
from tillroll.core.file_kind import kind_of
from tillroll.core.named import with_names
from tillroll.core.outcome_counts import NOTHING, OutcomeCounts
from tillroll.core.text import visible
from tillroll.errors import TillrollError
from tillroll.ingest.by_date import journal_stretches
from tillroll.ingest.field_watch import NO_WATCH
from tillroll.ingest.take import CONFLICT
from tillroll.ports import Outcome

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator

    from tillroll.core.accept import Stretch
    from tillroll.core.batch import Source
    from tillroll.core.body import Parts
    from tillroll.core.parse import Text
    from tillroll.ingest.by_date import Pace
    from tillroll.ingest.field_watch import FieldWatch
    from tillroll.ports import Clock, Store

HEAD_BYTES: Final = 64 * 2**10  # by which content is recognised
_BLOCK_BYTES: Final = 32 * 2**20
_BLOCK_BYTES_FIRST: Final = 4 * 2**20  # doubled from block to block, so that the first is soon there to be committed
_BLOCKS_AT_ONCE: Final = 3  # one is read, one parsed, one committed; another would cost more for its memory
_FALLBACK_MAX: Final = 100_000  # lines of a commit that may be rejected: each costs a thousand bytes until it is stored
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_PARTED_MAX: Final = 1 << 19  # events of an array whose places are held at once
_LOOKED_AT: Final = 1_000  # lines, or elements, of which one must be an event
_LISTED_MAX: Final = 10
_STOP_S: Final = 0.25
_NICE: Final = 3  # levels that reading and parsing are below committing
_Item = TypeVar("_Item")
Format = Literal["json", "csv"]


class InputError(TillrollError):
    """A file cannot be read as events at all. What stood before stays imported."""

    exit_code = 2

    def __init__(self, name: str, problem: str, remedy: str) -> None:
        super().__init__(f"{visible(name)}: {problem}. {remedy}")


class Listed(NamedTuple):
    """An event that was not accepted, and whether its position is the number of a line, else of an element."""

    rejection: Rejection
    is_line: bool


class Tally(msgspec.Struct, kw_only=True):
    """What became of the events so far, and the first few that were not accepted."""

    lines: int = 0  # blank ones too; elements, where the file is an array
    counts: OutcomeCounts = NOTHING
    not_kept: int = 0  # of the conflicts and the rejected, for want of room
    listed: list[Listed] = []


class Readable(Protocol):
    """What `read_lines` needs of a file."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a buffer and return how many bytes were written: fewer than fit only at the end."""
        ...


class Block(NamedTuple):
    """A piece of a file's content, and how it is parted."""

    text: Text
    parts: Parts


class Input:
    """A file being imported: plain, gzip or zstd, as its first bytes tell. `head` is what its content begins with."""

    def __init__(self, name: str, raw: io.BufferedReader, file_format: Format | None = None) -> None:
        """Read the head. Without a format the head tells whether it is CSV.

        Raises:
            InputError: it is damaged, or said to be CSV and has no header of events.
        """
        self.name = name
        try:
            magic = raw.peek(4)[:4]
        except OSError as error:
            raise self._unreadable(error) from error
        self._stream: Readable = raw
        if magic.startswith(_GZIP):
            self._stream = gzip.GzipFile(fileobj=raw)
        elif magic == _ZSTD:
            self._stream = cast("Readable", zstd.ZstdFile(raw))
        head = bytearray(HEAD_BYTES)
        self.head = bytes(head[: self._fill(memoryview(head))])
        self.header: Header | None = None if file_format == "json" else header_of(self.head)
        if file_format == "csv" and self.header is None and self.head:
            problem = f"its first line is not a CSV header with {', '.join(FIELDS)}"
            raise InputError(name, problem, "Name its columns like this; id and other columns are allowed")

    def blocks(self) -> Iterator[Block]:
        """Yield the content in blocks of whole events, or of whole lines where it is CSV.

        Memory is used again: of the blocks that were taken, only the last _BLOCKS_AT_ONCE are still what they were.
        """
        parting = Parting(None if self.header is None else PartingState(LINES))
        buffers = cycle([_block() for _ in range(_BLOCKS_AT_ONCE)])
        buffer = next(buffers)
        rest = self.head
        size = filled = taken = 0
        while filled == size:
            size = min(2 * size, _BLOCK_BYTES) or _BLOCK_BYTES_FIRST
            buffer[: len(rest)] = rest
            filled = len(rest) + self._fill(memoryview(buffer)[len(rest) : size])
            view = memoryview(buffer).toreadonly()[:filled]
            is_lent = False
            while True:
                parts = parting.part(view, final=filled < size, most=_PARTED_MAX)
                if not parts.size and not parts.starts:
                    break
                taken += parts.size
                is_lent = True
                yield Block(view[: parts.size], parts)
                view = view[parts.size :]
                if not len(view):
                    break
            if len(view) == _BLOCK_BYTES:
                raise self._too_long(is_first=not taken)
            rest = bytes(view)
            if is_lent:
                buffer = next(buffers)

    def _too_long(self, *, is_first: bool) -> InputError:
        problem = f"an event, or a line, is longer than {_BLOCK_BYTES} bytes"
        if is_first:
            kind = kind_of(self.head)
            return InputError(self.name, f"{problem}; it seems to be {kind.seems}", kind.remedy)
        return InputError(self.name, problem, "Give a file of events of at most 1 MiB each")

    def check_kind(self, stretches: Iterator[Stretch]) -> Iterator[Stretch]:
        """Return the same stretches, once one of the first 1,000 places in them is an event, or there is none at all.

        Raises:
            InputError: none is: this is another kind of file.
        """
        held: list[Stretch] = []
        refused: list[Rejection] = []
        for stretch in stretches:
            held.append(stretch)
            first = stretch.event_positions[0] if len(stretch.batch) else None
            refused += [each for each in stretch.rejections if first is None or each.position < first]
            if first is not None or len(refused) >= _LOOKED_AT:
                break
        else:
            if not refused:
                return iter(held)
            raise self._no_events(refused)
        if len(refused) >= _LOOKED_AT:
            raise self._no_events(refused)
        return chain(held, stretches)

    def _no_events(self, refused: list[Rejection]) -> InputError:
        kind = kind_of(self.head)
        first = refused[0]
        looked_at = min(len(refused), _LOOKED_AT)
        problem = (
            f"none of the first {looked_at:,} lines or elements is an event (of the first: {first.reason.message}); "
            f"it seems to be {kind.seems}"
        )
        remedy = f"{kind.remedy}. Nothing was kept; to have all of it with the rejected: --anyway"
        return InputError(self.name, problem, remedy)

    def _fill(self, buffer: memoryview) -> int:
        try:
            return self._stream.readinto(buffer)
        except (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError) as error:
            problem = f"the compressed file is damaged or cut short ({error})"
            raise InputError(
                self.name, problem, "Get the complete file, and import it again: nothing is counted twice"
            ) from error
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> InputError:
        return InputError(self.name, f"cannot be read ({error.strerror})", "Check the file and its disk")


def _block() -> bytearray | mmap.mmap:
    """Return memory for a block: of large pages, which come when first written to, where there are such."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return bytearray(_BLOCK_BYTES)
    block = mmap.mmap(-1, _BLOCK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block.madvise(mmap.MADV_HUGEPAGE)
    return block


def import_events(
    store: Store,
    stretches: Iterator[Stretch],
    clock: Clock,
    on_commit: Callable[[Tally], None] | None = None,
    fields: FieldWatch = NO_WATCH,
    header: Header | None = None,
    pace: Pace | None = None,
) -> Tally:
    """Take the events of a file, as `read_ahead` gives them, into a store and return what became of them.

    `on_commit` hears of each stretch of it, and `pace` says how fast they may come. Calling this again with the same
    content and source, whatever stopped it before, counts nothing twice. What is not accepted is kept with the rejected
    under its source and place.
    `header` is that of a CSV file.

    Raises:
        InputError: the file cannot be read on.
        StoreError: the store cannot take it.
    """
    tally = Tally()
    for stretch, outcomes in journal_stretches(store, stretches, pace):
        _count(store, stretch, outcomes, clock, tally)
        fields.look([stretch.text] if header is None else sample_of(stretch.text, header))
        if on_commit is not None:
            on_commit(tally)
    fields.flush()
    store.fold()
    return tally


@contextmanager
def read_ahead(
    content: Input, source: Source, clock: Clock, fields: FieldWatch = NO_WATCH
) -> Iterator[Iterator[Stretch]]:
    """Lend the events of a file as they are read by one thread and parsed by another, which begin at once."""
    with _ahead(content.blocks(), 2) as blocks, _ahead(_parsed(content, blocks, source, clock, fields), 2) as parsed:
        yield parsed


@contextmanager
def _ahead(items: Iterator[_Item], at_once: int) -> Iterator[Iterator[_Item]]:
    """Lend items as another thread makes them: there are at most so many, the one in use and the one being made too.

    A daemon thread, so that Ctrl-C ends the process although that thread waits for standard input.
    """
    ready: queue.SimpleQueue[_Item | Exception | None] = queue.SimpleQueue()
    room = threading.Semaphore(at_once)
    stopped = threading.Event()

    def make() -> None:
        _give_way()
        try:
            while room.acquire() and not stopped.is_set():
                item = next(items, None)
                ready.put(item)
                if item is None:
                    return
        except Exception as error:  # noqa: BLE001 raised where the items are taken
            ready.put(error)

    def take() -> Iterator[_Item]:
        while (item := ready.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
            room.release()

    thread = threading.Thread(target=make, name="tillroll-ahead", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        stopped.set()
        room.release()
        thread.join(_STOP_S)


def _give_way() -> None:
    """Let this thread run when those that wait for it, or have other work, leave a processor free.

    What it makes is bounded, so it would only take time from the thread that commits, for which all wait.
    """
    if sys.platform == "linux":  # where a thread has a priority of its own: setpriority(2), "C library differences"
        thread = threading.get_native_id()
        with suppress(OSError):  # a sandbox may not have it
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICE)


def _parsed(
    content: Input, blocks: Iterator[Block], source: Source, clock: Clock, fields: FieldWatch
) -> Iterator[Stretch]:
    if content.header is None:
        reader = Reader(source, fields.keep)
        for text, parts in blocks:
            yield from map(with_names, reader.read(text, parts, clock, _FALLBACK_MAX))
        return
    csv_reader = CsvReader(source, content.header, fields.keep)
    named = partial(with_names, column=column_of(content.head, content.header, NAME))
    for text, _ in blocks:
        yield from map(named, csv_reader.read(text, clock, _FALLBACK_MAX))
    yield from map(named, csv_reader.finish(clock, _FALLBACK_MAX))


def _count(store: Store, stretch: Stretch, outcomes: bytes, clock: Clock, tally: Tally) -> None:
    """Note what became of a stretch that is journaled, and keep what was not accepted."""
    accepted = outcomes.count(Outcome.ACCEPTED)
    conflicts = outcomes.count(Outcome.CONFLICT) if accepted < len(outcomes) else 0
    refused = stretch.rejections
    if conflicts:
        positions = compress(stretch.event_positions, (outcome == Outcome.CONFLICT for outcome in outcomes))
        found = [
            Rejection(stretch.source, position, event, CONFLICT, byte)
            for position, byte, event in stretch.find(positions)
        ]
        refused = sorted([*refused, *found], key=lambda rejection: rejection.position)
    if refused:
        tally.not_kept += len(refused) - store.set_aside(refused, clock())
    tally.lines += stretch.places
    tally.counts += OutcomeCounts(
        accepted, len(outcomes) - accepted - conflicts, conflicts, rejected=len(stretch.rejections)
    )
    tally.listed.extend(Listed(each, stretch.is_lines) for each in refused[: _LISTED_MAX - len(tally.listed)])
