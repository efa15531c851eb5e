"""A model of SQS: the calls of its client that the product makes, and a service that delivers at least once.

Modelled after the Developer Guide ("Amazon SQS standard queues", "dead-letter queues"): a message may be delivered
again while it is held, and even after it was deleted; after too many receives it moves to the dead-letter queue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from tests.simulation.scheduler import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.scheduler import Scheduler

QUEUE: Final = "https://queue.invalid/1/purchases"
DEAD_LETTERS: Final = "https://queue.invalid/1/purchases-dead"
RECEIVES_MAX: Final = 5
VISIBILITY_S: Final = 30.0


@dataclass
class Kept:
    """A message in the service."""

    id: str
    body: str
    attributes: dict[str, str]
    visible_at: float
    sent_at: float
    receives: int = 0
    receipts: list[str] = field(default_factory=list)


class Service:
    """The two queues."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.queues: dict[str, dict[str, Kept]] = {QUEUE: {}, DEAD_LETTERS: {}}
        self.deleted: list[Kept] = []
        self.buried: list[str] = []  # the body of everything that was ever put into the dead-letter queue
        self._count = 0

    def put(self, url: str, body: str, attributes: dict[str, str]) -> Kept:
        """Take a message in."""
        self._count += 1
        now = self.scheduler.now
        message = Kept(f"m{self._count}", body, attributes, now, now)
        self.queues[url][message.id] = message
        if url == DEAD_LETTERS:
            self.buried.append(body)
        return message

    def receive(self, url: str, most: int) -> list[Kept]:
        """Deliver some messages, hold them, and rarely one that is held already or was deleted."""
        random, now = self.scheduler.random, self.scheduler.now
        queue = self.queues[url]
        ready = [message for message in queue.values() if message.visible_at <= now or random.random() < 0.02]
        random.shuffle(ready)
        found = []
        for message in ready[: random.randint(1, most)]:
            if message.receives >= RECEIVES_MAX and url == QUEUE:
                self.queues[DEAD_LETTERS][message.id] = queue.pop(message.id)
                message.visible_at = now
                message.receives = 0
                continue
            found.append(message)
        if self.deleted and random.random() < 0.05 and url == QUEUE:
            found.append(random.choice(self.deleted))
        for message in found:
            message.receives += 1
            message.visible_at = now + VISIBILITY_S
            message.receipts.append(f"{message.id}/{message.receives}/{len(message.receipts)}")
        return found

    def delete(self, url: str, receipt: str) -> None:
        """Delete a message by a receipt; an old one may do nothing."""
        message = self.queues[url].get(receipt.partition("/")[0])
        if message is None:
            return
        if receipt != message.receipts[-1] and self.scheduler.random.random() < 0.5:
            return
        self.deleted.append(self.queues[url].pop(message.id))

    def hold(self, url: str, receipt: str, seconds: int) -> None:
        """Change when a message is delivered again."""
        message = self.queues[url].get(receipt.partition("/")[0])
        if message is not None:
            message.visible_at = self.scheduler.now + seconds


class ModelSqsClient:
    """The part of boto3's client that `queues.sqs` uses, each call a step."""

    def __init__(self, service: Service, faults: Callable[[str], Fault | None]) -> None:
        self._service = service
        self._faults = faults

    def send_message_batch(self, *, QueueUrl: str, Entries: list[Any]) -> dict[str, Any]:  # noqa: N803 boto3's names
        """Take messages in; under a partial result, only the first."""

        def send(*, partial: bool) -> dict[str, Any]:
            taken = Entries[:1] if partial else Entries
            for entry in taken:
                attributes = {name: value["StringValue"] for name, value in entry["MessageAttributes"].items()}
                self._service.put(QueueUrl, entry["MessageBody"], attributes)
            failed = [
                {"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"} for entry in Entries[len(taken) :]
            ]
            return {"Successful": [{"Id": entry["Id"]} for entry in taken], "Failed": failed}

        return self._call("SendMessageBatch", send)

    def receive_message(self, *, QueueUrl: str, MaxNumberOfMessages: int, **_: Any) -> dict[str, Any]:  # noqa: N803
        """Deliver messages."""

        def receive(*, partial: bool) -> dict[str, Any]:
            found = self._service.receive(QueueUrl, 1 if partial else MaxNumberOfMessages)
            return {"Messages": [_received(message) for message in found]}

        return self._call("ReceiveMessage", receive)

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[Any]) -> dict[str, Any]:  # noqa: N803
        """Delete messages; under a partial result, only the first."""

        def delete(*, partial: bool) -> dict[str, Any]:
            for entry in Entries[:1] if partial else Entries:
                self._service.delete(QueueUrl, entry["ReceiptHandle"])
            return {}

        return self._call("DeleteMessageBatch", delete)

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[Any]) -> dict[str, Any]:  # noqa: N803
        """Hold messages for longer, or give them back."""

        def hold(*, partial: bool) -> dict[str, Any]:
            for entry in Entries[:1] if partial else Entries:
                self._service.hold(QueueUrl, entry["ReceiptHandle"], entry["VisibilityTimeout"])
            return {}

        return self._call("ChangeMessageVisibilityBatch", hold)

    def close(self) -> None:
        """Nothing is open."""

    def _call(self, name: str, effect: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        scheduler = self._service.scheduler
        fault = self._faults(name)
        scheduler.step(name)
        if fault is not None:
            scheduler.draw(name, fault)
        if fault is Fault.KILL_BEFORE:
            scheduler.die()
        if fault is Fault.LOSE_REQUEST:
            raise EndpointConnectionError(endpoint_url=QUEUE)
        if fault in {Fault.THROTTLE, Fault.CONFLICT}:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "injected"}}, name)
        if fault is Fault.PAUSE_BEFORE:
            scheduler.step("paused", wait_s=VISIBILITY_S * 2 * scheduler.random.random())
        reply = effect(partial=fault is Fault.PARTIAL)
        if fault is Fault.KILL_AFTER:
            scheduler.die()
        if fault in {Fault.LOSE_REPLY, Fault.LATE_EFFECT}:
            raise ReadTimeoutError(endpoint_url=QUEUE)
        if fault is Fault.REPEAT:
            reply = effect(partial=False)
        if fault is Fault.PAUSE_AFTER:
            scheduler.step("paused", wait_s=VISIBILITY_S * 2 * scheduler.random.random())
        return reply


def _received(message: Kept) -> dict[str, Any]:
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.receipts[-1],
        "Body": message.body,
        "Attributes": {"SentTimestamp": str(int(message.sent_at * 1000))},
        "MessageAttributes": {
            name: {"StringValue": value, "DataType": "String"} for name, value in message.attributes.items()
        },
    }


def record_of(message: Kept) -> dict[str, Any]:
    """Return a message as Lambda hands it to a function."""
    return {
        "messageId": message.id,
        "receiptHandle": message.receipts[-1],
        "body": message.body,
        "attributes": {"SentTimestamp": str(int(message.sent_at * 1000))},
        "messageAttributes": {
            name: {"stringValue": value, "dataType": "String"} for name, value in message.attributes.items()
        },
    }
