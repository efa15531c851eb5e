"""What a deployed stack took, as CloudWatch has counted it: for beside the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.aws.functions import NAMESPACE
from tillroll.aws.status import latest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import boto3

    from tillroll.aws.cost import Item

_HOUR_S: Final = 3_600


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What was used over some hours. None is what CloudWatch has no figure of."""

    events: float | None
    journal_write_units: float | None
    aggregates_write_units: float | None
    calls: float | None
    sent: float | None

    def units_an_event(self, item: Item) -> float | None:
        """Return what an event took of a line of the bill; None for what is not measured by itself."""
        used = {
            ("DynamoDB", "journal"): self.journal_write_units,
            ("DynamoDB", "aggregates"): self.aggregates_write_units,
            ("Lambda", "calls"): self.calls,
            ("SQS", "send"): self.sent,
        }.get((item.service, item.what))
        return used / self.events if used is not None and self.events else None


def measure(session: boto3.Session, outputs: Mapping[str, str], hours: int) -> Measured:
    """Return what the stack of these outputs used over the last hours."""

    def total(namespace: str, metric: str, dimension: str, value: str) -> float | None:
        found = latest(session, namespace, metric, [{"Name": dimension, "Value": value}], "Sum", hours * _HOUR_S)
        return sum(found) if found else None

    name = outputs["TakeBatchFunction"].removesuffix("-take-batch")
    calls = [
        total("AWS/Lambda", "Invocations", "FunctionName", outputs[function])
        for function in ("TakeBatchFunction", "FoldFunction")
    ]
    return Measured(
        events=total(NAMESPACE, "Accepted", "service", name),
        journal_write_units=total("AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", outputs["JournalTable"]),
        aggregates_write_units=total(
            "AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", outputs["AggregatesTable"]
        ),
        calls=sum(call for call in calls if call is not None) if any(call is not None for call in calls) else None,
        sent=total("AWS/SQS", "NumberOfMessagesSent", "QueueName", outputs["QueueUrl"].rpartition("/")[2]),
    )
