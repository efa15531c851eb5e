"""The description is true to the server: Schemathesis looks for an answer that breaks it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.command import environment
from tests.e2e.http_server import EVENT, client, serving

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).parent / "schemathesis" / "schemathesis.toml"
# In the long run, or by hand with some hundreds: random ones beside those that it makes of the description each time.
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES")


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    "token",
    ["a-secret-of-some-length", pytest.param("", marks=pytest.mark.long)],  # all is asked with a token that may be open
    ids=["guarded", "open"],
)
def test_schemathesis_finds_no_answer_that_is_not_as_described(tmp_path: Path, token: str) -> None:
    variables = {"TILLROLL_SEND_TOKENS": token, "TILLROLL_READ_TOKENS": token} if token else {}
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with serving(tmp_path, **variables) as running:
        with client(running, headers=headers) as http:
            http.post("/events", json=[EVENT, EVENT | {"amount": -1}, 7]).raise_for_status()
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)]
        command += [
            "run",
            f"{running.url}/openapi.json",
            "--phases",
            "examples,coverage,fuzzing" if EXAMPLES else "examples,coverage",
            *(["--max-examples", EXAMPLES] if EXAMPLES else []),
            "--no-color",
        ]
        command += [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        hooks = environment(SCHEMATHESIS_HOOKS="tests.e2e.schemathesis.hooks")
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=hooks)
        assert done.returncode == 0, _told(done.stdout) + done.stderr[-2_000:]
        assert running.process.poll() is None
        assert "Traceback" not in running.log.read_text()


def _told(output: str) -> str:
    """What Schemathesis says of failures, without addresses of many thousand characters."""
    lines = [line[:500] for line in output.splitlines() if line.strip(" =")]
    return "\n".join(lines[-120:])
