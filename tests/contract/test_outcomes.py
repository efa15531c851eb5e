"""What became of events is noted in every store, by any number of processes, and outlives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.memory_queue import MemoryQueue

from tillroll.core.outcome_counts import OutcomeCounts
from tillroll.core.outcome_tally import HTTP, QUEUE, OutcomeTally
from tillroll.errors import StoreError
from tillroll.ingest.outcome_watch import OutcomeWatch
from tillroll.ingest.worker import Worker
from tillroll.ports import ImportList, ImportRun
from tillroll.stores.sqlite import imports

if TYPE_CHECKING:
    from tests.contract.conftest import Bench

NOW_S = 1_800_000_000.0
GOOD = b'{"date":"2011-12-03T10:15:30Z","amount":4285,"paymentMethod":"SLICE_IT","merchantId":"m","id":"1"}'


def clock() -> float:
    return NOW_S


def test_what_two_processes_note_is_there_for_a_third(bench: Bench) -> None:
    for way, counts in ((HTTP, (1, 0, 0, 2)), (QUEUE, (3, 0, 0, 0)), (HTTP, (1, 1, 0, 0))):
        watch = OutcomeWatch(way, bench.open(), clock)
        watch.note(OutcomeCounts(*counts))
        watch.flush()
        watch.flush()  # what is stored is not stored again
    rows = bench.open().noted_outcomes().rows("day")
    assert {row.way: row.counts for row in rows} == {HTTP: OutcomeCounts(2, 1, 0, 2), QUEUE: OutcomeCounts(3, 0, 0, 0)}


def test_what_cannot_be_stored_now_is_shown_and_stored_later(bench: Bench) -> None:
    store = bench.open()
    watch = OutcomeWatch(HTTP, _Failing(store), clock)
    watch.note(OutcomeCounts(1, 0, 0, 0))
    watch.flush()
    watch.note(OutcomeCounts(1, 0, 0, 0))
    assert not store.noted_outcomes()
    assert [row.counts for row in watch.shown().rows("minute")] == [OutcomeCounts(2, 0, 0, 0)]
    watch._store = store
    watch.flush()
    assert [row.counts for row in store.noted_outcomes().rows("minute")] == [OutcomeCounts(2, 0, 0, 0)]


class _Failing:
    """A store that takes no notes at this moment."""

    def __init__(self, store: Any) -> None:
        self.noted_outcomes = store.noted_outcomes

    def note_outcomes(self, tally: OutcomeTally) -> None:
        del tally
        raise StoreError("another process notes outcomes at this moment", "They are noted later")


def test_a_worker_notes_what_came_by_its_queue(bench: Bench) -> None:
    queue = MemoryQueue(clock)
    queue.send([(GOOD, None), (GOOD, None), (GOOD.replace(b"4285", b"1"), None), (b"7", None)])
    store = bench.open()
    Worker(store, queue, 1.0, clock).run(until_empty=True)
    (row,) = store.noted_outcomes().rows("quarter")
    assert (row.way, row.counts) == (QUEUE, OutcomeCounts(1, 1, 1, 1))


def test_runs_of_imports_are_listed_newest_first_and_replaced_as_they_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "_RUNS_KEPT", 10)
    store = bench.open()
    if not isinstance(store, ImportList):
        pytest.skip("this store keeps no list of imports")

    def run(name: str, began_at: float, accepted: int, *, done: bool) -> ImportRun:
        counts = {"accepted": accepted, "duplicates": 0, "conflicts": 0, "rejected": 0}
        return ImportRun(name=name, began_at=began_at, noted_at=began_at + accepted, done=done, **counts)

    store.note_run(run("a", NOW_S, 1, done=False))
    store.note_run(run("b", NOW_S, 1, done=True))
    store.note_run(run("a", NOW_S, 7, done=True))
    for second in range(15):
        store.note_run(run("c", NOW_S + 1 + second, 1, done=True))
    runs = store.import_runs(2_000)
    assert len(runs) == 10
    assert runs[0] == run("c", NOW_S + 15, 1, done=True)
    assert [each.began_at for each in runs] == sorted((each.began_at for each in runs), reverse=True)
    store.note_run(run("a", NOW_S + 5_000, 3, done=False))
    store.note_run(run("a", NOW_S + 5_000, 9, done=True))
    other = bench.open()
    assert isinstance(other, ImportList)
    assert other.import_runs(1) == [run("a", NOW_S + 5_000, 9, done=True)]
