"""The description of the HTTP interface (OpenAPI 3.1), made from the reports and limits, for one server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tillroll import __version__
from tillroll.core import limits, question
from tillroll.core.csv_form import COLUMNS
from tillroll.core.dimension import HOUR, Closed, Dimension, Open
from tillroll.core.outcome_tally import GRAINS
from tillroll.core.query import DEFAULT_MEASURES, MEASURES
from tillroll.core.report import FIVE, Report
from tillroll.core.zone import UTC
from tillroll.web.answers import PARQUET
from tillroll.web.auth import Right
from tillroll.web.body import ENCODINGS
from tillroll.web.events import NDJSON_TYPES
from tillroll.web.examples import example
from tillroll.web.explain import EXPLAINED_DEFAULT, EXPLAINED_MAX
from tillroll.web.journal import POSITION_MAX
from tillroll.web.outcomes import IMPORTS_DEFAULT, IMPORTS_MAX
from tillroll.web.problem import CODES, MEDIA_TYPE
from tillroll.web.reports import (
    FORMATS,
    IN_ADDRESS_MAX,
    MERCHANTS_DEFAULT,
    MERCHANTS_MAX,
    PARQUET_ROWS_MAX,
    SWITCH,
)
from tillroll.web.schemas import BOUNDS, COUNT, DATAPOINT, NAME, SCHEMAS, TEXT, listed, one_of, ref, shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from tillroll.web.settings import ServerSettings

JsonObject = dict[str, Any]
_JSON: Final = "application/json"
_EVERYWHERE: Final = (
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
    "clock_in_doubt",
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
    "description": "As the list of rejected events has it",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{1,64}(-[0-9]{1,4})?$"},
}


_TAGS: Final = {
    "Events": "Purchases come in here, and go out as they were journaled",
    "Reports": "The five reports and those of one's own, in pages",
    "Aggregates": "Single numbers of the reports, and the merchants there are",
    "Rejected": "Events that were not accepted: kept until they are corrected or discarded",
    "Server": "How the server is doing",
}
_OF_HTTP: Final = ("measures", "format", "columns", "bom", "download")  # which the questions of core.ask do not have
_ETAG: Final = {"schema": {"type": "string"}, "description": "Names this answer: send it back in If-None-Match"}


def describe(settings: ServerSettings) -> JsonObject:
    """Return the whole description."""
    description: JsonObject = {
        "openapi": "3.1.0",
        "info": {
            "title": "Tillroll",
            "version": __version__,
            "summary": "Counts purchases exactly: events in, five reports out",
            "description": (
                "Send completed purchases, and read how many there were by hour, day, amount bracket, payment method "
                "and merchant. Every answer that is no success is a problem (RFC 9457), whose `code` is for programs."
            ),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": _paths(settings),
        "components": {"schemas": SCHEMAS},
    }
    if settings.guarded:
        description["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return description


def _paths(settings: ServerSettings) -> JsonObject:
    paths: JsonObject = {
        "/events": {"post": _post_events(settings), "get": _get_events(settings)},
        "/fields": {"get": _fields(settings)},
        "/reports": {"get": _list_reports(settings)},
        "/reports/preview": {"post": _preview(settings)},
        "/reports/{name}": _own_report(settings),
        "/reports/{name}/definition": {"get": _definition(settings)},
    }
    for report in FIVE:
        paths[f"/reports/{report.name}"] = {"get": _get_report(report, settings)}
    paths |= _aggregates(settings) | _rejected_events(settings) | _rejected_event(settings)
    return paths | _audits(settings) | _watching(settings) | _itself(settings)


def _list_reports(settings: ServerSettings) -> JsonObject:
    text = "The reports there are, with the dimensions that they count by."
    answers = _tagged(_json(listed(ref("Report")), text=text))
    parameters = [_parameter("definitions", one_of(SWITCH), "1 adds to each of one's own its definition, as stored")]
    codes = ("bad_query",)
    return _operation("listReports", "Reports", "List reports", text, settings, answers, codes, parameters=parameters)


_REPORT_NAME: Final = {
    "type": "string",
    "pattern": "^[a-z0-9-]{1,40}$",
    "examples": ["turnover-week"],
}


def _own_report(settings: ServerSettings) -> JsonObject:
    """Return the operations on reports of one's own, which this description does not list by name."""
    name = [_parameter("name", _REPORT_NAME, "The report's name", place="path", required=True)]
    codes = ("bad_query", "unknown_report", *_STORE)
    read = _operation(
        "readReport",
        "Reports",
        "Read a report of one's own",
        "A page of the report. Its parameters are those of the others, by the dimensions that it has.",
        settings,
        _tagged(_json(listed(ref("Aggregate")))),
        ("report_counting", *codes),
        parameters=name,
    )
    put = _operation(
        "defineReport",
        "Reports",
        "Define a report",
        "Makes a report, or a new version of it that takes the place of the one before when it is counted.",
        settings,
        _json(ref("Report"), text="It is this already") | _json(ref("Report"), "202", "It is being counted"),
        ("bad_query", "bad_body", "bad_definition", *_BODY, *_STORE),
        right=Right.MANAGE,
        parameters=name,
    )
    put["requestBody"] = {"required": True, "content": {_JSON: {"schema": ref("Definition")}}}
    drop = _operation(
        "dropReport",
        "Reports",
        "Drop a report",
        "Forgets a report of one's own with its aggregates. The five stay.",
        settings,
        {"204": {"description": "It is no longer counted"}},
        codes,
        right=Right.MANAGE,
        parameters=name,
    )
    return {"get": read, "put": put, "delete": drop}


def _definition(settings: ServerSettings) -> JsonObject:
    return _operation(
        "getDefinition",
        "Reports",
        "Get a definition",
        "The definition of a report, as it can be written again.",
        settings,
        _tagged(_json(ref("Definition"))),
        ("bad_query", "unknown_report", *_STORE),
        parameters=[_parameter("name", _REPORT_NAME, "The report's name", place="path", required=True)],
    )


def _preview(settings: ServerSettings) -> JsonObject:
    preview = _operation(
        "previewReport",
        "Reports",
        "Preview a report",
        "What a definition says of the newest purchases, and what counting all of them would take. Stores nothing.",
        settings,
        _json(ref("Preview")),
        ("bad_query", "bad_body", "bad_definition", *_BODY, *_STORE),
        right=Right.MANAGE,
    )
    return preview | {"requestBody": {"required": True, "content": {_JSON: {"schema": ref("Definition")}}}}


def _post_events(settings: ServerSettings) -> JsonObject:
    headers = [
        _parameter("Idempotency-Key", NAME, "Names the events of the body by their position in it", place="header"),
        _parameter("Content-Encoding", one_of(ENCODINGS), "How the body is compressed", place="header"),
    ]
    body = {
        "required": True,
        "description": (
            f"At most {settings.body_bytes_max} bytes, also after decompression, and {settings.body_events_max} "
            f"events. One bad event does not cost the others. Lines may also come as {', '.join(NDJSON_TYPES[1:])}"
        ),
        "content": {_JSON: {"schema": {"oneOf": [ref("Event"), listed(ref("Event"))]}}}
        | {NDJSON_TYPES[0]: {"schema": TEXT | {"description": "One event a line"}}},
    }
    answers = _json({"oneOf": [ref("Receipt"), ref("Queued")]}, "202", "Durable: all of it, or what is good")
    text = (
        "Takes one purchase, an array of them, or one on each line. Each has its own outcome. The answer comes when "
        "what was accepted is durable. A repeat under the same `id` or `Idempotency-Key` is counted once."
    )
    codes = (*_TAKING, *_BODY, *_STORE)
    operation = _operation(
        "sendEvents", "Events", "Send events", text, settings, answers, codes, right=Right.SEND, parameters=headers
    )
    return operation | {"requestBody": body}


def _get_events(settings: ServerSettings) -> JsonObject:
    position = {"type": "integer", "minimum": 0, "maximum": POSITION_MAX, "default": 0}
    answers = _content(NDJSON_TYPES[0], "Each event with its kept fields and its name, `_name`, as an import takes it")
    header = {"schema": COUNT, "description": "The position that this answer reaches: give it as `after` next time"}
    answers["200"]["headers"] = {"Tillroll-Position": header}
    text = (
        "Streams the journal's events, one a line, in the order they were accepted, up to its end as it was when this "
        "was asked. An answer that breaks off has reached no position."
    )
    end = {"type": "integer", "minimum": 0, "maximum": POSITION_MAX}
    bound = BOUNDS[HOUR.name]
    parameters = [
        _parameter("after", position, "Only what was journaled after this position"),
        _parameter("until", end, "Only what was journaled up to this position"),
        _parameter("from", bound, "Only what is dated from this day, hour or instant on"),
        _parameter("to", bound, "Only what is dated before this day, hour or instant"),
        _parameter("merchant", listed(NAME) | {"minItems": 1}, "Only this merchant's; repeat it for several"),
    ]
    codes = ("bad_query", "overloaded", *_STORE)
    return _operation("exportEvents", "Events", "Export events", text, settings, answers, codes, parameters=parameters)


def _get_report(report: Report, settings: ServerSettings) -> JsonObject:
    parameters = []
    if report.window:
        bound = BOUNDS[report.window.name]
        text = f"a date, or an instant that begins {'an hour' if report.window is HOUR else 'a day in UTC'}"
        parameters += [
            _parameter("from", bound, f"From when on: {text}"),
            _parameter("to", bound, f"Before when: {text}; later than `from`"),
        ]
    if report.window is HOUR:
        zone = {"type": "string", "format": "zone", "examples": ["Europe/Stockholm"], "default": UTC}
        parameters.append(_parameter("zone", zone, "The IANA name of the zone whose clocks days and hours are by"))
    for dimension in (each for each in report.by if each is not report.window):
        wanted = listed(_values(dimension), limits.FILTER_VALUES_MAX) | {"minItems": 1}
        text = f"Only events of this {dimension.name}; repeat it for several"
        parameters.append(_parameter(dimension.name, wanted, text))
    by = listed(one_of(question.dimensions_of(report))) | {"minItems": 1, "uniqueItems": True}
    if report.window:
        times = {"enum": [report.window.name, *question.spans_of(report)]}
        by |= {"contains": times, "minContains": 0, "maxContains": 1}
    limit = {"type": "integer", "minimum": 1, "maximum": limits.PAGE_MAX, "default": limits.PAGE_DEFAULT}
    orders = [order for order in question.ORDERS if order != "bracket" or "bracket" in report.dimensions]
    cursor = {"type": "string", "minLength": 1, "maxLength": question.CURSOR_CHARACTERS_MAX, "format": "cursor"}
    parameters += [
        _parameter("by", by, "Roll up to these dimensions, in this order, or to a span in place of the window"),
        _measures(),
        _parameter("order", one_of(orders, default=question.ORDERS[0]), "By name, or most events or amount first"),
        _parameter("limit", limit, "Datapoints on a page"),
        _parameter("cursor", cursor, "Where the page before ended: take it from its Link header"),
        _parameter("format", one_of(FORMATS), "Instead of the Accept header"),
        _parameter("columns", one_of(COLUMNS), "Of CSV and Parquet: the datapoint packed, or split by dimension"),
        _parameter("bom", one_of(SWITCH), "Of CSV: 1 begins it with a byte order mark, for Excel"),
        _parameter("download", one_of(SWITCH), "1 names the answer as a file"),
    ]
    headers = {
        "Link": {"schema": TEXT, "description": 'The address of the next page, with rel="next"; not on the last'},
        "Tillroll-Datapoints": {"schema": COUNT, "description": "On all pages together; on the first page only"},
        "Tillroll-Events": {"schema": COUNT, "description": "On all pages together; on the first page only"},
        "Tillroll-Amount": {"schema": COUNT, "description": "In cents; only where measures are asked for"},
    }
    answers = _json(listed(ref("Aggregate")))
    answers["200"]["headers"] = headers
    answers["200"]["content"]["text/csv"] = {"schema": TEXT}
    answers["200"]["content"][PARQUET] = {"schema": {"type": "string", "format": "binary"}}
    text = (
        f"A page of the report. It counts by {', '.join(report.dimensions)}; `by` rolls it up to some of these. "
        f"Parquet is all of it, up to {PARQUET_ROWS_MAX:,} datapoints, unless `limit` or `cursor` is given."
    )
    codes = ("bad_query", "parquet_missing", *_STORE)
    operation_id = f"read{report.name.title().replace('-', '')}"
    return _operation(
        operation_id, "Reports", report.title, text, settings, _tagged(answers), codes, parameters=parameters
    )


def _values(dimension: Dimension) -> JsonObject:
    """Return the schema of a dimension's values: those of the contract have a name of their own."""
    if isinstance(dimension, Closed):
        named = (ref(name) for name, schema in SCHEMAS.items() if schema.get("enum") == list(dimension.texts))
        return next(named, one_of(dimension.texts))
    if isinstance(dimension, Open):
        return {"type": "string", "minLength": 1, "maxLength": dimension.characters_max}
    raise TypeError(dimension.name)


def _measures() -> JsonObject:
    schema = listed(one_of(MEASURES)) | {"minItems": 1, "uniqueItems": True, "default": DEFAULT_MEASURES}
    return _parameter("measures", schema, "What each aggregate has beside its datapoint; the average is in cents")


def _aggregates(settings: ServerSettings) -> JsonObject:
    many = listed(DATAPOINT, limits.DATAPOINTS_MAX)
    some = listed(DATAPOINT, IN_ADDRESS_MAX) | {"minItems": 1}
    counted = "In the order asked; one that nobody counted yet is 0"
    asked = [_parameter("datapoint", some, "Repeat it for several", required=True), _measures()]
    codes = ("bad_query", "report_counting", *_STORE)
    read = _operation(
        "readAggregates",
        "Aggregates",
        "Read several aggregates",
        f"Up to {IN_ADDRESS_MAX} datapoints, named in the address.",
        settings,
        _tagged(_json(listed(ref("Aggregate")), text=counted)),
        codes,
        parameters=asked,
    )
    post = _operation(
        "readManyAggregates",
        "Aggregates",
        "Read many aggregates",
        f"Up to {limits.DATAPOINTS_MAX} datapoints, named in the body. It changes nothing.",
        settings,
        _json(listed(ref("Aggregate")), text=counted),
        ("bad_body", *_BODY, *codes),
        changes=True,
        parameters=[_measures()],
    )
    schema = shape({"datapoints": many}, additionalProperties=False)
    post["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema}}}
    one = _operation(
        "readAggregate",
        "Aggregates",
        "Read one aggregate",
        "The number of purchases of one datapoint. Percent-encode it in the address.",
        settings,
        _tagged(_json(ref("Aggregate"))),
        ("unknown_datapoint", *codes),
        parameters=[
            _parameter("datapoint", DATAPOINT, "As a report writes it", place="path", required=True),
            _measures(),
        ],
    )
    limit = {"type": "integer", "minimum": 1, "maximum": MERCHANTS_MAX, "default": MERCHANTS_DEFAULT}
    search = [
        _parameter("q", {"type": "string", "maxLength": limits.NAME_CHARACTERS_MAX}, "A part of the name"),
        _parameter("limit", limit, "How many"),
    ]
    merchants = _operation(
        "findMerchants",
        "Aggregates",
        "Find merchants",
        "Merchants whose name contains a text, whatever the case.",
        settings,
        _tagged(_json(listed(TEXT), text="Those that begin with it first")),
        codes,
        parameters=search,
    )
    return {
        "/aggregates": {"get": read, "post": post},
        "/aggregates/{datapoint}": {"get": one},
        "/merchants": {"get": merchants},
        "/merchants/names": {"get": _merchant_names(settings)},
        "/explain": {"get": _explain(settings)},
        "/dimensions": {"get": _dimensions(settings)},
    }


def _merchant_names(settings: ServerSettings) -> JsonObject:
    ids = listed({"type": "string"}, IN_ADDRESS_MAX) | {"minItems": 1}
    return _operation(
        "nameMerchants",
        "Aggregates",
        "Name merchants",
        "What the operator's file calls these merchants; one that it does not have is left out.",
        settings,
        _json({"type": "object", "additionalProperties": TEXT}, text="Names by id"),
        ("bad_query",),
        parameters=[_parameter("id", ids, "Repeat it for several", required=True)],
    )


def _dimensions(settings: ServerSettings) -> JsonObject:
    return _operation(
        "listDimensions",
        "Reports",
        "List dimensions",
        "What a report of one's own may be by: windows, what events have, and the fields that are kept.",
        settings,
        _json(listed(ref("Part"))),
        ("bad_query",),
    )


def _explain(settings: ServerSettings) -> JsonObject:
    limit = {"type": "integer", "minimum": 1, "maximum": EXPLAINED_MAX, "default": EXPLAINED_DEFAULT}
    parameters = [
        _parameter("datapoint", DATAPOINT, "As a report writes it", required=True),
        _parameter("after", COUNT | {"maximum": 10**18 - 1}, "The `next` of the page before"),
        _parameter("limit", limit, "How many"),
    ]
    return _operation(
        "explainAggregate",
        "Aggregates",
        "Show the purchases behind a number",
        "The events of a datapoint in the order that they were journaled: where each is, and what it is known by.",
        settings,
        _json(ref("Explained")),
        ("bad_query", *_STORE),
        parameters=parameters,
    )


def _rejected_events(settings: ServerSettings) -> JsonObject:
    limit = {"type": "integer", "minimum": 1, "maximum": limits.REJECTED_LISTED_MAX, "default": 100}
    paging = [
        _parameter("after", TEXT, "The id that the page before ended with"),
        _parameter("limit", limit, "How many"),
    ]
    filters = [
        _parameter("code", TEXT, "Only those of this reason"),
        _parameter("source", listed(TEXT), "Only those of this key, message or file; repeat it for several"),
    ]
    listing = _operation(
        "listRejected",
        "Rejected",
        "List rejected events",
        "The events that were not accepted and wait to be corrected, each with its reason.",
        settings,
        _json(listed(ref("Rejected")), text="Oldest first"),
        ("bad_query", *_STORE),
        parameters=[*paging, *filters],
    )
    discard_some = _operation(
        "discardSomeRejected",
        "Rejected",
        "Discard rejected events",
        "Erases up to 1,000 of a reason or a source, or of all, that had come by a moment. Ask again until it is 0.",
        settings,
        _json(ref("Discarded"), text="How many are no longer kept"),
        ("bad_query", *_STORE),
        right=Right.SEND,
        parameters=[
            _parameter("before", COUNT | {"maximum": 10**11}, "In seconds since 1970", required=True),
            *filters,
        ],
    )
    summary = _operation(
        "summarizeRejected",
        "Rejected",
        "Count rejected events",
        "How many wait to be corrected, by reason and by source.",
        settings,
        _json(ref("RejectedSummary"), text="How many there are"),
        ("bad_query", *_STORE),
    )
    retry_some = _operation(
        "retrySomeRejected",
        "Rejected",
        "Retry rejected events",
        "Sends up to 1,000 of a reason or a source again as they were, for when the reason has passed.",
        settings,
        _json(ref("Retried"), text="What became of them. Go on after `after`, unless it is null"),
        ("bad_query", "store_full", *_STORE),
        right=Right.SEND,
        parameters=[paging[0], *filters],
    )
    return {
        "/rejected": {"get": listing, "delete": discard_some},
        "/rejected/summary": {"get": summary},
        "/rejected/retry": {"post": retry_some},
    }


def _rejected_event(settings: ServerSettings) -> JsonObject:
    codes = ("unknown_rejected", *_STORE)
    show = _operation(
        "getRejected",
        "Rejected",
        "Get a rejected event",
        "The event byte for byte, and why it was not accepted.",
        settings,
        _json(ref("Rejected")),
        codes,
        parameters=[_ID],
    )
    discard = _operation(
        "discardRejected",
        "Rejected",
        "Discard a rejected event",
        "It is erased. That an event of this name came is still known.",
        settings,
        {"204": {"description": "It is no longer kept"}},
        codes,
        right=Right.SEND,
        parameters=[_ID],
    )
    retry = _operation(
        "retryRejected",
        "Rejected",
        "Retry a rejected event",
        "Sends it again under the name that it came with, corrected by the body if there is one. It counts once.",
        settings,
        _json(ref("Corrected"), text="It is counted, and no longer kept"),
        ("not_accepted", "store_full", *_BODY, *codes),
        right=Right.SEND,
        parameters=[_ID],
    )
    retry["requestBody"] = {
        "description": "The event as it should have been, or several in its place; empty for the event as it was",
        "content": {_JSON: {"schema": {"oneOf": [ref("Event"), listed(ref("Event"))]}}},
    }
    return {"/rejected/{id}": {"get": show, "delete": discard}, "/rejected/{id}/retry": {"post": retry}}


def _fields(settings: ServerSettings) -> JsonObject:
    return _operation(
        "getFields",
        "Server",
        "Show fields",
        "Which fields the journal keeps, counted in it, and which others events bring, of samples; never a value.",
        settings,
        _json(ref("Fields"), text="The fields"),
        ("bad_query", *_STORE),
    )


def _watching(settings: ServerSettings) -> JsonObject:
    metrics = _content("text/plain", "In the format of Prometheus, or of OpenMetrics by the Accept header")
    metrics["200"]["content"]["application/openmetrics-text"] = {"schema": TEXT}
    live = _operation(
        "streamChanges",
        "Server",
        "Stream changes",
        "Server-sent events, for as long as the reader stays.",
        settings,
        _content("text/event-stream", "A `tick` whenever something changed, at most two a second"),
    )
    outcomes = _operation(
        "listOutcomes",
        "Server",
        "List outcomes",
        "What became of events, by the way they came in, across restarts. Windows without events are left out.",
        settings,
        _json(listed(ref("Outcomes")), text="Oldest first"),
        ("bad_query", *_STORE),
        parameters=[
            _parameter(
                "by",
                one_of(list(GRAINS)) | {"default": "quarter"},
                "Minutes of the last hour, quarters of an hour of the last day, or 90 days",
            )
        ],
    )
    limit = {"type": "integer", "minimum": 1, "maximum": IMPORTS_MAX, "default": IMPORTS_DEFAULT}
    imports = _operation(
        "listImports",
        "Server",
        "List imports",
        "Runs of `tillroll import` into a directory. A store on AWS keeps no list of them.",
        settings,
        _json(listed(ref("Import")), text="Those that began last first"),
        ("bad_query", *_STORE),
        parameters=[_parameter("limit", limit, "How many")],
    )
    queue = _operation(
        "getQueue",
        "Server",
        "Get the queue's depth",
        "How many messages wait on the queue that the server sends to, and among the dead letters.",
        settings,
        _json(ref("Queue")),
        ("bad_query",),
    )
    status = _operation(
        "getStatus",
        "Server",
        "Get service status",
        "Positions, lag, outcomes of the last minutes, and the last audit.",
        settings,
        _json(ref("Status")),
        _STORE,
    )
    measures = _operation("getMetrics", "Server", "Get metrics", "For Prometheus to scrape.", settings, metrics, _STORE)
    return {
        "/live": {"get": live},
        "/status": {"get": status},
        "/outcomes": {"get": outcomes},
        "/imports": {"get": imports},
        "/queue": {"get": queue},
        "/metrics": {"get": measures},
    }


def _audits(settings: ServerSettings) -> JsonObject:
    audit = _operation(
        "startAudit",
        "Server",
        "Start an audit",
        "Recounts the journal beside live traffic, and compares every aggregate. One runs at a time.",
        settings,
        _json(ref("AuditBegun"), "202", "It is under way; `GET /audit` has what it finds"),
        ("bad_query",),
        right=Right.SEND,
        parameters=[_parameter("since", BOUNDS["day"], "Compare only the windows from this day on")],
    )
    audited = _operation(
        "getAudit",
        "Server",
        "Get the last audit",
        "How far the audit under way is, and what the last one found: up to 1,000 differences.",
        settings,
        _json(ref("AuditState")),
        ("bad_query",),
    )
    return {"/audit": {"get": audited, "post": audit}}


def _itself(settings: ServerSettings) -> JsonObject:
    health = _operation(
        "getHealth",
        "Server",
        "Check health",
        "Whether the server works and can use its store. It asks for no token.",
        settings,
        _content("text/plain", "ok"),
        ("stopping", *_STORE),
        right=Right.NONE,
    )
    described = _operation(
        "getOpenapi",
        "Server",
        "Get this description",
        "The OpenAPI description of this very server: with its limits, and with tokens if it asks for them.",
        settings,
        _tagged(_json({"type": "object"})),
        right=Right.NONE,
    )
    return {"/healthz": {"get": health}, "/openapi.json": {"get": described}}


def _operation(
    name: str,
    tag: str,
    summary: str,
    description: str,
    settings: ServerSettings,
    answers: JsonObject,
    codes: tuple[str, ...] = (),
    *,
    right: Right = Right.READ,
    changes: bool = False,
    parameters: list[JsonObject] | None = None,
) -> JsonObject:
    """Return an operation. `changes` says that browsers may not send it for other sites, though it only reads."""
    codes = (*codes, *_EVERYWHERE)
    if settings.guarded:
        codes = (*codes, *(("token_missing", "token_unknown", "token_forbids") if right else ()))
    else:
        codes = (*codes, *(("cross_site",) if changes or right in (Right.SEND, Right.MANAGE) else ()))
        codes = (*codes, *(("unknown_host",) if settings.loopback and not settings.open_to_all else ()))
    if "304" in answers:
        parameters = [*(parameters or []), _parameter("If-None-Match", TEXT, "The ETag that is known", place="header")]
    others = _OF_HTTP if tag == "Reports" else ()
    known = [each["name"] for each in parameters or [] if each["in"] == "query" and each["name"] not in others]

    def example_of(code: str) -> JsonObject:
        return example(code, settings, operation=name, known=known, right=right)

    operation: JsonObject = {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": description,
        "responses": answers | _problems(codes, example_of),
    }
    if parameters:
        operation["parameters"] = parameters
    if settings.guarded and right:
        operation["security"] = [{"token": []}]
    return operation


def _problems(codes: tuple[str, ...], example_of: Callable[[str], JsonObject]) -> JsonObject:
    found: dict[int, dict[str, str]] = {}
    for code in dict.fromkeys(codes):
        status, text = CODES[code]
        found.setdefault(status, {})[code] = text
    answers = {}
    for status, texts in sorted(found.items()):
        examples = {code: {"summary": text, "value": example_of(code)} for code, text in texts.items()}
        described = "\n\n".join(f"`{code}`: {text}" for code, text in texts.items())
        content = {MEDIA_TYPE: {"schema": ref("Problem"), "examples": examples}}
        answers[str(status)] = {"description": described, "content": content}
    return answers


def _tagged(answers: JsonObject) -> JsonObject:
    """Return the answers of an operation that has entity tags."""
    answers["200"].setdefault("headers", {})["ETag"] = _ETAG
    return answers | {"304": {"description": "The answer is still the one that If-None-Match names"}}


def _json(schema: JsonObject, status: str = "200", text: str = "The answer") -> JsonObject:
    return {status: {"description": text, "content": {_JSON: {"schema": schema}}}}


def _content(kind: str, text: str) -> JsonObject:
    return {"200": {"description": text, "content": {kind: {"schema": TEXT}}}}


def _parameter(name: str, schema: JsonObject, text: str, *, place: str = "query", required: bool = False) -> JsonObject:
    return {"name": name, "in": place, "required": required, "description": text, "schema": schema}
