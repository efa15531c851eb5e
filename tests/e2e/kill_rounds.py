"""kill -9, directories taken away and full disks at random moments, with a recount after every round.

Run it for long: python -m tests.e2e.kill_rounds --rounds 100 [--store dynamodb]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.e2e.command import recount, reports, start, tillroll
from tests.e2e.server import Server, post_until_answered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLIENTS = 4
GONE_CODE = 4  # of a server whose files were taken away
KILLS_MAX = 5  # of one server's round: on a busy machine its clients would hardly come through otherwise


class Kind(NamedTuple):
    """A kind of store: how much a round puts into it, over how many days, and how soon an import is killed at most."""

    events: int
    bodies: int
    days: str
    killed_within_s: float


SQLITE = Kind(300_000, 3_000, "7", 0.5)
DYNAMODB = Kind(
    4_000, 100, "0.1", 1.5
)  # DynamoDB Local takes some hundred writes a second; a minute is a write at least


class Round(NamedTuple):
    """One round: how often it killed, and how many events came through."""

    kills: int
    events: int


def import_round(directory: Path, seed: int, data: str, kind: Kind = SQLITE) -> Round:
    """Kill an import a few times, run it to its end, and compare everything with a recount of the file."""
    moments = random.Random(seed)
    file = _generated(directory, seed, kind.events, kind, "--invalid", "0.001")
    kills = 0
    for _ in range(moments.randint(2, 4)):
        running = start("import", file, "--data", data)
        time.sleep(moments.uniform(0.1, kind.killed_within_s))
        running.kill()
        running.communicate()
        kills += running.returncode == -9
    tillroll("import", file, "--data", data, code=3)
    lines = file.read_bytes().splitlines()
    _compare(data, lines, seed)
    listed = json.loads(tillroll("rejected", "list", "--limit", "100000", "--json", "--data", data).stdout)
    assert len(listed) == len(lines) // 1_000, f"seed {seed}: {len(listed)} rejected are kept"
    return Round(kills, len(lines))


def http_round(directory: Path, seed: int, data: str, kind: Kind = SQLITE) -> Round:
    """Kill a server under load; its clients send again under the same key. Compare with a recount of what they sent."""

    def kill(server: Server) -> None:
        server.kill()
        server.start()

    return _under_load(directory, seed, data, kind, kill)


def gone_round(directory: Path, seed: int, data: str, kind: Kind = SQLITE) -> Round:
    """Take the directory away from a server under load: it ends by itself, and has acknowledged nothing since."""

    def take_away(server: Server) -> None:
        moved = Path(data).rename(f"{data}-moved")
        code = server.ended()
        assert code == GONE_CODE, f"seed {seed}: the server ended with {code}"
        moved.rename(data)
        server.start()

    return _under_load(directory, seed, data, kind, take_away)


def full_round(directory: Path, seed: int, data: str, kind: Kind = SQLITE) -> Round:
    """Let no file grow for a while beneath a server under load, as a full disk does not."""
    moments = random.Random(seed)

    def fill(server: Server) -> None:
        server.limit_files(4_096)
        time.sleep(moments.uniform(0.05, 0.5))
        server.limit_files(None)

    return _under_load(directory, seed, data, kind, fill)


def _under_load(directory: Path, seed: int, data: str, kind: Kind, disturb: Callable[[Server], None]) -> Round:
    moments = random.Random(seed)
    lines = _generated(directory, seed, kind.bodies * 20, kind).read_bytes().splitlines()
    load = _Load(lines, kind.bodies, moments)
    server = Server(data, directory)
    times = 0
    try:
        server.start()
        clients = [threading.Thread(target=load.run, args=(server.port,)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        while times < KILLS_MAX and any(client.is_alive() for client in clients):
            time.sleep(moments.uniform(0.02, 0.5))
            if any(client.is_alive() for client in clients):
                disturb(server)
                times += 1
        for client in clients:
            client.join()
        server.stop()
    finally:
        server.close()
    assert not load.errors, f"seed {seed}: {load.errors[0]}"
    assert load.counted == len(lines), f"seed {seed}: {load.counted} of {len(lines)} events were acknowledged"
    _compare(data, lines, seed)
    return Round(times, len(lines))


def _generated(directory: Path, seed: int, events: int, kind: Kind, *arguments: str) -> Path:
    file = directory / "purchases.ndjson"
    span = ("--from", "2026-03-01", "--days", kind.days, "--merchants", "100")
    tillroll("generate", file, "--events", str(events), "--seed", str(seed), *span, *arguments)
    return file


class _Load:
    """Bodies that several clients send, each until it is answered."""

    def __init__(self, lines: list[bytes], bodies: int, moments: random.Random) -> None:
        cuts = sorted(moments.sample(range(1, len(lines)), bodies - 1))
        self._bodies = [lines[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(lines)], strict=True)]
        self._next = iter(enumerate(self._bodies))
        self._lock = threading.Lock()
        self.counted = 0
        self.errors: list[BaseException] = []

    def run(self, port: int) -> None:
        try:
            while True:
                with self._lock:
                    number, body = next(self._next, (-1, []))
                if number < 0:
                    return
                answer = post_until_answered(port, f"body-{number}", body)
                with self._lock:
                    self.counted += answer["accepted"] + answer["duplicates"]
        except BaseException as error:  # noqa: BLE001 raised by the round
            self.errors.append(error)


def _compare(data: str, lines: list[bytes], seed: int) -> None:
    tillroll("audit", "--data", data)
    found, expected = reports(data), recount(lines)
    wrong = [name for name in expected if found[name] != expected[name]]
    assert not wrong, f"seed {seed}: {wrong} differ from the recount; see {data}"


@contextmanager
def _stores(kind: str) -> Iterator[Callable[[Path], str]]:
    """Yield what gives each round an empty store of its own, by its address."""
    if kind == "sqlite":
        yield lambda directory: str(directory / "data")
        return
    from tests.aws.dynamodb_local import running

    os.environ.update(AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local", TILLROLL_FRESHNESS_S="0.001")
    with running() as local:
        yield lambda _: local.address(local.create_tables())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--store", choices=("sqlite", "dynamodb"), default="sqlite")
    options = parser.parse_args()
    kind = SQLITE if options.store == "sqlite" else DYNAMODB
    started = time.monotonic()
    kills = events = 0
    with _stores(options.store) as new_store:
        for number in range(options.rounds):
            plays = (import_round, http_round, gone_round, full_round) if kind is SQLITE else (import_round, http_round)
            play = plays[number % len(plays)]
            with tempfile.TemporaryDirectory(prefix="tillroll-kill-") as name:
                done = play(Path(name), options.seed + number, new_store(Path(name)), kind)
            kills += done.kills
            events += done.events
            print(f"{number + 1}: {play.__name__}, seed {options.seed + number}: {done.kills} kills, right", flush=True)
    seconds = time.monotonic() - started
    print(f"{options.rounds} rounds on {options.store}: {kills} kills, {events:,} events, 0 wrong, {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
