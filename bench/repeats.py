"""What comes again, beside taking it first: bodies of 100,000 events, files, and single posts beside such bodies."""

from __future__ import annotations

import http.client
import shutil
import statistics
import tempfile
import threading
import time
from typing import TYPE_CHECKING

from bench.measure import ROOT, TILLROLL, events_file, percentile, show, timed
from bench.posts import tillroll_server

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS = 100_000
ROUNDS = 5
FILE_EVENTS = 1_000_000
BESIDE_S = 10
NDJSON = {"Content-Type": "application/x-ndjson"}
ONE = b'{"date":"2026-01-03T10:15:30Z","amount":4285,"paymentMethod":"SLICE_IT","merchantId":"m1","id":"%d"}'


def post(connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]) -> float:
    """Post a body, and return how many seconds the answer took."""
    started = time.perf_counter()
    connection.request("POST", "/events", body, headers)
    reply = connection.getresponse()
    text = reply.read()
    if reply.status not in {202, 422}:
        raise RuntimeError(text[:500])
    return time.perf_counter() - started


def run() -> None:
    """Print first and again of bodies and of files, and how long single posts wait beside them."""
    with_ids = events_file(2 * EVENTS, "--ids").read_bytes().splitlines()
    unnamed = events_file(2 * EVENTS).read_bytes().splitlines()
    first, half = with_ids[:EVENTS], with_ids[EVENTS // 2 : EVENTS // 2 + EVENTS]
    changed = [line.replace(b'"amount":', b'"amount":1') if i % 100 == 0 else line for i, line in enumerate(first)]
    key = NDJSON | {"Idempotency-Key": "bench"}
    rows = [
        _bodies("ids", first, first, NDJSON),
        _bodies("a key", unnamed[:EVENTS], unnamed[:EVENTS], key),
        _bodies("ids, half of them new", first, half, NDJSON),
        _bodies("ids, of 100 one a conflict", first, changed, NDJSON),
        _bodies("ids, twice in one body", first[: EVENTS // 2] * 2, first[: EVENTS // 2] * 2, NDJSON),
        _files("a file's lines"),
        _files("a file with ids", "--ids"),
    ]
    title = f"bodies of {EVENTS:,} events by HTTP, and files of {FILE_EVENTS:,}, median of {ROUNDS}: first, and again"
    show(title, ("", "first", "again", "ratio"), rows)
    _beside(with_ids)


def _row(name: str, pairs: list[tuple[float, float]]) -> tuple[str, ...]:
    one, again = (statistics.median(pair[side] for pair in pairs) for side in range(2))
    ratio = statistics.median(pair[1] / pair[0] for pair in pairs)
    return name, f"{one:.2f} s", f"{again:.2f} s", f"{ratio:.2f}"


def _bodies(name: str, first: list[bytes], again: list[bytes], headers: dict[str, str]) -> tuple[str, ...]:
    pairs = []
    for _ in range(ROUNDS):
        with tillroll_server() as port:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            pairs.append((post(connection, b"\n".join(first), headers), post(connection, b"\n".join(again), headers)))
            connection.close()
    return _row(name, pairs)


def _files(name: str, *options: str) -> tuple[str, ...]:
    path = events_file(FILE_EVENTS, *options)
    pairs = []
    for _ in range(ROUNDS):
        directory = tempfile.mkdtemp(prefix="tillroll-bench-", dir=ROOT / ".tools")
        command = [*TILLROLL, "import", "--data", directory, str(path)]
        pairs.append((timed(command).wall_s, timed(command).wall_s))
        shutil.rmtree(directory)
    return _row(name, pairs)


def _beside(lines: list[bytes]) -> None:
    rows = []
    body = b"\n".join(lines[:EVENTS])
    fresh = [b"\n".join(line.replace(b'"id":"', b'"id":"%d ' % turn) for line in lines[:EVENTS]) for turn in range(40)]
    wrong = [b"\n".join(b"%d" % (turn * EVENTS + line) for line in range(EVENTS)) for turn in range(40)]
    for name, bodies in (("nothing", None), ("new ones", fresh), ("repeats", [body] * 400), ("no purchases", wrong)):
        waits = _singles(bodies)
        rows.append((name, f"{percentile(waits, 0.5) * 1e3:.1f} ms", f"{percentile(waits, 0.99) * 1e3:.0f} ms"))
    title = f"single posts, one after another, beside two senders of bodies of {EVENTS:,} events with ids, {BESIDE_S} s"
    show(title, ("beside", "p50", "p99"), rows)


def _singles(bodies: list[bytes] | None) -> list[float]:
    """Return what each of the single posts waited while two senders post these bodies."""
    waits: list[float] = []
    with tillroll_server() as port:
        until = time.perf_counter() + BESIDE_S
        senders = [] if bodies is None else [_sender(port, bodies[turn::2], until) for turn in range(2)]
        threads = [threading.Thread(target=sender) for sender in senders]
        for thread in threads:
            thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.perf_counter() < until:
            waits.append(post(connection, ONE % len(waits), {}))
            time.sleep(0.002)
        connection.close()
        for thread in threads:
            thread.join()
    return waits


def _sender(port: int, bodies: list[bytes], until: float) -> Callable[[], None]:
    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for body in bodies:
            if time.perf_counter() >= until:
                break
            post(connection, body, NDJSON)
        connection.close()

    return send
