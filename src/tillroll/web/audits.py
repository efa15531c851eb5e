"""The route that has the journal counted again, and what the last count found."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tillroll.core.spans import parse_day
from tillroll.errors import QueryError, StoreError, TillrollError
from tillroll.web.answers import json_answer, single_parameters
from tillroll.web.settings import parse_time

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from tillroll.ports import Audit
    from tillroll.web.state import ServerState

_log: Final = logging.getLogger(__name__)
_DIFFERENCES_SHOWN_MAX: Final = 20
_DAY_S: Final = 86_400
_LOOK_S: Final = 1.0


class AuditRoutes:
    """Audits the store beside its traffic, one audit at a time: when asked, and every day at a time that is set."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._running: asyncio.Task[None] | None = None
        self._last: dict[str, Any] | None = None
        self.error: str | None = None  # why the last audit could not be made
        self._done: tuple[int, int] | None = None
        at = parse_time(state.settings.audit_at) if state.settings.audit_at else None
        self._daily = None if at is None else asyncio.create_task(self._every_day(at))

    @property
    def running(self) -> bool:
        """Tell whether an audit is under way."""
        return self._running is not None and not self._running.done()

    @property
    def progress(self) -> dict[str, int] | None:
        """How many events the audit under way has counted, and of how many; None while that is not known."""
        if not self.running or self._done is None:
            return None
        return dict(zip(("done", "of"), self._done, strict=True))

    async def start(self, request: Request) -> Response:
        """POST /audit: begin one, of windows from a day on, unless one is under way. `GET /audit` has what it found."""
        since = single_parameters(request, "since").get("since")
        day = 0 if since is None else parse_day(since)
        if day is None:
            raise QueryError("since", f"{since} is not a day", "Write it like 2026-11-03")
        self._begin(day)
        return json_answer(request, {"running": True}, status=202)

    async def show(self, request: Request) -> Response:
        """GET /audit: how far the audit under way is, and what the last one found, with all that it lists."""
        single_parameters(request)
        found = {"running": self.running, "progress": self.progress, "error": self.error, "last": self._last}
        return json_answer(request, found)

    @property
    def last(self) -> dict[str, Any] | None:
        """What the last audit found, with its first differences."""
        if self._last is None:
            return None
        return self._last | {"differences": self._last["differences"][:_DIFFERENCES_SHOWN_MAX]}

    def _begin(self, since: int = 0) -> None:
        if not self.running:
            self._done = None
            self._running = asyncio.create_task(self._audit(since))

    async def _every_day(self, at_s: int) -> None:
        """Audit whenever a time of day is passed. The clock is looked at often, since it may be set."""
        looked_at = self._state.clock()
        while not self._state.stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._state.stopping.wait(), _LOOK_S)
            now = self._state.clock()
            if (looked_at - at_s) // _DAY_S < (now - at_s) // _DAY_S:
                self._begin()
            looked_at = now

    async def _audit(self, since: int) -> None:
        metrics = self._state.metrics
        try:
            audit = await asyncio.to_thread(self._make, since)
        except _StoppingError:
            return
        except Exception as error:  # noqa: BLE001 an entry loop: whatever it was, it must be told
            _log.error("the audit failed: %s", error, exc_info=not isinstance(error, TillrollError))
            self.error = str(error) or repr(error)
            metrics.audit_failed.set(1)
            return
        now = self._state.clock()
        self._last, self.error = {"at": round(now, 3)} | msgspec.structs.asdict(audit), None
        metrics.audit_failed.set(0)
        metrics.audit_at.set(now)
        metrics.audit_differences.set(audit.differences_total)
        if audit.differences_total:
            _log.error("the audit found %d differences: %s", audit.differences_total, audit.differences[0].message)
        else:
            _log.info("the audit passed: %d events, %d datapoints", audit.events, audit.datapoints)

    def _make(self, since: int) -> Audit:
        with suppress(StoreError):  # damage is for the audit to name
            self._state.store.fold()  # an audit compares what is folded: let that be all there is
        return self._state.store.audit(since=since, progress=self._go_on)

    def _go_on(self, done: int, of: int) -> None:
        self._done = done, of
        if self._state.stopping.is_set():
            raise _StoppingError


class _StoppingError(Exception):
    """The server stops, and the audit with it."""
