"""A proxy between a client and an AWS service that loses requests and replies, delays and throttles, by a seed.

It speaks just enough HTTP/1.1 to know where a request and a reply end.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFUSALS: Final = {
    "throttled": b'{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",'
    b'"message":"The level of configured provisioned throughput for the table was exceeded."}',
    "expired": b'{"__type":"com.amazon.coral.service#ExpiredTokenException",'
    b'"message":"The security token included in the request is expired"}',
}


@dataclass
class Faults:
    """How often, of all requests, each thing happens. May be changed while the proxy runs."""

    request_lost: float = 0.0  # the service never sees it
    reply_lost: float = 0.0  # the service did it, and the client does not hear
    throttled: float = 0.0
    expired: float = 0.0  # as credentials are
    delayed: float = 0.0
    delay_s: float = 0.05
    updates_a_second: float = float(
        "inf"
    )  # of items, by themselves or in transactions; what is more is throttled, as a table of so many units does


class Proxy:
    """A running proxy: its address, its faults, and how many of each there were."""

    def __init__(self, target: str, faults: Faults, seed: int) -> None:
        parts = urlsplit(target)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._random = random.Random(seed)
        self.faults = faults
        self.seen: Counter[str] = Counter()
        self.endpoint = ""
        self._left, self._left_at = 1.0, time.monotonic()
        self._connections: set[asyncio.Task[None] | None] = set()  # asyncio holds on to none

    async def serve(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        """Pass on the requests of one connection until one of them is lost."""
        self._connections.add(asyncio.current_task())
        service: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while (request := await _message(client)) is not None:
                fault = self._fault() if self._is_within_rate(request) else "throttled"
                self.seen[fault] += 1
                if fault == "request lost":
                    break
                if fault in _REFUSALS:
                    refusal = _REFUSALS[fault]
                    answer.write(
                        b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-amz-json-1.0\r\n"
                        b"Content-Length: %d\r\n\r\n%s" % (len(refusal), refusal)
                    )
                    await answer.drain()
                    continue
                if fault == "delayed":
                    await asyncio.sleep(self.faults.delay_s)
                if service is None:
                    service = await asyncio.open_connection(self._host, self._port)
                service[1].write(request)
                reply = await _message(service[0])
                if reply is None or fault == "reply lost":
                    break
                answer.write(reply)
                await answer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.seen["broken"] += 1
        except asyncio.CancelledError:
            pass  # the proxy ends; asyncio would write what it raises to standard error
        finally:
            answer.close()
            if service is not None:
                service[1].close()
            self._connections.discard(asyncio.current_task())

    def _is_within_rate(self, request: bytes) -> bool:
        writes = request.count(b'"Put":') if b"DynamoDB_20120810.TransactWriteItems" in request else 0
        writes += b"DynamoDB_20120810.UpdateItem" in request
        if self.faults.updates_a_second == float("inf") or not writes:
            return True
        now = time.monotonic()
        self._left += (now - self._left_at) * self.faults.updates_a_second
        self._left, self._left_at = min(self._left, self.faults.updates_a_second / 5), now
        if self._left < writes:
            return False
        self._left -= writes
        return True

    def _fault(self) -> str:
        drawn = self._random.random()
        faults = self.faults
        for name in ("request_lost", "reply_lost", "throttled", "expired", "delayed"):
            drawn -= getattr(faults, name)
            if drawn < 0:
                return name.replace("_", " ")
        return "passed"


async def _message(stream: asyncio.StreamReader) -> bytes | None:
    """Return one whole request or reply, None at the end of the connection."""
    try:
        head = await stream.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    fields = {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        fields[name.strip().lower()] = value.strip()
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        return head + await _chunks(stream)
    return head + await stream.readexactly(int(fields.get(b"content-length", b"0")))


async def _chunks(stream: asyncio.StreamReader) -> bytes:
    whole = b""
    while True:
        line = await stream.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        whole += line + await stream.readexactly(size + 2)
        if size == 0:
            return whole


@contextmanager
def proxying(target: str, faults: Faults, *, seed: int = 0) -> Iterator[Proxy]:
    """Run a proxy in front of an endpoint, on a free port of loopback, until the block ends."""
    proxy = Proxy(target, faults, seed)
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def run(stopped: asyncio.Event) -> None:
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=2**24)
        proxy.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await stopped.wait()
        server.close()
        await asyncio.sleep(0)  # one that came last has to begin, in order to close what it has
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run(stop)), daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
