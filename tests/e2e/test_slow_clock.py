"""A real server whose clock is wrong, or near the time of its nightly audit."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.command import command, environment, tillroll
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DAY_S = 86_400


class Shifted:
    """A server whose clock is off by some seconds."""

    def __init__(self, data: Path, library: Path, shift_s: int, *arguments: str, file_bytes_max: int = 0) -> None:
        self.port = free_port()
        limited = ["prlimit", f"--fsize={file_bytes_max}"] if file_bytes_max else []

        self._process = subprocess.Popen(
            [*limited, *command("serve", "--data", data, "--port", str(self.port), *arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(LD_PRELOAD=str(library), CLOCK_SHIFT_S=str(shift_s)),
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body or None)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask("GET", "/status")[2])
        return found

    def metric(self, name: str) -> float:
        lines = self.ask("GET", "/metrics")[2].decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(name + " "))

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def purchase(days: float) -> bytes:
    date = (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds")
    return json.dumps({"date": date, "amount": 1, "paymentMethod": "PAY_NOW", "merchantId": "m"}).encode()


@pytest.fixture
def slow(tmp_path: Path, shifted_clock: Path) -> Iterator[Shifted]:
    server = Shifted(tmp_path / "data", shifted_clock, -2 * _DAY_S)
    yield server
    server.close()


def test_a_clock_two_days_slow_refuses_nothing_for_good(slow: Shifted) -> None:
    for body in (purchase(0), b"[%s,%s,%s]" % (purchase(0), purchase(0), purchase(-3)), purchase(-0.5)):
        status, headers, answer = slow.ask("POST", "/events", body)
        assert (status, json.loads(answer)["code"]) == (503, "clock_in_doubt")
        assert int(headers["Retry-After"]) > 0
    assert (slow.status()["events"], slow.status()["rejected"]) == (0, 0)
    assert slow.metric("tillroll_clock_refused_bodies_total") == 3
    assert slow.ask("POST", "/events", purchase(-3))[0] == 202


def test_one_producer_s_wrong_date_is_told_to_that_producer(slow: Shifted) -> None:
    good = b"\n".join([purchase(-3)] * 10)
    assert slow.ask("POST", "/events", good)[0] == 202
    status, _, answer = slow.ask("POST", "/events", purchase(0))
    assert (status, json.loads(answer)["not_accepted"][0]["code"]) == (422, "future_date")
    assert slow.status()["rejected"] == 1


def test_the_store_is_audited_at_the_time_that_is_set(tmp_path: Path, shifted_clock: Path) -> None:
    config = tmp_path / "tillroll.toml"
    config.write_text('audit_at = "03:30"\n')
    for ahead_s in (4, 15, 50):  # a busy machine starts it too late for the first
        now = datetime.now(UTC)
        at = now.replace(hour=3, minute=30, second=0, microsecond=0)
        shift_s = int((at - now).total_seconds()) - ahead_s
        server = Shifted(tmp_path / "data", shifted_clock, shift_s, "--config", str(config))
        if datetime.now(UTC) + timedelta(seconds=shift_s + 2) < at:
            break
        server.close()
    try:
        assert server.ask("POST", "/events", purchase(-3))[0] == 202
        give_up = time.monotonic() + 60
        while server.status()["last_audit"] is None and time.monotonic() < give_up:
            time.sleep(0.2)
        last = server.status()["last_audit"]
        assert (last["events"], last["differences_total"]) == (1, 0)
        assert datetime.fromtimestamp(last["at"], UTC).strftime("%H:%M") == "03:30"
        assert server.metric("tillroll_audit_timestamp_seconds") == pytest.approx(last["at"], abs=0.01)
        assert server.metric("tillroll_audit_differences") == server.metric("tillroll_audit_failed") == 0
    finally:
        server.close()


@pytest.mark.parametrize("text", ["25:00", "3:30", "03:60", "0330", "noon", "03:30Z", "-1:00"])
def test_a_time_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    told = tillroll("serve", "--data", tmp_path / "data", "--port", "0", code=2, TILLROLL_AUDIT_AT=text).stderr
    assert b"audit_at" in told
    assert b"03:30" in told


def test_an_audit_that_cannot_be_made_says_so(tmp_path: Path, shifted_clock: Path) -> None:
    lines = tmp_path / "lines"
    tillroll("generate", lines, "--events", "90000", "--from", "2026-01-01", "--days", "200", "--merchants", "20000")
    tillroll("import", lines, "--data", tmp_path / "data")
    server = Shifted(tmp_path / "data", shifted_clock, 0, file_bytes_max=400_000)
    try:
        assert server.ask("POST", "/audit")[0] == 202
        give_up = time.monotonic() + 60
        while server.status()["audit_error"] is None and time.monotonic() < give_up:
            time.sleep(0.2)
        assert "tillroll.db" in server.status()["audit_error"]
        assert server.metric("tillroll_audit_failed") == 1
    finally:
        server.close()
    assert not [path for path in (tmp_path / "data").iterdir() if path.name.startswith("audit-")]
