"""Send events to a server at a steady rate: each body under an Idempotency-Key, and again until it is answered."""

from __future__ import annotations

import http.client
import json
import queue
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tillroll.connection import connect, path_of
from tillroll.core.outcome_counts import NOTHING, OUTCOMES, OutcomeCounts
from tillroll.errors import TillrollError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_TIMEOUT_S: Final = 30
_PATIENCE_S: Final = 120  # for one body, over all attempts
_FIRST_PAUSE_S: Final = 0.1
_PAUSE_MAX_S: Final = 5.0
_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 507})


class SendError(TillrollError):
    """A server refused a body, or was not there for long."""

    exit_code = 4


class RequestBody(NamedTuple):
    """A body of events, one a line, and the key that its repeats have as well."""

    key: str
    lines: list[str]


class Sent(msgspec.Struct):
    """What the server said became of the events, and how often a body had to be sent again."""

    counts: OutcomeCounts = NOTHING
    retries: int = 0

    def plain(self) -> dict[str, int]:
        """Return it as JSON has it."""
        return {**self.counts.plain(), "retries": self.retries}


class Target(NamedTuple):
    """A server's address and the token it wants."""

    url: str
    token: str = ""

    def headers(self) -> dict[str, str]:
        """Return what every request carries."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def send(
    target: Target,
    bodies: Iterable[RequestBody],
    rate: float | None,
    connections: int,
    on_answer: Callable[[Sent], None] | None = None,
    on_trouble: Callable[[str], None] | None = None,
) -> Sent:
    """Send bodies over some connections, at most `rate` events a second in all; return what became of the events.

    A body that is not answered, or of which the server says that it could not take it now, is sent again under its key;
    `on_trouble` hears of the first.

    Raises:
        SendError: the server refused a body, or took none for two minutes.
    """
    waiting: queue.Queue[RequestBody | None] = queue.Queue(2 * connections)
    crew = _SenderPool(target, waiting, on_answer, on_trouble)
    threads = [threading.Thread(target=crew.work, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for body in _paced(bodies, rate):
        if not _put(waiting, body, crew):
            break
    for _ in threads:
        _put(waiting, None, crew)
    for thread in threads:
        thread.join()
    if crew.error is not None:
        raise crew.error
    return crew.sent


def _put(waiting: queue.Queue[RequestBody | None], body: RequestBody | None, crew: _SenderPool) -> bool:
    """Put a body where the threads find it; return False when one of them has failed."""
    while crew.error is None:
        try:
            waiting.put(body, timeout=0.2)
        except queue.Full:
            continue
        return True
    return False


def _paced(bodies: Iterable[RequestBody], rate: float | None) -> Iterator[RequestBody]:
    due = time.monotonic()
    for body in bodies:
        if rate is not None:
            pause = due - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            due = max(due, time.monotonic() - 1) + len(body.lines) / rate  # a second's lag at most is made up for
        yield body


class _SenderPool:
    """The threads that send, and what they have come to together."""

    def __init__(
        self,
        target: Target,
        waiting: queue.Queue[RequestBody | None],
        on_answer: Callable[[Sent], None] | None,
        on_trouble: Callable[[str], None] | None,
    ) -> None:
        self.sent = Sent()
        self.error: BaseException | None = None
        self._target = target
        self._waiting = waiting
        self._on_answer = on_answer
        self._on_trouble = on_trouble
        self._lock = threading.Lock()

    def work(self) -> None:
        """Send what waits until None comes, or another thread has failed."""
        try:
            connection = connect(self._target.url, _TIMEOUT_S)
            while self.error is None:
                try:
                    body = self._waiting.get(timeout=0.2)
                except queue.Empty:
                    continue
                if body is None:
                    break
                self._note(self._send(connection, body))
            connection.close()
        except BaseException as error:  # noqa: BLE001 raised again by `send`, in the caller's thread
            self.error = error

    def _note(self, answer: OutcomeCounts) -> None:
        with self._lock:
            self.sent.counts += answer
            if self._on_answer is not None:
                self._on_answer(self.sent)

    def _send(self, connection: http.client.HTTPConnection, body: RequestBody) -> OutcomeCounts:
        """Send one body until it is answered; return the counts of the answer."""
        give_up = time.monotonic() + _PATIENCE_S
        pause = _FIRST_PAUSE_S
        while True:
            problem, wait = self._attempt(connection, body)
            if isinstance(problem, OutcomeCounts):
                return problem
            if time.monotonic() > give_up or self.error is not None:
                raise SendError(f"{self._target.url}: {problem}. Nothing is lost: run it again when the server is well")
            with self._lock:
                self.sent.retries += 1
                if self._on_trouble is not None and self.sent.retries == 1:
                    self._on_trouble(f"{self._target.url}: {problem}")
            time.sleep(max(pause, min(wait, _PAUSE_MAX_S)))
            pause = min(2 * pause, _PAUSE_MAX_S)

    def _attempt(self, connection: http.client.HTTPConnection, body: RequestBody) -> tuple[OutcomeCounts | str, float]:
        """Return the answer's counts; or what went wrong, and how many seconds the server asked to wait."""
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": body.key, **self._target.headers()}
        data = "\n".join(body.lines).encode()
        try:
            connection.request("POST", path_of(self._target.url) + "/events", data, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return f"no answer ({str(error) or type(error).__name__})", 0.0
        if response.status in _RETRIED:
            after = response.headers.get("Retry-After", "")
            return f"the server answers {response.status}", float(after) if after.isdecimal() else 0.0
        counts = _counts(answer)
        if counts is None:
            raise SendError(
                f"{self._target.url}: the server answers {response.status}: {answer[:300].decode(errors='replace')}"
            )
        return counts, 0.0


def _counts(answer: bytes) -> OutcomeCounts | None:
    """Return the counts in an answer, whether all, some or none of the events were good; None when it has none."""
    try:
        parsed = json.loads(answer)
    except ValueError:
        return None
    if not isinstance(parsed, dict) or not all(isinstance(parsed.get(name), int) for name in OUTCOMES):
        return None
    return OutcomeCounts(*(parsed[name] for name in OUTCOMES))
