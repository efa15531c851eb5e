"""The systemd units: what systemd says of them, and a real server under their filter of system calls."""

from __future__ import annotations

import ctypes.util
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.deploy.confined import lines_of
from tests.e2e.command import EVENT, environment, tillroll
from tests.e2e.http_server import NO_TLS

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
UNITS = HERE.parents[1] / "deploy" / "systemd"
SERVICE = UNITS / "tillroll.service"
BACKUP = UNITS / "tillroll-backup.service"
CONFINED = [sys.executable, str(HERE / "confined.py")]

systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze: it is in Debian's systemd"
)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=False)


@systemd
@pytest.mark.parametrize("unit", [SERVICE, BACKUP], ids=lambda path: path.stem)
def test_systemd_says_that_the_unit_is_safe(unit: Path) -> None:
    done = analyze("security", "--offline=true", "--threshold=30", unit)
    told = done.stdout + done.stderr
    if "Unknown option" in told or "unrecognized option" in told:
        pytest.skip("this systemd cannot look at a unit that it has not loaded")
    assert done.returncode == 0, told
    assert re.search(r"Overall exposure level .*: \d\.\d OK", told), told


@systemd
def test_systemd_knows_every_setting_of_the_units(tmp_path: Path) -> None:
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/opt/tillroll/bin/tillroll", "/bin/true")  # it is not installed here
        (tmp_path / unit.name).write_text(text)
    done = analyze("verify", "--man=no", *sorted(tmp_path.glob("tillroll*.*")))
    assert "tillroll" not in done.stderr, done.stderr


@systemd
@pytest.mark.skipif(ctypes.util.find_library("seccomp") is None, reason="no libseccomp")
def test_a_server_does_everything_under_the_units_filter(tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [*CONFINED, str(SERVICE), sys.executable, "-m", "tillroll", "serve", "--data", str(data), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    assert server.stdout is not None
    try:
        address = server.stdout.readline().decode().split()[-1]
        with httpx.Client(base_url=address, trust_env=False, timeout=60, verify=NO_TLS) as http:
            assert (
                http.post("/events", content=EVENT * 30_000, headers={"Content-Type": "application/x-ndjson"}).json()[
                    "accepted"
                ]
                == 30_000
            )
            assert http.get("/reports/day-merchant").json()[0]["events"] == 30_000
            assert "process_start_time_seconds" in http.get("/metrics").text
            http.post("/audit")
            while http.get("/status").json()["audit_running"]:
                pass
            assert http.get("/status").json()["last_audit"]["differences_total"] == 0
    finally:
        server.send_signal(signal.SIGTERM)
        _, log = server.communicate(timeout=30)
    assert server.returncode == 0, log
    assert b"not permitted" not in log, log


@systemd
@pytest.mark.skipif(ctypes.util.find_library("seccomp") is None, reason="no libseccomp")
def test_the_filter_refuses_what_a_server_does_not_do() -> None:
    code = "import os; os.sched_setaffinity(0, {0})"
    done = subprocess.run([*CONFINED, SERVICE, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr


def test_the_unit_lets_the_server_have_the_files_that_it_asks_for() -> None:
    (files,) = lines_of(SERVICE, "LimitNOFILE")
    code = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))\n"
    code += "from tillroll.web import server; print(server._connections_max())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "10000\n"


def shell_of(unit: Path) -> str:
    """The shell's part of a unit's command, as systemd hands it on."""
    (line,) = re.findall(r"^ExecStart=/bin/sh -ec '(.*?)'$", unit.read_text(), re.MULTILINE | re.DOTALL)
    text: str = line.replace("\\\n", "\n").replace("%%", "%").replace("$$", "$")
    return text


def run_backup(backups: Path, data: Path) -> Sequence[str]:
    script = shell_of(BACKUP).replace("/var/backups/tillroll", str(backups))
    script = script.replace("/opt/tillroll/bin/tillroll", f"{sys.executable} -m tillroll")
    subprocess.run(
        ["/bin/sh", "-ec", script], check=True, env=environment(TILLROLL_DATA=str(data)), capture_output=True
    )
    return sorted(path.name for path in backups.iterdir())


def test_the_nightly_copy_is_whole_and_the_newest_seven_are_kept(tmp_path: Path) -> None:
    (tmp_path / "events").write_bytes(EVENT * 2)
    tillroll("import", tmp_path / "events", "--data", tmp_path / "data")
    backups = tmp_path / "backups"
    backups.mkdir()
    for day in range(10, 20):
        (backups / f"tillroll-2026-01-{day}.db").touch()
    (backups / "notes").touch()
    notes, *kept = run_backup(backups, tmp_path / "data")
    assert notes == "notes"
    assert [name[9:19] for name in kept[:6]] == [f"2026-01-{day}" for day in range(14, 20)]
    assert len(kept) == 7
    told = tillroll("restore", backups / kept[-1], "--data", tmp_path / "restored", "--json").stdout
    assert json.loads(told)["events"] == 2
