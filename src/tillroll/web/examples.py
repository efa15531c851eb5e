"""An example of every problem, as a server of some settings answers it. A test has the server answer them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tillroll.core import limits
from tillroll.core.definition import define
from tillroll.core.report import FIVE
from tillroll.core.text import NAME_RULE
from tillroll.errors import CountingError, DefinitionError, OverloadedError, QueryError
from tillroll.web.auth import Right
from tillroll.web.body import ENCODINGS, too_large
from tillroll.web.events import DETAIL, NDJSON_TYPES, NO_EVENT, NOT_KEPT
from tillroll.web.problem import CODES, Problem, problem_of
from tillroll.web.reports import A_DEFINITION, NO_PARQUET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tillroll.web.settings import ServerSettings

_STORE: Final = "/var/lib/tillroll/tillroll.db"
_WRONG_AMOUNT: Final = f"-1 is not between 0 and {limits.AMOUNT_MAX} cents"
_REASON: Final = {"code": "invalid_amount", "field": "amount", "message": _WRONG_AMOUNT}
_RECEIPT: Final = {
    "accepted": 0,
    "duplicates": 0,
    "conflicts": 0,
    "rejected": 1,
    "not_accepted": [{"index": 0, "outcome": "rejected", "byte": 0, **_REASON}],
    "truncated": False,
}
# Those that are the same for every server and every operation. What a test cannot bring about is marked.
_DETAILS: Final = {
    "bad_encoding": "The gzip body ends early. Send all of it",
    "bad_idempotency_key": f"The Idempotency-Key is not {NAME_RULE}. Send another",
    "empty_body": NO_EVENT,
    "token_missing": "This server requires a token. Send the header Authorization: Bearer TOKEN",
    "token_unknown": "The token is unknown",
    "cross_site": "A browser sent this on behalf of another site. Send it from a program",
    "unknown_report": f"There is no report 'own'. There are {', '.join(report.name for report in FIVE)}",
    "report_counting": str(CountingError("own", 1_000_000, 3_000_000)),  # not brought about
    "unknown_datapoint": "<10|PAY_NOW counts no purchase yet. A batch read gives 0 for it",
    "unknown_rejected": "No rejected event '0' is kept. It may have been corrected or discarded already",
    "address_too_long": f"The path is longer than {limits.PATH_BYTES_MAX} bytes. See /docs for the addresses",
    "unknown_encoding": f"The Content-Encoding 'br' is not one of {', '.join(ENCODINGS)}",
    "unknown_type": (
        f"The Content-Type 'text/html' is not JSON. Send application/json, or {NDJSON_TYPES[0]} for one event a line"
    ),
    "unknown_host": (
        "shop.example is not a name of this machine. Use localhost, or start the server with tokens or --open-to-all"
    ),
    "clock_in_doubt": (  # not brought about
        "most events of the last minute are dated in the future, and this machine's clock says "
        "2011-12-01T10:15:30+00:00. Nothing of them is kept: correct the clock, or the dates, then send again"
    ),
    "server_error": "The server failed on this request. Its log says more",  # not brought about
    "queue_unavailable": "SQS cannot be reached. Check the network, and the region",  # not brought about
    "parquet_missing": NO_PARQUET,  # not brought about
    "stopping": "The server is stopping",  # not brought about
    "store_unavailable": (  # not brought about
        f"another process has kept {_STORE} locked. Try again, or find what holds it"
    ),
    "store_damaged": f"{_STORE}: an aggregate is damaged. Run tillroll rebuild",  # not brought about
    "store_full": (  # not brought about
        f"the disk under {_STORE} is full. Free some space; nothing acknowledged is lost"
    ),
}


def example(
    code: str, settings: ServerSettings, *, operation: str, known: Sequence[str], right: Right
) -> dict[str, Any]:
    """Return a problem of this code as an operation answers it; `known` are the parameters that the operation has."""
    problem = (_sending(settings) if operation == "sendEvents" else _correcting()).get(code)
    if code == "bad_query":
        remedy = f"There are {', '.join(known)}" if known else "This address takes none"
        problem = problem_of(QueryError("colour", "unknown parameter", remedy))
    if code == "token_forbids":
        may = "send" if right is Right.READ else "read"
        problem = Problem(code, f"The token may {may} only. Use one that may {right.word}")
    if operation in {"defineReport", "previewReport"}:
        problem = _misdefined().get(code, problem)
    if problem is None:
        problem = Problem(code, (_DETAILS | _bounds(settings)).get(code, CODES[code][1]))
    found: dict[str, Any] = msgspec.json.decode(problem.body())
    return found


def _misdefined() -> dict[str, Problem]:
    detail = f"The body is not a definition such as {A_DEFINITION} (Expected `object`, got `array`)"
    found = {"bad_body": Problem("bad_body", detail)}
    try:
        define({"name": "own", "by": ["year|"]})
    except DefinitionError as error:
        found["bad_definition"] = problem_of(error)
    return found


def _bounds(settings: ServerSettings) -> dict[str, str]:
    return {
        "request_timeout": (
            f"The request did not arrive within {settings.request_s_max:g} s. Send it faster, or in parts"
        ),
        "headers_too_large": f"The address and headers are larger than {settings.header_bytes_max} bytes. Send fewer",
        "overloaded": str(OverloadedError(limits.WAITING_REQUESTS_MAX, limits.WAITING_BYTES_MAX)),
    }


def _sending(settings: ServerSettings) -> dict[str, Problem]:
    many = f"The body has more than the limit of {settings.body_events_max} events. Send it in parts"
    no_json = "The first line is not JSON, so the queue cannot carry it as NDJSON. Correct it"
    return {
        "bad_body": Problem("bad_body", no_json),
        "too_large": too_large(settings.body_bytes_max),
        "too_many_events": Problem("too_many_events", many),
        "not_accepted": Problem("not_accepted", f"{DETAIL}. {_WRONG_AMOUNT}", members=_RECEIPT),
        "rejected_full": Problem("rejected_full", NOT_KEPT, members=_RECEIPT | {"not_kept": 1}),
    }


def _correcting() -> dict[str, Problem]:
    form = f'{{"datapoints": ["...", ...]}} of at most {limits.DATAPOINTS_MAX}'
    members = {"outcome": "rejected", "reason": _REASON}
    return {
        "bad_body": Problem("bad_body", f"The body is not {form} (Expected `object`, got `array`)"),
        "too_large": too_large(limits.LINE_BYTES_MAX),
        "not_accepted": Problem("not_accepted", f"It is still not accepted: {_WRONG_AMOUNT}", members=members),
    }
