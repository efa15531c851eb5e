"""The shapes of what goes in and comes out, as JSON Schema, from the definitions the rest of the product uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

from tillroll.core import limits
from tillroll.core.decode import ReasonCode
from tillroll.core.dimension import BRACKETS, KEYS, WINDOWS
from tillroll.core.limits import METHODS
from tillroll.core.outcome_counts import OutcomeCounts
from tillroll.core.rejection import SOURCES_MAX, RejectedSummary, SourceCount
from tillroll.core.report import FIVE
from tillroll.ports import Audit, Difference, ImportRun, QueueDepth, Trace
from tillroll.web.described import KINDS
from tillroll.web.problem import CODES

if TYPE_CHECKING:
    from collections.abc import Sequence

Schema = dict[str, Any]
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
TEXT: Final[Schema] = {"type": "string"}
# What `core.text.is_name` says. No JSON Schema format covers it.
NAME: Final[Schema] = {
    "type": "string",
    "minLength": 1,
    "maxLength": limits.NAME_CHARACTERS_MAX,
    "format": "name",
}
_ORDINARY: Final = (
    r"(?:000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|"
    r"(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
)
_LEAP: Final = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29"
_DAY: Final = f"(?:{_ORDINARY}|{_LEAP})"
_HOUR: Final = r"(?:[01]\d|2[0-3])"
_DIMENSIONS: Final = {
    "hour": f"{_DAY}:{_HOUR}",
    "day": _DAY,
    "bracket": f"(?:{'|'.join(BRACKETS)})",
    "method": f"(?:{'|'.join(METHODS)})",
    "merchant": f"[^|]{{1,{limits.NAME_CHARACTERS_MAX}}}",
}
_FORMS: Final = "|".join(r"\|".join(_DIMENSIONS[name] for name in report.dimensions) for report in FIVE)
DATAPOINT: Final[Schema] = {"type": "string", "pattern": f"^(?:{_FORMS})$", "examples": ["10-50|SLICE_IT"]}
_OFFSET: Final = r"(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
# Where a range may begin and end, by the window of the report. Which minutes fit depends on the offset.
BOUNDS: Final[dict[str, Schema]] = {
    window: {
        "type": "string",
        "pattern": f"^{_DAY}(?:(?:T|:){_HOUR}(?::[0-5]\\d(?::00(?:\\.0{{1,9}})?)?{_OFFSET})?)?$",
        "format": f"{window}-bound",
        "examples": ["2011-12-03"],
    }
    for window in ("hour", "day")
}
_EXAMPLE: Final = {
    "date": "2011-12-03T10:15:30Z",
    "amount": 4285,
    "paymentMethod": "SLICE_IT",
    "merchantId": "1bb53ed1-787b-4543-9def-ea18eef7902e",
}


def ref(name: str) -> Schema:
    """Return a reference to one of SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


def one_of(values: Sequence[str], **more: Any) -> Schema:
    """Return the schema of a text that is one of some values."""
    return {"type": "string", "enum": list(values)} | more


def listed(items: Schema, maximum: int | None = None) -> Schema:
    """Return the schema of an array."""
    return {"type": "array", "items": items} | ({} if maximum is None else {"maxItems": maximum})


def shape(required: Schema, optional: Schema | None = None, **more: Any) -> Schema:
    """Return the schema of an object."""
    properties = required | (optional or {})
    return {"type": "object", "required": list(required), "properties": properties} | more


# What a field of a struct is in JSON, by its type.
_FIELDS: Final[dict[object, Schema]] = {
    str: TEXT,
    int: COUNT,
    float: {"type": "number"},
    bool: {"type": "boolean"},
    int | None: {"type": ["integer", "null"]},
    dict[str, int]: {"type": "object", "additionalProperties": COUNT, "description": "Number by code"},
}


def fields_of(struct: type, **known: Schema) -> Schema:
    """Return the schemas of the fields of a struct, in order; `known` are those that its types alone do not tell."""
    return {name: known.get(name) or _FIELDS[hint] for name, hint in get_type_hints(struct).items()}


_OUTCOMES: Final = ("conflict", "rejected")
_REASON: Final[Schema] = {
    "code": ref("ReasonCode"),
    "field": {"type": ["string", "null"]},
    "message": TEXT,
}


_RECEIPT: Final[Schema] = {
    **fields_of(OutcomeCounts),
    "not_accepted": listed(
        shape({"index": COUNT, "byte": COUNT, "outcome": one_of(_OUTCOMES)} | _REASON),
        limits.REJECTED_LISTED_MAX,
    ),
    "truncated": {"type": "boolean", "description": "Whether not_accepted leaves some out; the counts are complete"},
}
_NOT_KEPT: Final[Schema] = {
    "not_kept": COUNT
    | {"description": "Rejected events that are not kept, because there was no room; only if there are any"}
}

_SOURCE_KIND: Final[Schema] = one_of(["none", "id", "key", "message", "file"])
_KINDS_OF_DIFFERENCE: Final = ("aggregate", "chunk", "index", "rejected", "file", "ledger", "position", "recount")
_AUDIT_PROGRESS: Final[Schema] = {
    "oneOf": [{"type": "null"}, shape({"done": COUNT, "of": COUNT}, additionalProperties=False)],
    "description": "Progress of the running audit, in events",
}
_AUDIT_ERROR: Final[Schema] = {"type": ["string", "null"], "description": "Why the last audit failed"}
_LAST_AUDIT: Final[Schema] = {"oneOf": [{"type": "null"}, ref("Audit")]}
_SHARE: Final[Schema] = {"type": "number", "minimum": 0, "maximum": 1}
_DEPTH: Final = {
    "oneOf": [{"type": "null"}, shape(fields_of(QueueDepth), additionalProperties=False)],
    "description": "Approximate number of messages",
}

SCHEMAS: Final[Schema] = {
    "Bracket": one_of(
        BRACKETS,
        description="A range of amounts in euro. A bound belongs to the bracket above it, but 500.00 to 100-500",
        # What generators of clients call them.
        **{"x-enum-varnames": ["UNDER_10", "FROM_10_TO_50", "FROM_50_TO_100", "FROM_100_TO_500", "OVER_500"]},
    ),
    "PaymentMethod": one_of(METHODS, description="How a purchase was paid"),
    "Dimension": one_of((*WINDOWS, *KEYS), description="What reports count by"),
    "ReasonCode": one_of(sorted(get_args(ReasonCode)), description="Why an event was not accepted"),
    "ProblemCode": one_of(sorted(CODES), description="What went wrong, for programs: a code never changes"),
    "Event": shape(
        {
            "date": {
                "type": "string",
                "format": "date-time",
                "description": "An instant with seconds and an offset, at most a day in the future; counted in UTC",
            },
            "amount": {"type": "integer", "minimum": 0, "maximum": limits.AMOUNT_MAX, "description": "Cents"},
            "paymentMethod": ref("PaymentMethod"),
            "merchantId": NAME | {"pattern": r"^[^|]*$", "not": {"enum": list(BRACKETS)}, "format": "merchant"},
        },
        {"id": NAME | {"description": "The producer's name for this purchase"}},
        description="One completed purchase. Fields that are not listed are ignored",
        examples=[_EXAMPLE],
    ),
    "Receipt": shape(
        _RECEIPT, _NOT_KEPT, description="The outcomes of the events of a body", additionalProperties=False
    ),
    "Queued": shape({"queued": COUNT}, description="How many events were put on the queue", additionalProperties=False),
    "Aggregate": shape(
        {"datapoint": TEXT},
        {
            "events": COUNT,
            "amount": COUNT | {"description": "The sum of its purchases, in cents"},
            "average": COUNT | {"description": "In cents, rounded half up"},
            "text": TEXT | {"description": "The datapoint that a hash replaces, if it is very long"},
        },
        additionalProperties=False,
        examples=[{"datapoint": "2011-12-03:10|10-50|SLICE_IT", "events": 42}],
    ),
    "Report": shape(
        {
            "name": TEXT,
            "version": COUNT,
            "title": TEXT,
            "dimensions": listed(TEXT),
            "window": {"type": ["string", "null"], "enum": [*WINDOWS, None]},
            "zone": {"type": ["string", "null"], "description": "The IANA name of the zone of its windows"},
            "spans": listed(TEXT),
            "own": {"type": "boolean"},
            "readable": {"type": "boolean"},
            "whole": {"type": "boolean"},
            "position": COUNT,
            "journal_position": COUNT,
            "datapoints": {"type": ["integer", "null"]},
            "bytes": {"type": ["integer", "null"]},
            "sized_position": {
                "type": ["integer", "null"],
                "description": "The position at which datapoints and bytes were counted",
            },
            "parts": listed(ref("Part")),
            "grains": listed(one_of(WINDOWS)),
            "any_zone": {"type": "boolean", "description": "Whether a query may name a time zone"},
        },
        description="A version of a report, and how far it is counted",
        additionalProperties=False,
    ),
    "Part": shape(
        {"name": TEXT, "kind": one_of(KINDS)},
        {"values": listed(TEXT), "search": TEXT},
        description="A dimension: its kind, its values if they are known, the address that searches them",
        additionalProperties=False,
    ),
    "Discarded": shape({"dropped": COUNT}, additionalProperties=False),
    "Explained": shape(
        {
            "report": TEXT,
            "datapoint": TEXT,
            "events": COUNT,
            "purchases": listed(shape(fields_of(Trace, event={"type": "object"}), additionalProperties=False)),
            "next": {"type": ["string", "null"], "description": "The value of `after` for the next page"},
        },
        additionalProperties=False,
    ),
    "Definition": shape(
        {"name": TEXT},
        {
            "title": TEXT,
            "by": listed(TEXT),
            "zone": TEXT,
            "zone_data": TEXT,
            "where": {"type": "object", "additionalProperties": {"type": "array"}},
            "brackets": listed(COUNT),
        },
        description="What a report of one's own counts, and by what",
        examples=[{"name": "turnover-week", "by": ["week", "method"], "zone": "Europe/Stockholm"}],
    ),
    "Preview": shape(
        {"events": COUNT, "datapoints": COUNT, "aggregates": listed(ref("Aggregate")), "plan": {"type": "object"}},
        additionalProperties=False,
    ),
    "Rejected": shape(
        {
            "id": TEXT,
            "received_at": {"type": "number", "description": "Seconds since 1970"},
            "source": shape({"kind": _SOURCE_KIND, "value": TEXT}),
            "position": COUNT,
            "byte": {
                "type": ["integer", "null"],
                "description": "The byte of the request, file or message at which it began",
            },
        }
        | _REASON,
        {"body": TEXT, "body_base64": {"type": "string", "contentEncoding": "base64"}},
        description="An event that was not accepted, byte for byte: as text, or in base64 if it is not UTF-8",
        additionalProperties=False,
    ),
    "Fields": shape(
        {
            "events": COUNT,
            "kept": listed(
                shape(
                    {
                        "name": TEXT,
                        "listed": {"type": "boolean", "description": "Whether it is kept from now on"},
                        "distinct": COUNT,
                        "distinct_is_exact": {
                            "type": "boolean",
                            "description": "Otherwise it is approximate, to a few percent",
                        },
                        "events": COUNT | {"description": "Events that have a value of it"},
                        "absent": COUNT,
                        "absent_share": _SHARE,
                        "not_kept": COUNT | {"description": "Of the absent, those whose value could not be kept"},
                    },
                    additionalProperties=False,
                )
            ),
            "looked_at": COUNT | {"description": "Sampled events"},
            "since": {"type": ["number", "null"], "description": "Seconds since 1970"},
            "not_kept": listed(
                shape(
                    {
                        "name": TEXT,
                        "share": _SHARE,
                        "types": {
                            "type": "object",
                            "propertyNames": {"enum": ["text", "number", "boolean", "null", "array", "object"]},
                            "additionalProperties": COUNT,
                        },
                    },
                    additionalProperties=False,
                )
            ),
            "other_names": COUNT | {"description": "Fields of these events beyond the names that are listed"},
        },
        description="Fields by name, as in the setting; never a value",
        additionalProperties=False,
    ),
    "RejectedSummary": shape(
        fields_of(RejectedSummary, sources=listed(shape(fields_of(SourceCount, kind=_SOURCE_KIND)), SOURCES_MAX)),
        description="By the code of the reason, and by source for the largest sources",
        additionalProperties=False,
    ),
    "Retried": shape(
        {
            "accepted": COUNT,
            "duplicates": COUNT,
            "still_rejected": COUNT,
            "after": {"type": ["string", "null"]},
        },
        additionalProperties=False,
    ),
    "Corrected": shape(
        {"id": TEXT, "outcome": one_of(["accepted", "duplicate"])},
        {"accepted": COUNT, "duplicates": COUNT},
        additionalProperties=False,
    ),
    "Status": shape(
        {
            "events": {"type": ["integer", "null"]},
            "journal_position": COUNT,
            "folded_position": COUNT,
            "visible_position": COUNT,
            "lag_s": {"type": "number", "minimum": 0},
            "freshness_ms": COUNT,
            "rejected": {"type": ["integer", "null"]},
            "rejected_full": {"type": "boolean"},
            "waiting": COUNT,
            "counters": shape(fields_of(OutcomeCounts)),
            "series": listed(listed(COUNT)),
            "zone": TEXT | {"description": "The default time zone of the page"},
            "merchant_names": {"type": "boolean", "description": "Whether merchants have names besides their ids"},
            "parquet": {
                "type": "boolean",
                "description": "Whether the server writes Parquet: pyarrow is installed",
            },
            "audit_running": {"type": "boolean"},
            "audit_progress": _AUDIT_PROGRESS,
            "audit_error": _AUDIT_ERROR,
            "last_audit": _LAST_AUDIT,
        },
        additionalProperties=False,
    ),
    "Outcomes": shape(
        {
            "from": COUNT | {"description": "When the window begins, in seconds since 1970"},
            "way": TEXT | {"description": "How they arrived: http, import or queue"},
        }
        | fields_of(OutcomeCounts),
        description="The outcomes of the events of a window, by the way they arrived",
        additionalProperties=False,
    ),
    "Import": shape(
        fields_of(
            ImportRun,
            began_at={"type": "number", "description": "In seconds since 1970"},
            noted_at={"type": "number", "description": "When its progress was last recorded"},
            done={"type": "boolean", "description": "False while it runs, and after it was stopped"},
        ),
        description="A run of `tillroll import` over a file",
        additionalProperties=False,
    ),
    "Queue": {
        "oneOf": [
            {"type": "null", "description": "The server has no queue"},
            shape(
                {
                    "queue": _DEPTH,
                    "dead_letters": _DEPTH,
                    "error": {"type": ["string", "null"], "description": "Why it is not known"},
                },
                additionalProperties=False,
            ),
        ]
    },
    "AuditState": shape(
        {"running": {"type": "boolean"}, "progress": _AUDIT_PROGRESS, "error": _AUDIT_ERROR, "last": _LAST_AUDIT},
        additionalProperties=False,
    ),
    "AuditBegun": shape({"running": {"type": "boolean"}}, additionalProperties=False),
    "Audit": shape(
        {"at": {"type": "number", "description": "When it ended, in seconds since 1970"}}
        | fields_of(Audit, differences=listed(shape(fields_of(Difference, kind=one_of(_KINDS_OF_DIFFERENCE))))),
        additionalProperties=False,
    ),
    "Problem": shape(
        {
            "type": TEXT,
            "title": TEXT,
            "status": {"type": "integer"},
            "code": ref("ProblemCode"),
            "detail": TEXT,
        },
        {"field": {"type": ["string", "null"], "description": "The parameter that is wrong"}},
        description="An answer that is not a success (RFC 9457). `code` is for programs and does not change",
    ),
}
