"""What became of events over time, their fields, the imports there were, and the queue: for whoever runs it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tillroll.core.outcome_tally import GRAINS
from tillroll.core.question import whole_number
from tillroll.errors import TillrollError
from tillroll.ports import ImportList, MeasuredQueue
from tillroll.web.answers import choice, json_answer, parameters_of, refuse_others, single_parameters

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from tillroll.web.state import ServerState

IMPORTS_MAX: Final = 1_000
IMPORTS_DEFAULT: Final = 50
_QUEUE_KEPT_S: Final = 10.0  # many who ask cost one call
_log: Final = logging.getLogger(__name__)


class OutcomeRoutes:
    """Shows counts, names and times, never an event."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._queue: dict[str, Any] | None = None
        self._queue_at = float("-inf")

    async def outcomes(self, request: Request) -> Response:
        """GET /outcomes: by window and way in."""
        parameters = parameters_of(request)
        refuse_others(parameters, "by")
        grain = choice(parameters, "by", GRAINS) or "quarter"
        tally = await self._state.read(self._state.outcomes.shown)
        rows = [{"from": row.start, "way": row.way, **row.counts.plain()} for row in tally.rows(grain)]
        return json_answer(request, rows)

    async def fields(self, request: Request) -> Response:
        """GET /fields: their names, JSON types and numbers, never a value."""
        single_parameters(request)
        return json_answer(request, await self._state.read_long(self._state.fields.shown, self._state.store))

    async def imports(self, request: Request) -> Response:
        """GET /imports: the newest first. A store without a list of them has none."""
        given = single_parameters(request, "limit")
        limit = whole_number("limit", given.get("limit", str(IMPORTS_DEFAULT)), 1, IMPORTS_MAX)
        store = self._state.store
        runs = await self._state.read(store.import_runs, limit) if isinstance(store, ImportList) else []
        return json_answer(request, [msgspec.structs.asdict(run) for run in runs])

    async def queue(self, request: Request) -> Response:
        """GET /queue: how many messages wait. Null for what cannot be known."""
        single_parameters(request)
        if time.monotonic() - self._queue_at > _QUEUE_KEPT_S:
            self._queue = await self._state.read(self._ask_queue)
            self._queue_at = time.monotonic()
        return json_answer(request, self._queue)

    def _ask_queue(self) -> dict[str, Any] | None:
        queue = self._state.queue
        if queue is None:
            return None
        found: dict[str, Any] = {"queue": None, "dead_letters": None, "error": None}
        if isinstance(queue, MeasuredQueue):
            try:
                for name, depth in (("queue", queue.depth), ("dead_letters", queue.dead_letters_depth)):
                    found[name] = msgspec.structs.asdict(depth())
            except TillrollError as error:
                _log.warning("the state of the queue is unknown: %s", error)
                found["error"] = str(error)
        return found
