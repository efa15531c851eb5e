"""HTTP on one connection: uvicorn's protocol, with bounds on what a sender may make the server hold or wait for.

uvicorn bounds neither the size of headers nor the time a request takes to come, and closes a connection so that a
sender who is still sending never sees the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tillroll.web.problem import MEDIA_TYPE, Problem

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from tillroll.errors import TillrollError
    from tillroll.service import Receipt
    from tillroll.web.events import EventsRoute
    from tillroll.web.settings import Settings

_LINGER_S: Final = 2.0
_STALLED_S: Final = 60.0  # that a reader may take no byte of its answer
_NEVER: Final = float("inf")


class _Transport:
    """A connection's transport that closes gently."""

    def __init__(self, transport: Any, protocol: BoundedProtocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self.write = transport.write
        self.closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self.closing or bool(self._transport.is_closing())

    def close(self) -> None:
        """Close now, unless more of a request is on its way: then say so, and let it run out for a moment.

        A connection that is closed on what was not read is reset, and takes the answer with it.
        """
        if self.closing:
            return
        self.closing = True
        if self._protocol.receiving and self._transport.can_write_eof() and not self._transport.is_closing():
            self._protocol.linger()
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self._transport.close()


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `sweep` is called about every second."""

    settings: Settings
    connections_max: int
    route: EventsRoute

    # When the request that is being received began; infinity between requests.
    _since: float
    _raw_bytes: int
    _posted: bytes | None  # what has come of a body that may be taken quickly

    @property
    def receiving(self) -> bool:
        """Tell whether a request has begun and not all of it has come."""
        return self._since != _NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many connections."""
        self._since = self.loop.time()
        self._raw_bytes = 0
        self._in_head = True
        self._head_refused = False
        self._deaf = False
        self._ended = False
        self._close_at = _NEVER
        self._unsent = 0
        self._unsent_since = _NEVER
        self._plain_transport = cast("asyncio.Transport", transport)
        super().connection_made(cast("asyncio.Transport", _Transport(transport, self)))
        if len(self.connections) > self.connections_max:
            self._refuse(Problem("overloaded", "Too many connections are open", headers={"Retry-After": "1"}))

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless nobody wants it any more."""
        self._raw_bytes += len(data)
        if self._deaf:
            self._check_spill()
            return
        super().data_received(data)
        if self._raw_bytes > self.settings.header_bytes_max:
            self._check_size()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer what was asked before whoever asked stopped sending."""
        self._ended = True
        return self._unanswered() is not None

    def on_response_complete(self) -> None:
        """Go on with the next request, if there is one."""
        super().on_response_complete()
        self.close_if_done()

    def close_if_done(self) -> None:
        """Close when no more requests come and all are answered."""
        if self._ended and not self.pipeline and self._unanswered() is None:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Start the clock of a request."""
        self._since = self.loop.time()
        self._in_head = True
        self._posted = None
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Begin the request, unless its head is too large."""
        self._in_head = False
        if self._raw_bytes > self.settings.header_bytes_max:  # only then can it be
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.settings.header_bytes_max:
                self._head_refused = True
                raise _HeadTooLargeError
        if self.url == b"/events" and self.parser.get_method() == b"POST" and self._may_be_quick():
            self._posted = b""
        else:
            self._begin()

    def _may_be_quick(self) -> bool:
        version: str = self.parser.get_http_version()
        return self._unanswered() is None and not self.expect_100_continue and version == "1.1"

    def _begin(self) -> None:
        """Hand the request to its route, with what has come of a body."""
        posted, self._posted = self._posted, None
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()
        if posted:
            self.cycle.body += posted

    def on_body(self, body: bytes) -> None:
        """Collect a body that may be taken quickly, until it is too large for that."""
        if self._posted is None:
            super().on_body(body)
            return
        self._posted += body
        if len(self._posted) > HIGH_WATER_LIMIT:
            self._begin()

    def on_message_complete(self) -> None:
        """Stop the clock of a request."""
        self._since = _NEVER
        self._raw_bytes = 0
        if self._posted is not None:
            posted = _Posted(self, self.parser.should_keep_alive())
            if self.route.take_quickly(self.headers, self._posted, posted.answer):
                self.cycle = cast("RequestResponseCycle", posted)
                return
            self._begin()
        super().on_message_complete()

    def _check_size(self) -> None:
        if self._in_head:
            self._refuse(self._head_too_large())
        else:
            self._check_spill()

    def _check_spill(self) -> None:
        """End a connection that goes on sending what nobody wants: its time alone would let gigabytes come.

        Chunks cost some bytes beside what they carry; trailers and their like are not worth as much as a body.
        """
        if self._raw_bytes > 2 * self.settings.body_bytes_max + self.settings.header_bytes_max:
            self._plain_transport.abort()

    def _head_too_large(self) -> Problem:
        detail = f"The address and headers are larger than {self.settings.header_bytes_max} bytes. Send fewer"
        return Problem("headers_too_large", detail)

    def send_400_response(self, msg: str) -> None:
        """Answer what could not be parsed."""
        self._refuse(self._head_too_large() if self._head_refused else Problem("bad_request", f"{msg} Send HTTP/1.1"))

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: any client may ask for an upgrade, and is answered without."""

    def _refuse(self, problem: Problem) -> None:
        """Answer for the connection itself, and close it. An answer that is under way is finished instead."""
        self._deaf = True
        cycle = self._unanswered()
        if cycle is not None:
            cycle.keep_alive = False
            if cycle.response_started or not cycle.more_body:
                return
            cycle.disconnected = True  # nothing its route says is sent any more
            cycle.message_event.set()
        body = problem.body()
        fields = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), "Connection": "close"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in (fields | problem.headers).items())
        self.transport.write(STATUS_LINE[problem.status] + lines.encode("latin-1") + b"\r\n" + body)
        self.transport.close()

    def linger(self) -> None:
        """Take no more notice of what comes, and close soon."""
        self._deaf = True
        self._close_at = self.loop.time() + _LINGER_S

    def sweep(self, now: float) -> None:
        """End whatever takes too long."""
        if now > self._close_at or self._is_stalled(now):
            self._plain_transport.abort()
        elif now - self._since > self.settings.request_s_max and not self._deaf and not self.flow.read_paused:
            detail = f"The request did not come within {self.settings.request_s_max:g} s. Send it faster, or in parts"
            self._refuse(Problem("request_timeout", detail))
        elif not self.receiving and self.timeout_keep_alive_task is None and self._unanswered() is None:
            # Blank lines stop the clock of an idle connection without beginning a request.
            wait_s = self.timeout_keep_alive
            self.timeout_keep_alive_task = self.loop.call_later(wait_s, self.timeout_keep_alive_handler)

    def _unanswered(self) -> RequestResponseCycle | None:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return None if cycle is None or cycle.response_complete else cycle

    def _is_stalled(self, now: float) -> bool:
        unsent = self._plain_transport.get_write_buffer_size()
        if unsent == 0:
            self._unsent_since = _NEVER
        elif self._unsent_since == _NEVER or unsent < self._unsent:
            self._unsent_since = now
        self._unsent = unsent
        return now - self._unsent_since > _STALLED_S


class _Posted:
    """A request to POST /events that was taken quickly: it stands where uvicorn has its cycle, and needs no task."""

    __slots__ = (
        "_protocol",
        "body",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
        "response_started",
    )

    def __init__(self, protocol: BoundedProtocol, keep_alive: bool) -> None:  # noqa: FBT001 httptools says it
        self._protocol = protocol
        self.keep_alive = keep_alive
        self.body = b""
        self.more_body = False
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self.message_event = _NO_EVENT

    def answer(self, outcome: Receipt | TillrollError) -> None:
        """Write the answer, and go on with the connection."""
        protocol = self._protocol
        defaults = protocol.server_state.default_headers
        if not self.keep_alive:
            defaults = [*defaults, (b"connection", b"close")]
        reply = protocol.route.quick_answer(outcome, defaults)
        self.response_complete = True
        if self.disconnected:
            return
        transport = protocol.transport
        transport.write(reply)
        if not self.keep_alive:
            transport.close()
        if protocol.pipeline:
            protocol.on_response_complete()
        else:  # `sweep` sees to it that an idle connection ends
            protocol.server_state.total_requests += 1
            protocol.flow.resume_reading()
            protocol.close_if_done()


class _NoEvent:
    """Nobody waits for it."""

    def set(self) -> None:
        """Do nothing."""


_NO_EVENT: Final = _NoEvent()


class _HeadTooLargeError(Exception):
    """Stops the parser."""
