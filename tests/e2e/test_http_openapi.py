"""The description is true to the server: Schemathesis looks for an answer that breaks it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.command import environment
from tests.e2e.http_server import EVENT, client, serving

ROOT = Path(__file__).parents[2]
# By hand, with some hundreds, for longer.
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "4")


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("token", ["", "secret"], ids=["open", "guarded"])
def test_schemathesis_finds_no_answer_that_is_not_as_described(tmp_path: Path, token: str) -> None:
    variables = {"TILLROLL_SEND_TOKENS": token, "TILLROLL_READ_TOKENS": token} if token else {}
    with serving(tmp_path, **variables) as running:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with client(running, headers=headers) as http:
            http.post("/events", json=[EVENT, EVENT | {"amount": -1}, 7]).raise_for_status()
        command = [
            sys.executable,
            "-m",
            "schemathesis.cli",
            "--config-file",
            str(Path(__file__).parent / "schemathesis" / "schemathesis.toml"),
        ]
        command += ["run", f"{running.url}/openapi.json", "--max-examples", EXAMPLES, "--no-color"]
        command += [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=environment(SCHEMATHESIS_HOOKS="tests.e2e.schemathesis.hooks"),
        )
        assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
        assert running.process.poll() is None
        assert "Traceback" not in running.log.read_text()
