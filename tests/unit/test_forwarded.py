"""What SNS and EventBridge put around a purchase, in their own documentation's examples."""

from __future__ import annotations

import json

import pytest

from tillroll.core.batch import NameKind, Source
from tillroll.ingest.envelope import body_of, open_envelope

PURCHASE = '{"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": "m"}'


def of_topic(message: str, **more: object) -> str:
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "dc1e94d9-56c5-5e96-808d-cc7f68faa162",
            "TopicArn": "arn:aws:sns:us-east-2:111122223333:ExampleTopic1",
            "Subject": "TestSubject",
            "Message": message,
            "Timestamp": "2021-02-16T21:41:19.978Z",
            "SignatureVersion": "1",
            "Signature": "FMG5tlZhJNHLHUXvZgtZzlk24FzVa7oX0T4P03neeXw8ZEXZx6z35j2FOTuNYShn2h0bKNC/zLTnMyIxEzmi2X1sh",
            "SigningCertURL": "https://sns.us-east-2.amazonaws.com/SimpleNotificationService-010a507c1833636cd94b.pem",
            "UnsubscribeURL": "https://sns.us-east-2.amazonaws.com/?Action=Unsubscribe",
            **more,
        }
    )


def of_rule(detail: str) -> str:
    """Return an event of EventBridge, which writes the detail into it as it stands."""
    event: dict[str, object] = {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "Purchase completed",
        "source": "checkout",
        "account": "111122223333",
        "time": "2017-12-22T18:43:48Z",
        "region": "us-west-1",
        "resources": [],
        "detail": None,
    }
    return json.dumps(event).replace("null", detail)


def opened(text: str, **attributes: str) -> tuple[str, Source]:
    body = body_of(open_envelope("message-1", "receipt", text, attributes, None))
    return body.data.decode(), body.source


TOPICS_ID = Source(NameKind.KEY, "dc1e94d9-56c5-5e96-808d-cc7f68faa162")
RULES_ID = Source(NameKind.KEY, "6a7e8feb-b491-4cf7-a9f1-bf3703467718")
OWN_ID = Source(NameKind.MESSAGE, "message-1")


@pytest.mark.parametrize(
    "inner", [PURCHASE, f"{PURCHASE}\n{PURCHASE}", f"[{PURCHASE}]", "nonsense", "", '{"note": "\\ud800 é"}']
)
def test_what_a_topic_forwards_is_what_was_published_under_the_topics_id(inner: str) -> None:
    assert opened(of_topic(inner)) == (inner, TOPICS_ID)


@pytest.mark.parametrize("detail", [PURCHASE, PURCHASE.replace("4285", "4.285e3"), '{"a": 1e400, "b": "\\ud800"}'])
def test_what_a_rule_forwards_is_the_detail_byte_for_byte_under_the_events_id(detail: str) -> None:
    assert opened(of_rule(detail)) == (detail, RULES_ID)


def test_a_rule_that_sends_through_a_topic_is_named_by_what_stays_the_same() -> None:
    assert opened(of_topic(of_rule(PURCHASE))) == (PURCHASE, RULES_ID)


def test_the_producers_own_event_id_comes_first() -> None:
    attributes = {"eventId": {"Type": "String", "Value": "order-1"}}
    assert opened(of_topic(PURCHASE, MessageAttributes=attributes))[1].value == "order-1"
    assert opened(of_topic(PURCHASE), eventId="order-2")[1].value == "order-2"


@pytest.mark.parametrize(
    "text",
    [
        PURCHASE,
        PURCHASE[:-1]
        + ', "Type": "Notification", "MessageId": "1", "TopicArn": "t", "Message": "x", "Timestamp": "t"}',
        PURCHASE[:-1] + ', "detail-type": "d", "detail": {}}',
        of_topic(PURCHASE, Type="SubscriptionConfirmation"),
        of_topic(PURCHASE, Message={"date": 1}),
        of_topic(PURCHASE, MessageId=17),
        of_topic(PURCHASE)[:-1],
        f"[{of_topic(PURCHASE)}]",
        f"{of_topic(PURCHASE)}\n{of_topic(PURCHASE)}",
        '{"detail-type": "d", "detail": ' + "[" * 100_000,
        '"TopicArn"',
    ],
)
def test_what_is_no_envelope_is_left_as_it_is(text: str) -> None:
    assert opened(text) == (text, OWN_ID)
