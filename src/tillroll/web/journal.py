"""GET /events: the journal out, as lines of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response, StreamingResponse

from tillroll.core import export
from tillroll.core.question import chosen_of, whole_number
from tillroll.errors import QueryError
from tillroll.web.answers import parameters_of, refuse_others, single_values
from tillroll.web.problem import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator, Mapping

    from starlette.requests import Request

    from tillroll.core.export import Chosen
    from tillroll.ports import JournalPart
    from tillroll.web.state import ServerState

PARAMETERS: Final = ("after", "until", "from", "to", "merchant")
POSITION_MAX: Final = 10**18 - 1
EXPORTS_MAX: Final = 4  # at once: each holds a chunk of the journal
_NDJSON: Final = "application/x-ndjson"


class JournalRoutes:
    """Streams what the store has journaled."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._exports = 0

    async def events(self, request: Request) -> Response:
        """GET /events; HEAD is told the position that it would reach."""
        parameters = parameters_of(request)
        refuse_others(parameters, *PARAMETERS)
        merchants = parameters.pop("merchant", None)
        given = single_values(parameters)
        chosen = chosen_of(given.get("from"), given.get("to"), merchants, prefix="")
        after = whole_number("after", given.get("after", "0"), 0, POSITION_MAX)
        upto = (await self._state.read(self._state.store.status)).journal_position
        if after > upto:
            raise QueryError("after", f"the journal ends at position {upto}", "Give a position that it has reached")
        if "until" in given:
            upto = min(upto, whole_number("until", given["until"], after, POSITION_MAX))
        headers = {"Cache-Control": "no-store", "Tillroll-Position": str(upto)}
        if request.method == "HEAD":
            return Response(headers=headers, media_type=_NDJSON)
        if self._exports >= EXPORTS_MAX:
            detail = f"{self._exports} clients already read the journal. Try again later"
            raise Problem("overloaded", detail, headers={"Retry-After": "10"})
        return _Export(self._lines(after, upto, chosen), self, headers)

    async def _lines(self, after: int, upto: int, chosen: Chosen) -> AsyncGenerator[bytes, None]:
        """Yield the lines between two positions, some at a time. An error breaks the answer off."""
        some = _pieces(self._state.store.read(after, upto, chosen))
        try:
            while lines := await self._state.read(next, some, b""):
                yield lines
        finally:
            await self._state.read(some.close)

    def count(self, change: int) -> None:
        """Count an answer that begins, or has ended."""
        self._exports += change


def _pieces(parts: Iterator[JournalPart]) -> Generator[bytes, None, None]:
    for part in parts:
        yield from export.ndjson(part.batch)


class _Export(StreamingResponse):
    """An answer that is counted while it lasts."""

    def __init__(self, lines: AsyncGenerator[bytes, None], routes: JournalRoutes, headers: Mapping[str, str]) -> None:
        super().__init__(lines, headers=headers, media_type=_NDJSON)
        self._routes = routes
        self._lines = lines

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._routes.count(1)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._routes.count(-1)
            await self._lines.aclose()
