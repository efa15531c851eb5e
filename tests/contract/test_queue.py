"""Every queue keeps what ports.Queue promises; the oracle is held to it as well."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.aws.ministack import CREDENTIALS, REGION, running
from tests.contract.memory_queue import MemoryQueue

from tillroll.core.accept import Rejection
from tillroll.core.batch import NameKind, Source
from tillroll.core.decode import Reason
from tillroll.queues.sqs.queue import SqsQueue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.aws.ministack import Ministack

    from tillroll.ports import Message, Queue

REASON = Reason("invalid_amount", "amount", '"12.5" is not a number of cents, such as 4285')


class Pair(NamedTuple):
    """A queue and its dead letters."""

    queue: Queue
    dead: Queue


@pytest.fixture(scope="module")
def sqs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    with running(tmp_path_factory.mktemp("sqs")) as found, pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        patch.setenv("AWS_REGION", REGION)
        yield found


@pytest.fixture(params=["oracle", "sqs"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    if request.param == "oracle":
        dead = MemoryQueue(time.monotonic)
        yield Pair(MemoryQueue(time.monotonic, dead), dead)
        return
    client = request.getfixturevalue("sqs").client("sqs")
    name = uuid.uuid4().hex
    letters = client.create_queue(QueueName=f"dead-{name}")["QueueUrl"]
    arn = client.get_queue_attributes(QueueUrl=letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"5"}}'
    url = client.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})["QueueUrl"]
    queue, dead_queue = SqsQueue(client, url), SqsQueue(client, letters)
    yield Pair(queue, dead_queue)


def receive_all(queue: Queue) -> list[Message]:
    found: list[Message] = []
    while messages := queue.receive(0.0):
        found.extend(messages)
    return found


def test_every_message_is_received_byte_for_byte_with_its_event_id(pair: Pair) -> None:
    bodies = [(f'{{"né": {number}}}\n'.encode(), f"key-{number}" if number % 2 else None) for number in range(25)]
    pair.queue.send(bodies)
    received = receive_all(pair.queue)
    assert sorted((message.body, message.event_id) for message in received) == sorted(bodies)
    assert len({message.id for message in received}) == len({message.receipt for message in received}) == 25
    assert all(message.first_position == 0 and message.sent_at is not None for message in received)


def test_a_received_message_is_hidden(pair: Pair) -> None:
    pair.queue.send([(b"{}", None)])
    assert len(pair.queue.receive(0.0)) == 1
    assert pair.queue.receive(0.0) == []


def test_a_message_made_visible_comes_back_under_its_id_with_a_new_receipt(pair: Pair) -> None:
    pair.queue.send([(b"{}", "key")])
    [first] = pair.queue.receive(0.0)
    pair.queue.extend([first], 0.0)
    [again] = pair.queue.receive(1.0)
    assert again.id == first.id
    assert again.receipt != first.receipt
    assert (again.body, again.event_id) == (first.body, first.event_id)


def test_an_extended_message_stays_hidden(pair: Pair) -> None:
    pair.queue.send([(b"{}", None)])
    messages = pair.queue.receive(0.0)
    pair.queue.extend(messages, 300.0)
    assert pair.queue.receive(0.0) == []


def test_a_deleted_message_does_not_come_back(pair: Pair) -> None:
    pair.queue.send([(b"1", None), (b"2", None)])
    messages = receive_all(pair.queue)
    pair.queue.extend(messages, 0.0)
    again = receive_all(pair.queue)
    pair.queue.delete(again)
    pair.queue.delete(again)
    assert receive_all(pair.queue) == []


def test_deleting_nothing_and_extending_nothing_is_allowed(pair: Pair) -> None:
    pair.queue.delete([])
    pair.queue.extend([], 10.0)
    assert pair.queue.bury([]) == set()


def test_a_buried_event_keeps_the_identity_of_the_message_it_came_in(pair: Pair) -> None:
    pair.queue.send([(b'{"amount": 1}\n{"amount": "12.5"}', "key")])
    [message] = pair.queue.receive(0.0)
    rejection = Rejection(Source(NameKind.KEY, "key"), 1, b'{"amount": "12.5"}', REASON)
    assert pair.queue.bury([(message, rejection)]) == set()
    [dead] = pair.dead.receive(1.0)
    assert (dead.id, dead.event_id, dead.first_position) == (message.id, "key", 1)
    assert dead.body == rejection.body


def test_an_event_buried_twice_keeps_its_identity(pair: Pair) -> None:
    pair.queue.send([(b"nonsense", None)])
    [message] = pair.queue.receive(0.0)
    rejection = Rejection(Source(NameKind.MESSAGE, message.id), 0, b"nonsense", REASON)
    pair.queue.bury([(message, rejection)])
    pair.queue.bury([(message, rejection)])
    assert {dead.id for dead in receive_all(pair.dead)} == {message.id}


def test_an_event_that_is_missing_is_buried_as_nothing_and_not_as_those_beside_it(pair: Pair) -> None:
    pair.queue.send([(b"[1,]", None)])
    [message] = pair.queue.receive(0.0)
    pair.queue.bury([(message, Rejection(Source(NameKind.MESSAGE, message.id), 0, b"", REASON))])
    [dead] = pair.dead.receive(1.0)
    assert not dead.body.strip()
