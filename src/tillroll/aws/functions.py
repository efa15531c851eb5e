"""The Lambda functions: one takes batches of the queue's messages into the store, the other folds.

The first calls the second when one of its commits ends a range of the fold; a schedule does so once a minute as well.
Only the schedule's call goes on looking when the freshness asks it, so that one watches, however many ranges end.
A fold may be slow without a batch of messages waiting for it. One works at a folder at a time, by a lease in the store;
there are as many calls as folders, and each takes what no other is at.
Both say what they did in structured logs, never what was in a message, and in the embedded metric format.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tillroll.app import open_queue, open_store
from tillroll.config import load
from tillroll.core.kept import Keep
from tillroll.errors import QueueError
from tillroll.ingest.envelope import open_envelope
from tillroll.ingest.field_watch import FieldWatch
from tillroll.ingest.worker import HAND_BACK_S, Taken, take_messages, wall_clock
from tillroll.ports import Foldered, RangeEnding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_lambda_powertools import Logger, Metrics
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from tillroll.config import Settings
    from tillroll.core.accept import Rejection
    from tillroll.ports import Message, Queue, Store

NAMESPACE: Final = "Tillroll"
COMMIT_S: Final = 25.0  # after which a commit is given up
COMMIT_RESERVE_S: Final = 30.0  # a commit is begun only with so much time left: a batch ends before its deadline
FOLD_RESERVE_S: Final = 20.0
_ONCE: Final = b'{"once": true}'  # the event of a call that folds what is due, and does not watch
_SCHEDULE_S: Final = 60.0
_COUNT_S: Final = 10.0
_PAUSE_S_MIN: Final = 1.0
_GRACE_S_MAX: Final = 5.0


class BatchFailedError(RuntimeError):
    """Nothing of a batch could be taken. Lambda counts it as an error, and the whole batch comes back."""


class _Parts(NamedTuple):
    """What an execution environment keeps from one call to the next."""

    settings: Settings
    store: Store
    queue: _LateQueue
    folder: _Folder
    fields: FieldWatch
    logger: Logger
    metrics: Metrics


class _LateQueue:
    """The queue, connected to when the first event is buried or handed back: most environments never do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queue: Queue | None = None

    def _opened(self) -> Queue:
        if self._queue is None:
            self._queue = open_queue(self._settings.queue, self._settings.dead_letters)
        return self._queue

    def bury(self, bodies: Sequence[tuple[Message, Rejection]]) -> set[str]:
        """As Queue.bury."""
        return self._opened().bury(bodies)

    def extend(self, messages: Sequence[Message], visible_after_s: float) -> None:
        """As Queue.extend."""
        self._opened().extend(messages, visible_after_s)


class _Folder:
    """Calls the fold function, without waiting for it, when commits of this environment ended a range."""

    def __init__(self, name: str, logger: Logger) -> None:
        self._name = name
        self._logger = logger
        self._ended = 0
        self._client: Any = None  # boto3's

    def call_if_due(self, store: Store) -> None:
        """Call it, if it is time. An error costs nobody a message: the schedule calls it as well."""
        if not self._name or not isinstance(store, RangeEnding) or store.ranges_ended == self._ended:
            return
        self._ended = store.ranges_ended
        try:
            if self._client is None:
                import boto3  # noqa: PLC0415 only the environments that end ranges

                self._client = boto3.client("lambda")
            for _ in range(store.folders() if isinstance(store, Foldered) else 1):
                self._client.invoke(FunctionName=self._name, InvocationType="Event", Payload=_ONCE)
        except Exception:
            self._logger.warning("the fold function is not called; its schedule does it", exc_info=True)


@cache
def _parts() -> _Parts:
    from aws_lambda_powertools import Logger, Metrics  # noqa: PLC0415 they read the environment
    from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers  # noqa: PLC0415

    settings = load().settings
    logger = Logger(level=settings.log_level.upper())
    copy_config_to_registered_loggers(logger, include={"tillroll"}, ignore_log_level=False)
    store = open_store(
        settings.data,
        freshness_s=settings.freshness_s,
        commit_s=COMMIT_S,
        count_write_units=settings.count_write_units,
    )
    return _Parts(
        settings=settings,
        store=store,
        queue=_LateQueue(settings),
        folder=_Folder(settings.fold_function, logger),
        fields=FieldWatch(Keep(settings.events_keep), store),
        logger=logger,
        metrics=Metrics(namespace=NAMESPACE),
    )


def take_batch(event: Mapping[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Take a batch of SQS messages, and return which of them must come back.

    What was given up for lack of time, or since others were first, comes back at once.

    Raises:
        BatchFailedError: none of it could be taken.
    """
    parts = _parts()
    parts.logger.append_keys(request_id=context.aws_request_id)
    records = event.get("Records") or ()
    messages = [_message(record) for record in records]

    def may_go_on() -> bool:
        return context.get_remaining_time_in_millis() > COMMIT_RESERVE_S * 1_000

    taken = take_messages(parts.store, parts.queue, messages, wall_clock, may_go_on=may_go_on, fields=parts.fields)
    _record(parts, taken, len(messages))
    parts.folder.call_if_due(parts.store)
    _hand_back(parts, [messages[index] for index in taken.given_up])
    if messages and len(taken.left) == len(messages):
        raise BatchFailedError(str(taken.error or "the time was up, or no message of the batch could be taken"))
    return {"batchItemFailures": [{"itemIdentifier": records[index]["messageId"]} for index in taken.left]}


def _hand_back(parts: _Parts, messages: Sequence[Message]) -> None:
    if not messages:
        return
    try:
        parts.queue.extend(messages, HAND_BACK_S)
    except QueueError:
        parts.logger.warning("messages come back late", exc_info=True)


def _message(record: Mapping[str, Any]) -> Message:
    sent = record.get("attributes", {}).get("SentTimestamp")
    attributes = {name: value.get("stringValue") or "" for name, value in record.get("messageAttributes", {}).items()}
    sent_at = int(sent) / 1000 if sent else None
    return open_envelope(record["messageId"], record.get("receiptHandle", ""), record["body"], attributes, sent_at)


def _record(parts: _Parts, taken: Taken, messages: int) -> None:
    counts = {name.title(): count for name, count in taken.counts.plain().items()} | {"MessagesLeft": len(taken.left)}
    for name, count in counts.items():
        parts.metrics.add_metric(name, "Count", count)
    parts.metrics.flush_metrics()
    parts.logger.info("batch", extra={"messages": messages, "codes": taken.codes, **counts})
    if taken.error is not None:
        parts.logger.error("messages are left", why=str(taken.error))


def fold(event: Mapping[str, Any], context: LambdaContext) -> dict[str, int]:
    """Fold what is due, and look again until the next minute's call, if the freshness asks it and the event allows it.

    Between the folds it counts reports of one's own that lag. It stops before its deadline: the next call goes on from
    there. Returns the folded position. An error is raised: the next call tries again, and an alarm tells when reports
    stay old.
    """
    parts = _parts()
    parts.logger.append_keys(request_id=context.aws_request_id)
    ends_at = time.monotonic() + _SCHEDULE_S
    freshness_s = parts.settings.freshness_s
    pause_s = _SCHEDULE_S if freshness_s >= _SCHEDULE_S else max(freshness_s / 2, _PAUSE_S_MIN)
    while True:
        position = _fold_once(parts, context.get_remaining_time_in_millis() / 1_000 - FOLD_RESERVE_S)
        look_at = time.monotonic() + pause_s
        _count(parts.store, min(look_at, ends_at), context)
        rest_s = max(0.0, look_at - time.monotonic())
        time_left = context.get_remaining_time_in_millis() / 1_000
        if event.get("once") or look_at >= ends_at or time_left < rest_s + FOLD_RESERVE_S:
            return {"folded_position": position}
        time.sleep(rest_s)


def _count(store: Store, until: float, context: LambdaContext) -> None:
    """Count reports of one's own that lag, until it is time to fold again, or the deadline is near."""
    while time.monotonic() < until and context.get_remaining_time_in_millis() > (FOLD_RESERVE_S + _COUNT_S) * 1_000:
        if not store.count_some(min(_COUNT_S, until - time.monotonic())):
            return


def _fold_once(parts: _Parts, seconds: float) -> int:
    status = parts.store.status()
    lag_s = 0.0 if status.unfolded_since is None else max(0.0, wall_clock() - status.unfolded_since)
    freshness_s = parts.settings.freshness_s
    if lag_s > freshness_s + min(_GRACE_S_MAX, freshness_s / 2):  # no commit came that would have ended the range
        position = parts.store.fold(seconds)
    else:
        position = parts.store.fold_if_due(seconds) or status.folded_position
    parts.metrics.add_metric("FoldLag", "Seconds", lag_s)
    parts.metrics.add_metric("FoldOverdue", "Seconds", max(0.0, lag_s - freshness_s))
    parts.metrics.flush_metrics()
    parts.logger.info("fold", folded_position=position, journal_position=status.journal_position, lag_s=round(lag_s, 3))
    return position
