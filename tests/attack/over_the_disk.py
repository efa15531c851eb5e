"""Attacks by what happens beside the server: files that go, bits that flip, a slow clock, a terminal that reads."""

from __future__ import annotations

import datetime as dt
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
from tests.attack.target import Attack, holds
from tests.e2e.command import command
from tests.e2e.http_server import EVENT, client

if TYPE_CHECKING:
    from pathlib import Path

    from tests.attack.target import Target

REPORTS = ("hour-bracket", "hour-bracket-method", "bracket-method", "day-merchant", "merchant-method")
ESCAPES = b"\x1b]0;owned\x07\x1b[2J\x9b31m"
# Flips bits of a copy of the file one after another, and says how many gave a wrong count without a word.
FLIPS = """
import contextlib, io, random, shutil, sys
from pathlib import Path
from tillroll.cli.main import run
source, work, flips = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
def told(data):
    out = io.StringIO()
    for report in ("bracket-method", "merchant-method", "day-merchant"):
        out.flush()
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw)
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(io.StringIO()):
            code = run(["report", report, "--data", str(data), "--format", "json"])
            stream.flush()
        if code:
            return None
        out.write(raw.getvalue().decode())
    return out.getvalue()
right = told(source)
rng = random.Random(1)
wrong = 0
for _ in range(flips):
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(source, work)
    content = bytearray((work / "tillroll.db").read_bytes())
    content[rng.randrange(100, len(content))] ^= 1 << rng.randrange(8)
    (work / "tillroll.db").write_bytes(content)
    wrong += told(work) not in (right, None)
print(wrong, right is not None and len(right))
"""


def directory_that_is_deleted(target: Target) -> str:
    directory = target.directory()
    with target.serving(directory=directory) as running, client(running) as http:
        holds(http.post("/events", json=EVENT).status_code == 202, "the server takes nothing")
        shutil.rmtree(directory / "data")
        time.sleep(1)
        answers = []
        for _ in range(20):
            with suppress(httpx.HTTPError):
                answers.append(http.post("/events", json=EVENT).status_code)
        holds(202 not in answers, f"{answers.count(202)} of 20 posts into a deleted directory are acknowledged")
        with suppress(subprocess.TimeoutExpired):
            running.process.wait(5)
        holds(running.process.poll() not in {None, 0}, "the server goes on")
    return f"no acknowledgement; the server ended with {running.process.returncode}"


def end_of_the_journal_that_is_lost(target: Target) -> str:
    directory = target.directory()
    with target.serving(directory=directory) as running, client(running) as http:
        for number in range(30):
            http.post("/events", json=EVENT | {"id": str(number)})
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
    (directory / "data" / "tillroll.db-wal").unlink()
    (directory / "data" / "tillroll.db-shm").unlink(missing_ok=True)
    audit = target.run("audit", "--data", directory / "data")
    holds(audit.returncode != 0, f"30 events are lost with SQLite's log, and audit says {audit.stdout[:60]!r}")
    return f"30 events lost with SQLite's log: audit ends with {audit.returncode}"


def bits_that_flip(target: Target) -> str:
    directory = target.directory()
    lines = directory / "lines"
    target.run("generate", lines, "--events", "20000", "--merchants", "300", "--to", "2026-11-01")
    target.run("import", lines, "--data", directory / "data")
    flips = 80
    arguments = [str(directory / "data"), str(directory / "work"), str(flips)]
    done = subprocess.run(
        [sys.executable, "-c", FLIPS, *arguments],
        capture_output=True,
        check=False,
        timeout=55,
        env=target.environment(),
    )
    holds(bool(done.stdout), f"the flips cannot be tried: {done.stderr[-200:].decode()}")
    wrong, size = done.stdout.split()
    holds(int(size) > 1_000, "there is no report to be wrong")
    holds(int(wrong) == 0, f"{int(wrong)} of {flips} flipped bits give a wrong count without a word")
    return f"{flips} flipped bits: none gives a wrong count without a word"


def directories_that_are_left(target: Target) -> str:
    directory = target.directory()
    target.run("import", "-", "--data", directory / "data", stdin=json.dumps(EVENT).encode())
    left = directory / "data" / "audit-k1ll3d"
    left.mkdir()
    (left / "recount.db").write_bytes(b"x" * 1_000)
    os.utime(left, (0, 0))
    target.run("audit", "--data", directory / "data")
    holds(not left.exists(), "what a killed audit left stays for ever")
    return "what a killed audit left is removed by the next"


def slow_clock(target: Target) -> str:
    date = (dt.datetime.now(dt.UTC) + dt.timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    with target.serving() as running, client(running) as http:
        http.post("/events", json=EVENT)
        answers = [http.post("/events", json=EVENT | {"date": date, "id": str(n)}).status_code for n in range(40)]
        kept = len(http.get("/rejected").json())
    final = sum(status != 503 for status in answers[-20:])
    holds(final == 0, f"{final} of 20 events of today are refused for good by a clock two days slow")
    return f"40 events of today to a clock two days slow: {answers.count(503)} told to come again, {kept} kept"


def escapes_to_a_terminal(target: Target) -> str:
    directory = target.directory()
    with target.serving(directory=directory) as running, client(running) as http:
        http.post("/events", content=b'{"date": "' + ESCAPES + b'"}')
        (each,) = http.get("/rejected").json()
    shown = _on_a_terminal(target, "rejected", "show", each["id"], "--data", directory / "data")
    shown += _on_a_terminal(target, "rejected", "list", "--data", directory / "data")
    named = directory / f"purchases{ESCAPES[:10].decode()}.ndjson"
    named.write_text("7\n")
    shown += _on_a_terminal(target, "import", named, "--data", directory / "data")
    holds(b"\x1b]0" not in shown and b"\x9b31m" not in shown, "a rejected event, or a file's name, steers the terminal")
    return "escape sequences in a rejected event and in a file's name"


def _on_a_terminal(target: Target, *arguments: str | Path) -> bytes:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*arguments), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=target.environment()
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the terminal is closed with its last process
        while piece := os.read(ours, 65_536):
            shown += piece
    process.wait(30)
    os.close(ours)
    return shown


ATTACKS = [
    Attack(3, "have purchases acknowledged into a directory that is gone", directory_that_is_deleted),
    Attack(12, "steer the terminal of who looks at a rejected event", escapes_to_a_terminal),
    Attack(14, "change a count by a flipped bit", bits_that_flip),
    Attack(15, "lose the end of the journal unseen", end_of_the_journal_that_is_lost),
    Attack(16, "fill the directory with killed audits", directories_that_are_left),
    Attack(17, "have a slow clock refuse today for good", slow_clock),
]
