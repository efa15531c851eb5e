"""`tillroll work` and redrive, over SQS and DynamoDB as ministack has them."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from operator import sub
from queue import SimpleQueue
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from tests.aws.deployed import wait_until
from tests.aws.ministack import REGION
from tests.aws.proxy import Faults, proxying
from tests.aws.tables import create_tables
from tests.contract.memory_queue import MemoryQueue
from tests.e2e.forks import Forked, run

from tillroll.app import open_store
from tillroll.aws.redrive import Redriven, look, redrive
from tillroll.core.decode import Reason
from tillroll.errors import BusyError, StoreError
from tillroll.ingest.envelope import open_envelope
from tillroll.ingest.worker import SLICE_BYTES, Taken, Worker, fold_if_due, take_messages, wall_clock
from tillroll.ports import Message
from tillroll.queues.sqs.queue import SqsQueue
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.aws.ministack import Ministack

    from tillroll.core.batch import Batch
    from tillroll.ports import Store

GOOD = b'{"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": "m"}'
BAD = GOOD.replace(b"4285", b"42.85")
DATAPOINT = "2011-12-03:10|10-50|SLICE_IT"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    found = SqliteStore(tmp_path / "data")
    yield found
    found.close()


@pytest.fixture
def queue() -> MemoryQueue:
    return MemoryQueue(time.monotonic, MemoryQueue(time.monotonic))


@pytest.fixture
def tables(aws: Ministack) -> tuple[str, str]:
    name = uuid.uuid4().hex[:8]
    found = (f"aggregates-{name}", f"journal-{name}")
    create_tables(aws.client("dynamodb"), *found)
    return found


def address(tables: tuple[str, str], endpoint: str = "") -> str:
    where = f"dynamodb://{REGION}/{tables[0]}/{tables[1]}"
    return f"{where}?endpoint={endpoint}" if endpoint else where


def count(store: Store) -> int:
    store.fold()
    return store.get([DATAPOINT])[0].events


class Refusing:
    """A journal that cannot take what there is more than so much of, with an error."""

    def __init__(self, error: StoreError, events_max: int = 0) -> None:
        self.error = error
        self.events_max = events_max

    def journal(self, batch: Batch) -> bytes:
        if len(batch) > self.events_max:
            raise self.error
        return bytes(len(batch))


@pytest.mark.parametrize(
    ("error", "back"), [(BusyError("others", "wait"), 3), (StoreError("throttled", "wait", retry_after_s=3.0), 0)]
)
def test_what_lost_every_race_is_handed_back_at_once_and_what_is_throttled_is_not(error: StoreError, back: int) -> None:
    now = 1_400_000_000.0
    queue = MemoryQueue(lambda: now)
    queue.send([(GOOD, None)] * 3)
    worker = Worker(cast("Store", Refusing(error)), queue, 1.0, lambda: now)
    taken = worker._take(queue.receive(0.0))
    assert taken.left == [0, 1, 2]
    now += 1.5
    assert len(queue.receive(0.0)) == back


def test_what_there_is_no_time_for_is_given_up_and_what_comes_after_a_broken_store_is_not(queue: MemoryQueue) -> None:
    large = GOOD.replace(b'"m"', b'"m", "x": "%b"' % (b"y" * (SLICE_BYTES // 2)))
    queue.send([(GOOD, None), (large, None), (large, None), (GOOD, None)])
    messages = queue.receive(0.0)
    asked = iter([True, False, False])
    accepting = cast("Store", Refusing(StoreError("", ""), 10))
    taken = take_messages(accepting, queue, messages, wall_clock, may_go_on=lambda: next(asked))
    assert taken.left == taken.given_up == [2, 3]
    broken = cast("Store", Refusing(StoreError("no such table", "make one")))
    taken = take_messages(broken, queue, messages, wall_clock)
    assert (taken.left, taken.given_up) == ([0, 1, 2, 3], [])


@pytest.mark.parametrize(("limit", "most"), [("BATCH_MESSAGES_MAX", 20), ("BATCH_BYTES_MAX", 20 * len(GOOD))])
def test_a_worker_has_a_bounded_number_of_messages_and_of_their_bytes_in_hand(
    limit: str, most: int, store: SqliteStore, queue: MemoryQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"tillroll.ingest.worker.{limit}", most)
    queue.send([(GOOD, None)] * 45)
    worker = Worker(store, queue, 1.0, wall_clock)
    in_hand = []

    def note(messages: list[Message]) -> Taken:
        in_hand.append(len(messages))
        return Worker._take(worker, messages)

    monkeypatch.setattr(worker, "_take", note)
    worker.run(until_empty=True)
    assert in_hand == [20, 20, 5]
    assert count(store) == 45


def test_everything_is_taken_buried_and_deleted(store: SqliteStore, queue: MemoryQueue) -> None:
    queue.send([(GOOD, "a"), (GOOD, "a"), (BAD + b"\n" + GOOD, "b"), (b"nonsense", None)])
    worker = Worker(store, queue, 1.0, wall_clock)
    worker.run(until_empty=True)
    assert count(store) == 2
    assert len(queue) == 0
    assert queue.dead is not None
    assert len(queue.dead) == 2
    receipt = worker.counted.counts
    assert (receipt.accepted, receipt.duplicates, receipt.rejected) == (2, 1, 2)
    assert worker.counted.codes == {"invalid_amount": 1, "not_json": 1}


def test_messages_are_left_when_the_store_cannot_take_them(queue: MemoryQueue) -> None:
    class Broken(SqliteStore):
        def journal(self, batch: Batch) -> bytes:
            raise StoreError(f"the disk is gone, with {len(batch)} events", "Bring it back")

    queue.send([(GOOD, "a")])
    worker = Worker(Broken.__new__(Broken), queue, 1.0, wall_clock)
    with pytest.raises(StoreError, match="the disk is gone"):
        worker.run(until_empty=True)
    assert len(queue) == 1


def test_a_message_on_which_the_code_fails_holds_up_no_other(store: SqliteStore, queue: MemoryQueue) -> None:
    class Allergic:
        def journal(self, batch: Batch) -> bytes:
            if "poison" in batch.merchant_names:
                raise ZeroDivisionError
            return store.journal(batch)

    messages = [Message(f"m{number}", f"r{number}", GOOD, None, None) for number in range(9)]
    messages[4] = messages[4]._replace(body=GOOD.replace(b'"m"', b'"poison"'))
    taken = take_messages(Allergic(), queue, messages, wall_clock)  # type: ignore[arg-type]
    assert taken.left == [4]
    assert count(store) == 8


def test_a_large_batch_is_taken_in_several_commits_until_the_time_is_up(store: SqliteStore, queue: MemoryQueue) -> None:
    events = SLICE_BYTES // 2 // (len(GOOD) + 1)
    body = b"\n".join([GOOD] * events)
    messages = [Message(f"m{number}", f"r{number}", body, None, None) for number in range(6)]
    asked: list[int] = []

    def may_go_on() -> bool:
        asked.append(1)
        return len(asked) < 3

    taken = take_messages(store, queue, messages, wall_clock, may_go_on=may_go_on)
    assert taken.left == [4, 5]
    assert taken.counts.accepted == 4 * events


def test_taken_counts_add_up() -> None:
    taken = Taken(left=[3], codes={"not_json": 1})
    taken.add(Taken(left=[1], codes={"not_json": 2, "conflict": 1}))
    assert taken.left == [1, 3]
    assert taken.codes == {"not_json": 3, "conflict": 1}


def test_an_error_in_a_fold_costs_nobody_a_message() -> None:
    class Unfolding(SqliteStore):
        def fold_if_due(self, seconds: float | None = None) -> int | None:
            del seconds
            raise StoreError("throttled", "Wait", retry_after_s=1)

    assert not fold_if_due(Unfolding.__new__(Unfolding))


def test_throttling_is_waited_out_and_nothing_is_lost(
    aws: Ministack, tables: tuple[str, str], queue: MemoryQueue
) -> None:
    with proxying(aws.endpoint, Faults(throttled=1.0)) as proxy:
        store = open_store(address(tables, proxy.endpoint))
        queue.send([(GOOD, f"k{number}") for number in range(20)])
        worker = Worker(store, queue, 1.0, wall_clock)
        thread = threading.Thread(target=lambda: worker.run(until_empty=True))
        thread.start()
        wait_until(lambda: proxy.seen["throttled"] > 5, "throttling")
        assert len(queue) == 20
        proxy.faults = Faults()
        thread.join(60)
        assert not thread.is_alive()
        assert count(store) == 20
        store.close()


def test_the_process_takes_what_is_there_and_stops_on_sigterm(aws: Ministack, tables: tuple[str, str]) -> None:
    sqs = aws.client("sqs")
    dead = sqs.create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
    url = sqs.create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
    SqsQueue(sqs, url).send([(GOOD, f"k{number}") for number in range(50)] + [(b"nonsense", None)])
    words = ["work", "--data", address(tables), "--queue", url, "--dead-letters", dead, "--freshness-s", "1", "--json"]
    process = Forked(words, aws.environment())
    store = open_store(address(tables))
    try:
        wait_until(lambda: store.status().events == 50, "fifty events")
        os.kill(process.pid, signal.SIGTERM)
        out, errors = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 0, errors
    assert b'"accepted": 50' in out
    assert b"nonsense" not in errors
    assert store.get([DATAPOINT])[0].events == 50
    store.close()
    assert len(sqs.receive_message(QueueUrl=dead).get("Messages", [])) == 1


@pytest.mark.parametrize(
    ("data", "queue_name", "words"),
    [
        (f"dynamodb://{REGION}/none/none-either", "purchases", "tillroll aws deploy"),
        ("dynamodb://us-east-2/aggregates/journal", "purchases", "region"),
        ("", "no-such-queue", "there is no queue"),
    ],
)
def test_what_a_person_must_mend_ends_the_process_with_the_remedy(
    data: str, queue_name: str, words: str, aws: Ministack, tables: tuple[str, str]
) -> None:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName=f"purchases-{uuid.uuid4().hex}")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=GOOD.decode())
    if queue_name == "no-such-queue":
        url = url.rpartition("/")[0] + "/no-such-queue"
    done = run(["work", "--data", data or address(tables), "--queue", url, "--until-empty"], aws.environment())
    assert done.returncode == 4
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_credentials_that_expire_end_the_process_and_lose_nothing(aws: Ministack, tables: tuple[str, str]) -> None:
    sqs = aws.client("sqs")
    dead = sqs.create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
    visibility = {"VisibilityTimeout": "1"}
    url = sqs.create_queue(QueueName=uuid.uuid4().hex, Attributes=visibility)["QueueUrl"]
    SqsQueue(sqs, url).send([(GOOD, f"k{number}") for number in range(5)])
    with proxying(aws.endpoint, Faults()) as proxy:
        data = address(tables, proxy.endpoint)
        words = ["work", "--data", data, "--queue", url, "--dead-letters", dead, "--until-empty"]
        open_store(data).close()
        proxy.faults = Faults(expired=1.0)
        done = run(words, aws.environment())
        assert done.returncode == 4
        assert "does not accept the credentials (ExpiredTokenException" in done.stderr
        assert "Renew them" in done.stderr
        proxy.faults = Faults()
        time.sleep(1.5)  # until the messages that were held show again
        assert run(words, aws.environment()).returncode == 0
        store = open_store(data)
        assert count(store) == 5
        store.close()


def test_redrive_counts_nothing_that_was_counted_before_it_died(store: SqliteStore, queue: MemoryQueue) -> None:
    """A message journaled in part and then moved by the redrive policy, under its own id and with no attribute."""
    assert queue.dead is not None
    counted = Message("m1", "r1", GOOD, None, None)
    take_messages(store, queue, [counted], wall_clock)
    queue.dead.put(counted._replace(body=GOOD))
    queue.dead.put(Message("m2", "r2", GOOD, None, None))
    done = redrive(store, queue.dead, wall_clock)
    assert (done.counts.accepted, done.counts.duplicates) == (1, 1)
    assert done.left == []
    assert len(queue.dead) == 0
    assert store.get([DATAPOINT])[0].events == 2


def test_redrive_leaves_what_is_still_wrong_and_takes_a_correction_once(store: SqliteStore, queue: MemoryQueue) -> None:
    queue.send([(GOOD + b"\n" + BAD, "order-1")])
    Worker(store, queue, 1.0, wall_clock).run(until_empty=True)
    assert queue.dead is not None
    done = redrive(store, queue.dead, wall_clock)
    [letter] = done.left
    assert letter.reason is not None
    assert letter.reason.code == "invalid_amount"
    assert letter.message.first_position == 1
    assert len(look(queue.dead).letters) == 1
    assert redrive(store, queue.dead, wall_clock, {letter.id: GOOD}).counts.accepted == 1
    assert len(queue.dead) == 0
    assert store.get([DATAPOINT])[0].events == 2
    again = letter.message._replace(body=GOOD)
    queue.dead.put(again)
    assert redrive(store, queue.dead, wall_clock).counts.duplicates == 1
    assert store.get([DATAPOINT])[0].events == 2


@pytest.mark.parametrize(("limit", "most"), [("_SLICE", 20), ("_SLICE_BYTES", 20 * len(GOOD))])
def test_redrive_is_done_with_a_slice_before_it_receives_the_next(
    limit: str, most: int, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"tillroll.aws.redrive.{limit}", most)

    class Watched(MemoryQueue):
        held = 0
        most = 0

        def receive(self, wait_s: float) -> list[Message]:
            found = super().receive(wait_s)
            self.held += len(found)
            self.most = max(self.most, self.held)
            return found

        def delete(self, messages: Sequence[Message]) -> None:
            super().delete(messages)
            self.held -= len(messages)

    dead = Watched(time.monotonic)
    for number in range(95):
        dead.put(Message(f"m{number}", f"r{number}", GOOD if number % 10 else BAD, None, None))
    done = redrive(store, dead, wall_clock)
    assert (done.counts.accepted, len(done.left), len(dead)) == (85, 10, 10)
    assert {letter.message.id for letter in done.left} == {f"m{number}" for number in range(0, 95, 10)}
    assert dead.most < 20 + 10 + 10
    assert [letter.id for letter in look(dead).letters] == [letter.id for letter in done.left]
    assert look(dead).is_all


@pytest.mark.parametrize(("limit", "most"), [("HELD_MAX", 30), ("HELD_BYTES_MAX", 30 * len(BAD))])
def test_redrive_stops_when_very_many_are_still_wrong(
    limit: str, most: int, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tillroll.aws.redrive._SLICE", 20)
    monkeypatch.setattr(f"tillroll.aws.redrive.{limit}", most)
    dead = MemoryQueue(time.monotonic)
    for number in range(95):
        dead.put(Message(f"m{number}", f"r{number}", BAD, None, None))
    done = redrive(store, dead, wall_clock)
    assert 30 <= len(done.left) < 95
    assert not done.is_all
    assert len(dead) == 95
    assert not look(dead).is_all


def test_what_is_still_wrong_and_comes_again_in_a_long_redrive_is_no_copy_and_keeps_nothing_from_its_turn(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tillroll.aws.redrive._SLICE", 20)
    monkeypatch.setattr("tillroll.aws.redrive.HELD_MAX", 100)
    now = 0.0
    monkeypatch.setattr("tillroll.aws.redrive.time", SimpleNamespace(monotonic=lambda: now))

    class Again(MemoryQueue):
        """One that gives what comes again before all that never came."""

        def receive(self, wait_s: float) -> list[Message]:
            self._messages = dict(sorted(self._messages.items(), key=lambda each: each[1][1], reverse=True))
            return super().receive(wait_s)

    def wait(_done: Redriven) -> None:
        nonlocal now
        now += 700

    dead = Again(lambda: now)
    for number in range(200):
        dead.put(Message(f"m{number}", "", BAD if number < 60 else GOOD, None, None))
    done = redrive(store, dead, wall_clock, tell=wait)
    assert (done.counts.accepted, done.tried, done.is_all) == (140, 200, True)
    assert [letter.copies for letter in done.left] == [1] * 60
    assert {letter.reason.code for letter in done.left if letter.reason} == {"invalid_amount"}
    assert len(dead.receive(0.0)) == 10  # each was given back, by its last receipt


def test_a_redrive_ends_although_letters_keep_coming(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tillroll.aws.redrive._SLICE", 20)

    class Filling(MemoryQueue):
        def receive(self, wait_s: float) -> list[Message]:
            self.put(Message(f"late-{len(self)}", "", GOOD, None, time.time() + 3_600))
            return super().receive(wait_s)

    dead = Filling(time.monotonic)
    for number in range(50):
        dead.put(Message(f"m{number}", "", GOOD, None, time.time()))
    told: list[int] = []
    done = redrive(store, dead, wall_clock, tell=lambda so_far: told.append(so_far.tried))
    assert (done.counts.accepted, done.tried, done.left) == (50, 50, [])
    assert told[-1] == 50
    assert len(told) > 2


def test_copies_of_a_letter_are_one_and_other_letters_of_its_place_are_not(store: SqliteStore) -> None:
    dead = MemoryQueue(time.monotonic)
    other = BAD.replace(b"42.85", b'"x"')
    for body in (BAD, other, BAD):
        dead.put(Message("m", "", body, None, None, first_position=3))
    found = {letter.message.body: letter for letter in look(dead).letters}
    assert {body: letter.copies for body, letter in found.items()} == {BAD: 2, other: 1}
    done = redrive(store, dead, wall_clock, {found[other].id: GOOD})
    assert (done.counts.accepted, done.tried, len(dead)) == (1, 1, 2)
    assert [(letter.message.body, letter.copies) for letter in look(dead).letters] == [(BAD, 2)]
    assert len(dead.receive(0.0)) == 2  # all of them were given back at once


def test_letters_that_take_long_stay_hidden(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tillroll.aws.redrive._HIDDEN_S", 0.3)
    now = 0.0  # the queue's time, which goes on between two times of being extended
    extended: SimpleQueue[float] = SimpleQueue()

    class Extended(MemoryQueue):
        def extend(self, messages: Sequence[Message], visible_after_s: float) -> None:
            super().extend(messages, visible_after_s)
            extended.put(time.monotonic())

    dead = Extended(lambda: now)
    dead.put(Message("m", "", GOOD, None, None))
    seen: list[float] = []
    asked = 0

    def slow() -> float:
        nonlocal now, asked
        asked += 1
        while asked == 2 and len(seen) < 10:  # while it is taken
            seen.append(extended.get(timeout=60))
            now += 0.2
            assert dead.receive(0.0) == []
        return time.time()

    assert redrive(store, dead, slow).counts.accepted == 1
    assert len(seen) == 10
    assert min(map(sub, seen[1:], seen)) < 0.3  # the machine may stand still between two of them


def test_a_dead_letter_says_why_it_is_one() -> None:
    attributes = {"reason": "invalid_amount", "field": "amount", "message": "it is a fraction", "position": "3"}
    message = open_envelope("m", "r", "{}", attributes, None)
    assert message.reason == Reason("invalid_amount", "amount", "it is a fraction")
    assert open_envelope("m", "r", "{}", {"reason": "anything"}, None).reason is None
