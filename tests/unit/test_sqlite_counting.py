"""Counting reports beside traffic: in another process, in parts of chunks, in transactions that only write."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from tests.batches import batch_of

from tillroll.core.batch import Event
from tillroll.core.definition import define
from tillroll.core.query import Query
from tillroll.stores.sqlite import counter_process, definitions, sizes
from tillroll.stores.sqlite.counting import Stride, Strides
from tillroll.stores.sqlite.reader import Reader
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tillroll.core.report import Report

NOON = 1_764_763_200
TABLES: list[dict[str, Any]] = [
    {"name": "weekdays", "by": ["weekday", "method"]},
    {"name": "hours", "by": ["hour", "merchant", "method"]},
    {"name": "months", "by": ["month", "merchant", "bracket"], "where": {"method": ["PAY_NOW"]}},
    {"name": "pairs", "by": ["merchant", "country"]},
]
NAMES = [table["name"] for table in TABLES]


def purchases(count: int, seed: int = 1) -> list[Event]:
    random = Random(seed)
    return [
        Event(NOON + random.randrange(9_000_000), 0, random.randrange(90_000), random.randrange(3), f"m{at % 37}")
        for at in range(count)
    ]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteStore]:
    monkeypatch.setattr(counter_process, "_IDLE_S", math.inf)  # however long a busy machine takes
    made = SqliteStore(tmp_path)
    made.journal(batch_of(purchases(3_000)))  # one chunk
    made.journal(batch_of(purchases(500, seed=2)))
    made.fold()
    made.apply([define(table) for table in TABLES])
    assert made.count_some(0.0)  # the values of the field have numbers from now on
    yield made
    made.close()


def pages(store: SqliteStore) -> list[object]:
    catalogue = store.catalogue()
    return [store.page(Query(report=catalogue[name], amounts=True, limit=10_000)).aggregates for name in NAMES]


@pytest.fixture
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """What the reports say where all was counted as it came."""
    made = SqliteStore(tmp_path_factory.mktemp("expected"))
    made.apply([define(table) for table in TABLES])
    while made.count_some(1.0):
        pass
    for batch in (purchases(3_000), purchases(500, seed=2)):
        made.journal(batch_of(batch))
        made._definitions.count_stride(all_behind=True)
    found = pages(made)
    made.close()
    return found


def count(store: SqliteStore) -> None:
    while store.count_some(1.0, beside_traffic=True):
        pass


def test_beside_traffic_another_process_works_out_what_is_much(
    store: SqliteStore, expected: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definitions, "_MUCH", 1_000)
    monkeypatch.setattr(Strides, "next", None)  # of this process
    count(store)
    pid = store._definitions._process.pid
    assert pid is not None
    assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)
    assert os.sched_getscheduler(pid) in {os.SCHED_IDLE, os.SCHED_OTHER}  # the latter on a busy machine
    assert pages(store) == expected
    store._definitions.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_is_little_is_counted_without_another_process(store: SqliteStore, expected: list[object]) -> None:
    count(store)
    assert store._definitions._process.pid is None
    assert pages(store) == expected


def test_the_process_ends_once_nothing_is_left_to_be_counted(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definitions, "_MUCH", 1_000)
    monkeypatch.setattr(counter_process, "_IDLE_S", 0.0)
    count(store)
    assert store._definitions._process.pid is None


@pytest.mark.parametrize("failing", ["cannot start", "ends at once", "says nonsense", "is killed"])
def test_where_no_process_can_be_had_counting_goes_on_within_this_one(
    store: SqliteStore,
    expected: list[object],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failing: str,
) -> None:
    monkeypatch.setattr(definitions, "_MUCH", 1)
    if failing == "is killed":
        store._definitions.stride = 100
        assert store.count_some(0.0, beside_traffic=True)
        pid = store._definitions._process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    elif failing == "cannot start":
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
    else:
        says = {"ends at once": "pass", "says nonsense": "print('hello')"}[failing]
        monkeypatch.setattr(counter_process, "_MAIN", says)
    count(store)
    assert "reports are counted within this process for a while" in caplog.text
    assert store._definitions._process.pid is None
    assert pages(store) == expected


def test_a_process_that_gets_nothing_of_a_busy_machine_is_followed_by_one_that_gets_some(
    store: SqliteStore, expected: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definitions, "_MUCH", 1)
    monkeypatch.setattr(counter_process, "_PATIENCE_S", 0.0)
    assert store.count_some(0.0, beside_traffic=True)
    pid = store._definitions._process.pid
    assert pid is not None
    assert os.sched_getscheduler(pid) == os.SCHED_OTHER
    assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)
    count(store)
    assert pages(store) == expected


def test_the_process_ends_with_the_one_that_started_it(store: SqliteStore) -> None:
    script = """
import sys, time
from pathlib import Path
from tillroll.stores.sqlite import counter_process, definitions
from tillroll.stores.sqlite.store import SqliteStore
counter_process._PATIENCE_S = 60.0  # however busy the machine is
definitions._MUCH = 1
store = SqliteStore(Path(sys.argv[1]))
store._definitions.stride = 100
store.count_some(0.0, beside_traffic=True)
print(store._definitions._process.pid, flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-c", script, str(store.path.parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.kill(pid, 0)
        process.kill()
    give_up = time.monotonic() + 30
    with suppress(FileNotFoundError, ProcessLookupError):  # gone, and its zombie too
        while Path(f"/proc/{pid}/cmdline").read_bytes():
            assert time.monotonic() < give_up, "it goes on"
            time.sleep(0.02)


def test_a_chunk_is_counted_in_parts_that_can_be_audited_and_read(store: SqliteStore, expected: list[object]) -> None:
    seen = set()
    while True:
        store._definitions.stride = 700
        left = store.count_some(0.0)
        seen |= {state.position for state in store.report_states() if state.report.is_own}
        assert store.audit().differences == []
        if not left:
            break
    assert {700, 1_400, 2_100, 2_800} <= seen  # within the first chunk
    assert pages(store) == expected


def test_a_report_that_is_read_may_stand_within_a_chunk(store: SqliteStore) -> None:
    count(store)
    store.journal(batch_of(purchases(2_000, seed=3)))
    store._definitions.stride = 600
    store._definitions.count_stride(all_behind=True)
    positions = dict(store._connection.execute("SELECT report, position FROM counted"))
    assert set(positions.values()) == {4_100}
    found = pages(store)
    assert store.audit().differences == []
    store._definitions.count_stride(all_behind=True)
    assert pages(store) == found


def test_a_strides_transaction_reads_no_aggregate_and_no_chunk_and_waits_for_no_disk(store: SqliteStore) -> None:
    said: list[str] = []
    store._connection.set_trace_callback(said.append)
    while store.count_some(0.0):
        pass
    store._connection.set_trace_callback(None)
    assert said[0] == "PRAGMA synchronous = NORMAL"
    assert said.count("PRAGMA synchronous = FULL") == said.count("PRAGMA synchronous = NORMAL")
    assert any(statement.startswith("INSERT OR REPLACE INTO aggregate") for statement in said)
    reads = [statement for statement in said if statement.startswith("SELECT")]
    assert [read for read in reads if "FROM aggregate" in read or "FROM cell" in read or "FROM chunk" in read] == []
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_no_stride_changes_more_than_a_few_cells(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_BESIDE", "_WITHIN", "_ALONE"):
        monkeypatch.setattr(definitions, name, definitions._ALONE._replace(cells=100))
    changed: list[Stride] = []
    write = store._definitions._write

    def noted(stride: Stride) -> float:
        changed.append(stride)
        return write(stride)

    monkeypatch.setattr(store._definitions, "_write", noted)
    store._definitions.stride = 1 << 20
    assert store.count_some(0.0)
    assert sum(len(rows) for _, rows in changed[0].statements) <= 200  # a row, and the one before it
    count(store)


def test_sizes_are_counted_again_after_a_while_and_tell_of_when_they_are(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Report] = []
    size = Reader.stored_datapoints

    def noted(reader: Reader, report: Report, turns: Callable[[], None]) -> int:
        counted.append(report)
        return size(reader, report, turns)

    monkeypatch.setattr(Reader, "stored_datapoints", noted)
    monkeypatch.setattr(sizes, "_SHARE", 1_000_000)
    count(store)
    first = {state.report.name: state for state in store.report_states()}
    assert {state.sized_position for state in first.values() if state.report.is_own} == {3_500}
    known = len(counted)
    store.journal(batch_of(purchases(700, seed=4)))
    store.fold()
    count(store)
    then = {state.report.name: state for state in store.report_states()}
    assert len(counted) == known
    assert [state.datapoints for state in then.values()] == [state.datapoints for state in first.values()]
    store._definitions._sizes._again_at = 0.0
    store._definitions.count_stride(all_behind=True)
    for state in store.report_states():
        shown = store.page(Query(report=state.report, limit=10_000))
        assert (state.datapoints, state.sized_position) == (len(shown.aggregates), 4_200)


def test_a_stride_stays_worth_its_transaction_however_slow_the_machine_is(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_BESIDE", "_WITHIN", "_ALONE"):
        monkeypatch.setattr(definitions, name, definitions._ALONE._replace(held_s=1e-9))
    monkeypatch.setattr(definitions, "_STRIDE_MIN", 1_000)
    positions = set()
    while store.count_some(0.0):
        positions |= {state.position for state in store.report_states() if state.report.name == "weekdays"}
    assert positions <= {1_000, 2_000, 3_000, 3_500}


def test_a_strides_transaction_looks_at_the_versions_that_it_changes_alone(store: SqliteStore) -> None:
    count(store)
    store.apply([define({"name": f"other-{number}", "by": ["method"]}) for number in range(20)])
    said: list[str] = []
    store._connection.set_trace_callback(said.append)
    assert store.count_some(0.0)
    store._connection.set_trace_callback(None)
    (read,) = [statement for statement in said if "definition, state, checksum FROM report WHERE" in statement]
    assert read.count("other-") == 16


def test_beside_traffic_sizes_are_counted_in_turns(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    count(store)
    slept: list[float] = []
    monkeypatch.setattr(sizes, "_TURN_S", 0.0)
    monkeypatch.setattr(time, "sleep", slept.append)
    whole = [state.datapoints for state in store.report_states()]
    assert len(slept) > 100  # windows
    store.count_some(0.0)
    store._definitions._sizes = sizes.Sizes()
    slept.clear()
    assert [state.datapoints for state in store.report_states()] == whole
    assert slept == []
