"""HTTP on one connection: uvicorn's protocol, with bounds on what a sender may make the server hold or wait for.

uvicorn bounds neither the size of headers nor the time a request takes to come, and closes a connection so that a
sender who is still sending never sees the answer.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, cast

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tillroll.web.body import too_large
from tillroll.web.problem import MEDIA_TYPE, Problem

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from tillroll.errors import TillrollError
    from tillroll.ingest.take import Receipt
    from tillroll.web.crowd import Crowd
    from tillroll.web.events import EventsRoute
    from tillroll.web.settings import ServerSettings

STREAM: Final = "tillroll.stream"  # in the scope of a request whose answer has no end
_LINGER_S: Final = 2.0
_STALLED_S: Final = 60.0  # that a reader may take no byte of its answer
_PATIENCE_S: Final = 2.0  # that a slow request or reader has when room is needed
_NEVER: Final = float("inf")
# Two of them could be read as one thing by a proxy and as another by this server.
_ONCE: Final = frozenset({b"authorization", b"content-type", b"host", b"origin"})
_CLOSED: Final = select.POLLERR | select.POLLHUP


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

    # In the instance, beside uvicorn's own, they would be more than Python finds quickly: 1 us for each request.
    __slots__ = (
        "_began",
        "_close_at",
        "_deaf",
        "_ended",
        "_fault",
        "_in_head",
        "_offers",
        "_plain_transport",
        "_posted",
        "_raw_bytes",
        "_running",
        "_since",
        "_unsent",
        "_unsent_since",
    )
    settings: ServerSettings
    crowd: Crowd
    route: EventsRoute

    # When the request that is being received began; infinity between requests.
    _since: float
    _began: float  # the same, of the last one; or when the connection was made
    _raw_bytes: int
    _posted: bytes | None  # what has come of a body that may be taken quickly

    @property
    def receiving(self) -> bool:
        """Tell whether a request has begun and not all of it has come."""
        return self._since != _NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many connections."""
        self._since = self._began = self.loop.time()
        self._raw_bytes = 0
        self._in_head = True
        self._offers = False
        self._posted = None
        self._fault: Problem | None = None
        self._running: RequestResponseCycle | None = None
        self._deaf = False
        self._ended = False
        self._close_at = _NEVER
        self._unsent = 0
        self._unsent_since = _NEVER
        self._plain_transport = cast("asyncio.Transport", transport)
        super().connection_made(cast("asyncio.Transport", _Transport(transport, self)))
        if not self.crowd.enter(self, self._since):
            self.evict()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another."""
        self.crowd.leave(self)
        running = self._running
        if running is not None and not running.response_complete:  # uvicorn tells the last one that came, of several
            running.disconnected = True
            running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless nobody wants it any more."""
        self._raw_bytes += len(data)
        if self._deaf:
            self._check_spill()
            return
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError) as error:
            self._go_on(data, error)
        if self._posted is not None and not self._deaf:
            self._look_ahead()
        if self._raw_bytes > self.settings.header_bytes_max:
            self._check_size()

    def _go_on(self, data: bytes, error: Exception) -> None:
        """Refuse what cannot be parsed, and begin anew without the offer where another protocol is offered."""
        while isinstance(error, httptools.HttpParserUpgrade) and not self._deaf:
            data = self._head_without_offer() + data[error.args[0] :]
            try:
                self.parser.feed_data(data)
            except (httptools.HttpParserUpgrade, httptools.HttpParserError) as another:
                error = another
            else:
                return
        if not self._deaf:
            self._refuse(self._fault_of(error))

    def _head_without_offer(self) -> bytes:
        """Return the head that came, as it would be without its offer of another protocol, for a new parser.

        Any client may offer: Java's does with each request. The parser takes the rest of the connection for what was
        offered; by HTTP it is the body, and the next request (RFC 9110, 7.8).
        """
        lines = [name + b": " + value + b"\r\n" for name, value in self.headers if name != b"upgrade"]
        version: str = self.parser.get_http_version()
        first = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, version.encode())
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        return first + b"".join(lines) + b"\r\n"

    def _fault_of(self, error: Exception) -> Problem:
        if self._fault is not None:
            return self._fault
        if str(error).endswith("overflow"):  # of a Content-Length, or of a chunk's size
            return too_large(self.settings.body_bytes_max)
        return Problem("bad_request", "Invalid HTTP request received. Send HTTP/1.1")

    def _look_ahead(self) -> None:
        """Refuse a body at once that says it will be too large, and let a large one be read as it comes."""
        length = next((value for name, value in self.headers if name == b"content-length"), b"0")
        if int(length) > HIGH_WATER_LIMIT:
            try:
                self._begin()
            except _RefusedError as error:
                self._refuse(self._fault_of(error))

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
        self._since = self._began = self.loop.time()
        self._in_head = True
        self._offers = False
        self._posted = None
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header. A trailer is dropped: it comes too late to say who sends, or what."""
        if not self._in_head:
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin the request, unless its head is too large."""
        self._in_head = False
        if self._raw_bytes > self.settings.header_bytes_max:  # only then can it be
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.settings.header_bytes_max:
                self._stop(self._head_too_large())
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._stop(Problem("bad_request", "The server is not a proxy. Send GET or POST"))
            self._offers = True  # the parser stops now, and begins again without the offer
            return
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
        self._check_head()
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()
        if posted:
            self.cycle.body += posted

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _check_head(self) -> None:
        names = [name for name, _ in self.headers]
        for name in _ONCE.intersection(names):
            if names.count(name) > 1:
                self._stop(Problem("bad_request", f"The header {name.decode().title()} occurs twice. Send it once"))
        if b"host" not in names and self.parser.get_http_version() != "1.0":
            self._stop(Problem("bad_request", "The header Host is missing. Send the name of the server in it"))

    def _stop(self, fault: Problem) -> NoReturn:
        """Stop the parser, which has the fault answered."""
        self._fault = fault
        raise _RefusedError

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
        if self._offers:
            return
        self._since = _NEVER
        self._raw_bytes = 0
        if self._posted is not None:
            posted = _Posted(self, self.parser.should_keep_alive())
            if self.route.take_quickly(self.headers, self._posted, posted.answer):
                self._posted = None
                self.cycle = self._running = cast("RequestResponseCycle", posted)
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

    def _refuse(self, problem: Problem) -> None:
        """Answer for the connection itself, and close it. An answer that is under way is finished instead."""
        self._deaf = True
        cycle = self._unanswered()
        if cycle is not None and cycle.more_body and self.pipeline:  # what came in part waits behind others
            self.pipeline.popleft()
            cycle = self.pipeline[0][0] if self.pipeline else self._running
            self.cycle = cast("RequestResponseCycle", cycle)
        if cycle is not None:
            cycle.keep_alive = False
            if cycle.response_started or not cycle.more_body:
                return
            cycle.disconnected = True  # nothing its route says is sent any more
            cycle.message_event.set()
        self.route.note_problem(problem)
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
        if now > self._close_at or self._is_stalled(now) or self._is_left():
            self._plain_transport.abort()
        elif now - self._since > self.settings.request_s_max and not self._deaf and not self.flow.read_paused:
            detail = f"The request did not arrive within {self.settings.request_s_max:g} s. Send it faster, or in parts"
            self._refuse(Problem("request_timeout", detail))
        elif not self.receiving and self.timeout_keep_alive_task is None and self._unanswered() is None:
            # Blank lines stop the clock of an idle connection without beginning a request.
            wait_s = self.timeout_keep_alive
            self.timeout_keep_alive_task = self.loop.call_later(wait_s, self.timeout_keep_alive_handler)

    def _unanswered(self) -> RequestResponseCycle | None:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return None if cycle is None or cycle.response_complete else cycle

    def standing(self, now: float) -> tuple[bool, float] | None:
        """Return whether it is in the midst of something, and since when; None if it is not to be closed for room."""
        if self._plain_transport.get_write_buffer_size():
            return (True, self._unsent_since) if now - self._unsent_since > _PATIENCE_S else None
        cycle = self._unanswered()
        if self.receiving and (cycle is None or cycle.more_body):
            if self._raw_bytes == 0:
                return False, self._began  # not a word yet
            return (True, self._since) if now - self._since > _PATIENCE_S else None
        return (False, self._began) if cycle is None else None

    def evict(self) -> None:
        """Close, since others need the room."""
        if self._plain_transport.get_write_buffer_size():
            self._plain_transport.abort()
        elif self.receiving:
            if self.crowd.is_tight(len(self.connections)):
                self._since = _NEVER  # so that it does not linger
            self._refuse(Problem("overloaded", "Too many connections are open", headers={"Retry-After": "1"}))
        else:
            self.transport.close()

    def _is_left(self) -> bool:
        """Tell whether who asked is gone, where the event loop does not see it: it reads no more, or need not.

        Half a connection that is closed may be one that has asked all and waits for the answer. But an answer without
        end is for who stays; and nothing can be asked behind it, so who sends more waits for nothing either.
        """
        running = self._running
        if running is not None and not running.response_complete and STREAM in running.scope:
            return self._ended or self.flow.read_paused
        if not self.flow.read_paused or self._plain_transport.is_closing():
            return False
        poll = select.poll()
        poll.register(self._plain_transport.get_extra_info("socket").fileno(), 0)
        return any(event & _CLOSED for _, event in poll.poll(0))

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
    scope: ClassVar[Mapping[str, Any]] = {}

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


class _RefusedError(Exception):
    """Stops the parser."""
