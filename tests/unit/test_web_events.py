"""POST /events where the store or the queue behind it is in trouble, asked as ASGI."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tillroll.errors import QueueError, StoreError, StoreFullError
from tillroll.stores.sqlite.store import SqliteStore
from tillroll.web.asgi import Application
from tillroll.web.settings import ServerSettings
from tillroll.web.state import ServerState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tillroll.core.batch import Batch
    from tillroll.ports import Message

EVENT = (
    b'{"date":"2011-12-03T10:15:30Z","amount":4285,"paymentMethod":"SLICE_IT",'
    b'"merchantId":"1bb53ed1-787b-4543-9def-ea18eef7902e"}'
)


class TroubledStore(SqliteStore):
    """A store that raises what it is told to."""

    trouble: Exception | None = None

    def journal(self, batch: Batch) -> bytes:
        if self.trouble is not None:
            raise self.trouble
        return super().journal(batch)


class ListQueue:
    """A queue that keeps what is sent, or raises what it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, str | None]] = []
        self.trouble: Exception | None = None

    def send(self, bodies: Sequence[tuple[bytes, str | None]]) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.sent += bodies

    def receive(self, wait_s: float) -> list[Message]:
        raise NotImplementedError

    def delete(self, messages: Sequence[Message]) -> None:
        raise NotImplementedError

    def extend(self, messages: Sequence[Message], visible_after_s: float) -> None:
        raise NotImplementedError

    def bury(self, bodies: Any) -> set[str]:
        raise NotImplementedError


class Answer:
    """What came back of a request."""

    def __init__(self, messages: list[Any]) -> None:
        self.status = messages[0]["status"]
        self.headers = {name.decode().lower(): value.decode() for name, value in messages[0]["headers"]}
        self.json = json.loads(b"".join(message.get("body", b"") for message in messages[1:]))


async def call(application: Application, body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/events", "method": "POST", "headers": list(headers)}
    await application(scope, receive, send)
    return Answer(sent)


def ask(tmp_path: Path, bodies: list[bytes], trouble: Exception | None = None, **options: Any) -> list[Answer]:
    """Answers to some bodies, one after the other, by a server of its own."""

    async def answers() -> list[Answer]:
        store = TroubledStore(tmp_path)
        store.trouble = trouble
        state = ServerState(store, ServerSettings(), options.get("queue"))
        application = Application(state)
        found = [await call(application, body, *options.get("headers", ())) for body in bodies]
        await state.close()
        store.close()
        return found

    return asyncio.run(answers())


@pytest.mark.parametrize(
    ("trouble", "status", "code", "retry_after"),
    [
        (StoreFullError("the disk is full", "Free some"), 507, "store_full", None),
        (StoreError("the store is busy", "Wait", retry_after_s=0.2), 503, "store_unavailable", "1"),
        (StoreError("the store is gone", "Mend it"), 503, "store_unavailable", None),
    ],
)
def test_trouble_of_the_store_is_told(
    tmp_path: Path, trouble: Exception, status: int, code: str, retry_after: str | None
) -> None:
    (answer,) = ask(tmp_path, [EVENT], trouble)
    assert (answer.status, answer.json["code"], answer.headers.get("retry-after")) == (status, code, retry_after)
    assert str(trouble) == answer.json["detail"]


def test_a_failure_nobody_thought_of_is_no_acknowledgement(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (answer,) = ask(tmp_path, [EVENT], ZeroDivisionError())
    assert answer.status >= 500
    assert "ZeroDivisionError" in caplog.text


def test_a_closing_server_takes_nothing_more(tmp_path: Path) -> None:
    async def answer() -> Answer:
        store = SqliteStore(tmp_path)
        state = ServerState(store, ServerSettings(), None)
        application = Application(state)
        await state.group_commit.close()
        found = await call(application, EVENT)
        await state.close()
        store.close()
        return found

    found = asyncio.run(answer())
    assert (found.status, found.json["code"], found.headers["retry-after"]) == (503, "overloaded", "1")


def test_with_a_queue_bodies_go_there_with_their_key(tmp_path: Path) -> None:
    queue = ListQueue()
    lines = EVENT + b"\n" + b"not json" + b"\n" + EVENT
    answers = ask(tmp_path, [EVENT, lines], queue=queue, headers=[(b"idempotency-key", b"k")])
    assert [(answer.status, answer.json) for answer in answers] == [(202, {"queued": 1}), (202, {"queued": 3})]
    assert queue.sent == [(EVENT, "k"), (lines, "k")]


def test_a_queue_carries_every_kind_of_body_as_it_is(tmp_path: Path) -> None:
    queue = ListQueue()
    bodies = [b"{\n" + EVENT, EVENT + b"\n{", b"{", b"[" + EVENT + b",]", b"[]"]
    answers = ask(tmp_path, bodies, queue=queue, headers=[(b"content-type", b"application/x-ndjson; charset=utf-8")])
    assert [(answer.status, answer.json["queued"]) for answer in answers] == [
        (202, 2),
        (202, 2),
        (202, 1),
        (202, 2),
        (202, 0),
    ]
    assert [body for body, _ in queue.sent] == bodies


def test_trouble_of_the_queue_is_told(tmp_path: Path) -> None:
    queue = ListQueue()
    queue.trouble = QueueError("throttled", "Wait", retry_after_s=2.5)
    (answer,) = ask(tmp_path, [EVENT], queue=queue)
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "queue_unavailable", "3")
