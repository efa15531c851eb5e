"""SQS as the queue: at-least-once delivery, in tens.

Limits and behaviour are from the Amazon SQS Developer Guide ("Amazon SQS message quotas") and its API reference.
"""

from __future__ import annotations

import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from botocore.config import Config

from tillroll.errors import ConfigError, QueueError
from tillroll.ingest import envelope
from tillroll.ports import QueueDepth
from tillroll.queues.sqs.errors import explain
from tillroll.queues.sqs.session import open_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import (
        MessageAttributeValueTypeDef,
        MessageTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

    from tillroll.core.accept import Rejection
    from tillroll.ports import Message

ENTRIES_MAX: Final = 10  # in one call, by SQS
MESSAGE_BYTES_MAX: Final = 2**20  # of body and attributes, and of all entries of one call, by SQS
VISIBILITY_S_MAX: Final = 43_200  # 12 hours, by SQS
RECEIVERS: Final = 8  # calls at once when the queue is full: one call brings ten messages at most
_ATTEMPTS: Final = 6
_FIRST_PAUSE_S: Final = 0.1
_AWS_HOST: Final = re.compile(r"sqs\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
_TEXT_BYTES_MAX: Final = 1_024  # of a reason's sentence
_log = logging.getLogger(__name__)
# What SQS refuses in a body and in an attribute ("Message quotas": XML 1.0 characters only).
_REFUSED: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class OutgoingMessage(NamedTuple):
    """What is sent: a body with its attributes."""

    body: str
    attributes: dict[str, str]

    @property
    def size(self) -> int:
        """Bytes by which SQS counts it: the body, and each attribute's name, type and value."""
        return len(self.body.encode()) + sum(
            len(name) + len("String") + len(value.encode()) for name, value in self.attributes.items()
        )

    @property
    def is_carried(self) -> bool:
        """Whether SQS takes it: its characters, and its size."""
        if any(_REFUSED.search(text) for text in (self.body, *self.attributes.values())):
            return False
        return self.size <= MESSAGE_BYTES_MAX

    def entry(self, number: int) -> SendMessageBatchRequestEntryTypeDef:
        """Return it as an entry of a call."""
        attributes: dict[str, MessageAttributeValueTypeDef] = {
            name: {"DataType": "String", "StringValue": value} for name, value in self.attributes.items()
        }
        return {"Id": str(number), "MessageBody": self.body, "MessageAttributes": attributes}


def open_sqs_queue(url: str, dead_letters: str = "") -> SqsQueue:
    """Return the queue at a URL, in the region of the URL, or of AWS_REGION or the profile for one that is not AWS's.

    Where rejected events go is `dead_letters`, or else what the queue's own redrive policy names.

    Raises:
        ConfigError: the URL is none, or no region is known.
    """
    return SqsQueue(connect(url), url, dead_letters)


def connect(url: str) -> SQSClient:
    """Return a client for the queue at a URL. Makes no call."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.count("/") < 2:
        remedy = "It looks like https://sqs.eu-west-1.amazonaws.com/123456789012/purchases"
        raise ConfigError("queue", f"{url!r} is not a queue URL", remedy)
    match = _AWS_HOST.fullmatch(parts.hostname)
    session = open_session()
    region = match[1] if match else session.region_name
    if region is None:
        raise ConfigError("AWS_REGION", f"no region is set for {url}", "Set AWS_REGION, or name a profile")
    config = Config(
        retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=40, max_pool_connections=16
    )
    endpoint = None if match else f"{parts.scheme}://{parts.netloc}"
    return session.client("sqs", region_name=region, endpoint_url=endpoint, config=config)


class SqsQueue:
    """A queue at an SQS URL. Safe to use from several threads."""

    def __init__(self, client: SQSClient, url: str, dead_letters: str = "", *, receivers: int = RECEIVERS) -> None:
        self.client = client
        self.url = url
        self._dead_letters = dead_letters
        self._receivers = receivers
        self._pool: ThreadPoolExecutor | None = None

    def send(self, bodies: Sequence[tuple[bytes, str | None]]) -> None:
        """Put (body, event id) pairs on the queue durably."""
        letters = [
            OutgoingMessage(_text(body), {} if event_id is None else {envelope.EVENT_ID: event_id})
            for body, event_id in bodies
        ]
        for letter in letters:
            _refuse_unsendable(letter)
        refused = self._post(self.url, letters)
        if refused:
            number, problem = next(iter(refused.items()))
            raise QueueError(
                f"SQS refused {len(refused)} messages, the first {letters[number].body[:80]!r}: {problem}",
                "Correct and send again",
            )

    def receive(self, wait_s: float) -> list[Message]:
        """Return messages: ten, and when there were ten, what some more calls at once bring."""
        messages = self._receive(wait_s)
        if len(messages) < ENTRIES_MAX or self._receivers < 2:
            return messages
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._receivers - 1, "sqs-receive")
        for more in self._pool.map(self._receive, [0.0] * (self._receivers - 1)):
            messages.extend(more)
        return messages

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete messages. One that fails comes back, and is found to be counted."""
        for chunk in _tens(messages):
            entries = [{"Id": str(number), "ReceiptHandle": each.receipt} for number, each in enumerate(chunk)]
            with explain("sqs:DeleteMessage", self.url):
                self.client.delete_message_batch(QueueUrl=self.url, Entries=entries)  # type: ignore[arg-type]

    def extend(self, messages: Sequence[Message], visible_after_s: float) -> None:
        """Keep messages from being delivered again for so long from now; 0 brings them back at once."""
        seconds = min(max(int(visible_after_s), 0), VISIBILITY_S_MAX)
        for chunk in _tens(messages):
            entries = [
                {"Id": str(number), "ReceiptHandle": each.receipt, "VisibilityTimeout": seconds}
                for number, each in enumerate(chunk)
            ]
            with explain("sqs:ChangeMessageVisibility", self.url):
                self.client.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)  # type: ignore[arg-type]

    def bury(self, bodies: Sequence[tuple[Message, Rejection]]) -> set[str]:
        """Put rejected events in the dead-letter queue, each with its reason as attributes.

        What SQS carries in no message of ours, since it is too large or came within JSON, is left.
        """
        letters = [_dead_letter(message, rejection) for message, rejection in bodies]
        fitting = [number for number, letter in enumerate(letters) if letter.is_carried]
        left = set(range(len(letters))) - set(fitting)
        for number in left:
            _log.warning("SQS cannot carry the rejected events of the message %s: it is left", bodies[number][0].id)
        unburied = {bodies[number][0].receipt for number in left}
        if fitting:
            refused = self._post(self._find_dead_letters(), [letters[number] for number in fitting])
            unburied |= {bodies[fitting[number]][0].receipt for number in refused}
        return unburied

    def depth(self) -> QueueDepth:
        """See ports.MeasuredQueue."""
        return self._depth(self.url)

    def dead_letters_depth(self) -> QueueDepth:
        """See ports.MeasuredQueue."""
        return self._depth(self._find_dead_letters())

    def _depth(self, url: str) -> QueueDepth:
        with explain("sqs:GetQueueAttributes", url):
            reply = self.client.get_queue_attributes(
                QueueUrl=url,
                AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
            )
        found = reply["Attributes"]
        return QueueDepth(
            waiting=int(found["ApproximateNumberOfMessages"]),
            in_flight=int(found["ApproximateNumberOfMessagesNotVisible"]),
        )

    def close(self) -> None:
        """Release everything."""
        if self._pool is not None:
            self._pool.shutdown()
        self.client.close()

    def _find_dead_letters(self) -> str:
        if not self._dead_letters:
            self._dead_letters = find_dead_letters(self.client, self.url)
        return self._dead_letters

    def _receive(self, wait_s: float) -> list[Message]:
        with explain("sqs:ReceiveMessage", self.url):
            reply = self.client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=ENTRIES_MAX,
                WaitTimeSeconds=min(max(int(wait_s), 0), 20),
                MessageSystemAttributeNames=["SentTimestamp"],
                MessageAttributeNames=list(envelope.RECEIVED_ATTRIBUTES),
            )
        return [_received(found) for found in reply.get("Messages", ())]

    def _post(self, url: str, letters: Sequence[OutgoingMessage]) -> dict[int, str]:
        """Send letters and return what SQS will not take, by index, with its reason. Raises when it takes none now."""
        refused: dict[int, str] = {}
        for numbers in _calls(letters):
            pending = numbers
            for attempt in range(_ATTEMPTS):
                if attempt:
                    time.sleep(_FIRST_PAUSE_S * 2**attempt)
                with explain("sqs:SendMessage", url):
                    reply = self.client.send_message_batch(
                        QueueUrl=url, Entries=[letters[number].entry(number) for number in pending]
                    )
                failed = reply.get("Failed", [])
                refused |= {
                    int(each["Id"]): each.get("Message", each["Code"]) for each in failed if each["SenderFault"]
                }
                pending = [int(each["Id"]) for each in failed if not each["SenderFault"]]
                if not pending:
                    break
            else:
                raise QueueError(
                    f"SQS took only a part of a batch, {_ATTEMPTS} times over",
                    "It may be over its limits: try again",
                    retry_after_s=5,
                )
        return refused


def find_dead_letters(client: SQSClient, url: str) -> str:
    """Return the URL of the queue that a queue's redrive policy names.

    Raises:
        QueueError: it has none.
    """
    with explain("sqs:GetQueueAttributes", url):
        reply = client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
        match = re.search(
            r'"deadLetterTargetArn"\s*:\s*"([^"]+)"', reply.get("Attributes", {}).get("RedrivePolicy", "")
        )
        if match is None:
            raise QueueError(f"the queue {url} has no dead-letter queue", "Give it a redrive policy, or name the queue")
        account, name = match[1].split(":")[4:6]
        return client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]


def _received(found: MessageTypeDef) -> Message:
    attributes = {name: value.get("StringValue", "") for name, value in found.get("MessageAttributes", {}).items()}
    sent = found.get("Attributes", {}).get("SentTimestamp")
    return envelope.open_envelope(
        found["MessageId"], found["ReceiptHandle"], found["Body"], attributes, int(sent) / 1000 if sent else None
    )


def _dead_letter(message: Message, rejection: Rejection) -> OutgoingMessage:
    """Return a rejected event as it is buried. One that is missing has no bytes of its own, and SQS asks for one."""
    attributes = {
        envelope.REASON: rejection.reason.code,
        envelope.REASON_MESSAGE: _shortened(rejection.reason.message),
        envelope.ORIGINAL_MESSAGE_ID: message.id,
        envelope.POSITION: str(rejection.position),
    }
    if rejection.reason.field:
        attributes[envelope.REASON_FIELD] = rejection.reason.field
    if message.event_id:
        attributes[envelope.EVENT_ID] = message.event_id
    return OutgoingMessage((rejection.body or b" ").decode(errors="surrogateescape"), attributes)


def _shortened(text: str) -> str:
    return _REFUSED.sub("?", text.encode()[:_TEXT_BYTES_MAX].decode(errors="ignore"))


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise QueueError(
            f"a message is not UTF-8 at byte {error.start}", "SQS carries text only: correct it"
        ) from error


def _refuse_unsendable(letter: OutgoingMessage) -> None:
    """Raise for what SQS is known to refuse."""
    if not letter.body:
        raise QueueError("a message is empty", "SQS takes bodies of 1 byte and more")
    if letter.size > MESSAGE_BYTES_MAX:
        raise QueueError(
            f"a message is {letter.size} bytes with its attributes",
            f"SQS takes {MESSAGE_BYTES_MAX}: send its lines in several messages",
        )
    refused = _REFUSED.search(letter.body)
    if refused:
        raise QueueError(
            f"a message has the character U+{ord(refused[0]):04X}, which SQS does not carry",
            "Write it as a JSON escape",
        )


def _calls(letters: Sequence[OutgoingMessage]) -> Iterator[list[int]]:
    """Yield the indices of letters that fit one call."""
    numbers: list[int] = []
    size = 0
    for number, letter in enumerate(letters):
        if numbers and (len(numbers) == ENTRIES_MAX or size + letter.size > MESSAGE_BYTES_MAX):
            yield numbers
            numbers, size = [], 0
        numbers.append(number)
        size += letter.size
    if numbers:
        yield numbers


def _tens(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    return (messages[start : start + ENTRIES_MAX] for start in range(0, len(messages), ENTRIES_MAX))
