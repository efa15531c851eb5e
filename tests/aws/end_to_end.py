"""The whole way on AWS, under faults: messages in, handlers killed, replies lost, every report recounted.

Run as a script it does so with 10,000 messages: `python -m tests.aws.end_to_end [rie|deployed] [MESSAGES] [SEED]`.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.aws import deployed, dynamodb_local, lambda_runtime, ministack
from tests.aws.proxy import Faults, proxying
from tests.aws.traffic import Traffic, traffic
from tests.oracle import REPORTS
from tests.ports import free_port

from tillroll.app import open_store
from tillroll.core.query import Query
from tillroll.queues.sqs.queue import SqsQueue, open_sqs_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tillroll.ports import Message, Store

FAULTS = Faults(request_lost=0.01, reply_lost=0.02, throttled=0.01, delayed=0.02)
VISIBLE_AFTER_S = 5
_DRAINED_WITHIN_S = 1_200.0


class Seen(NamedTuple):
    """What a run met with, for people."""

    seconds: float
    kills: int
    failed_calls: int
    faults: dict[str, int]


def check(store: Store, sent: Traffic, dead: list[tuple[str, str, str]]) -> None:
    """Compare every report with the recount, and the dead letters with what was invalid. Raises AssertionError."""
    store.fold()
    found: dict[str, int] = {}
    for report in REPORTS:
        after = None
        while True:
            page = store.page(Query(report=report, limit=10_000, after=after))
            found |= {aggregate.datapoint: aggregate.events for aggregate in page.aggregates}
            after = page.next
            if after is None:
                break
    wrong = {key: (found.get(key), sent.counts.get(key)) for key in found.keys() | sent.counts.keys()}
    wrong = {key: pair for key, pair in wrong.items() if pair[0] != pair[1]}
    assert not wrong, f"{len(wrong)} of {len(sent.counts)} aggregates differ: {dict(list(wrong.items())[:5])}"
    audit = store.audit()
    assert audit.differences == []
    assert audit.events == sent.events
    letters = {(body, reason) for body, reason, _ in dead}
    assert letters == set(sent.invalid), f"{len(letters)} dead letters where {len(sent.invalid)} are invalid"
    assert all(original for *_, original in dead)


def dead_letters(aws: ministack.Ministack, url: str) -> list[tuple[str, str, str]]:
    """Return (body, reason, original message id) of every dead letter."""
    sqs = aws.client("sqs")
    found = []
    while True:
        reply = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        for message in reply.get("Messages", []):
            attributes = message.get("MessageAttributes", {})
            values = [attributes.get(name, {}).get("StringValue", "") for name in ("reason", "originalMessageId")]
            found.append((message["Body"], *values))
        if not reply.get("Messages"):
            return found


@contextmanager
def killing(pids: Callable[[], list[int]], seed: int, every_s: float) -> Iterator[Counter[str]]:
    """Kill one of some processes at random moments until the block ends."""
    stopped = threading.Event()
    kills: Counter[str] = Counter()
    draw = random.Random(seed)

    def run() -> None:
        while not stopped.wait(draw.expovariate(1 / every_s)):
            alive = pids()
            if alive:
                try:
                    os.kill(draw.choice(alive), signal.SIGKILL)
                    kills["kills"] += 1
                except ProcessLookupError:
                    continue

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield kills
    finally:
        stopped.set()
        thread.join()


def children(parent: int, word: bytes) -> list[int]:
    """Return the process ids of a process's children whose command line has a word."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and word in (entry / "cmdline").read_bytes():
                status = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(status[1]) == parent:
                    found.append(int(entry.name))
        except OSError:
            continue
    return found


def through_rie(messages: int, seed: int, directory: Path, *, kill_every_s: float = 3.0) -> Seen:
    """Run the handler under awslambdaric behind the Runtime Interface Emulator, over SQS and DynamoDB Local."""
    sent = traffic(messages, seed)
    with ExitStack() as stack:
        aws = stack.enter_context(ministack.running(directory))
        dynamodb = stack.enter_context(dynamodb_local.running())
        tables = dynamodb.create_tables()
        proxy = stack.enter_context(proxying(dynamodb.endpoint, FAULTS, seed=seed))
        queue, dead_url = _make_queues(aws)
        queue.send(sent.messages)
        variables = aws.environment() | {
            "TILLROLL_DATA": f"dynamodb://{ministack.REGION}/{tables[0]}/{tables[1]}?endpoint={proxy.endpoint}",
            # DynamoDB Local keeps the tables of each access key apart.
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "TILLROLL_QUEUE": queue.url,
            "TILLROLL_DEAD_LETTERS": dead_url,
            "TILLROLL_FRESHNESS_S": "1",
        }  # fmt: skip
        code = lambda_runtime.unpack(directory)
        handler = "tillroll.aws.functions.take_batch"
        runtimes = [
            stack.enter_context(lambda_runtime.running(code, handler, directory / f"rie-{number}.log", variables))
            for number in range(2)
        ]
        started = time.monotonic()
        with killing(lambda: [pid for each in runtimes if (pid := each.pid())], seed, kill_every_s) as kills:
            failed = _pump(queue, runtimes, seed)
        seconds = time.monotonic() - started
        store = dynamodb.store(tables, time.time)
        check(store, sent, dead_letters(aws, dead_url))
        store.close()
        return Seen(seconds, kills["kills"], failed, dict(proxy.seen))


def _make_queues(aws: ministack.Ministack) -> tuple[SqsQueue, str]:
    sqs = aws.client("sqs")
    dead = sqs.create_queue(QueueName="dead-letters")["QueueUrl"]
    url = sqs.create_queue(QueueName="purchases", Attributes={"VisibilityTimeout": str(VISIBLE_AFTER_S)})["QueueUrl"]
    return SqsQueue(aws.client("sqs"), url, dead), dead


def _pump(queue: SqsQueue, runtimes: list[lambda_runtime.Runtime], seed: int) -> int:
    """Do what an event source mapping does, with one poller a runtime, until nothing is left. Return failed calls."""
    failures: Counter[str] = Counter()

    def poll(runtime: lambda_runtime.Runtime, number: int) -> None:
        draw = random.Random(seed * 10 + number)
        empty = 0
        while empty < 2 * VISIBLE_AFTER_S + 2:
            messages: list[Message] = []
            wanted = draw.randint(1, 400)
            while len(messages) < wanted and (more := queue.receive(0.0 if messages else 1.0)):
                messages.extend(more)
            if not messages:
                empty += 1
                continue
            empty = 0
            draw.shuffle(messages)
            reply = runtime.invoke({"Records": [_record(message) for message in messages]})
            if not isinstance(reply, dict) or "batchItemFailures" not in reply:
                failures["calls"] += 1
                continue
            left = {each["itemIdentifier"] for each in reply["batchItemFailures"]}
            failures["messages"] += len(left)
            if draw.random() < 0.05:  # the reply to the poller is lost: what was taken comes back
                continue
            queue.delete([message for message in messages if message.id not in left])

    threads = [threading.Thread(target=poll, args=(each, number)) for number, each in enumerate(runtimes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_DRAINED_WITHIN_S)
    return failures["calls"]


def _record(message: Message) -> Mapping[str, Any]:
    attributes = (
        {} if message.event_id is None else {"eventId": {"stringValue": message.event_id, "dataType": "String"}}
    )
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt,
        "body": message.body.decode(),
        "attributes": {"SentTimestamp": str(int((message.sent_at or 0) * 1_000)), "ApproximateReceiveCount": "1"},
        "messageAttributes": attributes,
        "eventSource": "aws:sqs",
    }


def through_the_template(messages: int, seed: int, directory: Path, *, kill_every_s: float = 8.0) -> Seen:
    """Run the deployed template: the queue's event source mapping, both functions, their tables behind the proxy."""
    sent = traffic(messages, seed)
    port = free_port()
    with ExitStack() as stack:
        proxy = stack.enter_context(proxying(f"http://127.0.0.1:{port}", Faults(), seed=seed))
        aws = stack.enter_context(ministack.running(directory, port, AWS_ENDPOINT_URL_DYNAMODB=proxy.endpoint))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in (ministack.CREDENTIALS | {"AWS_ENDPOINT_URL": aws.endpoint}).items():
            patch.setenv(name, value)
        stack_found = deployed.deploy(aws, directory, Concurrency="5")  # ministack gives a call ten messages at most
        url = stack_found.outputs["QueueUrl"]
        aws.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(VISIBLE_AFTER_S)})
        proxy.faults = FAULTS
        started = time.monotonic()
        workers = lambda: children(aws.pid, b"_worker.py")  # noqa: E731 a name for what it is
        with killing(workers, seed, kill_every_s) as kills:
            open_sqs_queue(url).send(sent.messages)
            within = max(120.0, messages / 5)
            deployed.wait_until(lambda: stack_found.depth() == 0, "an empty queue", within_s=within)
        seconds = time.monotonic() - started
        proxy.faults = Faults()
        store = open_store(stack_found.store)
        _fold_as_scheduled(stack_found, store)
        check(store, sent, dead_letters(aws, stack_found.outputs["DeadLettersUrl"]))
        store.close()
        return Seen(seconds, kills["kills"], aws.log.read_text().count("failed processing"), dict(proxy.seen))


def _fold_as_scheduled(found: deployed.Deployed, store: Store) -> None:
    """Call the fold function as its schedule does, each minute, until everything is folded.

    One call may find the lease of a fold that was killed, and end before that does.
    """
    function, next_at = found.outputs["FoldFunction"], time.monotonic()

    def is_folded() -> bool:
        nonlocal next_at
        if time.monotonic() >= next_at:
            next_at += 60.0
            found.aws.client("lambda").invoke(FunctionName=function, InvocationType="Event")
        return not store.status().unfolded_since

    deployed.wait_until(is_folded, "a fold of everything", within_s=300)


WAYS = {"rie": through_rie, "deployed": through_the_template}


def main(words: list[str]) -> None:
    ways = [word for word in words if word in WAYS] or list(WAYS)
    numbers = [int(word) for word in words if word.isdigit()]
    messages, seed = (*numbers, *(10_000, 1)[len(numbers) :])
    for way in ways:
        with tempfile.TemporaryDirectory() as directory:
            seen = WAYS[way](messages, seed, Path(directory))
        print(f"{way}: {messages:,} messages, every report right: {seen}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
