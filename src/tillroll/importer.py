"""Import: take a file of one event a line into a store, in bounded memory, as often as one likes.

A line's identity is the import's name and the line's number (where the event has no id of its own), so a run that was
killed is simply run again. One thread reads, one parses and one journals, each a block behind the other: all leave
Python's lock alone for most of their time.
"""

from __future__ import annotations

import gzip
import mmap
import queue
import sys
import threading
import zlib
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar, cast

import msgspec

from tillroll.core.accept import Rejection, parse_lines
from tillroll.errors import TillrollError
from tillroll.ports import Outcome
from tillroll.service import CONFLICT

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator

    from tillroll.core.batch import Batch, Source
    from tillroll.core.parse import Text
    from tillroll.ports import Clock, Store

HEAD_BYTES: Final = 64 * 2**10  # by which content is recognised
_BLOCK_BYTES: Final = 32 * 2**20
_BLOCK_BYTES_FIRST: Final = 4 * 2**20  # doubled from block to block, so that the first is soon there to be committed
_BLOCKS_AT_ONCE: Final = 4  # one is read, one parsed, one waits, one is committed
_UNSURE_MAX: Final = 100_000  # lines of a commit that may be rejected: each costs a thousand bytes until it is stored
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = b" \t\r\n"
_LISTED_MAX: Final = 10
_STOP_S: Final = 0.25
_Item = TypeVar("_Item")


class InputError(TillrollError):
    """A file cannot be read as lines of events at all. What stood before stays imported."""

    exit_code = 2

    def __init__(self, name: str, problem: str, remedy: str) -> None:
        super().__init__(f"{name}: {problem}. {remedy}")


class Tally(msgspec.Struct, kw_only=True):
    """What became of the lines so far, and the first few that were not accepted."""

    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0
    listed: list[Rejection] = []

    @property
    def events(self) -> int:
        """How many lines were not blank."""
        return self.accepted + self.duplicates + self.conflicts + self.rejected


class Readable(Protocol):
    """What `read_lines` needs of a file."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a buffer and return how many bytes were written: fewer than fit only at the end."""
        ...


class Parsed(NamedTuple):
    """A block of a file's lines: its bytes, its events, and what else was in it."""

    block: Text
    first: int  # the number of its first line
    lines: int
    batch: Batch
    rejections: list[Rejection]


class Input:
    """A file being imported: plain, gzip or zstd, as its first bytes tell. `head` is what its content begins with."""

    def __init__(self, name: str, raw: io.BufferedReader) -> None:
        """Read the head.

        Raises:
            InputError: it is damaged, or holds something else than lines.
        """
        self.name = name
        magic = raw.peek(4)[:4]
        self._stream: Readable = raw
        if magic.startswith(_GZIP):
            self._stream = gzip.GzipFile(fileobj=raw)
        elif magic == _ZSTD:
            self._stream = cast("Readable", zstd.ZstdFile(raw))
        head = bytearray(HEAD_BYTES)
        self.head = bytes(head[: self._fill(memoryview(head))])
        if self.head.removeprefix(_BOM).lstrip(_SPACE).startswith(b"["):
            remedy = f"Make one of it with: jq -c '.[]' {name}"
            raise InputError(name, "this is a JSON array and not a file of one event a line", remedy)

    def blocks(self) -> Iterator[Text]:
        """Yield the content in blocks of whole lines; the last may lack its end.

        A byte order mark at the beginning is left out. Memory is used again: of the blocks that were taken, only
        the last _BLOCKS_AT_ONCE are still what they were.
        """
        buffers = cycle([_block() for _ in range(_BLOCKS_AT_ONCE)])
        buffer = next(buffers)
        rest = self.head.removeprefix(_BOM)
        size = filled = 0
        while filled == size:
            size = min(2 * size, _BLOCK_BYTES) or _BLOCK_BYTES_FIRST
            buffer[: len(rest)] = rest
            filled = len(rest) + self._fill(memoryview(buffer)[len(rest) : size])
            cut = buffer.rfind(b"\n", 0, filled) + 1
            if not cut and filled == _BLOCK_BYTES:
                problem = f"a line is longer than {_BLOCK_BYTES} bytes"
                raise InputError(self.name, problem, "Give a file of one event a line")
            rest = bytes(memoryview(buffer)[cut:filled])
            if cut:
                yield memoryview(buffer).toreadonly()[:cut]
                buffer = next(buffers)
        if rest:
            yield rest

    def _fill(self, buffer: memoryview) -> int:
        try:
            return self._stream.readinto(buffer)
        except (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError) as error:
            problem = f"the compressed file is damaged or cut short ({error})"
            raise InputError(
                self.name, problem, "Get it whole, and import it again: nothing is counted twice"
            ) from error
        except OSError as error:
            raise InputError(self.name, f"cannot be read ({error.strerror})", "Check the file and its disk") from error


def _block() -> bytearray | mmap.mmap:
    """Return memory for a block: of large pages, which come when first written to, where there are such."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return bytearray(_BLOCK_BYTES)
    block = mmap.mmap(-1, _BLOCK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block.madvise(mmap.MADV_HUGEPAGE)
    return block


def import_lines(
    store: Store, lines: Iterator[Parsed], clock: Clock, on_commit: Callable[[Tally], None] | None = None
) -> Tally:
    """Take every line of a file, as `read_ahead` gives them, into a store and return what became of them.

    Each block is one commit; `on_commit` hears of it. Calling this again with the same content and source, whatever
    stopped it before, counts nothing twice. What is not accepted is kept with the rejected under its source and line.

    Raises:
        InputError: the file cannot be read on.
        StoreError: the store cannot take it.
    """
    tally = Tally()
    for block in lines:
        _commit(store, block, clock, tally)
        if on_commit is not None:
            on_commit(tally)
    store.fold()
    return tally


@contextmanager
def read_ahead(content: Input, source: Source, clock: Clock) -> Iterator[Iterator[Parsed]]:
    """Lend the lines of a file as they are read by one thread and parsed by another, which begin at once."""
    with _ahead(content.blocks(), 2) as blocks, _ahead(_parsed(blocks, source, clock), 3) as parsed:
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


def _parsed(blocks: Iterator[Text], source: Source, clock: Clock) -> Iterator[Parsed]:
    first = 0
    for block in blocks:
        rest = block
        while len(rest):
            batch, rejections, size, lines = parse_lines(rest, source, first, clock(), _UNSURE_MAX)
            yield Parsed(rest[:size], first, lines, batch, rejections)
            first += lines
            rest = rest[size:]


def _commit(store: Store, parsed: Parsed, clock: Clock, tally: Tally) -> None:
    outcomes = store.journal(parsed.batch) if len(parsed.batch) else b""
    accepted = outcomes.count(Outcome.ACCEPTED)
    conflicts = outcomes.count(Outcome.CONFLICT) if accepted < len(outcomes) else 0
    refused = parsed.rejections
    if conflicts:
        refused = sorted([*refused, *_conflicts(parsed, outcomes)], key=lambda rejection: rejection.position)
    if refused:
        store.set_aside(refused, clock())
    tally.lines += parsed.lines
    tally.accepted += accepted
    tally.duplicates += len(outcomes) - accepted - conflicts
    tally.conflicts += conflicts
    tally.rejected += len(parsed.rejections)
    tally.listed.extend(refused[: _LISTED_MAX - len(tally.listed)])


def _conflicts(parsed: Parsed, outcomes: bytes) -> Iterator[Rejection]:
    texts = bytes(parsed.block).split(b"\n")
    sources = parsed.batch.sources()
    for source, position, outcome in zip(sources, parsed.batch.positions, outcomes, strict=True):
        if outcome == Outcome.CONFLICT:
            yield Rejection(source, position, texts[position - parsed.first].strip(_SPACE), CONFLICT)
