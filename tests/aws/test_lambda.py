"""The functions, run by awslambdaric behind the Runtime Interface Emulator from the package that is deployed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.aws import lambda_runtime
from tests.aws.deployed import wait_until
from tests.aws.fetch_environments import install
from tests.aws.ministack import ACCOUNT, REGION
from tests.aws.tables import create_tables
from tests.batches import batch_of
from tests.contract.test_store import KEY, purchases

from tillroll.app import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.aws.lambda_runtime import Runtime
    from tests.aws.ministack import Ministack

    from tillroll.ports import Store

HANDLER = "tillroll.aws.functions.take_batch"
GOOD = '{"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": "m"}'
DATAPOINT = "2011-12-03:10|10-50|SLICE_IT"


class World:
    """A function over tables and queues of its own."""

    def __init__(self, aws: Ministack, directory: Path) -> None:
        self.aws = aws
        name = uuid.uuid4().hex[:8]
        self.tables = (f"aggregates-{name}", f"journal-{name}")
        create_tables(aws.client("dynamodb"), *self.tables)
        sqs = aws.client("sqs")
        self.dead = sqs.create_queue(QueueName=f"dead-{name}")["QueueUrl"]
        self.queue = sqs.create_queue(QueueName=f"queue-{name}")["QueueUrl"]
        self.log = directory / "function.log"

    def variables(self, **given: str) -> dict[str, str]:
        return self.aws.environment() | {
            "TILLROLL_DATA": f"dynamodb://{REGION}/{self.tables[0]}/{self.tables[1]}",
            "TILLROLL_QUEUE": self.queue,
            "TILLROLL_DEAD_LETTERS": self.dead,
            "TILLROLL_FRESHNESS_S": "1",
            **given,
        }

    def store(self) -> Store:
        return open_store(f"dynamodb://{REGION}/{self.tables[0]}/{self.tables[1]}")

    def count(self, datapoint: str = DATAPOINT) -> int:
        store = self.store()
        store.fold()
        count = store.get([datapoint])[0].events
        store.close()
        return count

    def dead_letters(self) -> list[tuple[str, dict[str, str]]]:
        reply = self.aws.client("sqs").receive_message(
            QueueUrl=self.dead, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return [
            (each["Body"], {name: value["StringValue"] for name, value in each.get("MessageAttributes", {}).items()})
            for each in reply.get("Messages", [])
        ]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lambda_runtime.unpack(tmp_path_factory.mktemp("function"))


@pytest.fixture
def world(aws: Ministack, tmp_path: Path) -> World:
    return World(aws, tmp_path)


@pytest.fixture
def runtime(world: World, code: Path) -> Iterator[Runtime]:
    with lambda_runtime.running(code, HANDLER, world.log, world.variables()) as found:
        yield found


@contextmanager
def function(world: World, code: Path, handler: str = HANDLER, **given: str) -> Iterator[Runtime]:
    timeout_s = int(given.pop("timeout_s", "60"))
    with lambda_runtime.running(code, handler, world.log, world.variables(**given), timeout_s=timeout_s) as found:
        yield found


def record(body: str, message_id: str = "m1", **attributes: str) -> dict[str, Any]:
    return {
        "messageId": message_id,
        "receiptHandle": f"receipt-{message_id}",
        "body": body,
        "attributes": {"SentTimestamp": "1300000000000", "ApproximateReceiveCount": "1"},
        "messageAttributes": {name: {"stringValue": value, "dataType": "String"} for name, value in attributes.items()},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue",
    }


def invoke(runtime: Runtime, *records: dict[str, Any]) -> Any:
    return runtime.invoke({"Records": list(records)})


def test_good_events_are_counted_and_bad_ones_buried_with_their_reason(world: World, runtime: Runtime) -> None:
    bad = GOOD.replace("4285", "42.85")
    reply = invoke(
        runtime, record(GOOD, "m1"), record(f"{GOOD}\n{bad}\n", "m2", eventId="key"), record("nonsense", "m3")
    )
    assert reply == {"batchItemFailures": []}
    assert world.count() == 2
    letters = dict(world.dead_letters())
    assert letters.keys() == {bad, "nonsense"}
    assert letters[bad]["reason"] == "invalid_amount"
    assert letters[bad]["field"] == "amount"
    assert letters[bad]["originalMessageId"] == "m2"
    assert letters[bad]["position"] == "1"
    assert letters[bad]["eventId"] == "key"
    assert letters["nonsense"]["reason"] == "not_json"
    assert "eventId" not in letters["nonsense"]


def test_a_redelivered_message_is_counted_once_in_whatever_batch(world: World, runtime: Runtime) -> None:
    for records in (
        [record(GOOD, "m1"), record(GOOD, "m2")],
        [record(GOOD, "m2")],
        [record(GOOD, "m3"), record(GOOD, "m1")],
    ):
        assert invoke(runtime, *records) == {"batchItemFailures": []}
    assert world.count() == 3


def test_two_messages_with_one_event_id_in_one_batch_are_one_event(world: World, runtime: Runtime) -> None:
    assert invoke(runtime, record(GOOD, "m1", eventId="k"), record(GOOD, "m2", eventId="k")) == {
        "batchItemFailures": []
    }
    assert world.count() == 1
    assert world.dead_letters() == []


def test_one_event_id_with_two_contents_is_a_conflict_and_buried(world: World, runtime: Runtime) -> None:
    other = GOOD.replace("4285", "4286")
    assert invoke(runtime, record(GOOD, "m1", eventId="k"), record(other, "m2", eventId="k")) == {
        "batchItemFailures": []
    }
    assert world.count() == 1
    [(body, attributes)] = world.dead_letters()
    assert (body, attributes["reason"]) == (other, "conflict")


@pytest.mark.parametrize(
    ("body", "reason"), [("nonsense", "not_json"), (" ", "not_json"), ("17", "not_an_object"), ("[1]", "not_an_object")]
)
def test_what_is_no_event_is_buried_at_once(body: str, reason: str, world: World, runtime: Runtime) -> None:
    assert invoke(runtime, record(body)) == {"batchItemFailures": []}
    [(_, attributes)] = world.dead_letters()
    assert attributes["reason"] == reason


def test_an_unusable_event_id_is_a_reason_and_no_crash(world: World, runtime: Runtime) -> None:
    assert invoke(runtime, record(GOOD, "m1", eventId="k" * 129), record(GOOD, "m2")) == {"batchItemFailures": []}
    [(body, attributes)] = world.dead_letters()
    assert (body, attributes["reason"], attributes["field"]) == (GOOD, "invalid_id", "eventId")
    assert world.count() == 1


def test_five_thousand_events_in_one_message_are_all_counted(world: World, runtime: Runtime) -> None:
    body = "\n".join([GOOD] * 5_000)
    assert invoke(runtime, record(body)) == {"batchItemFailures": []}
    assert invoke(runtime, record(body)) == {"batchItemFailures": []}
    assert world.count() == 5_000


def test_a_message_of_a_mebibyte_is_counted_when_it_is_valid(world: World, runtime: Runtime) -> None:
    padding = 2**20 - len(GOOD) - len(', "note": ""')
    body = GOOD[:-1] + f', "note": "{"x" * padding}"}}'
    assert len(body) == 2**20
    assert invoke(runtime, record(body)) == {"batchItemFailures": []}
    assert world.count() == 1


def test_a_message_of_a_mebibyte_that_is_not_valid_is_left_to_the_redrive_policy(
    world: World, runtime: Runtime
) -> None:
    """There is no room in a message for a reason beside it: it goes as it is, and nothing beside it is held up."""
    reply = invoke(runtime, record("x" * 2**20, "large"), record(GOOD, "m2"))
    assert reply == {"batchItemFailures": [{"itemIdentifier": "large"}]}
    assert world.count() == 1


def test_what_no_message_of_ours_carries_is_left_alone_and_holds_nothing_up(world: World, runtime: Runtime) -> None:
    """What came to SQS as an escape, within the JSON of SNS, is a character that SQS does not take, or half of one."""
    messages = {"half": ("\ud800", "k1"), "nul": ("\0", "k2"), "key": (GOOD, "\0"), "half-key": (GOOD, "\ud800")}
    records = [record(from_topic(body, key), name) for name, (body, key) in messages.items()]
    bad = GOOD.replace("4285", "42.85")
    reply = invoke(runtime, record(bad, "m1"), *records, record(GOOD, "m2"), record(from_topic(GOOD, "k3"), "m3"))
    assert {each["itemIdentifier"] for each in reply["batchItemFailures"]} == messages.keys()
    assert world.count() == 2
    assert [body for body, _ in world.dead_letters()] == [bad]
    assert world.log.read_text().count("SQS cannot carry") == len(messages)


def from_topic(body: str, key: str) -> str:
    """Return what SNS makes of a message."""
    attributes = {"eventId": {"Type": "String", "Value": key}}
    fields = {"Type": "Notification", "MessageId": "sns", "TopicArn": "t", "Timestamp": "2026", "Message": body}
    return json.dumps(fields | {"MessageAttributes": attributes})


def test_a_buried_event_that_comes_again_has_the_identity_it_had(world: World, runtime: Runtime) -> None:
    """As it does when somebody moves dead letters back with SQS's own redrive, under a new message id."""
    assert invoke(runtime, record(f"{GOOD}\n{GOOD}", "m1")) == {"batchItemFailures": []}
    again = record(GOOD, "new-id", originalMessageId="m1", position="1")
    assert invoke(runtime, again) == {"batchItemFailures": []}
    assert world.count() == 2


def test_a_missing_table_fails_the_batch_and_says_what_to_do(world: World, code: Path) -> None:
    with function(world, code, TILLROLL_DATA=f"dynamodb://{REGION}/none/none-either") as runtime:
        reply = invoke(runtime, record(GOOD))
    assert reply["errorType"] == "BatchFailedError"
    assert "none" in reply["errorMessage"]
    assert "region" in reply["errorMessage"]


def test_a_batch_near_its_deadline_returns_what_it_has_not_begun(world: World, code: Path) -> None:
    with function(world, code, timeout_s="25") as runtime:  # less than a commit is given
        reply = invoke(runtime, record(GOOD))
    assert reply["errorType"] == "BatchFailedError"
    assert world.count() == 0


def test_an_empty_batch_is_no_failure(runtime: Runtime) -> None:
    assert invoke(runtime) == {"batchItemFailures": []}


def test_the_scheduled_fold_counts_what_came_last(world: World, code: Path) -> None:
    with function(world, code, TILLROLL_FRESHNESS_S="60") as runtime:
        invoke(runtime, record(GOOD))
    store = world.store()
    aged = store.status().unfolded_since
    if aged is not None:  # not folded by the batch itself
        time.sleep(max(0.0, aged + 2 - time.time()))
    # A call folds for its time-out less 20 s. A slow cold start leaves it nothing of that: then the next call folds.
    with function(world, code, "tillroll.aws.functions.fold", timeout_s="23") as runtime:
        wait_until(
            lambda: runtime.invoke({})["folded_position"] == store.status().journal_position, "a fold of what came last"
        )
    count = store.get([DATAPOINT])[0].events
    assert count == 1
    store.close()


def test_a_fold_that_a_batch_calls_ends_when_it_has_folded_and_does_not_watch_the_minute(
    world: World, code: Path
) -> None:
    """With a freshness of a second each second's batch calls one: 60 of them would watch at a time."""
    store = world.store()
    store.journal(batch_of(purchases(3), KEY))
    with function(world, code, "tillroll.aws.functions.fold") as runtime:
        assert runtime.invoke({"once": True})["folded_position"] == store.status().journal_position
    assert world.log.read_text().count('"message":"fold"') == 1
    store.close()


def test_logs_are_structured_and_never_have_a_purchase_in_them(world: World, runtime: Runtime) -> None:
    invoke(runtime, record(GOOD.replace('"m"', '"secret-merchant"')), record('{"date": "secret', "m2"))
    lines = [line for line in world.log.read_text().splitlines() if line.startswith("{")]
    parsed = [json.loads(line) for line in lines]
    assert any(line.get("message") == "batch" and line["Accepted"] == 1 for line in parsed)
    metrics = next(line for line in parsed if "_aws" in line)
    assert metrics["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Tillroll"
    assert metrics["Accepted"] == [1.0]
    assert metrics["service"] == "tillroll"
    assert "secret" not in world.log.read_text()


_FIRST_CALL = "tillroll.stores.dynamodb.store, aws_lambda_powertools, botocore.session"
_AT_START = {"backports", "msgspec", "typing_extensions"}
_AT_FIRST_CALL = {"aws_lambda_powertools", "botocore", "dateutil", "jmespath", "six", "urllib3"}


@pytest.mark.parametrize(
    ("modules", "packages"),
    [
        ("tillroll.aws.functions", _AT_START),
        # And with all that the first call brings in besides: the store, Powertools, botocore for the credentials.
        (f"tillroll.aws.functions, {_FIRST_CALL}", _AT_START | _AT_FIRST_CALL),
    ],
)
def test_a_cold_start_imports_no_package_that_it_can_do_without(modules: str, packages: set[str], code: Path) -> None:
    python = install("rie") / "bin" / "python"
    statement = f"import sys; before = set(sys.modules); import {modules}; print(*(set(sys.modules) - before))"
    environment = {"PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([python, "-c", statement], env=environment, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    tops = {name.partition(".")[0] for name in imported}
    assert {top for top in tops if not top.startswith("_")} - sys.stdlib_module_names - {"tillroll"} <= packages
    unneeded = ["tillroll.web", "tillroll.cli", "tillroll.stores.sqlite"]
    if _FIRST_CALL not in modules:
        unneeded += ["tillroll.stores", "tillroll.queues", "asyncio", "ssl"]
    assert not {name for name in imported if name.startswith(tuple(unneeded))}
