"""The real server as a process, and a client of nothing but the standard library."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

from tests.e2e.command import start
from tests.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path


class Server:
    """A server over a store. It keeps its port through kills and restarts, and logs into a directory."""

    def __init__(self, data: Path | str, directory: Path, *flags: str | Path, **variables: str) -> None:
        self.data = data
        self._flags = flags
        self._variables = variables
        self._log = directory / "server.log"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self._log.open("ab") as log:
            arguments = ("serve", "--data", self.data, "--port", str(self.port), *self._flags)
            process = start(*arguments, stderr=log, **self._variables)
        assert process.stdout is not None
        if not process.stdout.readline():
            process.wait()
            raise AssertionError(self._log.read_text()[-2_000:])
        self._process = process

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._end()

    def stop(self) -> None:
        """SIGTERM, and wait until it has stopped as it should."""
        assert self._process is not None
        self._process.terminate()
        code = self._end()
        assert code == 0, (code, self._log.read_text()[-2_000:])

    def ended(self, within_s: float = 30) -> int:
        """Wait until the server has ended by itself; return its exit code."""
        assert self._process is not None
        self._process.wait(within_s)
        return self._end()

    def limit_files(self, size: int | None) -> None:
        """Let the server write no file beyond a size, or again any."""
        assert self._process is not None
        limit = f"--fsize={'unlimited' if size is None else size}:unlimited"
        subprocess.run(["prlimit", "--pid", str(self._process.pid), limit], check=True)

    def _end(self) -> int:
        process, self._process = self._process, None
        assert process is not None
        process.communicate(timeout=60)
        return process.returncode

    def close(self) -> None:
        if self._process is not None:
            self.kill()


def post_until_answered(port: int, key: str, lines: list[bytes], give_up_s: float = 120) -> dict[str, Any]:
    """Send a body under a key, again and again until the server has answered for it."""
    give_up = time.monotonic() + give_up_s
    headers = {"Idempotency-Key": key, "Content-Type": "application/x-ndjson"}
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("POST", "/events", b"\n".join(lines), headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status in {202, 422}:
                found: dict[str, Any] = json.loads(answer)
                return found
            assert response.status in {429, 503, 507}, (response.status, answer)
        except (OSError, http.client.HTTPException):
            if time.monotonic() > give_up:
                raise
        finally:
            connection.close()
        time.sleep(0.02)  # the server is being restarted
