"""AWS in one process, for tests: starts ministack on a free port of loopback, and ends it."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from tests.aws.fetch_environments import install
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REGION = "eu-west-1"
ACCOUNT = "000000000000"
# Ministack's own administrator, as far as it checks at all.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}


class Ministack:
    """A running ministack."""

    def __init__(self, port: int, log: Path, pid: int = 0) -> None:
        self.pid = pid
        self._clients: dict[tuple[object, ...], Any] = {}
        self.endpoint = f"http://127.0.0.1:{port}"
        self.log = log

    def session(self, key: str = "test", secret: str = "test", token: str | None = None) -> boto3.Session:
        return boto3.Session(key, secret, token, region_name=REGION)

    def client(self, service: str, **credentials: str) -> Any:
        """Return a client, the same one for the same service and credentials: making one is slow."""
        key = (service, *sorted(credentials.items()))
        if key not in self._clients:
            session: Any = self.session(**credentials)
            self._clients[key] = session.client(service, endpoint_url=self.endpoint)
        return self._clients[key]

    def environment(self) -> dict[str, str]:
        """Return what a process needs to take this for AWS."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TILLROLL_"))}
        return kept | CREDENTIALS | {"AWS_ENDPOINT_URL": self.endpoint, "AWS_DEFAULT_REGION": REGION}


@contextmanager
def running(directory: Path, port: int = 0, **variables: str) -> Iterator[Ministack]:
    """Run ministack with some more environment variables until the block ends; on a free port if none is given."""
    port = port or free_port()
    log = directory / f"ministack-{port}.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TILLROLL_"))}
    environment = (
        kept
        | CREDENTIALS
        | {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "PERSIST_STATE": "0",
            "S3_DATA_DIR": str(directory / "s3"),
            "TMPDIR": str(directory),
        }
    )
    program = install("ministack") / "bin" / "ministack"
    with log.open("wb") as output:
        process = subprocess.Popen([str(program)], env=environment | variables, stdout=output, stderr=output)
    try:
        _wait(process, port, log)
        yield Ministack(port, log, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends_at = time.monotonic() + 60
    while time.monotonic() < ends_at:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=2):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.05)
    raise RuntimeError(f"ministack did not start: {log.read_text()[-2000:]}")
