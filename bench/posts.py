"""Posting events over HTTP: beside a route that stores nothing, and beside FastAPI with counters in PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.measure import DATA, ROOT, TILLROLL, events_file, percentile, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUNDS = 5
SECONDS = 5
CONNECTIONS = 64
LINES = 1_000
BODIES = 400
WRK_LUA = """
local bodies = {}
for line in io.lines(os.getenv("BENCH_BODIES")) do bodies[#bodies + 1] = line end
local at = 0
request = function()
  at = at % #bodies + 1
  return wrk.format("POST", os.getenv("BENCH_PATH"), {["Content-Type"] = "application/json"}, bodies[at])
end
done = function(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  print(string.format("RESULT %d %d %d %d", summary.requests, summary.duration, latency:percentile(99), bad))
end
"""


class Load(NamedTuple):
    """What one run of wrk saw."""

    per_second: float
    p99_ms: float


@contextlib.contextmanager
def served(command: Sequence[str], *, env: dict[str, str] | None = None, ready: str) -> Iterator[int]:
    """Run a server that prints its address in a line that matches `ready`; give its port."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            found = re.search(ready, line)
            if found:
                break
        else:
            raise RuntimeError(f"{command} ended before it was ready")
        yield int(found[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextlib.contextmanager
def tillroll_server() -> Iterator[int]:
    """Run `tillroll serve` over a store of its own."""
    directory = tempfile.mkdtemp(prefix="tillroll-bench-", dir=ROOT / ".tools")
    try:
        command = [*TILLROLL, "serve", "--data", directory, "--port", "0", "--log-level", "info"]
        with served(command, ready=r"http://127\.0\.0\.1:(\d+)") as port:
            yield port
    finally:
        shutil.rmtree(directory)


@contextlib.contextmanager
def asgi_server() -> Iterator[int]:
    """Run the same web server with a bare route that stores nothing, at its usual best settings."""
    command = [sys.executable, "-m", "uvicorn", "bench.bare_asgi:app", "--port", "0", "--no-access-log"]
    options = ["--loop", "uvloop", "--http", "httptools", "--lifespan", "off"]
    with served([*command, *options], ready=r"http://127\.0\.0\.1:(\d+)") as port:
        yield port


@contextlib.contextmanager
def bare_server() -> Iterator[int]:
    """Run tillroll's own quick route with nothing behind it."""
    with served([sys.executable, "-m", "bench.bare"], ready=r"http://127\.0\.0\.1:(\d+)") as port:
        yield port


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Run PostgreSQL with its default settings, durable, on a directory of its own; give its URL."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
    directory = Path(tempfile.mkdtemp(prefix="bench-postgres-"))
    prefix: list[str] = []
    if os.geteuid() == 0:  # it refuses to run as root
        shutil.chown(directory, "postgres")
        prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    port = free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": directory}
    subprocess.run(
        [*prefix, binaries[-1] / "initdb", "-A", "trust", "-U", "bench", directory / "d"], check=True, **quiet
    )
    options = f"-p {port} -k {directory} -h 127.0.0.1"
    control = [*prefix, binaries[-1] / "pg_ctl", "-D", directory / "d", "-w"]
    subprocess.run([*control, "-o", options, "start"], check=True, **quiet)
    try:
        yield f"postgresql://bench@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "fast", "stop"], check=True, **quiet)
        shutil.rmtree(directory)


@contextlib.contextmanager
def fastapi_server() -> Iterator[int]:
    """Run FastAPI over PostgreSQL."""
    with postgres() as url:
        command = [sys.executable, "-m", "uvicorn", "bench.fastapi_postgres:app", "--port", "0", "--no-access-log"]
        with served(
            [*command, "--loop", "uvloop"], env={"DATABASE_URL": url}, ready=r"http://127\.0\.0\.1:(\d+)"
        ) as port:
            yield port


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wrk(port: int, path: str, bodies: Path) -> Load:
    """Post bodies, one a line, from 64 connections for some seconds."""
    script = DATA / "post.lua"
    script.write_text(WRK_LUA)
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{SECONDS}s",
        "--latency",
        "-s",
        script,
        f"http://127.0.0.1:{port}/",
    ]
    env = {**os.environ, "BENCH_BODIES": str(bodies), "BENCH_PATH": path}
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+)", output)
    if not found or found[4] != "0":
        raise RuntimeError(f"wrk: {output}")
    return Load(int(found[1]) / (int(found[2]) / 1e6), int(found[3]) / 1e3)


def run() -> None:
    """Print single posts, posts of 1,000 lines, and freshness."""
    if shutil.which("wrk") is None:
        print("wrk is not installed: apt-get install wrk")
        return
    bodies = DATA / "bodies.ndjson"
    with events_file(100_000).open() as lines:
        bodies.write_text("".join(line for line, _ in zip(lines, range(10_000), strict=False)))
    _single(bodies)
    _bulk()
    _freshness(bodies)


def _single(bodies: Path) -> None:
    loads: dict[str, list[Load]] = {}
    with contextlib.ExitStack() as stack:
        ports = {
            "tillroll, durable": stack.enter_context(tillroll_server()),
            "uvicorn, bare ASGI route": stack.enter_context(asgi_server()),
            "tillroll, storing nothing": stack.enter_context(bare_server()),
        }
        try:
            ports["FastAPI, PostgreSQL"] = stack.enter_context(fastapi_server())
        except FileNotFoundError as error:
            print(error)
        for _ in range(ROUNDS):
            for name, port in ports.items():
                loads.setdefault(name, []).append(wrk(port, "/events", bodies))
    own = statistics.median(load.per_second for load in loads["tillroll, durable"])
    rows = []
    for name, its in loads.items():
        speed = statistics.median(load.per_second for load in its)
        p99 = statistics.median(load.p99_ms for load in its)
        rows.append((name, f"{speed:,.0f}", f"{p99:.1f} ms", f"{own / speed:.2f} x"))
    title = f"single posts, {CONNECTIONS} connections, {SECONDS} s, median of {ROUNDS}"
    show(title, ("", "requests a second", "p99", "tillroll's speed is"), rows)


def _bulk() -> None:
    rows = []
    for name, options in (("unnamed", ()), ("with ids", ("--ids",))):
        lines = events_file(LINES * BODIES, *options).read_bytes().splitlines()
        bodies = [b"\n".join(lines[i : i + LINES]) for i in range(0, len(lines), LINES)]
        speeds = []
        for _ in range(3):
            with tillroll_server() as port:
                started = time.perf_counter()
                post_all(port, bodies)
                speeds.append(len(lines) / (time.perf_counter() - started))
        rows.append((name, f"{statistics.median(speeds):,.0f}"))
    show(f"NDJSON posts of {LINES:,} lines, 8 connections, durable, median of 3", ("", "events a second"), rows)


def content_length(head: bytes) -> int:
    """Return how long a reply's head says its body is."""
    found = re.search(rb"(?i)content-length: (\d+)", head)
    return int(found[1]) if found else 0


def read_reply(connection: socket.socket) -> None:
    """Read one whole reply; raise when it is none of 202."""
    reply = b""
    while (head := reply.partition(b"\r\n\r\n"))[1] == b"" or len(head[2]) < content_length(head[0]):
        received = connection.recv(65_536)
        if not received:
            raise RuntimeError(f"the server hung up: {reply[:500]!r}")
        reply += received
    if not reply.startswith(b"HTTP/1.1 202"):
        raise RuntimeError(reply[:500])


def post_all(port: int, bodies: Sequence[bytes], connections: int = 8) -> None:
    """Post bodies over some connections, each as soon as the last on it was answered."""
    import selectors

    waiting = iter(bodies)
    selector = selectors.DefaultSelector()
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: "

    def send_next(connection: socket.socket) -> bool:
        body = next(waiting, None)
        if body is None:
            selector.unregister(connection)
            connection.close()
            return False
        connection.sendall(head + str(len(body)).encode() + b"\r\n\r\n" + body)
        return True

    open_count = 0
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        selector.register(connection, selectors.EVENT_READ)
        open_count += send_next(connection)
    while open_count:
        for key, _ in selector.select():
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            read_reply(connection)
            open_count -= not send_next(connection)


def _freshness(bodies: Path) -> None:
    """Post one event after another; after each, ask for its report until it shows it."""
    lines = bodies.read_bytes().splitlines()[:300]
    delays = []
    with tillroll_server() as port:
        base = f"http://127.0.0.1:{port}"
        for count, line in enumerate(lines, 1):
            started = time.perf_counter()
            with urllib.request.urlopen(urllib.request.Request(f"{base}/events", data=line)) as reply:
                reply.read()
            while True:
                with urllib.request.urlopen(f"{base}/reports/bracket-method") as reply:
                    if sum(row["events"] for row in json.load(reply)) == count:
                        break
            delays.append((time.perf_counter() - started) * 1e3)
    rows = [(f"{percentile(delays, 0.5):.1f} ms", f"{percentile(delays, 0.99):.1f} ms")]
    show("freshness: from sending an event to seeing it in a report", ("p50", "p99"), rows)
