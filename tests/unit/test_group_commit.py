"""Group commit over the real embedded store."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tillroll.core import kernel, limits
from tillroll.core.accept import Body
from tillroll.core.batch import UNNAMED, NameKind, Source
from tillroll.errors import OverloadedError, StoreError
from tillroll.ingest.group_commit import Committed, GroupCommit
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tillroll.core.accept import Rejection
    from tillroll.core.batch import Batch
    from tillroll.ingest.take import Receipt

EVENT = b'{"date":"2011-12-03T10:15:30Z","amount":4285,"paymentMethod":"SLICE_IT","merchantId":"m1"}'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path)
    yield store
    store.close()


def key(text: str) -> Source:
    return Source(NameKind.KEY, text)


async def submit_all(store: SqliteStore, bodies: list[Body], commits: list[Committed]) -> list[Receipt]:
    intake = GroupCommit(store, time.time, time.perf_counter, commits.append)
    receipts = await asyncio.gather(*[intake.submit(body) for body in bodies])
    await intake.close()
    return receipts


def test_bodies_that_wait_together_share_a_commit(store: SqliteStore) -> None:
    commits: list[Committed] = []
    bodies = [Body(EVENT, key(str(i))) for i in range(500)]
    receipts = asyncio.run(submit_all(store, bodies, commits))
    assert all(receipt.accepted == 1 for receipt in receipts)
    assert len(commits) <= 3
    assert sum(commit.bodies for commit in commits) == 500
    assert store.status().events == 500


def test_each_body_gets_its_own_receipt(store: SqliteStore) -> None:
    bodies = [
        Body(EVENT, key("a")),
        Body(b"nonsense", key("b")),
        Body(EVENT, key("a")),
        Body(EVENT.replace(b"4285", b"1"), key("a")),
        Body(EVENT + b"\n\n{}\n" + EVENT, UNNAMED),
    ]
    receipts = asyncio.run(submit_all(store, bodies, []))
    counts = [(one.accepted, one.duplicates, one.conflicts, one.rejected) for one in receipts]
    assert counts == [(1, 0, 0, 0), (0, 0, 0, 1), (0, 1, 0, 0), (0, 0, 1, 0), (2, 0, 0, 1)]
    assert [one.index for one in receipts[4].not_accepted] == [2]
    kept = store.rejected()
    assert sorted(one.rejection.body for one in kept) == sorted([b"nonsense", EVENT.replace(b"4285", b"1"), b"{}"])


class WatchedStore(SqliteStore):
    """The embedded store, which notes what is done in which thread."""

    def __init__(self, directory: Path) -> None:
        self.seen: list[tuple[str, int, str]] = []
        super().__init__(directory)

    def journal(self, batch: Batch) -> bytes:
        self.seen.append(("journal", len(batch), threading.current_thread().name))
        return super().journal(batch)

    def set_aside(self, rejections: Sequence[Rejection], now_s: float) -> int:
        self.seen.append(("set aside", len(rejections), threading.current_thread().name))
        return super().set_aside(rejections, now_s)


@pytest.mark.parametrize("kernel_or_not", [True, False])
def test_what_takes_long_to_judge_or_to_keep_is_done_beside_the_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, kernel_or_not: bool
) -> None:
    if not kernel_or_not:
        monkeypatch.setattr(kernel, "compiled", False)
    store = WatchedStore(tmp_path)
    bad = b"\n".join(b"%d" % i for i in range(100))
    odd = b"\n".join(EVENT.replace(b'"m1"', b'"\\u006d%d"' % i) for i in range(100))  # valid, by the reference alone
    few = b"nonsense\n" + EVENT
    bodies = [Body(EVENT, key("a")), Body(bad, key("b")), Body(odd, key("c")), Body(few, key("d"))]
    receipts = asyncio.run(submit_all(store, bodies, []))
    assert [(one.accepted, one.rejected) for one in receipts] == [(1, 0), (0, 100), (100, 0), (1, 1)]
    assert {("set aside", 100, "tillroll-commit-large"), ("set aside", 1, "tillroll-commit")} < set(store.seen)
    assert ("journal", 100, "tillroll-commit-large") in store.seen
    assert sum(count for what, count, thread in store.seen if (what, thread) == ("journal", "tillroll-commit")) == 2
    store.seen.clear()
    conflicts = [Body(odd.replace(b"4285", b"4286"), key("c")), Body(EVENT, key("a"))]
    receipts = asyncio.run(submit_all(store, conflicts, []))
    assert [(one.duplicates, one.conflicts) for one in receipts] == [(0, 100), (1, 0)]
    plain = b"\n".join([EVENT.replace(b"4285", b"9")] * 100)
    receipts = asyncio.run(submit_all(store, [Body(plain, key("c")), Body(EVENT, key("a"))], []))
    assert [(one.duplicates, one.conflicts) for one in receipts] == [(0, 100), (1, 0)]
    assert [seen for seen in store.seen if seen[0] == "set aside"] == [("set aside", 100, "tillroll-commit-large")] * 2
    assert [each.rejection.body for each in store.rejected(limit=1_000)].count(EVENT.replace(b"4285", b"9")) == 100
    store.close()


def lines(count: int, own: str = "") -> bytes:
    return b"\n".join(EVENT[:-1] + b',"id":"%s-%d"}' % (own.encode(), i) if own else EVENT for i in range(count))


def chunks(store: SqliteStore) -> list[int]:
    return [events for (events,) in store._connection.execute("SELECT events FROM chunk ORDER BY first")]


@pytest.mark.parametrize("again", [False, True])
def test_a_small_body_waits_for_one_slice_of_a_large_one(store: SqliteStore, *, again: bool) -> None:
    large = Body(lines(90_000, "order"), UNNAMED)
    if again:
        asyncio.run(submit_all(store, [large], []))
    commits: list[Committed] = []
    bodies = [large, large, Body(EVENT, key("small"))]
    receipts = asyncio.run(submit_all(store, bodies, commits))
    assert receipts[2].accepted == 1
    assert [one.accepted for one in receipts[:2]] == ([0, 0] if again else [90_000, 0])
    assert [each.receipts[0].events for each in commits] == [1, 90_000, 90_000]


def test_what_nothing_names_is_in_one_commit_the_last_of_its_body(store: SqliteStore) -> None:
    asyncio.run(submit_all(store, [Body(lines(50_000), UNNAMED)], []))
    assert chunks(store) == [50_000]
    mixed = lines(45_000, "order") + b"\n" + lines(30_000) + b"\n" + lines(10, "more")
    (receipt,) = asyncio.run(submit_all(store, [Body(mixed, UNNAMED)], []))
    assert receipt.accepted == 75_010
    assert chunks(store) == [50_000, 20_000, 20_000, 5_010, 30_000]
    (receipt,) = asyncio.run(submit_all(store, [Body(mixed, UNNAMED)], []))
    assert (receipt.accepted, receipt.duplicates) == (30_000, 45_010)
    assert store.audit().differences == []


def test_each_event_of_a_large_body_has_its_own_outcome(store: SqliteStore) -> None:
    asyncio.run(submit_all(store, [Body(lines(30_000), key("k"))], []))
    text = lines(60_000).split(b"\n")
    text[7], text[59_999], text[100] = b"nonsense", b"{}", EVENT.replace(b"4285", b"1")
    (receipt,) = asyncio.run(submit_all(store, [Body(b"\n".join(text), key("k"))], []))
    assert (receipt.accepted, receipt.duplicates, receipt.conflicts, receipt.rejected) == (29_999, 29_998, 1, 2)
    assert [(one.index, one.outcome) for one in receipt.not_accepted] == [
        (7, "rejected"),
        (100, "conflict"),
        (59_999, "rejected"),
    ]


def test_closing_finishes_large_bodies(store: SqliteStore) -> None:
    async def main() -> list[Receipt]:
        intake = GroupCommit(store, time.time, time.perf_counter)
        futures = [intake.submit(Body(lines(40_000, f"order {i}"), UNNAMED)) for i in range(3)]
        await intake.close()
        return await asyncio.gather(*futures)

    assert [receipt.accepted for receipt in asyncio.run(main())] == [40_000] * 3
    status = store.status()
    assert status.events == status.folded_position == 120_000


def test_closing_finishes_what_was_submitted_and_takes_no_more(store: SqliteStore) -> None:
    async def main() -> list[Receipt]:
        intake = GroupCommit(store, time.time, time.perf_counter)
        futures = [intake.submit(Body(EVENT, key(str(i)))) for i in range(100)]
        closing = asyncio.ensure_future(intake.close())
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            intake.submit(Body(EVENT, key("late")))
        await closing
        return await asyncio.gather(*futures)

    assert sum(receipt.accepted for receipt in asyncio.run(main())) == 100
    assert store.status().events == 100


def test_more_than_may_wait_is_refused_and_the_rest_goes_on(store: SqliteStore) -> None:
    async def main() -> int:
        intake = GroupCommit(store, time.time, time.perf_counter)
        blocker = sqlite3.connect(store.path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")  # another process's commit, which ours must wait for
        body = Body(EVENT + b" " * (limits.LINE_BYTES_MAX - len(EVENT)), UNNAMED)
        futures: list[asyncio.Future[Receipt]] = []
        with pytest.raises(OverloadedError, match="wait to be journaled"):
            futures.extend(intake.submit(body) for _ in range(limits.WAITING_REQUESTS_MAX))
        blocker.execute("ROLLBACK")
        blocker.close()
        receipts = await asyncio.gather(*futures)
        await intake.close()
        return sum(receipt.accepted for receipt in receipts)

    accepted = asyncio.run(main())
    assert accepted >= limits.WAITING_BYTES_MAX // limits.LINE_BYTES_MAX
    assert store.status().events == accepted


def test_no_small_body_is_refused_for_large_ones_that_wait(store: SqliteStore) -> None:
    async def main() -> int:
        intake = GroupCommit(store, time.time, time.perf_counter)
        blocker = sqlite3.connect(store.path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        large = Body(EVENT + b" " * (16 * limits.LINE_BYTES_MAX - len(EVENT)), UNNAMED)
        futures = [intake.submit(large) for _ in range(limits.WAITING_BYTES_MAX // len(large.data))]
        # Until the first is being committed, which makes room for another.
        while intake.depth == len(futures):  # noqa: ASYNC110 the threads tell nobody
            await asyncio.sleep(0.01)
        futures.append(intake.submit(large))
        with pytest.raises(OverloadedError):
            intake.submit(large)
        futures.append(intake.submit(Body(EVENT, UNNAMED)))
        blocker.execute("ROLLBACK")
        blocker.close()
        receipts = await asyncio.gather(*futures)
        await intake.close()
        return sum(receipt.accepted for receipt in receipts)

    assert asyncio.run(main()) == limits.WAITING_BYTES_MAX // (16 * limits.LINE_BYTES_MAX) + 2


def test_a_store_that_fails_fails_the_waiting_and_nothing_later(store: SqliteStore) -> None:
    async def main() -> None:
        intake = GroupCommit(store, time.time, time.perf_counter)
        store._connection.execute("PRAGMA busy_timeout = 0")
        blocker = sqlite3.connect(store.path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await intake.submit(Body(EVENT, key("a")))
        blocker.execute("ROLLBACK")
        blocker.close()
        receipt = await intake.submit(Body(EVENT, key("a")))
        assert receipt.accepted == 1
        await intake.close()

    asyncio.run(main())


class FaultyFolds(SqliteStore):
    """The embedded store, of which no fold works."""

    def fold_if_due(self, seconds: float | None = None) -> int | None:
        raise ZeroDivisionError(f"planted, {seconds}")


def test_an_error_that_nobody_foresaw_in_folds_or_measures_costs_nobody_an_answer(tmp_path: Path) -> None:
    store = FaultyFolds(tmp_path)

    def fail(_: Committed) -> None:
        raise ZeroDivisionError("planted")

    async def main() -> list[Receipt]:
        receipts = []
        for on_commit in (None, fail):
            intake = GroupCommit(store, time.time, time.perf_counter, on_commit)
            for _ in range(3):
                receipts.append(await asyncio.wait_for(intake.submit(Body(EVENT, UNNAMED)), 20))
                await asyncio.sleep(0.05)  # in which a fold is tried
            await intake.close()
        return receipts

    assert [receipt.accepted for receipt in asyncio.run(main())] == [1] * 6
    assert store.status().folded_position == 6
    store.close()
