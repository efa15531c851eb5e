"""Tillroll deployed from its template into ministack, as `tillroll aws deploy` does it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from tillroll.aws import package, stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.aws.ministack import Ministack

# What ministack runs the functions with is the Python that runs it.
RUNTIME = "python3.11"


class Deployed(NamedTuple):
    """A stack in a running ministack."""

    aws: Ministack
    outputs: dict[str, str]
    events: list[tuple[str, str, str]]

    @property
    def store(self) -> str:
        return f"{self.outputs['Store']}?endpoint={self.aws.endpoint}"

    def depth(self, which: str = "QueueUrl") -> int:
        """Return how many messages a queue has, in flight or not."""
        names = [f"ApproximateNumberOfMessages{suffix}" for suffix in ("", "NotVisible", "Delayed")]
        sqs = self.aws.client("sqs")
        found = sqs.get_queue_attributes(QueueUrl=self.outputs[which], AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


def deploy(aws: Ministack, directory: Path, **parameters: str) -> Deployed:
    built = package.build(directory, "x86_64", RUNTIME)
    session = aws.session()
    bucket, key = stack.upload(session, built)
    events: list[tuple[str, str, str]] = []
    given = {
        "CodeBucket": bucket,
        "CodeKey": key,
        "Architecture": "x86_64",
        "Runtime": RUNTIME,
        "BatchWindowSeconds": "1",
        "FreshnessSeconds": "1",
        "ProtectTables": "false",
        **parameters,
    }
    outputs = stack.deploy(session, "tillroll", given, lambda *event: events.append(event))
    found = Deployed(aws, outputs, events)
    _make_numbers(found, int(given.get("BatchSize", "2000")), int(given.get("Concurrency", "2")))
    return found


def _make_numbers(found: Deployed, batch_size: int, concurrency: int) -> None:
    """Put numbers where CloudFormation would: ministack hands a parameter on as the string it came as."""
    functions = found.aws.client("lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        functions.update_event_source_mapping(
            UUID=mapping["UUID"], BatchSize=batch_size, ScalingConfig={"MaximumConcurrency": concurrency}
        )


def wait_until(done: Callable[[], Any], what: str, *, within_s: float = 60) -> Any:
    """Return what `done` returns once that is true."""
    ends_at = time.monotonic() + within_s
    while time.monotonic() < ends_at:
        found = done()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come about within {within_s} s")
