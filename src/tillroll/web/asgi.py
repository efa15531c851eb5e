"""The application: which route answers what, and who may ask it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from starlette.applications import Starlette
from starlette.convertors import CONVERTOR_TYPES, StringConvertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Mount, Route

from tillroll.core import limits
from tillroll.errors import TillrollError
from tillroll.web.answers import problem_answer
from tillroll.web.audits import AuditRoutes
from tillroll.web.auth import Right
from tillroll.web.body import ClientLeftError
from tillroll.web.cors import answering
from tillroll.web.events import EventsRoute
from tillroll.web.explain import ExplainRoute
from tillroll.web.guide import GuideRoutes
from tillroll.web.journal import JournalRoutes
from tillroll.web.live import LiveRoutes
from tillroll.web.outcomes import OutcomeRoutes
from tillroll.web.problem import MEDIA_TYPE, Problem, problem_of
from tillroll.web.rejected import RejectedRoutes
from tillroll.web.reports import ReportRoutes
from tillroll.web.static import StaticPages
from tillroll.web.validators import validated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from starlette.responses import Response

    from tillroll.web.state import ServerState

    Handler = Callable[[Request], Awaitable[Response]]

_log: Final = logging.getLogger(__name__)
STATIC: Final = Path(__file__).parent / "static"
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_RAW_SECURITY_HEADERS: Final = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
_PROBLEM: Final = "tillroll.problem"  # in a request's scope: the code of the problem that it is answered with
_CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Endpoint(NamedTuple):
    """One operation: a method at a path, and what a token must be good for to call it."""

    method: str
    path: str
    right: Right
    handler: Handler
    validated: bool = False  # a reader may ask whether it has changed


class _RejectedId(StringConvertor):
    """What stands for a rejected event in an address: not what is an address of its own."""

    regex = "(?!(?:summary|retry)(?:/|$))[^/]+"


CONVERTOR_TYPES.setdefault("rejected_id", _RejectedId())


def endpoints(state: ServerState) -> list[Endpoint]:
    """Return every operation but POST /events, which stands in front."""
    reports, rejected, audits = ReportRoutes(state), RejectedRoutes(state), AuditRoutes(state)
    live, outcomes = LiveRoutes(state, audits), OutcomeRoutes(state)
    return [
        Endpoint("GET", "/reports", Right.READ, reports.list_reports, validated=True),
        Endpoint("POST", "/reports/preview", Right.MANAGE, reports.preview),
        Endpoint("PUT", "/reports/{name}", Right.MANAGE, reports.put),
        Endpoint("DELETE", "/reports/{name}", Right.MANAGE, reports.delete),
        Endpoint("GET", "/reports/{name}/definition", Right.READ, reports.definition, validated=True),
        Endpoint("GET", "/reports/{name}", Right.READ, reports.report, validated=True),
        Endpoint("GET", "/dimensions", Right.READ, reports.dimensions),
        Endpoint("GET", "/aggregates", Right.READ, reports.aggregates, validated=True),
        Endpoint("POST", "/aggregates", Right.READ, reports.post_aggregates),
        Endpoint("GET", "/aggregates/{datapoint:path}", Right.READ, reports.aggregate, validated=True),
        Endpoint("GET", "/merchants", Right.READ, reports.merchants, validated=True),
        Endpoint("GET", "/merchants/names", Right.READ, reports.merchant_names),
        Endpoint("GET", "/explain", Right.READ, ExplainRoute(state).explain),
        Endpoint("GET", "/events", Right.READ, JournalRoutes(state).events),
        Endpoint("GET", "/fields", Right.READ, outcomes.fields),
        Endpoint("GET", "/rejected", Right.READ, rejected.list_rejected),
        Endpoint("DELETE", "/rejected", Right.SEND, rejected.drop_some),
        Endpoint("GET", "/rejected/summary", Right.READ, rejected.summary),
        Endpoint("POST", "/rejected/retry", Right.SEND, rejected.retry_some),
        Endpoint("GET", "/rejected/{id}", Right.READ, rejected.show),
        Endpoint("DELETE", "/rejected/{id}", Right.SEND, rejected.drop),
        Endpoint("POST", "/rejected/{id}/retry", Right.SEND, rejected.retry),
        Endpoint("GET", "/audit", Right.READ, audits.show),
        Endpoint("POST", "/audit", Right.SEND, audits.start),
        Endpoint("GET", "/live", Right.READ, live.live),
        Endpoint("GET", "/status", Right.READ, live.status),
        Endpoint("GET", "/outcomes", Right.READ, outcomes.outcomes),
        Endpoint("GET", "/imports", Right.READ, outcomes.imports),
        Endpoint("GET", "/queue", Right.READ, outcomes.queue),
        Endpoint("GET", "/metrics", Right.READ, live.metrics),
        Endpoint("GET", "/healthz", Right.NONE, live.health),
        Endpoint("GET", "/openapi.json", Right.NONE, live.description, validated=True),
    ]


class Application:
    """The ASGI application of one server. `open` it in the event loop before it is called."""

    def __init__(self, state: ServerState) -> None:
        self.events = EventsRoute(state)
        self._state = state
        self._others = Starlette(routes=self._routes(state), exception_handlers=_HANDLERS)
        self._others.router.redirect_slashes = False
        self._origins = state.gate.origins

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request (ASGI)."""
        headers = self._origins.headers(dict(scope["headers"]).get(b"origin"))
        if headers:
            send = answering(send, headers)
        if len(scope.get("raw_path") or b"") > limits.PATH_BYTES_MAX:
            detail = f"The path is longer than {limits.PATH_BYTES_MAX} bytes. See /docs for the addresses"
            refusal = _answer(Request(scope), Problem("address_too_long", detail))
            await self._guarded(refusal, scope, receive, send)
        elif scope["path"] == "/events" and scope["method"] == "POST":
            await self.events(scope, receive, send)
        else:
            await self._guarded(self._others, scope, receive, send)

    async def _guarded(self, others: Any, scope: Any, receive: Any, send: Any) -> None:
        body: bytes | None = None

        async def send_guarded(message: Any) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                body = _told_as_problem(message)
                message["headers"] = [*message["headers"], *_RAW_SECURITY_HEADERS]
                route = scope.get("tillroll.route", "none")
                self._state.metrics.requests.labels(route, message["status"]).inc()
                if _PROBLEM in scope:
                    self._state.metrics.note_problem(scope[_PROBLEM])
            elif body is not None:
                message["body"] = body
            await send(message)

        await others(scope, receive, send_guarded)

    def _routes(self, state: ServerState) -> list[Route | Mount]:
        by_path: dict[str, list[Endpoint]] = {}
        for endpoint in endpoints(state):
            by_path.setdefault(endpoint.path, []).append(endpoint)
        routes: list[Route | Mount] = [self._route(path, found) for path, found in by_path.items()]
        pages = StaticPages(STATIC)
        routes.append(Route("/", pages.page("index.html"), methods=["GET"]))
        routes.append(Route("/docs", pages.page("docs/index.html"), methods=["GET"]))
        guides = GuideRoutes(state, pages)
        routes.append(Route("/guide", guides.page, methods=["GET"]))
        routes.append(Route("/guide/index.json", guides.index, methods=["GET"]))
        routes.append(Route("/guide/{name}", guides.page, methods=["GET"]))
        routes.append(Mount("/static", pages.files))
        return routes

    def _route(self, path: str, found: Sequence[Endpoint]) -> Route:
        by_method = {endpoint.method: endpoint for endpoint in found}
        if "GET" in by_method:
            by_method["HEAD"] = by_method["GET"]
        methods = [*by_method, "POST"] if path == "/events" else list(by_method)  # POST itself is answered in front

        async def answer(request: Request) -> Response:
            if request.method == "OPTIONS":
                return self._options(request, methods)
            endpoint = by_method[request.method]
            request.scope["tillroll.route"] = path
            headers = dict(request.scope["headers"])
            gate = self._state.gate
            try:
                gate.admit(endpoint.right, headers, changes=request.method in _CHANGING)
            except Problem as problem:
                await gate.note_refusal(problem, request.scope["client"])
                raise
            response = await endpoint.handler(request)
            return validated(request, response) if endpoint.validated else response

        return Route(path.replace("{id}", "{id:rejected_id}"), answer, methods=[*methods, "OPTIONS"])

    def _options(self, request: Request, methods: Iterable[str]) -> Response:
        headers = dict(request.scope["headers"])
        self._state.gate.admit(Right.NONE, headers, changes=False)
        return self._origins.options(headers, methods)


def _told_as_problem(start: Any) -> bytes | None:
    """Make the start of an answer that tells a fault in another form that of a problem, and return the problem's body.

    Starlette says in words of its own which ranges a file does not have.
    """
    headers = dict(start["headers"])
    if start["status"] < 400 or headers.get(b"content-type") == MEDIA_TYPE.encode():
        return None
    if start["status"] == 416:
        problem = Problem("bad_range", "The file does not have these bytes. Content-Range says how many it has")
    else:
        problem = Problem("bad_request", "The header Range is not of the form bytes=FIRST-LAST. Leave it out")
    body = problem.body()
    start["status"] = problem.status
    headers |= {b"content-type": MEDIA_TYPE.encode(), b"content-length": str(len(body)).encode()}
    start["headers"] = list(headers.items())
    return body


def _answer(request: Request, problem: Problem) -> Response:
    """Return a problem as a response, and leave its code for whoever counts answers."""
    request.scope[_PROBLEM] = problem.code
    return problem_answer(problem)


async def _on_problem(request: Request, error: Exception) -> Response:
    return _answer(request, error if isinstance(error, Problem) else Problem("server_error", "the server failed"))


async def _on_error(request: Request, error: Exception) -> Response:
    if isinstance(error, TillrollError):
        return _answer(request, problem_of(error))
    _log.error("a request failed", exc_info=error)
    return _answer(request, Problem("server_error", "The server failed on this request. Its log says more"))


async def _on_http(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        allow = (error.headers or {}).get("Allow", "")
        detail = f"{request.url.path} does not take {request.method}. It takes {allow}"
        return _answer(request, Problem("method_not_allowed", detail, headers={"Allow": allow}))
    return _answer(request, Problem("not_found", f"There is nothing at {request.url.path}. See /docs"))


async def _on_client_left(request: Request, __: Exception) -> Response:
    return _answer(request, Problem("bad_request", "The sender is gone"))  # nobody reads it


_HANDLERS: Final[dict[Any, Any]] = {
    Problem: _on_problem,
    TillrollError: _on_error,
    HTTPException: _on_http,
    ClientLeftError: _on_client_left,
    ClientDisconnect: _on_client_left,
    Exception: _on_error,
}
