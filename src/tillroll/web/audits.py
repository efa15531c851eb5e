"""The route that has the journal counted again, and what the last count found."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from tillroll.errors import TillrollError
from tillroll.web.answers import json_answer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from tillroll.ports import Audit
    from tillroll.web.state import State

_log: Final = logging.getLogger(__name__)
_DIFFERENCES_SHOWN_MAX: Final = 20


class AuditRoutes:
    """Audits the store beside its traffic, one audit at a time."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._running: asyncio.Task[None] | None = None
        self.last: dict[str, Any] | None = None

    @property
    def running(self) -> bool:
        """Tell whether an audit is under way."""
        return self._running is not None and not self._running.done()

    async def start(self, request: Request) -> Response:
        """POST /audit: begin one, unless one is under way. `GET /status` has what it found."""
        if not self.running:
            self._running = asyncio.create_task(self._audit())
        return json_answer(request, {"running": True}, status=202)

    async def _audit(self) -> None:
        try:
            audit = await asyncio.to_thread(self._make)
        except _StoppingError:
            return
        except TillrollError as error:
            _log.warning("the audit could not be made: %s", error)
            return
        self.last = _told(audit, self._state.clock())
        if audit.differences_total:
            _log.error("the audit found %d differences: %s", audit.differences_total, audit.differences[0].message)

    def _make(self) -> Audit:
        self._state.store.fold()  # an audit compares what is folded: let that be all there is
        return self._state.store.audit(progress=self._go_on)

    def _go_on(self, _done: int, _of: int) -> None:
        if self._state.stopping.is_set():
            raise _StoppingError


class _StoppingError(Exception):
    """The server stops, and the audit with it."""


def _told(audit: Audit, at: float) -> dict[str, Any]:
    return {
        "at": round(at, 3),
        "position": audit.position,
        "events": audit.events,
        "datapoints": audit.datapoints,
        "differences": audit.differences[:_DIFFERENCES_SHOWN_MAX],
        "differences_total": audit.differences_total,
    }
