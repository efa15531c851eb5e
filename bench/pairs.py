"""Posts and imports beside another checkout of tillroll, in rounds that alternate: `python -m bench.pairs CHECKOUT`.

CHECKOUT has an environment of its own in .venv. Each ratio is this tree's figure by the other's of the same round.
Rates are of a machine at rest only; processor time depends less on what else runs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.measure import DATA, ROOT, events_file, show, timed
from bench.posts import post_all, served, wrk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LINES: Final = 1_000
_EVENTS: Final = 200_000
_BODIES: Final = 10_000
_IMPORTED: Final = 3_000_000


class _Server(NamedTuple):
    port: int
    pid: int


class _Cost(NamedTuple):
    """What one event, or request, took: seconds by the clock, and of the server's processor."""

    wall_s: float
    cpu_s: float


@contextlib.contextmanager
def _server(checkout: Path) -> Iterator[_Server]:
    directory = tempfile.mkdtemp(prefix="tillroll-bench-", dir=ROOT / ".tools")
    try:
        command = [checkout / ".venv/bin/python", "-m", "tillroll", "serve", "--data", directory, "--port", "0"]
        with served([*map(str, command), "--log-level", "info"], ready=r"http://127\.0\.0\.1:(\d+)") as port:
            yield _Server(port, _listener(port))
    finally:
        shutil.rmtree(directory)


def _listener(port: int) -> int:
    """Return the process that listens on a port."""
    inode = next(
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1] == f"0100007F:{port:04X}" and line.split()[3] == "0A"
    )
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and any(
                each.readlink() == Path(f"socket:[{inode}]") for each in (entry / "fd").iterdir()
            ):
                return int(entry.name)
    raise LookupError(f"nobody listens on {port}")


def _cpu_s(pid: int) -> float:
    """Return the processor seconds of a process so far."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _import(checkout: Path, path: Path) -> _Cost:
    directory = tempfile.mkdtemp(prefix="tillroll-bench-", dir=ROOT / ".tools")
    try:
        run = timed([checkout / ".venv/bin/python", "-m", "tillroll", "import", "--data", directory, path])
    finally:
        shutil.rmtree(directory)
    return _Cost(run.wall_s / _IMPORTED, run.cpu_s / _IMPORTED)


def _compare(title: str, rounds: int, run: Callable[[Path], _Cost], checkouts: tuple[Path, Path]) -> tuple[str, ...]:
    """Return a row: the medians of both, and of the ratios of each round."""
    pairs = []
    for turn in range(rounds):
        order = checkouts if turn % 2 else checkouts[::-1]
        costs = {checkout: run(checkout) for checkout in order}
        pairs.append((costs[checkouts[0]], costs[checkouts[1]]))
    cpu = [own.cpu_s / other.cpu_s for other, own in pairs]
    speed = [other.wall_s / own.wall_s for other, own in pairs]
    other_us = statistics.median(other.cpu_s for other, _ in pairs) * 1e6
    own_us = statistics.median(own.cpu_s for _, own in pairs) * 1e6
    return (
        title,
        f"{other_us:.3f} us",
        f"{own_us:.3f} us",
        f"{statistics.median(cpu):.3f} ({min(cpu):.2f} to {max(cpu):.2f})",
        f"{statistics.median(speed):.3f} ({min(speed):.2f} to {max(speed):.2f})",
    )


def main() -> None:
    """Print single posts, posts of 1,000 lines without and with ids, and an import."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=("single", "unnamed", "ids", "import"), nargs="*")
    options = parser.parse_args()
    other = options.checkout.resolve()
    wanted = options.only or ["single", "unnamed", "ids", "import"]
    rows = []
    if "import" in wanted:
        path = events_file(_IMPORTED)
        rows.append(_compare("an imported event", options.rounds, lambda each: _import(each, path), (other, ROOT)))
    if "single" in wanted:
        bodies = DATA / "bodies.ndjson"
        bodies.write_bytes(b"\n".join(events_file(100_000).read_bytes().splitlines()[:_BODIES]) + b"\n")
        with _server(other) as its, _server(ROOT) as own:
            servers = {other: its, ROOT: own}

            def post_single(checkout: Path) -> _Cost:
                server = servers[checkout]
                before, started = _cpu_s(server.pid), time.perf_counter()
                load = wrk(server.port, "/events", bodies)
                done = load.per_second * (time.perf_counter() - started)
                return _Cost(1 / load.per_second, (_cpu_s(server.pid) - before) / done)

            rows.append(_compare("a single post", options.rounds, post_single, (other, ROOT)))
    for name, more in (("unnamed", ()), ("ids", ("--ids",))):
        if name in wanted:
            lines = events_file(_EVENTS, *more).read_bytes().splitlines()
            bulk = [b"\n".join(lines[at : at + _LINES]) for at in range(0, len(lines), _LINES)]

            def post_bulk(checkout: Path, bulk: list[bytes] = bulk) -> _Cost:
                with _server(checkout) as server:  # a new one: a body that comes again is a repeat
                    before, started = _cpu_s(server.pid), time.perf_counter()
                    post_all(server.port, bulk)
                    cpu_s = _cpu_s(server.pid) - before
                    return _Cost((time.perf_counter() - started) / _EVENTS, cpu_s / _EVENTS)

            rows.append(_compare(f"an event of {_LINES:,}, {name}", options.rounds, post_bulk, (other, ROOT)))
    head = ("", f"{other.name}: processor", "this", "processor, this / other", "rate, this / other")
    show(f"medians of {options.rounds} rounds", head, rows)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
