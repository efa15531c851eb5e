"""What a queue's message says beside its body, the same for whoever receives it: a worker, or Lambda for a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast, get_args

from tillroll.core.accept import Body, Rejection
from tillroll.core.batch import NameKind, Source
from tillroll.core.body import is_empty
from tillroll.core.decode import Reason, ReasonCode
from tillroll.core.text import NAME_RULE, is_name
from tillroll.ingest.forwarded import unwrap
from tillroll.ports import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT_ID: Final = "eventId"
ORIGINAL_MESSAGE_ID: Final = "originalMessageId"
POSITION: Final = "position"
REASON: Final = "reason"
REASON_FIELD: Final = "field"
REASON_MESSAGE: Final = "message"
RECEIVED_ATTRIBUTES: Final = (EVENT_ID, ORIGINAL_MESSAGE_ID, POSITION, REASON, REASON_FIELD, REASON_MESSAGE)
_POSITION_DIGITS_MAX: Final = 15


def open_envelope(
    message_id: str, receipt: str, text: str, attributes: Mapping[str, str], sent_at: float | None
) -> Message:
    """Return what was received as a message.

    An event that was buried carries the id of the message it came in, and its place in it: whoever sends it again, its
    identity stays what it was. What SNS or EventBridge put around it is taken off, and their id names it unless the
    producer did. `text` is put back into the bytes that were sent.
    """
    event_id = attributes.get(EVENT_ID)
    forwarded = unwrap(text)
    if forwarded is not None:
        text = forwarded.text
        event_id = event_id or forwarded.event_id
    position = attributes.get(POSITION, "")
    valid = position.isascii() and position.isdigit() and len(position) <= _POSITION_DIGITS_MAX
    return Message(
        id=attributes.get(ORIGINAL_MESSAGE_ID) or message_id,
        receipt=receipt,
        body=text.encode("utf-8", "surrogatepass"),
        event_id=event_id,
        sent_at=sent_at,
        first_position=int(position) if valid else 0,
        reason=_reason_of(attributes),
    )


def _reason_of(attributes: Mapping[str, str]) -> Reason | None:
    code = attributes.get(REASON, "")
    if code not in get_args(ReasonCode):
        return None
    field = attributes.get(REASON_FIELD) or None
    return Reason(cast("ReasonCode", code), field, attributes.get(REASON_MESSAGE, ""))


def body_of(message: Message) -> Body:
    """Return a message's body, named by the producer's event id or else by the message's own."""
    if message.event_id is None:
        source = Source(NameKind.MESSAGE, message.id)
    else:
        source = Source(NameKind.KEY, message.event_id)
    return Body(message.body, source, first_position=message.first_position)


def refusal(message: Message) -> Rejection | None:
    """Return why a message cannot be taken as a whole: it is empty, or its event id is none. None: it can be."""
    if is_empty(message.body):
        source = Source(NameKind.MESSAGE, message.id)
        return Rejection(source, message.first_position, message.body, Reason("not_json", None, "the message is empty"))
    key = message.event_id
    if key is None or is_name(key):
        return None
    problem = f"the attribute eventId is not a string of {NAME_RULE}"
    source = Source(NameKind.MESSAGE, message.id)
    return Rejection(source, message.first_position, message.body, Reason("invalid_id", EVENT_ID, problem))
