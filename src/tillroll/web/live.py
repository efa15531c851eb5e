"""The routes that watch: health, status, metrics, and a stream of ticks (server-sent events)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import Response, StreamingResponse

from tillroll.errors import StoreError, TillrollError
from tillroll.export.parquet import has_parquet
from tillroll.ports import Watchable
from tillroll.web.answers import answer, json_answer
from tillroll.web.openapi import describe
from tillroll.web.problem import Problem
from tillroll.web.protocol import STREAM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.requests import Request

    from tillroll.web.audits import AuditRoutes
    from tillroll.web.state import ServerState

_TICK_S: Final = 0.5
_QUIET_S: Final = 15.0  # proxies drop a connection on which nothing comes for a minute


class LiveRoutes:
    """Tells how the server and its store are doing."""

    def __init__(self, state: ServerState, audits: AuditRoutes) -> None:
        self._state = state
        self._audits = audits
        self._streams = 0
        self._description = msgspec.json.encode(describe(state.settings))

    async def health(self, _: Request) -> Response:
        """GET /healthz: whether the store can be read."""
        if self._state.stopping.is_set():
            raise Problem("stopping", "The server is stopping", headers={"Retry-After": "5"})
        await self._state.status()
        return Response(b"ok\n", media_type="text/plain", headers={"Cache-Control": "no-store"})

    async def status(self, request: Request) -> Response:
        """GET /status."""
        state = self._state
        status = await state.status()
        freshness_s = state.freshness_s(status)
        return json_answer(
            request,
            {
                "events": status.events,
                "journal_position": status.journal_position,
                "folded_position": status.folded_position,
                "visible_position": status.visible_position,
                "lag_s": round(freshness_s, 3),
                "freshness_ms": round(freshness_s * 1_000),
                "rejected": status.rejected,
                "rejected_full": status.rejected_full,
                "waiting": state.group_commit.depth,
                "counters": state.metrics.totals(),
                "series": state.metrics.series(),
                "zone": state.settings.zone,
                "merchant_names": bool(state.names),
                "parquet": has_parquet(),
                "audit_running": self._audits.running,
                "audit_progress": self._audits.progress,
                "audit_error": self._audits.error,
                "last_audit": self._audits.last,
            },
        )

    async def metrics(self, request: Request) -> Response:
        """GET /metrics."""
        state, metrics = self._state, self._state.metrics
        metrics.waiting.set(state.group_commit.depth)
        metrics.receiving.set(state.body_reader.held)
        metrics.live.set(self._streams)
        if isinstance(state.store, Watchable):
            with suppress(OSError):
                metrics.note_room(state.store.room())
        try:
            status = await state.status()
            metrics.note_status(status, state.freshness_s(status))
        except StoreError:  # whoever watches is to learn it here, and what was counted before
            metrics.readable.set(0)
        body, content_type = metrics.exposition(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    async def description(self, request: Request) -> Response:
        """GET /openapi.json."""
        return answer(request, self._description)

    async def live(self, request: Request) -> Response:
        """GET /live; HEAD is told what it would be, and has no stream."""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return Response(headers=headers, media_type="text/event-stream")
        if self._streams >= self._state.streams_max or self._state.stopping.is_set():
            raise Problem("overloaded", f"{self._streams} streams are open already", headers={"Retry-After": "10"})
        request.scope[STREAM] = True
        self._streams += 1
        return _Stream(self._ticks(), self._end_stream, headers)

    def _end_stream(self) -> None:
        self._streams -= 1

    async def _ticks(self) -> AsyncIterator[bytes]:
        """Yield a tick whenever something changed, and a comment when nothing did for a while."""
        yield b"retry: 2000\n\n"
        last = b""
        quiet_s = 0.0
        while not self._state.stopping.is_set():
            tick = await self._tick()
            if tick not in {b"", last}:
                yield b"event: tick\ndata: " + tick + b"\n\n"
                last = tick
                quiet_s = 0.0
            elif quiet_s >= _QUIET_S:
                yield b": nothing new\n\n"
                quiet_s = 0.0
            quiet_s += _TICK_S
            await self._pause()

    async def _tick(self) -> bytes:
        try:
            status = await self._state.status()
        except TillrollError:  # it may pass; /status tells whoever wants to know
            return b""
        freshness_ms = round(self._state.freshness_s(status) * 1_000)
        visible = status.visible_position
        return msgspec.json.encode(
            {"events": status.events, "visible": visible, "rejected": status.rejected, "freshness_ms": freshness_ms}
        )

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._state.stopping.wait(), _TICK_S)
        except TimeoutError:
            return


class _Stream(StreamingResponse):
    """A stream that says when it has ended, however it does."""

    def __init__(self, ticks: AsyncIterator[bytes], on_end: Callable[[], None], headers: Mapping[str, str]) -> None:
        super().__init__(ticks, headers=headers, media_type="text/event-stream")
        self._on_end = on_end

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_end()
