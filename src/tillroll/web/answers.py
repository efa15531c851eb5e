"""Answers to those who read: JSON, CSV or Parquet, compressed when that pays."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.responses import Response

from tillroll.core import limits
from tillroll.core.query import DEFAULT_MEASURES, aggregate_object
from tillroll.errors import QueryError
from tillroll.web.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from starlette.requests import Request

    from tillroll.core.query import Aggregate
    from tillroll.web.state import ServerState

_T = TypeVar("_T", bound=str)
_COMPRESSED_FROM_BYTES: Final = 1_024
_COMPRESSION_LEVEL: Final = 5
_FIELDS_MAX: Final = 2_000
JSON: Final = "application/json"
CSV: Final = "text/csv; charset=utf-8"
PARQUET: Final = "application/vnd.apache.parquet"  # compressed within


def parameters_of(request: Request) -> dict[str, list[str]]:
    """Return a request's query parameters, each with all its values.

    Raises:
        Problem: they are not UTF-8, or very many.
    """
    found: dict[str, list[str]] = {}
    try:
        text = request.scope["query_string"].decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_MAX)
    except ValueError as error:
        detail = f"The query of the address cannot be read ({error}). Encode it as UTF-8, percent-encoded"
        raise Problem("bad_query", detail, members={"field": None}) from error
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def refuse_others(parameters: Iterable[str], *known: str) -> None:
    """Refuse parameters that the route does not have: a misspelt one must not go unnoticed.

    Raises:
        QueryError: there is one.
    """
    for name in parameters:
        if name not in known:
            remedy = f"There are {', '.join(known)}" if known else "This address takes none"
            raise QueryError(name, "unknown parameter", remedy)


def single_parameters(request: Request, *names: str) -> dict[str, str]:
    """Return a request's query parameters, each of which may be given once.

    Raises:
        QueryError: one is none of the names, or is given twice.
    """
    found = parameters_of(request)
    refuse_others(found, *names)
    return single_values(found)


def single_values(parameters: Mapping[str, list[str]]) -> dict[str, str]:
    """Return parameters that may each be given once.

    Raises:
        QueryError: one is given twice.
    """
    for name, values in parameters.items():
        if len(values) > 1:
            raise QueryError(name, f"it is given {len(values)} times", "Give it once")
    return {name: values[0] for name, values in parameters.items()}


def choice(parameters: dict[str, list[str]], name: str, known: Iterable[_T]) -> _T | None:
    """Take a parameter out of them and return its value, one of those that are known; None where it is not given.

    Raises:
        QueryError: it is given twice, or has another value.
    """
    value = single_values({name: parameters.pop(name)})[name] if name in parameters else None
    if value is None:
        return None
    for each in known:
        if value == each:
            return each
    raise QueryError(name, f"{value[:80]!r} is not one of its values", f"They are {', '.join(known)}")


async def small_body(request: Request, state: ServerState) -> bytes:
    """Return the body of a request that asks or corrects: no larger than one event may be."""
    length = request.headers.get("content-length")
    return await state.body_reader.read(request.receive, length.encode() if length else None, limits.LINE_BYTES_MAX)


def aggregates_json(aggregates: Iterable[Aggregate], measures: Sequence[str] = DEFAULT_MEASURES) -> bytes:
    """Return aggregates in the report frontend's own format, with the measures that were asked for."""
    return msgspec.json.encode([aggregate_object(aggregate, measures) for aggregate in aggregates])


def answer(
    request: Request, body: bytes, media_type: str = JSON, headers: Mapping[str, str] | None = None, status: int = 200
) -> Response:
    """Return a response, compressed when the body is large and whoever asks can read that. May take a while."""
    fields = {"Cache-Control": "no-store", "Vary": "Accept, Accept-Encoding"} | dict(headers or {})
    worth = len(body) >= _COMPRESSED_FROM_BYTES and media_type != PARQUET
    if worth and takes(request.headers.get("accept-encoding", ""), "gzip"):
        body = gzip.compress(body, _COMPRESSION_LEVEL, mtime=0)
        fields["Content-Encoding"] = "gzip"
    return Response(body, status, fields, media_type)


def json_answer(request: Request, value: Any, status: int = 200) -> Response:
    """Return a value as JSON."""
    return answer(request, msgspec.json.encode(value), JSON, None, status)


def problem_answer(problem: Problem) -> Response:
    """Return a problem as a response."""
    headers = {"Cache-Control": "no-store"} | problem.headers
    return Response(problem.body(), problem.status, headers, "application/problem+json")


def takes(header: str, token: str) -> bool:
    """Tell whether an Accept-Encoding header allows a coding by name."""
    return _quality(header, (token,)) > 0


def prefers_csv(accept: str) -> bool:
    """Tell whether an Accept header wants CSV more than JSON."""
    return _quality(accept, ("text/csv",)) > _quality(accept, ("application/json", "application/*", "*/*"))


def _quality(header: str, names: tuple[str, ...]) -> float:
    """Return the highest quality that a header gives any of the names (RFC 9110, 12.4.2)."""
    best = 0.0
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if name in names:
            quality = 1.0
            for parameter in parameters:
                if parameter.startswith("q="):
                    try:
                        quality = float(parameter[2:])
                    except ValueError:
                        quality = 0.0
            best = max(best, quality)
    return best
