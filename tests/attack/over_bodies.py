"""Attacks by the bodies of a sender who may send: small ones that cost much, and what is kept of them."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import socket
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from tests.attack.target import Attack, holds
from tests.e2e.http_server import EVENT, client

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.attack.target import Target
    from tests.e2e.http_server import Running

# Names of one hash by the function of 0.1.0, which had no secret: 4,000 were found in two seconds.
COLLIDING = Path(__file__).with_name("colliding_ids.txt.gz")
WAIT_S_MAX = 1.0  # of a post beside the attack
FOLDED_AFTER_S = 2.5
ERASED_AFTER_S = 5.0  # where somebody reads just then
PACKED = {"Content-Encoding": "gzip"}


def _lines(events: Iterable[dict[str, object]]) -> bytes:
    return b"\n".join(json.dumps(event, separators=(",", ":")).encode() for event in events)


def _longest_wait_beside(running: Running, bodies: Iterable[bytes]) -> float:
    """Send packed bodies, and return how long a post of another sender waited at most until all is folded.

    What the server itself waited for the processor, because the machine has other work, is not its fault.
    """
    over = threading.Event()
    waits = [0.0]

    def post() -> None:
        with client(running) as http:
            while not over.is_set():
                began, delayed = time.monotonic(), _delays_s(running)
                with suppress(httpx.TimeoutException):
                    http.post("/events", json=EVENT)
                delays = (now - delayed.get(thread, 0.0) for thread, now in _delays_s(running).items())
                waits.append(time.monotonic() - began - max(delays))
                time.sleep(0.01)

    other = threading.Thread(target=post)
    with client(running) as http:
        http.post("/events", json=EVENT)
        other.start()
        try:
            for body in bodies:
                answer = http.post("/events", content=gzip.compress(body, 9), headers=PACKED, timeout=60)
                holds(answer.json().get("code") != "too_large", "the attack is larger than what is taken")
            time.sleep(FOLDED_AFTER_S)
        except httpx.HTTPError:
            waits.append(60.0)
        finally:
            over.set()
            other.join()
    return max(waits)


def _cpu_s(running: Running) -> float:
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _delays_s(running: Running) -> dict[str, float]:
    """Return how long each thread of a server has waited for a processor."""
    found = {}
    for task in Path(f"/proc/{running.process.pid}/task").iterdir():
        with suppress(OSError):
            found[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
    return found


def _megabytes(directory: Path) -> float:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file()) / 2**20


def ids_of_one_hash(target: Target) -> str:
    names = gzip.decompress(COLLIDING.read_bytes()).decode().split()
    with target.serving() as running:
        wait_s = _longest_wait_beside(running, [_lines(EVENT | {"id": name} for name in names)])
    holds(wait_s < WAIT_S_MAX, f"{len(names)} ids of one hash hold a post up for {wait_s:.1f} s")
    return f"{len(names)} ids of one hash; a post beside waited {wait_s:.2f} s"


def tokens_of_json(target: Target) -> str:
    with target.serving() as running, client(running) as http:
        body = gzip.compress(b"[[" + b"[]," * 5_000_000 + b"[]]]", 9)
        before_s = _cpu_s(running)
        with suppress(httpx.TimeoutException):
            http.post("/events", content=body, headers=PACKED, timeout=60)
        spent_s = _cpu_s(running) - before_s
    holds(spent_s < 1, f"an array of 15 MiB in {len(body)} bytes takes {spent_s:.1f} s of the processor")
    return f"an array of 15 MiB in {len(body)} bytes takes {spent_s:.1f} s of the processor"


def bodies_that_unpack_to_much(target: Target) -> str:
    packed = gzip.compress(b"\n" * (16 * 2**20 - 400) + _lines([EVENT]), 9)
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    with target.serving() as running, ExitStack() as held, client(running) as http:
        before = running.memory_bytes()
        for _ in range(30):
            connection = held.enter_context(socket.create_connection(running.address, timeout=10))
            connection.sendall(head % len(packed) + packed)
        began = time.monotonic()
        http.post("/events", content=gzip.compress(_lines([EVENT])), headers=PACKED)
        wait_s = time.monotonic() - began
        held_bytes = [running.memory_bytes()]
        while time.monotonic() - began < 3:
            time.sleep(0.05)
            held_bytes.append(running.memory_bytes())
        taken = (max(held_bytes) - before) / 2**20
    seen = f"30 bodies of {len(packed)} bytes take {taken:.0f} MiB; a packed post beside waited {wait_s:.2f} s"
    holds(taken < 250 and wait_s < WAIT_S_MAX, seen)
    return seen


def rejections_by_the_hundred_thousand(target: Target) -> str:
    directory = target.directory()
    with target.serving(directory=directory) as running:
        wait_s = _longest_wait_beside(running, [b"7\n" * 100_000])
        size = _megabytes(directory / "data")
    holds(wait_s < 2.5 * WAIT_S_MAX, f"230 bytes hold a post up for {wait_s:.1f} s")
    holds(size < 12, f"230 bytes take {size:.0f} MiB of the disk")
    return f"100,000 rejections of 230 bytes; a post waited {wait_s:.2f} s, {size:.1f} MiB of disk"


def rejections_that_fill_the_disk(target: Target) -> str:
    directory = target.directory()
    bodies = [b"%05d " % number + b"x" * 990_000 for number in range(16)]
    with target.serving(directory=directory) as running:
        wait_s = _longest_wait_beside(
            running, [b"\n".join(bodies[:15]).replace(b"x", letter) for letter in (b"y", b"z", b"v")]
        )
        size = _megabytes(directory / "data")
    holds(size < 16, f"45 kB take {size:.0f} MiB of the disk")
    return f"45 kB that unpack to 45 MiB of rejections take {size:.1f} MiB; a post waited {wait_s:.2f} s"


def days_without_end(target: Target) -> str:
    directory = target.directory()
    first = dt.date(1750, 1, 1)
    days = [(first + dt.timedelta(days=number)).isoformat() for number in range(99_999)]
    body = _lines(EVENT | {"date": f"{day}T10:15:30Z"} for day in days)
    with target.serving(directory=directory) as running, client(running) as http:
        answer = http.post("/events", content=gzip.compress(body), headers=PACKED, timeout=60)
        holds(answer.json().get("accepted") == len(days), f"the days are not taken: {answer.text[:100]}")
        time.sleep(FOLDED_AFTER_S)
        size = _megabytes(directory / "data")
    holds(size < 60, f"99,999 days of a merchant take {size:.0f} MiB of the disk")
    return f"99,999 days of a merchant take {size:.1f} MiB of disk"


def merchants_without_end(target: Target) -> str:
    count = 200_000
    bodies = [
        _lines(EVENT | {"merchantId": f"merchant-{number:09}"} for number in range(first, first + count // 4))
        for first in range(0, count, count // 4)
    ]
    with target.serving() as running, client(running) as http:
        for body in bodies:
            http.post("/events", content=body)
        time.sleep(FOLDED_AFTER_S)
        threads = [threading.Thread(target=_read_busiest, args=(running,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spent_s = _cpu_s(running)
        _read_busiest(running)
        spent_s = _cpu_s(running) - spent_s
        held = running.memory_bytes() / 2**20
        known = http.get("/reports/merchant-method?limit=1").headers["tillroll-datapoints"]
    holds(int(known) == count, f"{known} of {count} merchants are known")
    holds(held < 200, f"{count:,} merchants take the server {held:.0f} MiB")
    holds(spent_s < 0.2, f"a page of the busiest of {count} merchants takes {spent_s:.2f} s of the processor")
    return (
        f"{count:,} merchants: a page of the busiest takes {spent_s:.2f} s of the processor, the server {held:.0f} MiB"
    )


def purchases_behind_a_number(target: Target) -> str:
    count = 90_000
    with target.serving() as running, client(running) as http:
        for _ in range(3):
            http.post("/events", content=(_lines([EVENT]) + b"\n") * count)
        time.sleep(FOLDED_AFTER_S)
        spent_s = _cpu_s(running)
        with suppress(httpx.TimeoutException):
            asked = {"datapoint": "10-50|SLICE_IT", "after": str(3 * count - 1)}
            answer = http.get("/explain", params=asked, timeout=60)
            holds(len(answer.json()["purchases"]) == 1, f"the last purchase is not found: {answer.text[:100]}")
        spent_s = _cpu_s(running) - spent_s
    seen = f"the last of {3 * count:,} purchases behind a number takes {spent_s:.1f} s of the processor"
    holds(spent_s < 1, seen)
    return seen


def _read_busiest(running: Running) -> None:
    with client(running) as http:
        http.get("/reports/day-merchant?by=merchant&order=-events&limit=10", timeout=60)


def rejected_that_were_dropped(target: Target) -> str:
    directory = target.directory()
    secrets = [os.urandom(3_000).replace(b"\n", b"").replace(b"\r", b"") for _ in range(5)]

    def kept(secret: bytes) -> bool:
        part = secret[500:600]
        return any(part in file.read_bytes() for file in (directory / "data").rglob("*") if file.is_file())

    with target.serving(directory=directory) as running, client(running) as http:
        for secret in secrets:
            http.post("/events", content=secret)
        holds(kept(secrets[0]), "nothing was kept of what was rejected, so that nothing can be dropped")
        for each in http.get("/rejected").json():
            http.delete(f"/rejected/{each['id']}")
        give_up = time.monotonic() + ERASED_AFTER_S
        while (left := sum(kept(secret) for secret in secrets)) and time.monotonic() < give_up:
            time.sleep(0.1)
    holds(not left, f"{left} of {len(secrets)} events that were dropped are still on the disk")
    return "bodies that were dropped are not in any file"


ATTACKS = [
    Attack(2, "send ids that share a hash", ids_of_one_hash),
    Attack(4, "have the elements of a small body counted", tokens_of_json),
    Attack(4, "have small bodies unpacked to much, many at once", bodies_that_unpack_to_much),
    Attack(4, "have the last purchases behind a number found", purchases_behind_a_number),
    Attack(4, "have 100,000 rejections kept of 230 bytes", rejections_by_the_hundred_thousand),
    Attack(4, "fill the disk with rejections", rejections_that_fill_the_disk),
    Attack(4, "count one merchant on 99,999 days", days_without_end),
    Attack(5, "read what was dropped", rejected_that_were_dropped),
    Attack(7, "bring a new merchant with each purchase", merchants_without_end),
]
