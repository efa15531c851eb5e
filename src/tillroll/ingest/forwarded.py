"""What SNS and EventBridge put around a body on its way to the queue: taken off, and their own id kept as its name.

Both deliver at least once, each time as another message with the same id inside. SNS:
https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html. EventBridge:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tillroll.core.grammar import InvalidJsonError, Raw, members

_LAYERS_MAX: Final = 3  # a rule that sends to a topic that sends to the queue are two
_OURS: Final = ("date", "amount", "paymentMethod", "merchantId")
_TOPIC: Final = ("Type", "MessageId", "TopicArn", "Message", "Timestamp", "MessageAttributes")
_RULE: Final = ("version", "detail-type", "source", "account", "time", "region")
_NAMES: Final = frozenset((*_OURS, *_TOPIC, *_RULE, "id", "detail"))


class Forwarded(NamedTuple):
    """A body as its sender wrote it, and what names it."""

    text: str
    event_id: str


def unwrap(text: str) -> Forwarded | None:
    """Return what a message of SNS or EventBridge was sent as; None for any other message."""
    found = None
    for _ in range(_LAYERS_MAX):
        inner = _unwrap_once(text)
        if inner is None:
            break
        found, text = inner, inner.text
    return found


def _unwrap_once(text: str) -> Forwarded | None:
    if '"TopicArn"' not in text and '"detail-type"' not in text:
        return None
    try:
        fields = dict(members(text, _NAMES))
    except InvalidJsonError:
        return None
    if any(name in fields for name in _OURS):
        return None  # a purchase, whatever else it says
    return _of_topic(fields) or _of_rule(fields)


def _of_topic(fields: dict[str, object]) -> Forwarded | None:
    message, message_id = _text(fields, "Message"), _text(fields, "MessageId")
    if message is None or not message_id or fields.get("Type") != "Notification":
        return None
    if _text(fields, "TopicArn") is None or _text(fields, "Timestamp") is None:
        return None
    return Forwarded(message, _given_id(fields.get("MessageAttributes")) or message_id)


def _of_rule(fields: dict[str, object]) -> Forwarded | None:
    detail, event_id = fields.get("detail"), _text(fields, "id")
    if not isinstance(detail, Raw) or not event_id or any(_text(fields, name) is None for name in _RULE):
        return None
    return Forwarded(str(detail), event_id)


def _given_id(attributes: object) -> str | None:
    """Return the producer's own eventId, an attribute of the message that it published."""
    for name in ("eventId", "Value"):
        if not isinstance(attributes, Raw) or not attributes.startswith("{"):
            return None
        attributes = dict(members(attributes, (name,))).get(name)
    return attributes if isinstance(attributes, str) and not isinstance(attributes, Raw) else None


def _text(fields: dict[str, object], name: str) -> str | None:
    found = fields.get(name)
    return found if isinstance(found, str) and not isinstance(found, Raw) else None
