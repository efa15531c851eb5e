"""Decode one event: the reference, which alone defines what is valid and what an error says.

The compiled kernel recognises the ordinary text much faster, and hands every text of which it is not certain to this
decoder, so that it can be wrong about nothing. What JSON is, `core.grammar` defines; msgspec takes most texts sooner.
"""

from __future__ import annotations

import datetime
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from tillroll.core import limits
from tillroll.core.batch import Event
from tillroll.core.dimension import merchant_is_reserved
from tillroll.core.grammar import InvalidJsonError, Raw, end_of_text, members, whole_number
from tillroll.core.kept import Keep
from tillroll.core.limits import METHODS
from tillroll.core.pattern import pattern
from tillroll.core.report import SEPARATOR
from tillroll.core.rows import instant_text
from tillroll.core.text import NAME_RULE, is_name, shown

if TYPE_CHECKING:
    from tillroll.core.batch import Batch

_EPOCH_ORDINAL: Final = datetime.date(1970, 1, 1).toordinal()
_DATE: Final = pattern(
    r"(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):?(\d{2}))", re.ASCII
)
_YEAR_1_S: Final = (datetime.date.min.toordinal() - _EPOCH_ORDINAL) * 86_400
YEAR_10000_S: Final = (datetime.date.max.toordinal() + 1 - _EPOCH_ORDINAL) * 86_400
_FIELDS: Final = ("date", "amount", "paymentMethod", "merchantId", "id")
_QUOTED_FIELDS: Final = tuple(f'"{field}"'.encode() for field in _FIELDS)
_METHOD_INDEX: Final = {method: index for index, method in enumerate(METHODS)}

ReasonCode = Literal[
    "conflict",
    "duplicate_field",
    "future_date",
    "invalid_amount",
    "invalid_date",
    "invalid_id",
    "invalid_merchant",
    "invalid_name",
    "missing_field",
    "not_an_object",
    "not_csv",
    "not_json",
    "not_utf8",
    "reserved_merchant",
    "too_long",
    "unknown_method",
]


class Reason(msgspec.Struct, frozen=True):
    """Why an event was not accepted: a code for programs, the field where there is one, a sentence for people."""

    code: ReasonCode
    field: str | None
    message: str


class _Fields(msgspec.Struct):
    """An event as it came: any type, so that the error can name what was wrong with it."""

    date: object = msgspec.UNSET
    amount: object = msgspec.UNSET
    paymentMethod: object = msgspec.UNSET  # noqa: N815 the contract's own spelling
    merchantId: object = msgspec.UNSET  # noqa: N815
    id: object = msgspec.UNSET


_decode_fields: Final = msgspec.json.Decoder(_Fields).decode


class _Rejected(Exception):  # noqa: N818 control flow inside this module, never seen outside
    def __init__(self, code: ReasonCode, field: str | None, message: str) -> None:
        self.reason = Reason(code, field, message)


def decode_event(line: bytes, now_s: float) -> Event | Reason:
    """Return the event that one JSON text holds, or the first reason why it holds none.

    `now_s` is seconds since 1970: a purchase dated more than a day later is refused.
    """
    try:
        return _decode(line, now_s)
    except _Rejected as rejected:
        return rejected.reason


def _decode(line: bytes, now_s: float) -> Event:
    fields = _parse(line)
    seconds, nanos = _date(fields.date, now_s)
    amount = _amount(fields.amount)
    method = fields.paymentMethod
    index = _METHOD_INDEX.get(method) if type(method) is str else None
    if index is None:
        if method is msgspec.UNSET:
            raise _missing("paymentMethod")
        raise _Rejected("unknown_method", "paymentMethod", f"{_shown(method)} is not one of {', '.join(METHODS)}")
    merchant = _merchant(fields.merchantId)
    own = "" if fields.id is msgspec.UNSET or fields.id is None else _name("id", "invalid_id", fields.id)
    return Event(seconds, nanos, amount, index, merchant, own)


def _parse(line: bytes) -> _Fields:
    if len(line) > limits.LINE_BYTES_MAX:
        message = f"the event is {len(line)} bytes long; the limit is {limits.LINE_BYTES_MAX}"
        raise _Rejected("too_long", None, message)
    if not line:
        raise _Rejected("not_json", None, "an event is missing here, or the end of the array")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        message = f"byte {error.start} is not UTF-8 ({line[error.start]:#04x})"
        raise _Rejected("not_utf8", None, message) from error
    try:
        fields = _decode_fields(line)
    except (RecursionError, msgspec.ValidationError):
        return _parse_by_grammar(text)
    except msgspec.DecodeError as error:
        if b"\\u" in line:  # half a surrogate pair is JSON, and msgspec does not take it
            return _parse_by_grammar(text)
        problem = str(error).removeprefix("JSON is malformed: ")
        raise _Rejected("not_json", None, f"this is not JSON: {problem}; got {shown(text)}") from error
    if type(fields.amount) is float or b"\\" in line or any(line.count(field) > 1 for field in _QUOTED_FIELDS):
        return _parse_by_grammar(text)
    return fields


def _parse_by_grammar(text: str) -> _Fields:
    """Parse what msgspec refuses or changes, and refuse a field given twice: parsers differ in which one counts."""
    try:
        if not text.lstrip().startswith("{"):
            end_of_text(text)
            raise _Rejected("not_an_object", None, f"a purchase is a JSON object; this is {_kind_of(text)}")
        pairs = members(text, _FIELDS)
    except InvalidJsonError as error:
        raise _Rejected("not_json", None, f"this is not JSON: {error}; got {shown(text)}") from error
    names = [name for name, _ in pairs]
    for field in _FIELDS:
        if names.count(field) > 1:
            raise _Rejected("duplicate_field", field, f"{field} is given {names.count(field)} times")
    return _Fields(**dict(pairs))


def _date(value: object, now_s: float) -> tuple[int, int]:
    if type(value) is not str:
        if value is msgspec.UNSET:
            raise _missing("date")
        raise _Rejected("invalid_date", "date", f"{_shown(value)} is not a string such as 2011-12-03T10:15:30Z")
    match = _DATE.fullmatch(value)
    if match is None:
        message = f"{_shown(value)} is not an instant such as 2011-12-03T10:15:30Z or 2011-12-03T11:15:30.25+01:00"
        raise _Rejected("invalid_date", "date", message)
    year, month, day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = match.groups()
    try:
        days = datetime.date(int(year), int(month), int(day)).toordinal() - _EPOCH_ORDINAL
    except ValueError as error:
        raise _Rejected("invalid_date", "date", f"{_shown(value)}: this day does not exist") from error
    if hour > "23" or minute > "59" or second > "59":
        raise _Rejected("invalid_date", "date", f"{_shown(value)}: this time of day does not exist")
    seconds = days * 86_400 + int(hour) * 3_600 + int(minute) * 60 + int(second)
    if sign:
        if offset_hours > "23" or offset_minutes > "59":
            raise _Rejected("invalid_date", "date", f"{_shown(value)}: this offset does not exist")
        offset = int(offset_hours) * 3_600 + int(offset_minutes) * 60
        seconds += offset if sign == "-" else -offset
    if not _YEAR_1_S <= seconds < YEAR_10000_S:
        raise _Rejected("invalid_date", "date", f"{_shown(value)} is outside the years 0001 to 9999 in UTC")
    if seconds > now_s + limits.FUTURE_S_MAX:
        raise _Rejected("future_date", "date", f"{_shown(value)} is more than a day in the future")
    return seconds, int(fraction.ljust(9, "0")) if fraction else 0


def _amount(value: object) -> int:
    if value is msgspec.UNSET:
        raise _missing("amount")
    if type(value) is int:
        cents: int | None = value
    elif isinstance(value, Raw) and value[0] not in "[{":
        cents = whole_number(value, limits.AMOUNT_MAX)
    else:
        raise _Rejected("invalid_amount", "amount", f"{_shown(value)} is not a number of cents, such as 4285")
    if cents is None:
        raise _Rejected("invalid_amount", "amount", f"{_shown(value)} is not a whole number of cents")
    if not 0 <= cents <= limits.AMOUNT_MAX:
        message = f"{_shown(value)} is not between 0 and {limits.AMOUNT_MAX} cents"
        raise _Rejected("invalid_amount", "amount", message)
    return cents


def _merchant(value: object) -> str:
    if value is msgspec.UNSET:
        raise _missing("merchantId")
    merchant = _name("merchantId", "invalid_merchant", value)
    if SEPARATOR in merchant:
        raise _Rejected(
            "invalid_merchant", "merchantId", f"{_shown(value)} has a |, which separates the parts of a datapoint"
        )
    if merchant_is_reserved(merchant):
        message = f"{_shown(value)} is a bracket or a day, so two reports would share a datapoint"
        raise _Rejected("reserved_merchant", "merchantId", message)
    return merchant


def _name(field: str, code: ReasonCode, value: object) -> str:
    if type(value) is str and is_name(value):
        return value
    raise _Rejected(code, field, f"{_shown(value)} is not a string of {NAME_RULE}")


def _missing(field: str) -> _Rejected:
    return _Rejected("missing_field", field, f"{field} is missing")


def _kind_of(text: str) -> str:
    kinds = {"[": "an array", '"': "a string", "t": "a boolean", "f": "a boolean", "n": "null"}
    return kinds.get(text.strip()[:1], "a number")


def _shown(value: object) -> str:
    if isinstance(value, Raw):
        return shown(value)
    try:
        return shown(json.dumps(value, ensure_ascii=False))
    except (ValueError, RecursionError):
        return "the value"


def encode_event_of(batch: Batch, index: int) -> bytes:
    """Return an event of a batch as the contract's JSON, with its kept fields."""
    event = encode_event(batch.event(index))
    kept = batch.kept_of(index)
    return _keep(tuple(kept)).add_to(event, list(kept.values())) if kept else event


@lru_cache(16)
def _keep(names: tuple[str, ...]) -> Keep:
    return Keep(names)


def encode_event(event: Event) -> bytes:
    """Return an event as the contract's JSON, in UTC, with as many digits of the fraction as it has."""
    fields: dict[str, object] = {
        "date": instant_text(event.seconds, event.nanos).decode(),
        "amount": event.amount,
        "paymentMethod": METHODS[event.method],
        "merchantId": event.merchant,
    }
    if event.id:
        fields["id"] = event.id
    return msgspec.json.encode(fields)
