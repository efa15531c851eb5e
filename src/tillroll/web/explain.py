"""The route that shows the purchases behind a number, page after page."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tillroll.core.question import whole_number
from tillroll.definitions import find_places
from tillroll.errors import QueryError
from tillroll.web.answers import json_answer, single_parameters

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from tillroll.web.state import ServerState

_PARAMETERS: Final = ("datapoint", "after", "limit")
EXPLAINED_MAX: Final = 1_000
EXPLAINED_DEFAULT: Final = 50
_EVENTS_MAX: Final = 10**18 - 1


class ExplainRoute:
    """Reads the journal for whoever may read."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def explain(self, request: Request) -> Response:
        """GET /explain: `after` is how many events of the datapoint were shown. The journal only grows at its end."""
        given = single_parameters(request, *_PARAMETERS)
        if "datapoint" not in given:
            raise QueryError("datapoint", "none is given", "Give one: ?datapoint=2011-12-03%7C...")
        limit = whole_number("limit", given.get("limit", str(EXPLAINED_DEFAULT)), 1, EXPLAINED_MAX)
        after = whole_number("after", given.get("after", "0"), 0, _EVENTS_MAX)
        answer = await self._state.read_long(self._read, given["datapoint"], after, limit)
        return await self._state.read(json_answer, request, answer)

    def _read(self, datapoint: str, after: int, limit: int) -> dict[str, Any]:
        (at,) = find_places(self._state.store, [datapoint])
        (counted,) = self._state.store.get([datapoint])
        events = counted.events
        traces = list(islice(self._state.store.trace(datapoint, after), limit + 1)) if after < events else []
        found = [{**msgspec.structs.asdict(trace), "event": msgspec.Raw(trace.event)} for trace in traces[:limit]]
        following = str(after + limit) if len(traces) > limit else None
        return {
            "report": at.report.name,
            "datapoint": datapoint,
            "events": events,
            "purchases": found,
            "next": following,
        }
