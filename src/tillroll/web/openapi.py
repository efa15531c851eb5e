"""The description of the HTTP interface (OpenAPI 3.1), made from the reports and limits, for one server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

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
    from collections.abc import Sequence

    from tillroll.web.settings import ServerSettings

JsonObject = dict[str, Any]
_Methods = dict[str, "_Operation"]
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
    "description": "The id from the list of rejected events",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{1,64}(-[0-9]{1,4})?$"},
}


_TAGS: Final = {
    "Events": "Send purchases, and export them as they were journaled",
    "Reports": "The five reports and those of one's own, in pages",
    "Aggregates": "Single numbers of the reports, and the merchants",
    "Rejected": "Events that were not accepted: kept until they are corrected or discarded",
    "Server": "The state of the server",
}
_OF_HTTP: Final = ("measures", "format", "columns", "bom", "download")  # which the questions of core.ask do not have
_ETAG: Final = {"schema": {"type": "string"}, "description": "Identifies this answer: send it back in If-None-Match"}


class _Operation(NamedTuple):
    """What a method does at a path. `changes` says that browsers may not send it for other sites, though it reads."""

    tag: str
    name: str
    summary: str
    text: str
    answers: JsonObject
    codes: Sequence[str] = ("bad_query", *_STORE)
    right: Right = Right.READ
    changes: bool = False
    parameters: Sequence[JsonObject] = ()
    body: JsonObject | None = None

    def described(self, settings: ServerSettings) -> JsonObject:
        """Return it as a server of these settings has it."""
        parameters = list(self.parameters)
        if "304" in self.answers:
            parameters.append(_parameter("If-None-Match", TEXT, "The ETag that is known", place="header"))
        operation: JsonObject = {
            "operationId": self.name,
            "tags": [self.tag],
            "summary": self.summary,
            "description": self.text,
            "responses": self.answers | self._problems(settings),
        }
        if parameters:
            operation["parameters"] = parameters
        if settings.guarded and self.right:
            operation["security"] = [{"token": []}]
        return operation if self.body is None else operation | {"requestBody": self.body}

    def _codes(self, settings: ServerSettings) -> list[str]:
        codes = [*self.codes, *_EVERYWHERE]
        if settings.guarded:
            return [*codes, *(("token_missing", "token_unknown", "token_forbids") if self.right else ())]
        if self.changes or self.right in (Right.SEND, Right.MANAGE):
            codes.append("cross_site")
        return [*codes, *(("unknown_host",) if settings.loopback and not settings.open_to_all else ())]

    def _problems(self, settings: ServerSettings) -> JsonObject:
        others = _OF_HTTP if self.tag == "Reports" else ()
        known = [each["name"] for each in self.parameters if each["in"] == "query" and each["name"] not in others]
        found: dict[int, dict[str, str]] = {}
        for code in dict.fromkeys(self._codes(settings)):
            status, text = CODES[code]
            found.setdefault(status, {})[code] = text
        answers = {}
        for status, texts in sorted(found.items()):
            examples = {}
            for code, text in texts.items():
                value = example(code, settings, operation=self.name, known=known, right=self.right)
                examples[code] = {"summary": text, "value": value}
            described = "\n\n".join(f"`{code}`: {text}" for code, text in texts.items())
            content = {MEDIA_TYPE: {"schema": ref("Problem"), "examples": examples}}
            answers[str(status)] = {"description": described, "content": content}
        return answers


_EVENTS: Final = partial(_Operation, "Events")
_REPORTS: Final = partial(_Operation, "Reports")
_AGGREGATES: Final = partial(_Operation, "Aggregates")
_REJECTED: Final = partial(_Operation, "Rejected")
_SERVER: Final = partial(_Operation, "Server")


def describe(settings: ServerSettings) -> JsonObject:
    """Return the whole description."""
    description: JsonObject = {
        "openapi": "3.1.0",
        "info": {
            "title": "Tillroll",
            "version": __version__,
            "summary": "Counts purchases exactly: events in, five reports out",
            "description": (
                "Send completed purchases, and read how many there were by hour, day, amount bracket, payment "
                "method and merchant. Every answer that is not a success is a problem (RFC 9457). Its `code` is for "
                "programs."
            ),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": {
            path: {method: operation.described(settings) for method, operation in methods.items()}
            for path, methods in _paths(settings).items()
        },
        "components": {"schemas": SCHEMAS},
    }
    if settings.guarded:
        description["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return description


def _paths(settings: ServerSettings) -> dict[str, _Methods]:
    paths: dict[str, _Methods] = {
        "/events": {"post": _post_events(settings), "get": _get_events()},
        "/fields": {"get": _fields()},
        "/reports": {"get": _list_reports()},
        "/reports/preview": {"post": _preview()},
        "/reports/{name}": _own_report(),
        "/reports/{name}/definition": {"get": _definition()},
    }
    for report in FIVE:
        paths[f"/reports/{report.name}"] = {"get": _get_report(report)}
    return paths | _aggregates() | _rejected_events() | _rejected_event() | _audits() | _watching() | _itself()


def _list_reports() -> _Operation:
    text = "The reports there are, with the dimensions that they count by."
    answers = _tagged(_json(listed(ref("Report")), text=text))
    parameters = [_parameter("definitions", one_of(SWITCH), "1 adds the stored definition to each of one's own")]
    return _REPORTS("listReports", "List reports", text, answers, codes=("bad_query",), parameters=parameters)


_REPORT_NAME: Final = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "The report's name",
    "schema": {"type": "string", "pattern": "^[a-z0-9-]{1,40}$", "examples": ["turnover-week"]},
}


def _own_report() -> _Methods:
    """Return the operations on reports of one's own, which this description does not list by name."""
    codes = ("bad_query", "unknown_report", *_STORE)
    read = _REPORTS(
        "readReport",
        "Read a report of one's own",
        "A page of the report. Its parameters are those of the others, by the dimensions that it has.",
        _tagged(_json(listed(ref("Aggregate")))),
        codes=("report_counting", *codes),
        parameters=[_REPORT_NAME],
    )
    put = _REPORTS(
        "defineReport",
        "Define a report",
        "Makes a report, or a new version that replaces the previous one when it is counted.",
        _json(ref("Report"), text="The report is already defined like this")
        | _json(ref("Report"), "202", "It is being counted"),
        codes=("bad_query", "bad_body", "bad_definition", *_BODY, *_STORE),
        right=Right.MANAGE,
        parameters=[_REPORT_NAME],
        body=_body(ref("Definition")),
    )
    drop = _REPORTS(
        "dropReport",
        "Drop a report",
        "Deletes a report of one's own with its aggregates. The five cannot be dropped.",
        {"204": {"description": "It is no longer counted"}},
        codes=codes,
        right=Right.MANAGE,
        parameters=[_REPORT_NAME],
    )
    return {"get": read, "put": put, "delete": drop}


def _definition() -> _Operation:
    return _REPORTS(
        "getDefinition",
        "Get a definition",
        "The definition of a report, as it can be written again.",
        _tagged(_json(ref("Definition"))),
        codes=("bad_query", "unknown_report", *_STORE),
        parameters=[_REPORT_NAME],
    )


def _preview() -> _Operation:
    return _REPORTS(
        "previewReport",
        "Preview a report",
        "A definition's report over the newest purchases, and the cost of counting all of them. Stores nothing.",
        _json(ref("Preview")),
        codes=("bad_query", "bad_body", "bad_definition", *_BODY, *_STORE),
        right=Right.MANAGE,
        body=_body(ref("Definition")),
    )


def _post_events(settings: ServerSettings) -> _Operation:
    text = (
        "Accepts one purchase, an array of them, or one on each line. Each has its own outcome. The server answers "
        "when the accepted events are durable. A repeat under the same `id` or `Idempotency-Key` is counted once."
    )
    taken = (
        f"At most {settings.body_bytes_max} bytes, also after decompression, and {settings.body_events_max} "
        f"events. One bad event does not affect the others. Lines may also have the type {', '.join(NDJSON_TYPES[1:])}"
    )
    body = _body(_ONE_OR_MORE) | {"description": taken}
    body["content"][NDJSON_TYPES[0]] = {"schema": TEXT | {"description": "One event a line"}}
    return _EVENTS(
        "sendEvents",
        "Send events",
        text,
        _json({"oneOf": [ref("Receipt"), ref("Queued")]}, "202", "The accepted events are durable"),
        codes=(*_TAKING, *_BODY, *_STORE),
        right=Right.SEND,
        parameters=[
            _parameter(
                "Idempotency-Key", NAME, "Identifies the events of the body by their position in it", place="header"
            ),
            _parameter("Content-Encoding", one_of(ENCODINGS), "How the body is compressed", place="header"),
        ],
        body=body,
    )


def _get_events() -> _Operation:
    position = {"type": "integer", "minimum": 0, "maximum": POSITION_MAX}
    answers = _content(NDJSON_TYPES[0], "Each event with its kept fields and its name, `_name`, as an import takes it")
    header = {"schema": COUNT, "description": "The position at the end of this answer: send it as `after` next time"}
    answers["200"]["headers"] = {"Tillroll-Position": header}
    text = (
        "Streams the journal's events, one a line, in the order they were accepted, up to its end at the time of the "
        "request. An answer that breaks off has no position."
    )
    bound = BOUNDS[HOUR.name]
    return _EVENTS(
        "exportEvents",
        "Export events",
        text,
        answers,
        codes=("bad_query", "overloaded", *_STORE),
        parameters=[
            _parameter("after", position | {"default": 0}, "Only events journaled after this position"),
            _parameter("until", position, "Only events journaled up to this position"),
            _parameter("from", bound, "Only events dated from this day, hour or instant on"),
            _parameter("to", bound, "Only events dated before this day, hour or instant"),
            _parameter("merchant", listed(NAME) | {"minItems": 1}, "Only this merchant's; repeat it for several"),
        ],
    )


def _get_report(report: Report) -> _Operation:
    by = listed(one_of(question.dimensions_of(report))) | {"minItems": 1, "uniqueItems": True}
    if report.window:
        times = {"enum": [report.window.name, *question.spans_of(report)]}
        by |= {"contains": times, "minContains": 0, "maxContains": 1}
    orders = [order for order in question.ORDERS if order != "bracket" or "bracket" in report.dimensions]
    cursor = {"type": "string", "minLength": 1, "maxLength": question.CURSOR_CHARACTERS_MAX, "format": "cursor"}
    parameters = [
        *_times(report),
        *map(_only, (each for each in report.by if each is not report.window)),
        _parameter("by", by, "Roll up to these dimensions, in this order, or to a span in place of the window"),
        _MEASURES,
        _parameter("order", one_of(orders, default=question.ORDERS[0]), "By name, or most events or amount first"),
        _limit(limits.PAGE_MAX, limits.PAGE_DEFAULT, "Datapoints on a page"),
        _parameter("cursor", cursor, "The end of the previous page, from its Link header"),
        _parameter("format", one_of(FORMATS), "Instead of the Accept header"),
        _parameter("columns", one_of(COLUMNS), "Of CSV and Parquet: the datapoint packed, or split by dimension"),
        _parameter("bom", one_of(SWITCH), "Of CSV: 1 begins it with a byte order mark, for Excel"),
        _parameter("download", one_of(SWITCH), "1 names the answer as a file"),
    ]
    answers = _json(listed(ref("Aggregate")))
    answers["200"]["headers"] = {
        "Link": {"schema": TEXT, "description": 'The address of the next page, with rel="next"; not on the last'},
        "Tillroll-Datapoints": {"schema": COUNT, "description": "On all pages together; on the first page only"},
        "Tillroll-Events": {"schema": COUNT, "description": "On all pages together; on the first page only"},
        "Tillroll-Amount": {"schema": COUNT, "description": "In cents; only if the query has measures"},
    }
    answers["200"]["content"]["text/csv"] = {"schema": TEXT}
    answers["200"]["content"][PARQUET] = {"schema": {"type": "string", "format": "binary"}}
    text = (
        f"A page of the report. It counts by {', '.join(report.dimensions)}; `by` rolls it up to some of these. "
        f"Parquet has the complete report, up to {PARQUET_ROWS_MAX:,} datapoints, without `limit` and `cursor`."
    )
    return _REPORTS(
        f"read{report.name.title().replace('-', '')}",
        report.title,
        text,
        _tagged(answers),
        codes=("bad_query", "parquet_missing", *_STORE),
        parameters=parameters,
    )


def _times(report: Report) -> list[JsonObject]:
    if report.window is None:
        return []
    bound = BOUNDS[report.window.name]
    text = f"a date, or an instant that begins {'an hour' if report.window is HOUR else 'a day in UTC'}"
    zone = {"type": "string", "format": "zone", "examples": ["Europe/Stockholm"], "default": UTC}
    parameters = [
        _parameter("from", bound, f"Start of the range: {text}"),
        _parameter("to", bound, f"End of the range, exclusive: {text}; later than `from`"),
        _parameter("zone", zone, "The time zone of days and hours, by its IANA name"),
    ]
    return parameters if report.window is HOUR else parameters[:2]


def _only(dimension: Dimension) -> JsonObject:
    wanted = listed(_values(dimension), limits.FILTER_VALUES_MAX) | {"minItems": 1}
    return _parameter(dimension.name, wanted, f"Only events of this {dimension.name}; repeat it for several")


def _values(dimension: Dimension) -> JsonObject:
    """Return the schema of a dimension's values: those of the contract have a name of their own."""
    if isinstance(dimension, Closed):
        named = (ref(name) for name, schema in SCHEMAS.items() if schema.get("enum") == list(dimension.texts))
        return next(named, one_of(dimension.texts))
    if isinstance(dimension, Open):
        return {"type": "string", "minLength": 1, "maxLength": dimension.characters_max}
    raise TypeError(dimension.name)


def _aggregates() -> dict[str, _Methods]:
    many = listed(DATAPOINT, limits.DATAPOINTS_MAX)
    some = listed(DATAPOINT, IN_ADDRESS_MAX) | {"minItems": 1}
    ids = listed(TEXT, IN_ADDRESS_MAX) | {"minItems": 1}
    counted = "In the order of the query; a datapoint that counts no purchase is 0"
    codes = ("bad_query", "report_counting", *_STORE)
    read = _AGGREGATES(
        "readAggregates",
        "Read several aggregates",
        f"Up to {IN_ADDRESS_MAX} datapoints, named in the address.",
        _tagged(_json(listed(ref("Aggregate")), text=counted)),
        codes=codes,
        parameters=[_parameter("datapoint", some, "Repeat it for several", required=True), _MEASURES],
    )
    post = _AGGREGATES(
        "readManyAggregates",
        "Read many aggregates",
        f"Up to {limits.DATAPOINTS_MAX} datapoints, named in the body. It changes nothing.",
        _json(listed(ref("Aggregate")), text=counted),
        codes=("bad_body", *_BODY, *codes),
        changes=True,
        parameters=[_MEASURES],
        body=_body(shape({"datapoints": many}, additionalProperties=False)),
    )
    one = _AGGREGATES(
        "readAggregate",
        "Read one aggregate",
        "The number of purchases of one datapoint. Percent-encode it in the address.",
        _tagged(_json(ref("Aggregate"))),
        codes=("unknown_datapoint", *codes),
        parameters=[
            _parameter("datapoint", DATAPOINT, "As in a report", place="path", required=True),
            _MEASURES,
        ],
    )
    merchants = _AGGREGATES(
        "findMerchants",
        "Find merchants",
        "Merchants whose name contains a text, whatever the case.",
        _tagged(_json(listed(TEXT), text="Those that begin with it first")),
        codes=codes,
        parameters=[
            _parameter("q", TEXT | {"maxLength": limits.NAME_CHARACTERS_MAX}, "A part of the name"),
            _limit(MERCHANTS_MAX, MERCHANTS_DEFAULT),
        ],
    )
    names = _AGGREGATES(
        "nameMerchants",
        "Name merchants",
        "The names of these merchants in the operator's file; merchants without a name are left out.",
        _json({"type": "object", "additionalProperties": TEXT}, text="Names by id"),
        codes=("bad_query",),
        parameters=[_parameter("id", ids, "Repeat it for several", required=True)],
    )
    explain = _AGGREGATES(
        "explainAggregate",
        "Show the purchases behind a number",
        "The events of a datapoint in the order that they were journaled, each with its place and its name.",
        _json(ref("Explained")),
        parameters=[
            _parameter("datapoint", DATAPOINT, "As in a report", required=True),
            _parameter("after", COUNT | {"maximum": 10**18 - 1}, "The `next` of the previous page"),
            _limit(EXPLAINED_MAX, EXPLAINED_DEFAULT),
        ],
    )
    dimensions = _REPORTS(
        "listDimensions",
        "List dimensions",
        "The dimensions that a report of one's own may have: windows, the contract's fields, and the kept fields.",
        _json(listed(ref("Part"))),
        codes=("bad_query",),
    )
    return {
        "/aggregates": {"get": read, "post": post},
        "/aggregates/{datapoint}": {"get": one},
        "/merchants": {"get": merchants},
        "/merchants/names": {"get": names},
        "/explain": {"get": explain},
        "/dimensions": {"get": dimensions},
    }


def _rejected_events() -> dict[str, _Methods]:
    after = _parameter("after", TEXT, "The last id of the previous page")
    filters = [
        _parameter("code", TEXT, "Only those of this reason"),
        _parameter("source", listed(TEXT), "Only those of this key, message or file; repeat it for several"),
    ]
    listing = _REJECTED(
        "listRejected",
        "List rejected events",
        "The events that were not accepted and wait to be corrected, each with its reason.",
        _json(listed(ref("Rejected")), text="Oldest first"),
        parameters=[after, _limit(limits.REJECTED_LISTED_MAX, 100), *filters],
    )
    discard_some = _REJECTED(
        "discardSomeRejected",
        "Discard rejected events",
        "Erases up to 1,000 of a reason or a source, or of all, that were received by a time. Repeat until it is 0.",
        _json(ref("Discarded"), text="How many were erased"),
        right=Right.SEND,
        parameters=[
            _parameter("before", COUNT | {"maximum": 10**11}, "In seconds since 1970", required=True),
            *filters,
        ],
    )
    summary = _REJECTED(
        "summarizeRejected",
        "Count rejected events",
        "How many wait to be corrected, by reason and by source.",
        _json(ref("RejectedSummary"), text="How many there are"),
    )
    retry_some = _REJECTED(
        "retrySomeRejected",
        "Retry rejected events",
        "Sends up to 1,000 of a reason or a source again unchanged, when the reason no longer applies.",
        _json(ref("Retried"), text="Their outcomes. Continue from `after`, unless it is null"),
        codes=("bad_query", "store_full", *_STORE),
        right=Right.SEND,
        parameters=[after, *filters],
    )
    return {
        "/rejected": {"get": listing, "delete": discard_some},
        "/rejected/summary": {"get": summary},
        "/rejected/retry": {"post": retry_some},
    }


def _rejected_event() -> dict[str, _Methods]:
    codes = ("unknown_rejected", *_STORE)
    show = _REJECTED(
        "getRejected",
        "Get a rejected event",
        "The event byte for byte, and why it was not accepted.",
        _json(ref("Rejected")),
        codes=codes,
        parameters=[_ID],
    )
    discard = _REJECTED(
        "discardRejected",
        "Discard a rejected event",
        "Erases it. The server still knows that an event of this name arrived.",
        {"204": {"description": "It is no longer kept"}},
        codes=codes,
        right=Right.SEND,
        parameters=[_ID],
    )
    retry = _REJECTED(
        "retryRejected",
        "Retry a rejected event",
        "Sends it again under its original name, corrected by the body if there is one. It counts once.",
        _json(ref("Corrected"), text="It is counted, and no longer kept"),
        codes=("not_accepted", "store_full", *_BODY, *codes),
        right=Right.SEND,
        parameters=[_ID],
        body={
            "description": "The corrected event, or several in its place; empty for the original event",
            "content": {_JSON: {"schema": _ONE_OR_MORE}},
        },
    )
    return {"/rejected/{id}": {"get": show, "delete": discard}, "/rejected/{id}/retry": {"post": retry}}


def _fields() -> _Operation:
    return _SERVER(
        "getFields",
        "Show fields",
        "The fields that the journal keeps, counted in it, and the other fields of sampled events; never a value.",
        _json(ref("Fields"), text="The fields"),
    )


def _watching() -> dict[str, _Methods]:
    metrics = _content("text/plain", "In Prometheus format, or in OpenMetrics format by the Accept header")
    metrics["200"]["content"]["application/openmetrics-text"] = {"schema": TEXT}
    spans = "Minutes of the last hour, quarters of an hour of the last day, or 90 days"
    live = _SERVER(
        "streamChanges",
        "Stream changes",
        "Server-sent events, until the client disconnects.",
        _content("text/event-stream", "A `tick` whenever something changed, at most two a second"),
        codes=(),
    )
    outcomes = _SERVER(
        "listOutcomes",
        "List outcomes",
        "The outcomes of events, by the way they arrived, across restarts. Windows without events are left out.",
        _json(listed(ref("Outcomes")), text="Oldest first"),
        parameters=[_parameter("by", one_of(list(GRAINS), default="quarter"), spans)],
    )
    imports = _SERVER(
        "listImports",
        "List imports",
        "Runs of `tillroll import` into a directory. A store on AWS has no such list.",
        _json(listed(ref("Import")), text="Newest first"),
        parameters=[_limit(IMPORTS_MAX, IMPORTS_DEFAULT)],
    )
    queue = _SERVER(
        "getQueue",
        "Get the queue's depth",
        "The number of messages on the server's queue, and of dead letters.",
        _json(ref("Queue")),
        codes=("bad_query",),
    )
    status = _SERVER(
        "getStatus",
        "Get service status",
        "Positions, lag, outcomes of the last minutes, and the last audit.",
        _json(ref("Status")),
        codes=_STORE,
    )
    return {
        "/live": {"get": live},
        "/status": {"get": status},
        "/outcomes": {"get": outcomes},
        "/imports": {"get": imports},
        "/queue": {"get": queue},
        "/metrics": {"get": _SERVER("getMetrics", "Get metrics", "For Prometheus to scrape.", metrics, codes=_STORE)},
    }


def _audits() -> dict[str, _Methods]:
    audit = _SERVER(
        "startAudit",
        "Start an audit",
        "Recounts the journal while traffic goes on, and compares every aggregate. One runs at a time.",
        _json(ref("AuditBegun"), "202", "It has started; `GET /audit` has the result"),
        codes=("bad_query",),
        right=Right.SEND,
        parameters=[_parameter("since", BOUNDS["day"], "Compare only the windows from this day on")],
    )
    audited = _SERVER(
        "getAudit",
        "Get the last audit",
        "The progress of the running audit, and the result of the last one: up to 1,000 differences.",
        _json(ref("AuditState")),
        codes=("bad_query",),
    )
    return {"/audit": {"get": audited, "post": audit}}


def _itself() -> dict[str, _Methods]:
    health = _SERVER(
        "getHealth",
        "Check health",
        "Whether the server works and can use its store. It requires no token.",
        _content("text/plain", "ok"),
        codes=("stopping", *_STORE),
        right=Right.NONE,
    )
    described = _SERVER(
        "getOpenapi",
        "Get this description",
        "The OpenAPI description of this server: with its limits, and with tokens if it requires them.",
        _tagged(_json({"type": "object"})),
        codes=(),
        right=Right.NONE,
    )
    return {"/healthz": {"get": health}, "/openapi.json": {"get": described}}


def _tagged(answers: JsonObject) -> JsonObject:
    """Return the answers of an operation that has entity tags."""
    answers["200"].setdefault("headers", {})["ETag"] = _ETAG
    return answers | {"304": {"description": "The answer is still the one that If-None-Match names"}}


def _json(schema: JsonObject, status: str = "200", text: str = "The answer") -> JsonObject:
    return {status: {"description": text, "content": {_JSON: {"schema": schema}}}}


def _content(kind: str, text: str) -> JsonObject:
    return {"200": {"description": text, "content": {kind: {"schema": TEXT}}}}


def _body(schema: JsonObject) -> JsonObject:
    return {"required": True, "content": {_JSON: {"schema": schema}}}


def _limit(maximum: int, default: int, text: str = "How many") -> JsonObject:
    return _parameter("limit", {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}, text)


def _parameter(name: str, schema: JsonObject, text: str, *, place: str = "query", required: bool = False) -> JsonObject:
    return {"name": name, "in": place, "required": required, "description": text, "schema": schema}


_ONE_OR_MORE: Final = {"oneOf": [ref("Event"), listed(ref("Event"))]}
_MEASURES: Final = _parameter(
    "measures",
    listed(one_of(MEASURES)) | {"minItems": 1, "uniqueItems": True, "default": DEFAULT_MEASURES},
    "What each aggregate has besides its datapoint; the average is in cents",
)
