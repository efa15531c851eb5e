"""The server: listens, answers, and stops without losing what it accepted."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from tillroll.errors import ConfigError, StoreGoneError, TillrollError
from tillroll.ports import Watchable
from tillroll.web.asgi import Application
from tillroll.web.crowd import Crowd
from tillroll.web.protocol import BoundedProtocol
from tillroll.web.state import ServerState

if TYPE_CHECKING:
    from collections.abc import Callable

    from tillroll.ports import Queue, Store
    from tillroll.web.settings import ServerSettings

_log: Final = logging.getLogger(__name__)
_BACKLOG: Final = 2_048
_SWEEP_S: Final = 1.0
_COUNT_S: Final = 0.05
_COUNT_PAUSE_S_MAX: Final = 1.0
_FILES_KEPT: Final = 64  # for the store and the log, of those the process may open
_CONNECTIONS_MAX: Final = 10_000


def serve(store: Store, settings: ServerSettings, *, queue: Queue | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was accepted. With a queue, events go there, not to the store.

    Raises:
        ConfigError: the server would be open to others without being told so, or cannot listen.
    """
    settings.check()
    with _listen(settings) as listener, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(store, settings, queue, listener))


async def _serve(store: Store, settings: ServerSettings, queue: Queue | None, listener: socket.socket) -> None:
    connections_max = _connections_max()
    state = ServerState(store, settings, queue)
    state.streams_max = min(state.streams_max, connections_max // 4)
    application = Application(state)
    crowd = Crowd(connections_max, settings.peer_connections_max or connections_max // 2)
    bounds = {"settings": settings, "crowd": crowd, "route": application.events}
    config = uvicorn.Config(
        application,
        http=type("Protocol", (BoundedProtocol,), bounds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # anyone could name another peer
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=round(settings.keep_alive_s),
        timeout_graceful_shutdown=round(settings.stop_s_max),
    )
    server = _Server(config, state, lambda: _announce(_address(settings, listener)))
    try:
        await server.serve(sockets=[listener])
        if server.gone is not None:
            raise server.gone
    finally:
        await state.close()


class _Server(uvicorn.Server):
    """uvicorn's server, which also ends what takes too long, and streams that would never end."""

    def __init__(self, config: uvicorn.Config, state: ServerState, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._state = state
        self._on_started = on_started
        self.gone: StoreGoneError | None = None  # why the server stopped by itself

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.freeze()  # what is loaded now stays: the collector need not look at it again and again
        self._sweeper = asyncio.create_task(self._sweep())
        self._counter = asyncio.create_task(self._count())
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _log.info("stopping: finishing accepted events first")
        self._state.stopping.set()
        try:
            await super().shutdown(sockets)
        finally:
            self._sweeper.cancel()
            self._counter.cancel()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop. uvicorn would raise the signal again afterwards, before the store is closed."""
        super().handle_exit(sig, frame)
        self._captured_signals.clear()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._watch_store()
            now = loop.time()
            for connection in list(self.server_state.connections):
                try:
                    if isinstance(connection, BoundedProtocol):
                        connection.sweep(now)
                except Exception:  # noqa: BLE001 an entry loop: the others are to be swept all the same
                    _log.exception("the timeouts of a connection could not be checked")

    async def _count(self) -> None:
        """Count reports that lag, beside the traffic: what this process does itself, half of the time at most."""
        while True:
            more, took_s = False, 0.0
            try:
                more, took_s = await asyncio.to_thread(_count_some, self._state)
            except Exception as error:  # noqa: BLE001 an entry loop: tried again; who reads the report is told what it means
                _log.warning("reports cannot be counted now: %s", error, exc_info=not isinstance(error, TillrollError))
            await asyncio.sleep(min(took_s, _COUNT_PAUSE_S_MAX) if more else _SWEEP_S)

    def _watch_store(self) -> None:
        """Stop when the store's files were taken away: whoever supervises the server then starts it anew."""
        store = self._state.store
        if self.gone is None and isinstance(store, Watchable):
            try:
                store.check()
            except StoreGoneError as error:
                _log.error("%s", error)
                self.gone = error
                self.should_exit = True


def _count_some(state: ServerState) -> tuple[bool, float]:
    """Count for a moment; return whether something is left, and the processor time that it took here."""
    state.outcomes.flush_if_due()
    state.fields.flush_if_due()
    began = time.thread_time()
    return state.store.count_some(_COUNT_S, beside_traffic=True), time.thread_time() - began


def _listen(settings: ServerSettings) -> socket.socket:
    host = settings.host.strip("[]")
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, number)
    except OSError as error:
        raise ConfigError("host", f"{settings.host} is not an address ({error.strerror})", "Name one") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        problem = f"the server cannot listen on {settings.host} port {settings.port} ({error.strerror})"
        raise ConfigError("port", problem, "Name another, or stop what listens there") from error
    return listener


def _address(settings: ServerSettings, listener: socket.socket) -> str:
    host = f"[{settings.host.strip('[]')}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listener.getsockname()[1]}"


def _announce(address: str) -> None:
    sys.stdout.write(f"Listening on {address}\n")
    sys.stdout.flush()


def _connections_max() -> int:
    """Return how many connections the process may have, having asked for as many as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS_MAX + _FILES_KEPT
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return _CONNECTIONS_MAX if soft == resource.RLIM_INFINITY else max(16, min(_CONNECTIONS_MAX, soft - _FILES_KEPT))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 there is none for Windows
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop
