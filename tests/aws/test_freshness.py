"""Freshness is one setting: given in one place only, it paces the folds of a server, a worker and the function."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.aws import lambda_runtime
from tests.aws.deployed import wait_until
from tests.aws.dynamodb_local import REGION
from tests.e2e.forks import Forked
from tests.e2e.server import post_until_answered
from tests.ports import free_port

from tillroll.queues.sqs.queue import SqsQueue
from tillroll.stores.dynamodb.ledger import read_ledger

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.aws.dynamodb_local import DynamoDBLocal
    from tests.aws.ministack import Ministack

    from tillroll.stores.dynamodb.store import DynamoDBStore

pytestmark = pytest.mark.slow
EVENT = {"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": "m"}
BODY = json.dumps(EVENT).encode()
DATAPOINT = "2011-12-03:10|10-50|SLICE_IT"
FRESHNESS_S = 1.0
FOLDS = 5
GIVE_UP_S = 35.0  # a server left to its own ten seconds takes 40 for so many
PAUSE_S = 0.2


class World:
    """Tables, and what a process needs to use them. Nothing in it says how fresh reports shall be."""

    def __init__(self, aws: Ministack, local: DynamoDBLocal, directory: Path) -> None:
        self.aws = aws
        self.directory = directory
        self.tables = local.create_tables()
        self.address = f"dynamodb://{REGION}/{self.tables[0]}/{self.tables[1]}?endpoint={local.endpoint}"
        self.store: DynamoDBStore = local.store(self.tables, time.time)
        keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}  # whose tables DynamoDB Local shows
        self.environment = aws.environment() | keys | {"TILLROLL_DATA": self.address}

    def ranges(self) -> int:
        """Return how many ranges of the fold have ended: each is folded once."""
        return sum(entry.mark for _, entry in self.store.client.run(read_ledger(self.store.context, 0)))

    @contextmanager
    def process(self, *words: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        with (self.directory / "log").open("ab") as log:
            process = Forked(words, self.environment | variables, directory=self.directory, stderr=log)
        try:
            yield process
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(60) == 0, (self.directory / "log").read_text()[-2_000:]
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def queue(self) -> str:
        url: str = self.aws.client("sqs").create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
        return url


@pytest.fixture
def world(aws: Ministack, dynamodb_local: DynamoDBLocal, tmp_path: Path) -> Iterator[World]:
    found = World(aws, dynamodb_local, tmp_path)
    yield found
    found.store.close()


def sending(world: World, send: Callable[[int], object]) -> tuple[int, int]:
    """Send one event after another until the setting's folds have come, no more than it asks for; return how many."""
    send(0)
    wait_until(lambda: world.store.status().events, "the first event in the journal")
    began = time.monotonic()
    number = 1
    while (folds := world.ranges()) < FOLDS:
        assert time.monotonic() < began + GIVE_UP_S, f"{folds} ranges ended"
        send(number)
        number += 1
        time.sleep(PAUSE_S)
    asked = (time.monotonic() - began) / FRESHNESS_S
    assert folds <= asked + 2, f"{folds} ranges ended where {asked} were asked for"
    return number, folds


def check(world: World, sent: int, folds: int) -> None:
    """See that what came last is counted as well, by no more folds than that takes."""
    wait_until(lambda: world.store.get([DATAPOINT])[0].events == sent, "the last event in the reports")
    assert world.ranges() <= folds + 2  # that of what was sent, and that of what was on its way


def test_a_server_folds_as_often_as_the_file_of_settings_says(world: World) -> None:
    (world.directory / "tillroll.toml").write_text("freshness_s = 1\n")
    port = free_port()
    with world.process("serve", "--port", str(port)):
        check(world, *sending(world, lambda number: post_until_answered(port, f"k{number}", [BODY])))


def test_a_server_with_a_long_freshness_folds_its_first_commit_and_then_waits(world: World) -> None:
    port = free_port()
    with world.process("serve", "--port", str(port), TILLROLL_FRESHNESS_S="600"):
        for number in range(20):
            post_until_answered(port, f"k{number}", [BODY])
            time.sleep(PAUSE_S)
        assert world.ranges() == 1
        assert world.store.get([DATAPOINT])[0].events < 20
    assert world.store.get([DATAPOINT])[0].events == 20  # one that stops leaves nothing uncounted


def test_a_worker_folds_as_often_as_its_flag_says(world: World) -> None:
    url = world.queue()
    queue = SqsQueue(world.aws.client("sqs"), url)
    with world.process("work", "--queue", url, "--dead-letters", world.queue(), "--freshness-s", "1"):
        check(world, *sending(world, lambda number: queue.send([(BODY, f"k{number}")])))


def test_the_function_folds_as_often_as_its_variable_says(world: World) -> None:
    code = lambda_runtime.unpack(world.directory)
    urls = {"TILLROLL_QUEUE": world.queue(), "TILLROLL_DEAD_LETTERS": world.queue()}
    given = world.environment | urls | {"TILLROLL_FRESHNESS_S": "1"}

    def record(number: int) -> dict[str, object]:
        return {"messageId": f"m{number}", "body": BODY.decode(), "attributes": {}, "messageAttributes": {}}

    handler = "tillroll.aws.functions.take_batch"
    with lambda_runtime.running(code, handler, world.directory / "log", given) as runtime:
        runtime.invoke({"Records": []})  # a cold start is not counted
        sent, folds = sending(world, lambda number: runtime.invoke({"Records": [record(number)]}))

    def counted_by_a_call() -> bool:
        runtime.invoke({})
        return bool(world.store.get([DATAPOINT])[0].events == sent)

    handler = "tillroll.aws.functions.fold"
    # A call folds for its time-out less 20 s. A slow cold start leaves it nothing of that: then the next call folds.
    with lambda_runtime.running(code, handler, world.directory / "log", given, timeout_s=23) as runtime:
        wait_until(counted_by_a_call, "the last event in the reports")
    assert world.ranges() <= folds + 1
