"""`tillroll serve` as a command: what it refuses, and that others of our commands work with it."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from tests.e2e.command import report, tillroll
from tests.e2e.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "data", tmp_path)
    running.start()
    yield running
    running.close()


def test_generate_top_and_report_work_beside_a_server_and_sigterm_ends_it_well(server: Server) -> None:
    arguments = ("--events", "2000", "--from", "2026-03-01", "--ids")
    assert json.loads(tillroll("generate", server.url, *arguments, "--json").stdout)["sent"]["accepted"] == 2_000
    look = json.loads(tillroll("top", "--url", server.url, "--count", "1", "--json").stdout)
    assert (look["events"], look["rejected"]) == (2_000, 0)
    assert sum(report(server.data, "bracket-method").values()) == 2_000
    again = json.loads(tillroll("generate", server.url, *arguments, "--json").stdout)["sent"]
    assert (again["accepted"], again["duplicates"]) == (0, 2_000)
    server.stop()
    tillroll("audit", "--data", server.data)


def test_a_server_that_is_not_there_is_told() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        done = tillroll("top", "--url", url, "--count", "1", code=4)
    assert b"no answer" in done.stderr


def test_it_does_not_listen_beyond_loopback_without_tokens_unless_told_so(tmp_path: Path) -> None:
    done = tillroll("serve", "--host", "0.0.0.0", "--port", "0", "--data", tmp_path / "data", code=2)
    assert b"--open-to-all" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_port_in_use_and_a_wrong_setting_are_told(server: Server, tmp_path: Path) -> None:
    taken = tillroll("serve", "--port", str(server.port), "--data", tmp_path / "other", code=2)
    assert str(server.port).encode() in taken.stderr
    assert b"debug, info" in tillroll("serve", "--log-level", "loud", code=2).stderr
    missing = tillroll("serve", "--tokens-file", tmp_path / "none", "--data", tmp_path / "other", code=2)
    assert b"tokens_file" in missing.stderr
