"""The server under test: the real process, on a port of its own, over a directory of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
from tests.e2e.forks import Forked
from tests.e2e.http_server import NO_TLS
from tests.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

START_S = 120.0  # however busy the machine is
BODY_EVENTS = 20_000


class Server:
    """`tillroll serve` as a process."""

    def __init__(
        self,
        data: Path,
        *,
        address: str | None = None,
        tokens_file: Path | None = None,
        token: str | None = None,
        environ: dict[str, str] | None = None,
    ) -> None:
        self.data = address or str(data)
        self._folder = data.parent
        self._environ = environ or {}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._flags = ["--tokens-file", str(tokens_file)] if tokens_file else []
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.client = httpx.Client(base_url=self.url, headers=headers, timeout=60, verify=NO_TLS)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it answers."""
        arguments = ["serve", "--data", self.data, "--port", str(self.port), "--log-level", "warning", *self._flags]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TILLROLL_")}
        if self._environ:
            command = [sys.executable, "-m", "tillroll", *arguments]
            self._process = subprocess.Popen(command, env=inherited | self._environ, cwd=self._folder)
        else:
            self._process = Forked(arguments, inherited, directory=self._folder, stderr=2)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with {self._process.returncode}: its words are above")
            with contextlib.suppress(httpx.TransportError):
                if self.client.get("/healthz").is_success:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the server did not answer within {START_S} s")

    def stop(self) -> None:
        """Stop it as an operator would, and wait for its end."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=START_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def close(self) -> None:
        """Stop it for good."""
        self.stop()
        self.client.close()

    def post(self, ndjson: bytes) -> None:
        """Send events; they must all be taken."""
        rows = ndjson.splitlines(keepends=True)
        for start in range(0, len(rows), BODY_EVENTS):
            body = b"".join(rows[start : start + BODY_EVENTS])
            reply = self.client.post("/events", content=body, headers={"Content-Type": "application/x-ndjson"})
            reply.raise_for_status()
            if reply.json()["rejected"]:
                raise RuntimeError(f"events were rejected: {reply.json()['not_accepted'][:3]}")

    def rows(self, report: str, **question: Any) -> dict[str, int]:
        """Return all rows that answer a question, in their order."""
        found: dict[str, int] = {}
        question.setdefault("limit", 10_000)
        url: str | httpx.URL = httpx.URL(f"/reports/{report}", params=question)
        while True:
            reply = self.client.get(url)
            reply.raise_for_status()
            found |= {row["datapoint"]: row["events"] for row in reply.json()}
            if "next" not in reply.links:
                return found
            url = reply.links["next"]["url"]
