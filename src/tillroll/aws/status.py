"""How the deployed parts stand: the queues, the journal, and how far it is counted."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from tillroll.aws.errors import explained

if TYPE_CHECKING:
    from collections.abc import Mapping

    import boto3

    from tillroll.ports import Clock, Status, Store

_COUNTS: Final = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
_AGE_MINUTES: Final = 15


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A queue, as SQS counts: approximately."""

    waiting: int
    in_flight: int
    oldest_s: float | None  # by CloudWatch, minutes late; None when it does not say


class AwsStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How everything stands."""

    queue: QueueStatus
    dead_letters: QueueStatus
    store: Status
    fold_age_s: float | None  # since the last fold
    lag_s: float  # since the oldest commit that no reader sees


def status(session: boto3.Session, outputs: Mapping[str, str], store: Store, clock: Clock) -> AwsStatus:
    """Return how the parts that a stack's outputs name stand."""
    with explained("asking the queues"):
        queue = _queue(session, outputs["QueueUrl"])
        dead_letters = _queue(session, outputs["DeadLettersUrl"])
    found = store.status()
    now_s = clock()
    return AwsStatus(
        queue=queue,
        dead_letters=dead_letters,
        store=found,
        fold_age_s=None if found.folded_at is None else max(0.0, now_s - found.folded_at),
        lag_s=0.0 if found.unfolded_since is None else max(0.0, now_s - found.unfolded_since),
    )


def _queue(session: boto3.Session, url: str) -> QueueStatus:
    names: Any = list(_COUNTS)
    found = session.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    waiting, in_flight = (int(found[name]) for name in _COUNTS)
    return QueueStatus(waiting=waiting, in_flight=in_flight, oldest_s=_oldest(session, url.rpartition("/")[2]))


def _oldest(session: boto3.Session, name: str) -> float | None:
    dimensions = [{"Name": "QueueName", "Value": name}]
    found = latest(session, "AWS/SQS", "ApproximateAgeOfOldestMessage", dimensions, "Maximum", _AGE_MINUTES * 60)
    return found[-1] if found else None


def latest(
    session: boto3.Session, namespace: str, metric: str, dimensions: list[dict[str, str]], statistic: str, over_s: int
) -> list[float]:
    """Return a metric's values by the minute over the last seconds, oldest first; none when they cannot be read."""
    now = dt.datetime.now(dt.UTC)
    try:
        client: Any = session.client("cloudwatch")
        reply = client.get_metric_data(
            MetricDataQueries=[
                {
                    "Id": "values",
                    "MetricStat": {
                        "Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions},
                        "Period": 60,
                        "Stat": statistic,
                    },
                }
            ],
            StartTime=now - dt.timedelta(seconds=over_s),
            EndTime=now,
            ScanBy="TimestampAscending",
        )
    except (ClientError, BotoCoreError):
        return []
    return [float(value) for value in reply["MetricDataResults"][0]["Values"]]
