"""What SQS does beyond the port's contract: partial failures, bounds, and errors a person must act on."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from tillroll.core.accept import Rejection
from tillroll.core.batch import NameKind, Source
from tillroll.core.decode import Reason
from tillroll.errors import ConfigError, QueueError
from tillroll.queues.sqs import queue as queue_module
from tillroll.queues.sqs.queue import MESSAGE_BYTES_MAX, SqsQueue, connect, open_sqs_queue
from tillroll.queues.sqs.session import open_session

if TYPE_CHECKING:
    from tests.aws.ministack import Ministack

URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/purchases"


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> tuple[SqsQueue, Stubber]:
    """A queue over botocore's own stub of the service."""
    monkeypatch.setattr(queue_module, "_FIRST_PAUSE_S", 0.0)
    client = boto3.client("sqs", region_name="eu-west-1", aws_access_key_id="k", aws_secret_access_key="s")
    stub = Stubber(client)
    stub.activate()
    return SqsQueue(client, URL, "https://dead"), stub


def sent(*numbers: int) -> list[dict[str, str]]:
    return [{"Id": str(number), "MessageId": str(number), "MD5OfMessageBody": "x"} for number in numbers]


def failed(number: int, *, sender: bool = False) -> dict[str, Any]:
    return {"Id": str(number), "SenderFault": sender, "Code": "InternalError", "Message": "it broke"}


def entries(*numbers: int) -> dict[str, Any]:
    return {
        "QueueUrl": URL,
        "Entries": [
            {"Id": str(number), "MessageBody": f"body {number}", "MessageAttributes": {}} for number in numbers
        ],
    }


def test_only_the_part_of_a_batch_that_failed_is_sent_again(stubbed: tuple[SqsQueue, Stubber]) -> None:
    queue, stub = stubbed
    stub.add_response("send_message_batch", {"Successful": sent(0, 2), "Failed": [failed(1)]}, entries(0, 1, 2))
    stub.add_response("send_message_batch", {"Successful": sent(1), "Failed": []}, entries(1))
    queue.send([(f"body {number}".encode(), None) for number in range(3)])
    stub.assert_no_pending_responses()


def test_a_batch_that_keeps_failing_in_part_is_an_error_to_try_again(stubbed: tuple[SqsQueue, Stubber]) -> None:
    queue, stub = stubbed
    for _ in range(6):
        stub.add_response("send_message_batch", {"Successful": [], "Failed": [failed(0)]}, entries(0))
    with pytest.raises(QueueError) as raised:
        queue.send([(b"body 0", None)])
    assert raised.value.retry_after_s is not None


def test_what_the_sender_did_wrong_is_not_sent_again(stubbed: tuple[SqsQueue, Stubber]) -> None:
    queue, stub = stubbed
    reply = {"Successful": sent(0), "Failed": [failed(1, sender=True)]}
    stub.add_response("send_message_batch", reply, entries(0, 1))
    with pytest.raises(QueueError, match="it broke"):
        queue.send([(b"body 0", None), (b"body 1", None)])
    stub.assert_no_pending_responses()


def test_a_call_holds_ten_messages_and_a_mebibyte(stubbed: tuple[SqsQueue, Stubber]) -> None:
    queue, stub = stubbed
    for count in (10, 2, 1, 1):
        stub.add_response(
            "send_message_batch", {"Successful": sent(0), "Failed": []}, {"QueueUrl": URL, "Entries": [ANY] * count}
        )
    large = b"x" * (MESSAGE_BYTES_MAX - 10)
    queue.send([(b"small", None)] * 12)
    queue.send([(large, None), (large, None)])
    stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"x" * (MESSAGE_BYTES_MAX + 1), "1048577 bytes"),
        (b"\x00", r"U\+0000"),
        (b"\xff", "UTF-8"),
    ],
)
def test_what_sqs_would_refuse_is_refused_with_its_reason(
    body: bytes, words: str, stubbed: tuple[SqsQueue, Stubber]
) -> None:
    with pytest.raises(QueueError, match=words):
        stubbed[0].send([(body, None)])


@pytest.mark.parametrize(
    ("code", "words", "passes"),
    [
        ("AWS.SimpleQueueService.NonExistentQueue", "region", False),
        ("ExpiredToken", "Log in again", False),
        ("InvalidClientTokenId", "Log in again", False),
        ("AccessDenied", "sqs:ReceiveMessage", False),
        ("RequestThrottled", "busy", True),
        ("ServiceUnavailable", "busy", True),
        ("SomethingNew", "SomethingNew", False),
    ],
)
def test_an_error_says_what_to_do(
    code: str, words: str, passes: bool, stubbed: tuple[SqsQueue, Stubber]  # noqa: FBT001 a row of the table
) -> None:  # fmt: skip
    queue, stub = stubbed
    stub.add_client_error("receive_message", code, "as it says", 400)
    with pytest.raises(QueueError, match=words) as raised:
        queue.receive(0.0)
    assert (raised.value.retry_after_s is not None) is passes


def test_a_host_that_is_not_there_is_tried_again() -> None:
    client = boto3.client(
        "sqs", "eu-west-1", endpoint_url="http://127.0.0.1:9", aws_access_key_id="k", aws_secret_access_key="s"
    )
    queue = SqsQueue(client, URL)
    with pytest.raises(QueueError) as raised:
        queue.receive(0.0)
    assert raised.value.retry_after_s is not None


def test_no_credentials_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(QueueError, match="no AWS credentials"):
        open_sqs_queue(URL).receive(0.0)


def test_the_region_is_the_addresss_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-2")
    assert connect(URL).meta.region_name == "eu-west-1"
    assert connect("http://127.0.0.1:4566/000000000000/purchases").meta.region_name == "us-east-2"


def test_the_region_comes_from_aws_region_before_the_older_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert open_session().region_name == "eu-west-1"
    monkeypatch.delenv("AWS_REGION")
    assert open_session().region_name == "us-east-1"
    assert open_session(region="eu-north-1").region_name == "eu-north-1"


@pytest.mark.parametrize("url", ["", "purchases", "ftp://127.0.0.1/0/q", "http://127.0.0.1"])
def test_what_is_no_queue_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="queue"):
        connect(url)


def test_a_queue_without_dead_letters_says_so(aws: Ministack) -> None:
    url = aws.client("sqs").create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
    queue = open_sqs_queue(url)
    queue.send([(b"nonsense", None)])
    [message] = queue.receive(0.0)
    reason = Reason("not_json", None, "this is not JSON")
    with pytest.raises(QueueError, match="no dead-letter queue"):
        queue.bury([(message, Rejection(Source(NameKind.MESSAGE, message.id), 0, b"nonsense", reason))])
    queue.close()


def test_a_dead_letter_is_readable_for_people_and_programs(aws: Ministack) -> None:
    client = aws.client("sqs")
    dead = client.create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
    url = client.create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
    queue = open_sqs_queue(url, dead)
    queue.send([(b'{"amount": "1"}', "order-1")])
    [message] = queue.receive(0.0)
    reason = Reason("invalid_amount", "amount", "é" * 2_000)
    too_large = Rejection(Source(NameKind.KEY, "order-1"), 1, b"x" * MESSAGE_BYTES_MAX, reason)
    fits = Rejection(Source(NameKind.KEY, "order-1"), 0, message.body, reason)
    assert queue.bury([(message, fits), (message._replace(receipt="other"), too_large)]) == {"other"}
    [letter] = client.receive_message(QueueUrl=dead, MessageAttributeNames=["All"], MaxNumberOfMessages=10)["Messages"]
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert json.loads(letter["Body"]) == {"amount": "1"}
    assert attributes.pop("message") == "é" * 512
    assert attributes == {
        "reason": "invalid_amount",
        "field": "amount",
        "originalMessageId": message.id,
        "position": "0",
        "eventId": "order-1",
    }
    queue.close()


def test_the_redrive_policy_keeps_a_messages_id(aws: Ministack) -> None:
    """On the emulator; on AWS it is documented for the sending time, and relied on for the id by `aws redrive`."""
    client = aws.client("sqs")
    dead = client.create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
    arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "1"})
    url = client.create_queue(QueueName=uuid.uuid4().hex, Attributes={"RedrivePolicy": policy})["QueueUrl"]
    queue, letters = open_sqs_queue(url), open_sqs_queue(dead)
    queue.send([(b"{}", None)])
    [message] = queue.receive(0.0)
    queue.extend([message], 0.0)
    assert queue.receive(0.0) == []
    [letter] = letters.receive(2.0)
    assert letter.id == message.id
    queue.close()
    letters.close()
