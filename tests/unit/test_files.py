"""The pipeline of an import: its blocks share a few buffers, none filled again before its lines are done with."""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.oracle import Oracle

from tillroll.core import kernel, limits
from tillroll.core.batch import NameKind, Source
from tillroll.ingest import files
from tillroll.ingest.files import Input, InputError, Tally, import_events, read_ahead

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tillroll.core.batch import Batch

SOURCE = Source(NameKind.FILE, "till")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_BLOCK_BYTES", 4_096)
    monkeypatch.setattr(files, "_BLOCK_BYTES_FIRST", 256)
    monkeypatch.setattr(files, "HEAD_BYTES", 64)
    monkeypatch.setattr(limits, "LINE_BYTES_MAX", 200)  # of which a body's beginning may need as much
    monkeypatch.setattr(kernel, "compiled", False)  # it has the bound for its own


def lines(amount: int, events: int = 2_000) -> list[bytes]:
    start = b'{"date":"2011-12-03T10:15:30Z","amount":%d,"paymentMethod":"PAY_NOW","merchantId":"m","id":"%d"}'
    return [start % (amount, number) if number % 7 else b"no event %d" % number for number in range(events)]


def imported(store: Oracle, content: bytes) -> Tally:
    with read_ahead(Input("till", io.BufferedReader(io.BytesIO(content))), SOURCE, lambda: 2e9) as parsed:
        return import_events(store, parsed, lambda: 2e9)


class Failing(io.RawIOBase):
    """A file whose disk fails after some reads."""

    def __init__(self, reads: int) -> None:
        self._left = reads

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        if not self._left:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._left -= 1
        line = lines(1, 2)[1] + b"\n"
        memoryview(buffer)[: len(line)] = line
        return len(line)


@pytest.mark.parametrize("reads", [0, 1, 50])
def test_a_disk_that_fails_is_told_with_the_file(reads: int) -> None:
    with (
        pytest.raises(InputError, match=r"till: cannot be read \(Input/output error\)\. Check the file and its disk"),
        read_ahead(Input("till", io.BufferedReader(Failing(reads))), SOURCE, lambda: 2e9) as parsed,
    ):
        import_events(Oracle(), parsed, lambda: 2e9)


class Slow(Oracle):
    """A store for which reading and parsing do not wait."""

    def journal(self, batch: Batch) -> bytes:
        time.sleep(0.002)
        return super().journal(batch)


def test_what_is_not_accepted_is_kept_as_it_stood_however_slow_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_FALLBACK_MAX", 3)
    store = Slow()
    first, changed = lines(100), lines(200)
    tally = imported(store, b"\n".join(first))
    assert (tally.lines, tally.counts.accepted, tally.counts.rejected) == (2_000, 1_714, 286)
    tally = imported(store, b"\n".join(changed))
    assert (tally.counts.accepted, tally.counts.conflicts, tally.counts.rejected) == (0, 1_714, 286)
    kept = {
        each.rejection.position: each.rejection.body
        for each in store.rejected(limit=10_000)
        if each.rejection.reason.code == "conflict"
    }
    assert kept == {position: line for position, line in enumerate(changed) if position % 7}


def test_a_line_longer_than_a_block_does_not_cost_a_buffer() -> None:
    store = Slow()
    filler = b" " * 2_000
    imported(store, b"\n".join(lines(100)))
    changed = lines(200)
    changed[3:3] = [filler]  # blank, and longer than the blocks are at first
    tally = imported(store, b"\n".join(changed))
    bodies = {each.rejection.body for each in store.rejected(limit=10_000) if each.rejection.reason.code == "conflict"}
    assert tally.counts.conflicts == len(bodies) == 1_714
    assert bodies <= set(changed)


def test_an_error_of_the_file_is_told_after_the_blocks_before_it() -> None:
    store = Oracle()
    with pytest.raises(InputError, match="a line, is longer than"):
        imported(store, b"\n".join(lines(100)) + b" " * 9_000)
    assert len(store.events()) > 1_600


def test_a_store_that_fails_ends_the_reading() -> None:
    class Broken(Oracle):
        def journal(self, batch: Batch) -> bytes:
            raise OSError(f"no room for {len(batch)} events")

    with pytest.raises(OSError, match="no room"):
        imported(Broken(), b"\n".join(lines(100)))


def priority() -> int:
    """Return how far this thread gives way to others."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no priority of its own")
@pytest.mark.parametrize("allowed", [True, False])
def test_who_reads_and_parses_gives_way_to_who_commits(monkeypatch: pytest.MonkeyPatch, *, allowed: bool) -> None:
    own = priority()
    if not allowed:

        def refuse(which: int, who: int, level: int) -> None:
            raise PermissionError(which, who, level)

        monkeypatch.setattr(os, "setpriority", refuse)
    with files._ahead((priority() for _ in range(3)), 2) as made:
        assert list(made) == [min(own + files._NICE, 19) if allowed else own] * 3
    assert priority() == own
