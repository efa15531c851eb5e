"""Problems: every answer that is not a success, as application/problem+json (RFC 9457).

The member `code` is for programs and never changes; `detail` is for people.
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tillroll.errors import (
    ClockError,
    CountingError,
    DefinitionError,
    OverloadedError,
    QueryError,
    QueueError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    TillrollError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA_TYPE: Final = "application/problem+json"
# Every code there is, with its status and what it says.
CODES: Final[dict[str, tuple[int, str]]] = {
    "bad_encoding": (400, "the body is not what its Content-Encoding says, or ends early"),
    "bad_idempotency_key": (400, "the Idempotency-Key is not a name of 1 to 128 characters"),
    "bad_request": (400, "the request is not HTTP that this server understands"),
    "bad_body": (400, "the body of a query or a correction does not have the required form"),
    "bad_query": (400, "a parameter is unknown, or has a value that no report can answer; `field` names it"),
    "bad_definition": (400, "the definition of a report is invalid; `field` names what is wrong"),
    "empty_body": (400, "there is nothing in the body"),
    "token_missing": (401, "the server requires a bearer token, and the request has none"),
    "token_unknown": (401, "the bearer token is unknown"),
    "token_forbids": (403, "the token may not do this: it may do other things"),
    "cross_site": (403, "a browser sent this on behalf of another site"),
    "not_found": (404, "there is nothing at this address"),
    "unknown_report": (404, "there is no report of this name"),
    "unknown_datapoint": (404, "this datapoint counts no purchase yet"),
    "unknown_rejected": (404, "there is no rejected event of this id: it may have been corrected or discarded already"),
    "method_not_allowed": (405, "the address does not take this method; Allow lists those it takes"),
    "report_counting": (409, "the report, or its amounts, are still being counted from the journal"),
    "request_timeout": (408, "the request took longer to arrive than the server waits"),
    "too_large": (413, "the body is larger than the limit, as sent or after decompression"),
    "too_many_events": (413, "the body has more events than the limit"),
    "address_too_long": (414, "the path of the address is longer than any valid one"),
    "unknown_encoding": (415, "the Content-Encoding is not identity, gzip or zstd"),
    "unknown_type": (415, "the Content-Type is not JSON or NDJSON"),
    "bad_range": (416, "the file does not have the bytes that Range asks for"),
    "unknown_host": (421, "a server without tokens answers only under the name of this machine"),
    "not_accepted": (422, "no event of the body was counted; `not_accepted` has the reason of each"),
    "headers_too_large": (431, "the request's address and headers are larger than the limit"),
    "parquet_missing": (501, "the server has no pyarrow, which Parquet needs; `detail` says how to install it"),
    "server_error": (500, "the server failed on this request; its log has more"),
    "clock_in_doubt": (
        503,
        "most events are dated in the future: the server's clock may be slow; nothing is kept",
    ),
    "queue_unavailable": (503, "the queue cannot be reached now"),
    "overloaded": (503, "too many requests are waiting; send again after Retry-After"),
    "stopping": (503, "the server is stopping"),
    "store_unavailable": (503, "the store is not available now"),
    "store_damaged": (503, "something in the store is damaged; `detail` names the command to run"),
    "rejected_full": (507, "no event of the body was counted, and there is no room left to keep rejected events"),
    "store_full": (507, "the disk under the store is full; nothing acknowledged is lost"),
}


class Problem(Exception):  # noqa: N818 it is the RFC's word
    """An answer that is not a success. Raise it anywhere below a route."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.status = CODES[code][0]
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    def body(self) -> bytes:
        """Return the problem as JSON."""
        fields = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        return msgspec.json.encode(fields | self.members)


# What an error is to whoever sent the request: the first that fits.
_CODES_OF: Final[tuple[tuple[type[TillrollError], str], ...]] = (
    (QueryError, "bad_query"),
    (DefinitionError, "bad_definition"),
    (CountingError, "report_counting"),
    (StoreFullError, "store_full"),
    (StoreDamagedError, "store_damaged"),
    (StoreError, "store_unavailable"),
    (QueueError, "queue_unavailable"),
    (ClockError, "clock_in_doubt"),
    (OverloadedError, "overloaded"),
)


def problem_of(error: TillrollError) -> Problem:
    """Return what an error of the product is to whoever sent the request."""
    code = next((code for kind, code in _CODES_OF if isinstance(error, kind)), "server_error")
    members = {"field": error.field} if isinstance(error, QueryError | DefinitionError) else None
    return Problem(code, str(error), headers=_retry_after(getattr(error, "retry_after_s", None)), members=members)


def _retry_after(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(max(1, math.ceil(seconds)))}
