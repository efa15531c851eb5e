"""The description of the HTTP interface (OpenAPI 3.1), made from the reports and limits, for one server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tillroll import __version__
from tillroll.core import ask, limits
from tillroll.core.csv_form import COLUMNS
from tillroll.core.dimension import BRACKETS
from tillroll.core.limits import METHODS
from tillroll.core.report import REPORTS, Report
from tillroll.web.auth import Right
from tillroll.web.body import ENCODINGS
from tillroll.web.events import NDJSON_TYPES
from tillroll.web.problem import CODES, MEDIA_TYPE
from tillroll.web.reports import FORMATS, IN_ADDRESS_MAX, MERCHANTS_DEFAULT, MERCHANTS_MAX, SWITCH
from tillroll.web.schemas import BOUNDS, COUNT, DATAPOINT, NAME, SCHEMAS, TEXT, listed, ref, shape

if TYPE_CHECKING:
    from tillroll.web.settings import Settings

JsonObject = dict[str, Any]
_JSON: Final = "application/json"
_EVERYWHERE: Final = (
    "unknown_host",
    "address_too_long",
    "headers_too_large",
    "request_timeout",
    "overloaded",
    "server_error",
)
_STORE: Final = ("store_unavailable", "store_damaged")
_BODY: Final = ("too_large", "request_timeout")
_TAKING: Final = (
    "bad_encoding",
    "bad_idempotency_key",
    "bad_body",
    "empty_body",
    "cross_site",
    "too_many_events",
    "unknown_encoding",
    "unknown_type",
    "not_accepted",
    "queue_unavailable",
    "rejected_full",
    "store_full",
)
_ID: Final = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9a-f]{1,64}(-[0-9]{1,4})?$"},
}


def describe(settings: Settings) -> JsonObject:
    """Return the whole description."""
    description: JsonObject = {
        "openapi": "3.1.0",
        "info": {
            "title": "Tillroll",
            "version": __version__,
            "summary": "Counts purchases exactly: events in, five reports out",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": _paths(settings),
        "components": {"schemas": SCHEMAS},
    }
    if settings.guarded:
        description["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return description


def _paths(settings: Settings) -> JsonObject:
    paths: JsonObject = {
        "/events": {"post": _post_events(settings)},
        "/reports": {"get": _operation("Reports", "List the reports", settings, _json(listed(ref("Report"))))},
    }
    for report in REPORTS:
        paths[f"/reports/{report.name}"] = {"get": _get_report(report, settings)}
    return paths | _aggregates(settings) | _rejected(settings) | _watching(settings)


def _post_events(settings: Settings) -> JsonObject:
    headers = [
        _parameter("Idempotency-Key", NAME, "Names the events of the body by their position in it", place="header"),
        _parameter("Content-Encoding", {"enum": list(ENCODINGS)}, "How the body is compressed", place="header"),
    ]
    body = {
        "required": True,
        "description": (
            f"At most {settings.body_bytes_max} bytes, also after decompression, and {settings.body_events_max} "
            "events. One bad event does not cost the others"
        ),
        "content": {_JSON: {"schema": {"oneOf": [ref("Event"), listed(ref("Event"))]}}}
        | {kind: {"schema": TEXT | {"description": "One event a line"}} for kind in NDJSON_TYPES},
    }
    answers = _json({"oneOf": [ref("Receipt"), ref("Queued")]}, "202", "Durable: all of it, or what is good")
    codes = (*_TAKING, *_BODY, *_STORE)
    operation = _operation("Events", "Take purchases", settings, answers, codes, right=Right.SEND, parameters=headers)
    return operation | {"requestBody": body}


def _get_report(report: Report, settings: Settings) -> JsonObject:
    values: dict[str, JsonObject] = {
        "bracket": {"enum": list(BRACKETS)},
        "method": {"enum": list(METHODS)},
        "merchant": {"type": "string", "minLength": 1, "maxLength": limits.NAME_CHARACTERS_MAX},
    }
    parameters = []
    if report.window:
        bound = BOUNDS[report.window]
        text = f"a date, or an instant that begins {'an hour' if report.window == 'hour' else 'a day in UTC'}"
        parameters += [
            _parameter("from", bound, f"From when on: {text}"),
            _parameter("to", bound, f"Before when: {text}; later than `from`"),
        ]
    for name in ask.FILTERS:
        if name in report.dimensions:
            wanted = listed(values[name], limits.FILTER_VALUES_MAX) | {"minItems": 1}
            parameters.append(_parameter(name, wanted, f"Only events of this {name}; repeat it for several"))
    by = listed({"enum": list(ask.dimensions_of(report))}) | {"minItems": 1, "uniqueItems": True}
    if report.window == "hour":
        by["not"] = {"allOf": [{"contains": {"const": "hour"}}, {"contains": {"const": "day"}}]}
    limit = {"type": "integer", "minimum": 1, "maximum": limits.PAGE_MAX, "default": limits.PAGE_DEFAULT}
    orders = [order for order in ask.ORDERS if order != "bracket" or "bracket" in report.dimensions]
    cursor = {"type": "string", "minLength": 1, "maxLength": ask.CURSOR_CHARACTERS_MAX, "format": "cursor"}
    parameters += [
        _parameter("by", by, "Roll up to these dimensions, in this order"),
        _parameter("order", {"enum": orders, "default": ask.ORDERS[0]}, "By name, or most events first"),
        _parameter("limit", limit, "Datapoints on a page"),
        _parameter("cursor", cursor, "Where the page before ended: take it from its Link header"),
        _parameter("format", {"enum": list(FORMATS)}, "Instead of the Accept header"),
        _parameter("columns", {"enum": list(COLUMNS)}, "Of CSV: the datapoint packed, or split by dimension"),
        _parameter("bom", {"enum": list(SWITCH)}, "Of CSV: 1 begins it with a byte order mark, for Excel"),
        _parameter("download", {"enum": list(SWITCH)}, "1 names the answer as a file"),
    ]
    headers = {
        "Link": {"schema": TEXT, "description": 'The address of the next page, with rel="next"; not on the last'},
        "Tillroll-Datapoints": {"schema": COUNT, "description": "On all pages together; on the first page only"},
        "Tillroll-Events": {"schema": COUNT, "description": "On all pages together; on the first page only"},
    }
    answers = _json(listed(ref("Aggregate")))
    answers["200"]["headers"] = headers
    answers["200"]["content"]["text/csv"] = {"schema": TEXT}
    return _operation("Reports", report.title, settings, answers, _STORE, parameters=parameters)


def _aggregates(settings: Settings) -> JsonObject:
    many = listed(DATAPOINT, limits.DATAPOINTS_MAX)
    some = listed(DATAPOINT, IN_ADDRESS_MAX) | {"minItems": 1}
    answers = _json(listed(ref("Aggregate")), text="In the order asked; one that nobody counted yet is 0")
    asked = [_parameter("datapoint", some, "Repeat it for several", required=True)]
    read = _operation("Aggregates", "Read several aggregates", settings, answers, _STORE, parameters=asked)
    posted = ("bad_body", *_BODY, *_STORE)
    post = _operation("Aggregates", "Read many aggregates", settings, answers, posted)
    schema = shape({"datapoints": many}, additionalProperties=False)
    post["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema}}}
    single = {"name": "datapoint", "in": "path", "required": True, "schema": DATAPOINT}
    codes = ("unknown_datapoint", *_STORE)
    one = _operation("Aggregates", "Read one aggregate", settings, _json(ref("Aggregate")), codes, parameters=[single])
    limit = {"type": "integer", "minimum": 1, "maximum": MERCHANTS_MAX, "default": MERCHANTS_DEFAULT}
    search = [
        _parameter("q", {"type": "string", "maxLength": limits.NAME_CHARACTERS_MAX}, "A part of the name"),
        _parameter("limit", limit, "How many"),
    ]
    found = _json(listed(TEXT), text="Those that begin with it first")
    return {
        "/aggregates": {"get": read, "post": post},
        "/aggregates/{datapoint}": {"get": one},
        "/merchants": {
            "get": _operation("Aggregates", "Find merchants", settings, found, _STORE, parameters=search),
        },
    }


def _rejected(settings: Settings) -> JsonObject:
    limit = {"type": "integer", "minimum": 1, "maximum": limits.REJECTED_LISTED_MAX, "default": 100}
    paging = [
        _parameter("after", TEXT, "The id that the page before ended with"),
        _parameter("limit", limit, "How many"),
    ]
    kept = _json(listed(ref("Rejected")), text="Oldest first")
    codes = ("unknown_rejected", *_STORE)
    show = _operation("Rejected", "Show one", settings, _json(ref("Rejected")), codes, parameters=[_ID])
    none = {"204": {"description": "It is no longer kept"}}
    changing = ("cross_site", *codes)
    drop = _operation("Rejected", "Give one up", settings, none, changing, right=Right.SEND, parameters=[_ID])
    taken = _json(ref("Corrected"), text="It is counted, and no longer kept")
    retrying = ("not_accepted", "store_full", *_BODY, *changing)
    retry = _operation("Rejected", "Correct one", settings, taken, retrying, right=Right.SEND, parameters=[_ID])
    retry["requestBody"] = {
        "description": "The event as it should have been; empty for the event as it was",
        "content": {_JSON: {"schema": ref("Event")}},
    }
    return {
        "/rejected": {"get": _operation("Rejected", "List those", settings, kept, _STORE, parameters=paging)},
        "/rejected/{id}": {"get": show, "delete": drop},
        "/rejected/{id}/retry": {"post": retry},
    }


def _watching(settings: Settings) -> JsonObject:
    ticks = _content("text/event-stream", "A `tick` whenever something changed, at most two a second")
    text = _content("text/plain", "ok")
    metrics = _content("text/plain", "In the format of Prometheus, or of OpenMetrics by the Accept header")
    metrics["200"]["content"]["application/openmetrics-text"] = {"schema": TEXT}
    free = Right.NONE
    begun = _json(ref("AuditBegun"), "202", "It is under way; /status has what it finds")
    audit = _operation("Server", "Count the journal again", settings, begun, ("cross_site",), right=Right.SEND)
    return {
        "/audit": {"post": audit},
        "/live": {"get": _operation("Server", "Watch", settings, ticks)},
        "/status": {"get": _operation("Server", "How it stands", settings, _json(ref("Status")), _STORE)},
        "/metrics": {"get": _operation("Server", "Measures", settings, metrics, _STORE)},
        "/healthz": {
            "get": _operation("Server", "Whether it works", settings, text, ("stopping", *_STORE), right=free)
        },
        "/openapi.json": {
            "get": _operation("Server", "This description", settings, _json({"type": "object"}), right=free)
        },
    }


def _operation(
    tag: str,
    summary: str,
    settings: Settings,
    answers: JsonObject,
    codes: tuple[str, ...] = (),
    *,
    right: Right = Right.READ,
    parameters: list[JsonObject] | None = None,
) -> JsonObject:
    codes = ("bad_query", *codes, *_EVERYWHERE)
    if settings.guarded and right:
        codes = (*codes, "token_missing", "token_unknown", "token_forbids")
    operation: JsonObject = {"tags": [tag], "summary": summary, "responses": answers | _problems(codes)}
    if parameters:
        operation["parameters"] = parameters
    if settings.guarded and right:
        operation["security"] = [{"token": []}]
    return operation


def _problems(codes: tuple[str, ...]) -> JsonObject:
    texts: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        status, text = CODES[code]
        texts.setdefault(status, []).append(f"`{code}`: {text}")
    content = {MEDIA_TYPE: {"schema": ref("Problem")}}
    return {str(status): {"description": "\n\n".join(texts[status]), "content": content} for status in sorted(texts)}


def _json(schema: JsonObject, status: str = "200", text: str = "The answer") -> JsonObject:
    return {status: {"description": text, "content": {_JSON: {"schema": schema}}}}


def _content(kind: str, text: str) -> JsonObject:
    return {"200": {"description": text, "content": {kind: {"schema": TEXT}}}}


def _parameter(name: str, schema: JsonObject, text: str, *, place: str = "query", required: bool = False) -> JsonObject:
    return {"name": name, "in": place, "required": required, "description": text, "schema": schema}
