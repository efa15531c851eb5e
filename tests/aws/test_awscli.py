"""A client that nobody here wrote: the aws command line sends what is counted, and reads as the frontend does."""

from __future__ import annotations

import json
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

from tests.aws.deployed import wait_until
from tests.aws.fetch_environments import install

if TYPE_CHECKING:
    from tests.aws.deployed import Deployed


def run(deployed: Deployed, *words: str) -> Any:
    program = install("awscli") / "bin" / "aws"
    command = [str(program), "--output", "json", "--endpoint-url", deployed.aws.endpoint, *words]
    done = subprocess.run(command, env=deployed.aws.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else {}


def test_it_sends_an_event_and_reads_the_aggregates_it_counts_for(deployed: Deployed) -> None:
    merchant = uuid.uuid4().hex
    event = (
        f'{{"date": "2011-12-04T10:15:30Z", "amount": 4285, "paymentMethod": "PAY_NOW", "merchantId": "{merchant}"}}'
    )
    attributes = json.dumps({"eventId": {"DataType": "String", "StringValue": merchant}})
    for _ in range(2):
        run(
            deployed,
            *("sqs", "send-message", "--queue-url", deployed.outputs["QueueUrl"]),
            *("--message-body", event, "--message-attributes", attributes),
        )
    table = deployed.outputs["AggregatesTable"]
    key = {"datapoint": {"S": f"{merchant}|PAY_NOW"}}
    get = ("dynamodb", "get-item", "--table-name", table, "--key", json.dumps(key))
    item = wait_until(lambda: run(deployed, *get).get("Item"), "the aggregate", within_s=90)
    assert item["events"] == {"N": "1"}
    day = {"datapoint": {"S": f"2011-12-04|{merchant}"}}
    wanted = json.dumps({table: {"Keys": [key, day]}})
    several = run(deployed, "dynamodb", "batch-get-item", "--request-items", wanted)["Responses"][table]
    assert {(each["datapoint"]["S"], each["events"]["N"]) for each in several} == {
        (f"{merchant}|PAY_NOW", "1"),
        (f"2011-12-04|{merchant}", "1"),
    }
