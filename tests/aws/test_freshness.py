"""Freshness is one setting: given in one place only, it paces the folds of a server, a worker and the function."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.aws import lambda_runtime
from tests.aws.deployed import wait_until
from tests.aws.dynamodb_local import REGION
from tests.e2e.server import free_port, post_until_answered

from tillroll.queues.sqs.queue import SqsQueue
from tillroll.stores.dynamodb.ledger import read_ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.aws.dynamodb_local import DynamoDBLocal
    from tests.aws.ministack import Ministack

    from tillroll.stores.dynamodb.store import DynamoDBStore

pytestmark = pytest.mark.slow
EVENT = {"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": "m"}
BODY = json.dumps(EVENT).encode()
DATAPOINT = "2011-12-03:10|10-50|SLICE_IT"
LASTS_S = 9.0
PAUSE_S = 0.25


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
        command = [sys.executable, "-m", "tillroll", *words]
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(command, env=self.environment | variables, cwd=self.directory, stderr=log)
        try:
            yield process
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(60) == 0, (self.directory / "log").read_text()[-2_000:]
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def queue(self) -> str:
        url: str = self.aws.client("sqs").create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
        return url


@pytest.fixture
def world(aws: Ministack, dynamodb_local: DynamoDBLocal, tmp_path: Path) -> Iterator[World]:
    found = World(aws, dynamodb_local, tmp_path)
    yield found
    found.store.close()


def sending(world: World, send: Callable[[int], object]) -> tuple[int, float]:
    """Send one event after another for a while, from when the first is taken; return how many, and how long it took."""
    send(0)
    wait_until(lambda: world.store.status().events, "the first event in the journal")
    began = time.monotonic()
    number = 1
    while time.monotonic() < began + LASTS_S:
        send(number)
        number += 1
        time.sleep(PAUSE_S)
    return number, time.monotonic() - began


def folds_as_asked(world: World, lasted_s: float, freshness_s: float) -> int:
    """Compare the folds so far with what the setting asks for; return how many."""
    during = world.ranges()
    asked = lasted_s / freshness_s
    assert asked / 2 < during <= asked + 2, f"{during} ranges ended in {lasted_s} s"
    return during


def check(world: World, sent: int, lasted_s: float, freshness_s: float) -> None:
    """Compare the folds with what the setting asks for, and see that what came last is counted in time as well."""
    during = folds_as_asked(world, lasted_s, freshness_s)
    wait_until(
        lambda: world.store.get([DATAPOINT])[0].events == sent,
        "the last event in the reports",
        within_s=4 * freshness_s + 10,
    )
    assert world.ranges() <= during + 2  # that of what was sent, and that of what was on its way


def test_a_server_folds_as_often_as_the_file_of_settings_says(world: World) -> None:
    (world.directory / "tillroll.toml").write_text("freshness_s = 3\n")
    port = free_port()
    with world.process("serve", "--port", str(port)):
        sent, lasted_s = sending(world, lambda number: post_until_answered(port, f"k{number}", [BODY]))
        check(world, sent, lasted_s, 3.0)


def test_a_server_with_a_long_freshness_folds_its_first_commit_and_then_waits(world: World) -> None:
    port = free_port()
    with world.process("serve", "--port", str(port), TILLROLL_FRESHNESS_S="600"):
        sent, _ = sending(world, lambda number: post_until_answered(port, f"k{number}", [BODY]))
        assert world.ranges() == 1
        assert world.store.get([DATAPOINT])[0].events < sent
    assert world.store.get([DATAPOINT])[0].events == sent  # one that stops leaves nothing uncounted


def test_a_worker_folds_as_often_as_its_flag_says(world: World) -> None:
    url = world.queue()
    queue = SqsQueue(world.aws.client("sqs"), url)
    with world.process("work", "--queue", url, "--dead-letters", world.queue(), "--freshness-s", "3"):
        sent, lasted_s = sending(world, lambda number: queue.send([(BODY, f"k{number}")]))
        check(world, sent, lasted_s, 3.0)


def test_the_function_folds_as_often_as_its_variable_says(world: World) -> None:
    code = lambda_runtime.unpack(world.directory)
    urls = {"TILLROLL_QUEUE": world.queue(), "TILLROLL_DEAD_LETTERS": world.queue()}
    given = world.environment | urls | {"TILLROLL_FRESHNESS_S": "3"}

    def record(number: int) -> dict[str, object]:
        return {"messageId": f"m{number}", "body": BODY.decode(), "attributes": {}, "messageAttributes": {}}

    handler = "tillroll.aws.functions.take_batch"
    with lambda_runtime.running(code, handler, world.directory / "log", given) as runtime:
        runtime.invoke({"Records": []})  # a cold start is not counted
        sent, lasted_s = sending(world, lambda number: runtime.invoke({"Records": [record(number)]}))
        during = folds_as_asked(world, lasted_s, 3.0)

    def counted_by_a_call() -> bool:
        runtime.invoke({})
        return bool(world.store.get([DATAPOINT])[0].events == sent)

    handler = "tillroll.aws.functions.fold"
    # A call folds for its time-out less 20 s. A slow cold start leaves it nothing of that: then the next call folds.
    with lambda_runtime.running(code, handler, world.directory / "log", given, timeout_s=23) as runtime:
        wait_until(counted_by_a_call, "the last event in the reports", within_s=40)
    assert world.ranges() <= during + 1
