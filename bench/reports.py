"""Reports of one's own: how fast a new one is counted, with nothing beside it and beside posts, and many of them."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import DATA, ROOT, TILLROLL, events_file, percentile, show, timed
from bench.posts import served
from bench.repeats import ONE, post

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Table = dict[str, object]

EVENTS = int(os.environ.get("BENCH_EVENTS", "10_000_000"))  # 100,000,000 takes some minutes to make
BESIDE_EVENTS = min(EVENTS, 100_000)  # counted in some seconds, so that there can be many windows
POSTS_A_SECOND = 1_000
SENDERS = 8
STEADY_S = 5
ROUNDS = 6
MANY = 200
MANY_EVENTS = min(EVENTS, 30_000)  # a report of hours and merchants has nearly as many datapoints
WEEKDAYS: Table = {"name": "weekdays", "by": ["weekday", "method"]}
LARGE: Table = {"name": "hours-merchants", "by": ["hour", "merchant", "method"]}
DAYS: Table = {"name": "days", "by": ["day", "bracket", "method"]}


def run() -> None:
    """Print how long new reports take, what posts wait meanwhile, and what many reports cost."""
    with _store(EVENTS) as directory:
        rows = [_counted(directory, table) for table in (WEEKDAYS, LARGE)]
        rows.append(_smallest(directory))
    title = f"a report counted over {EVENTS:,} events, nothing beside it"
    show(title, ("by", "wall", "processor", "events", "datapoints"), rows)
    _beside()
    _many()


@contextmanager
def _store(events: int) -> Iterator[Path]:
    """Make a store of so many events, of 400 days, that is removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="tillroll-bench-", dir=ROOT / ".tools"))
    try:
        timed([*TILLROLL, "import", "--data", str(directory), str(events_file(events, days=400))])
        yield directory
    finally:
        shutil.rmtree(directory)


def _definition(table: Table) -> Path:
    lines = ["[[reports]]", *(f"{name} = {json.dumps(value)}" for name, value in table.items())]
    path = DATA / "report.toml"
    path.write_text("\n".join(lines))
    return path


def _counted(directory: Path, table: Table) -> tuple[str, ...]:
    its = timed([*TILLROLL, "reports", "apply", "--data", str(directory), str(_definition(table))])
    words = [*TILLROLL, "reports", "--data", str(directory), "--json"]
    listed = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    (found,) = (each for each in listed if each["name"] == table["name"])
    speed = f"{EVENTS / its.wall_s / 1e6:.1f} M/s"
    by = ", ".join(found["dimensions"])
    return by, f"{its.wall_s:.2f} s", f"{its.cpu_s:.2f} s", speed, f"{found['datapoints'] or 0:,}"


def _smallest(directory: Path) -> tuple[str, ...]:
    question = [*TILLROLL, "report", "hour-bracket", "--by", "day", "--data", str(directory), "--format", "json"]
    before = min(timed(question).cpu_s for _ in range(3))
    _counted(directory, DAYS)
    after = min(timed(question).cpu_s for _ in range(3))
    return "hour-bracket by day, without and with a report by day", f"{before:.2f} s", f"{after:.2f} s", "", ""


def _beside() -> None:
    """With and without counting in turn, so that a slow moment of the machine meets both."""
    alone: list[list[float]] = []
    beside: list[list[float]] = []
    took = []
    with _store(BESIDE_EVENTS) as directory, _server(directory) as port:
        call = http.client.HTTPConnection("127.0.0.1", port)
        _listed(call)  # the first one counts how large the reports are
        for number in range(ROUNDS):
            alone.append(_posts(port, STEADY_S))
            began = time.perf_counter()
            beside.append(_count_beside(port, {**LARGE, "name": f"hours-merchants-{number}"}))
            took.append(time.perf_counter() - began)
            time.sleep(1.0)
    words = f"a report by hour, merchant, method over {BESIDE_EVENTS:,}, {max(took):.0f} s"
    rows = [_windows("nothing", alone), _windows(words, beside)]
    ratio = _median_p99(beside) / _median_p99(alone)
    show(
        f"{POSTS_A_SECOND:,} single posts a second, {ROUNDS} windows; p99 beside counting {ratio:.2f} times as long",
        ("beside", "p50", "p99, median window", "p99 of all", "posts"),
        rows,
    )


def _median_p99(windows: Sequence[Sequence[float]]) -> float:
    return statistics.median(percentile(waits, 0.99) for waits in windows)


def _windows(name: str, windows: Sequence[Sequence[float]]) -> tuple[str, ...]:
    _, p50, p99, posts = _waits(name, [wait for waits in windows for wait in waits])
    return name, p50, f"{_median_p99(windows) * 1e3:.1f} ms", p99, posts


def _count_beside(port: int, table: Table) -> list[float]:
    """Have a report counted beside posts; return what those waited that were sent while it was counted."""
    call = http.client.HTTPConnection("127.0.0.1", port)
    counted = threading.Event()
    waits: list[float] = []
    sender = threading.Thread(target=_posts, args=(port, 600, counted, waits))
    sender.start()
    try:
        _apply(call, table)
        sent = 0
        while not _are_readable(call, [table]):  # the listing that finds it so counts its size as well, in turns
            time.sleep(0.5)
            sent = len(waits)
    finally:
        counted.set()
        sender.join()
        call.close()
    return waits[:sent]


def _many() -> None:
    rows = []
    with _store(MANY_EVENTS) as directory, _server(directory) as port:
        rows.append((*_waits("the five", _posts(port, STEADY_S)), _question(port)))
        call = http.client.HTTPConnection("127.0.0.1", port)
        tables = [_some(number) for number in range(MANY)]
        started = time.perf_counter()
        for table in tables:
            _apply(call, table)
        _wait_for(call, tables)
        took = time.perf_counter() - started
        name = f"and {MANY} of one's own, counted in {took:.0f} s"
        rows.append((*_waits(name, _posts(port, STEADY_S)), _question(port)))
    title = f"many reports: {POSTS_A_SECOND:,} posts a second, then a question to each report"
    show(title, ("reports", "p50", "p99", "posts", "question p99"), rows)


def _some(number: int) -> Table:
    windows, closed = ("hour", "day", "week", "month"), ("method", "bracket", "weekday", "merchant", "hour-of-day")
    by = [windows[number % 4], closed[number // 4 % 5], closed[(number // 4 + 1 + number // 20 % 4) % 5]]
    return {"name": f"own-{number}", "by": by}


@contextmanager
def _server(directory: Path) -> Iterator[int]:
    command = [*TILLROLL, "serve", "--data", str(directory), "--port", "0", "--log-level", "info"]
    with served(command, ready=r"http://127\.0\.0\.1:(\d+)") as port:
        yield port


def _apply(call: http.client.HTTPConnection, table: Mapping[str, object]) -> None:
    body = json.dumps({name: value for name, value in table.items() if name != "name"})
    call.request("PUT", f"/reports/{table['name']}", body, {"Content-Type": "application/json"})
    reply = call.getresponse()
    text = reply.read()
    if reply.status not in {200, 202}:
        raise RuntimeError(text)


def _wait_for(call: http.client.HTTPConnection, tables: Sequence[Table]) -> None:
    """Wait until reports can be read."""
    while not _are_readable(call, tables):
        time.sleep(0.5)


def _are_readable(call: http.client.HTTPConnection, tables: Sequence[Table]) -> bool:
    return {table["name"] for table in tables} <= {each["name"] for each in _listed(call) if each["readable"]}


def _listed(call: http.client.HTTPConnection) -> list[Table]:
    call.request("GET", "/reports")
    return list(json.loads(call.getresponse().read()))


def _question(port: int) -> str:
    call = http.client.HTTPConnection("127.0.0.1", port)
    names = [each["name"] for each in _listed(call)]
    waits = []
    for name in names * (1 if len(names) > MANY else 20):
        started = time.perf_counter()
        call.request("GET", f"/reports/{name}?limit=100")
        call.getresponse().read()
        waits.append(time.perf_counter() - started)
    return f"{percentile(waits, 0.99) * 1e3:.0f} ms"


def _waits(name: str, waits: Sequence[float]) -> tuple[str, ...]:
    return name, f"{percentile(waits, 0.5) * 1e3:.1f} ms", f"{percentile(waits, 0.99) * 1e3:.1f} ms", f"{len(waits):,}"


def _posts(
    port: int, seconds: float, stop: threading.Event | None = None, into: list[float] | None = None
) -> list[float]:
    """Post single events at a steady rate, by some connections; return what each waited, from when it was due."""
    waits: list[float] = [] if into is None else into
    begins = time.perf_counter()

    def send(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        number = first
        while (due := begins + number / POSTS_A_SECOND) < begins + seconds and not (stop and stop.is_set()):
            time.sleep(max(0.0, due - time.perf_counter()))
            post(connection, ONE % time.perf_counter_ns(), {})
            waits.append(time.perf_counter() - due)
            number += SENDERS
        connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waits
