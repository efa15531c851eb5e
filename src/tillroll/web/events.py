"""POST /events, as a bare ASGI route: what stands between a request and its commit is spent a million times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from tillroll.core.accept import Body
from tillroll.core.batch import UNNAMED, NameKind, Source
from tillroll.core.body import has_more_than, is_empty, may_have_more_than, places_in
from tillroll.core.text import NAME_RULE, is_name
from tillroll.errors import TillrollError
from tillroll.ingest.take import ONE
from tillroll.web.auth import Right
from tillroll.web.body import ClientLeftError, decompress, encoding_of
from tillroll.web.problem import MEDIA_TYPE, Problem, problem_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from tillroll.ingest.group_commit import Done
    from tillroll.ingest.take import Receipt
    from tillroll.web.state import ServerState

    Receive = Callable[[], Awaitable[Any]]
    Send = Callable[[Any], Awaitable[None]]

_READ_HEADERS: Final = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"origin",
        b"sec-fetch-site",
    }
)
NDJSON_TYPES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
# What may be sent. It says that somebody means to send events; what they are sent as, the body tells.
TYPES: Final = (
    "application/json",
    *NDJSON_TYPES,
    "application/json-seq",
    "text/json",
    "text/plain",
    "application/x-www-form-urlencoded",  # what curl -d says of whatever it sends
)
_KNOWN: Final = frozenset({None, b"", *(name.encode() for name in TYPES)})  # without being looked at closely
NO_EVENT: Final = "The body is empty. Send a purchase, an array of them, or one on each line"
NOT_KEPT: Final = (
    "No event of the body was counted, and there is no room to keep rejected events: correct and send again. "
    "The operator can make room with: tillroll rejected drop"
)
_SMALL_BYTES_MAX: Final = 2**20  # of a body that the loop looks into itself: in a thread it would take longer
DETAIL: Final = "No event of the body was counted: correct and send again"


def receipt_body(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt as JSON has it."""
    listed = [
        {"index": each.index, "outcome": each.outcome, "byte": each.byte, **msgspec.structs.asdict(each.reason)}
        for each in receipt.not_accepted
    ]
    fields = {**receipt.plain(), "not_accepted": listed, "truncated": len(listed) < receipt.refused}
    return fields | ({"not_kept": receipt.not_kept} if receipt.not_kept else {})


def _messages(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> tuple[Any, Any]:
    """Return the two ASGI messages of an answer."""
    kind = MEDIA_TYPE if status >= 400 else "application/json"
    pairs = {"Content-Type": kind, "Content-Length": str(len(body))} | dict(headers or {})
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs.items()]
    start = {"type": "http.response.start", "status": status, "headers": raw}
    return start, {"type": "http.response.body", "body": body}


# The usual answer, made once.
_ONE_START, _ONE_BODY = _messages(202, msgspec.json.encode(receipt_body(ONE)))


class _Asked(NamedTuple):
    """What a request's headers say of its body."""

    source: Source
    encoding: str
    length: bytes | None
    usual: bool  # it names its host, and no browser sends it for a page


class EventsRoute:
    """Takes bodies of events and answers when they are journaled, or on the queue."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._settings = state.settings
        self._admit = state.gate.admit
        self._submit = state.group_commit.submit
        self._submit_to = state.group_commit.submit_to
        self._usual = b""
        self._usual_for: object = None

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        try:
            body = await self._body(scope["headers"], receive)
            if self._state.queue is None:
                start, end = _receipt_messages(await self._submit(body))
            else:
                start, end = _messages(202, msgspec.json.encode({"queued": await self._forward(body)}))
        except Problem as problem:
            await self._state.gate.note_refusal(problem, scope.get("client"))
            start, end = self._refuse(problem)
        except TillrollError as error:
            start, end = self._refuse(problem_of(error))
        except ClientLeftError:
            return
        await send(start)
        await send(end)

    def take_quickly(self, headers: Iterable[tuple[bytes, bytes]], data: bytes, done: Done) -> bool:
        """Have `done` told what became of a small body that came whole; return False when it needs a closer look.

        What it returns False for is to be asked of the route itself, which knows every answer.
        """
        if self._state.queue is not None or len(data) > self._settings.body_events_max:
            return False
        try:
            asked = self._asked(headers)
            if asked.encoding != "identity" or not asked.usual or is_empty(data):
                return False
            self._submit_to(Body(data, asked.source), done)
        except (Problem, TillrollError):
            return False
        return True

    def quick_answer(self, outcome: Receipt | TillrollError, defaults: list[tuple[bytes, bytes]]) -> bytes:
        """Return the whole answer, as HTTP has it, to a body that was taken quickly. `defaults` are headers to add."""
        if isinstance(outcome, TillrollError):
            return _raw(*self._refuse(problem_of(outcome)), defaults)
        if outcome != ONE:
            return _raw(*_receipt_messages(outcome), defaults)
        if self._usual_for is not defaults:  # they change once a second
            self._usual_for = defaults
            self._usual = _raw(_ONE_START, _ONE_BODY, defaults)
        return self._usual

    def note_problem(self, problem: Problem) -> None:
        """Count a problem that is answered, here or by the connection itself."""
        self._state.metrics.note_problem(problem.code)

    def _refuse(self, problem: Problem) -> tuple[Any, Any]:
        self._state.metrics.requests.labels("/events", problem.status).inc()
        self.note_problem(problem)
        return _messages(problem.status, problem.body(), problem.headers)

    async def _body(self, headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> Body:
        asked = self._asked(headers)
        reader = self._state.body_reader
        data = await reader.read(receive, asked.length)
        if asked.encoding == "identity" and not self._may_be_large(data):
            _refuse_empty(data)
            return Body(data, asked.source)
        with reader.holding(len(data)):
            return Body(await self._looked_into(data, asked.encoding), asked.source)

    def _may_be_large(self, data: bytes) -> bool:
        return len(data) > _SMALL_BYTES_MAX or may_have_more_than(self._settings.body_events_max, data)

    async def _looked_into(self, data: bytes, encoding: str) -> bytes:
        """Return a body decompressed, once it may come in. Large ones take turns, and nobody else waits for them."""
        if encoding != "identity" and len(data) <= _SMALL_BYTES_MAX:
            small = await self._state.take_in(_decompressed_small, data, encoding, self._settings.body_bytes_max)
            if small is not None and not self._may_be_large(small):
                _refuse_empty(small)
                return small
        return await self._state.take_in_large(self._look_into_large, data, encoding)

    def _look_into_large(self, data: bytes, encoding: str) -> bytes:
        if encoding != "identity":
            data = decompress(data, encoding, self._settings.body_bytes_max)
        _refuse_empty(data)
        events_max = self._settings.body_events_max
        if has_more_than(events_max, data):
            detail = f"The body has more than the limit of {events_max} events. Send it in parts"
            raise Problem("too_many_events", detail)
        return data

    def _asked(self, headers: Iterable[tuple[bytes, bytes]]) -> _Asked:
        """Return what a request's headers say of its body, once it may come in."""
        found: dict[bytes, bytes] = {}
        for name, value in headers:
            if name in _READ_HEADERS:
                if name in found:
                    value = _together(name, found[name], value)  # noqa: PLW2901
                found[name] = value
        self._admit(Right.SEND, found, changes=True)
        content_type = found.get(b"content-type")
        if content_type not in _KNOWN:
            _check_type(content_type)
        key = found.get(b"idempotency-key")
        encoding = found.get(b"content-encoding")
        return _Asked(
            UNNAMED if key is None else _source_of(key),
            "identity" if encoding is None else encoding_of(encoding),
            found.get(b"content-length"),
            b"host" in found and b"origin" not in found,
        )

    async def _forward(self, body: Body) -> int:
        """Put a body on the queue, and return how many events it has."""
        queue = self._state.queue
        if queue is None:
            raise Problem("server_error", "No queue is set to forward to")
        key = body.source.value if body.source.kind is NameKind.KEY else None
        with self._state.body_reader.holding(len(body.data)):
            await self._state.take_in(queue.send, [(body.data, key)])
            self._state.metrics.queued.inc()
            return await self._state.take_in(_count, body.data)


def _refuse_empty(data: bytes) -> None:
    """Refuse a body without anything in it.

    Raises:
        Problem: it is such.
    """
    if is_empty(data):
        raise Problem("empty_body", NO_EVENT)


def _decompressed_small(data: bytes, encoding: str, bytes_max: int) -> bytes | None:
    """Return what a compressed body holds, None where that is much."""
    try:
        return decompress(data, encoding, min(bytes_max, _SMALL_BYTES_MAX))
    except Problem as problem:
        if problem.code != "too_large":
            raise
        return None


def _raw(start: Any, end: Any, defaults: list[tuple[bytes, bytes]]) -> bytes:
    """Return the two ASGI messages of an answer as HTTP."""
    lines = [name + b": " + value + b"\r\n" for name, value in (*defaults, *start["headers"])]
    return b"".join([STATUS_LINE[start["status"]], *lines, b"\r\n", end["body"]])


def _receipt_messages(receipt: Receipt) -> tuple[Any, Any]:
    if receipt == ONE:
        return _ONE_START, _ONE_BODY
    fields = receipt_body(receipt)
    if receipt.accepted or receipt.duplicates or not receipt.events:
        return _messages(202, msgspec.json.encode(fields))
    if receipt.not_kept:
        return _messages(507, Problem("rejected_full", NOT_KEPT, members=fields).body())
    detail = f"{DETAIL}. {receipt.not_accepted[0].reason.message}" if receipt.not_accepted else DETAIL
    return _messages(422, Problem("not_accepted", detail, members=fields).body())


def _together(name: bytes, first: bytes, second: bytes) -> bytes:
    """Return what a header says that is there twice.

    Raises:
        Problem: it may be there once.
    """
    if name == b"content-encoding":
        return first + b"," + second
    code = "bad_idempotency_key" if name == b"idempotency-key" else "bad_request"
    raise Problem(code, f"The header {name.decode().title()} occurs twice. Send it once")


def _count(body: bytes) -> int:
    return sum(1 for _ in places_in(body))


def _check_type(header: bytes | None) -> None:
    """Refuse a Content-Type that is not JSON of some kind, whatever its parameters.

    Raises:
        Problem: it is not.
    """
    kind = (header or b"").decode("latin-1").partition(";")[0].strip().lower()
    if not kind or kind in TYPES or kind.endswith(("+json", "+json-seq")):
        return
    detail = f"The Content-Type {kind!r} is not JSON. Send application/json, or {NDJSON_TYPES[0]} for one event a line"
    raise Problem("unknown_type", detail, headers={"Accept": f"application/json, {NDJSON_TYPES[0]}"})


def _source_of(key: bytes) -> Source:
    try:
        text = key.decode()
    except UnicodeDecodeError:
        text = ""
    if not is_name(text):
        detail = f"The Idempotency-Key is not {NAME_RULE}. Send another"
        raise Problem("bad_idempotency_key", detail)
    return Source(NameKind.KEY, text)
