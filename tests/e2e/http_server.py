"""A server as a process on a free port, and what it takes to watch it."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
from tests.e2e.command import environment, start

if TYPE_CHECKING:
    from collections.abc import Iterator

# For clients of plain HTTP: to read the authorities that a machine trusts takes each of them as long as many a test.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
EVENT = {
    "date": "2011-12-03T10:15:30Z",
    "amount": 4285,
    "paymentMethod": "SLICE_IT",
    "merchantId": "1bb53ed1-787b-4543-9def-ea18eef7902e",
}


class Running(NamedTuple):
    """A server that answers."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def memory_bytes(self) -> int:
        """Return how much memory the process holds now."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the process has no memory")

    def stop(self) -> int:
        """SIGTERM, and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def talk(self, sent: bytes, timeout_s: float = 60) -> bytes:
        """Send bytes as they are on a connection of their own, and return all that comes back until it ends."""
        with socket.create_connection(self.address, timeout=timeout_s) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            return read_all(connection)


def read_until(connection: socket.socket, wanted: bytes) -> bytes:
    """Return what comes up to where some bytes are in it, or the other side closes: an answer may come in pieces."""
    received = b""
    while wanted not in received and (piece := connection.recv(1 << 16)):
        received += piece
    return received


def read_all(connection: socket.socket) -> bytes:
    """Return what comes until the other side closes."""
    received = b""
    while piece := connection.recv(1 << 16):
        received += piece
    return received


@contextmanager
def serving(directory: Path, *flags: str, code: str | None = None, **env: str) -> Iterator[Running]:
    """Serve the store in the directory for the body's time; by some code, given its path, instead of the command."""
    log = directory / "server.log"
    data = directory / "data"
    with log.open("ab") as stderr:
        if code is None:
            process = start("serve", "--data", data, "--port", "0", *flags, stderr=stderr, **env)
        else:
            process = subprocess.Popen(
                [sys.executable, "-c", code, str(data)], stdout=subprocess.PIPE, stderr=stderr, env=environment(**env)
            )
    assert process.stdout is not None
    try:
        line = process.stdout.readline().decode()
        assert line.startswith("Listening on "), log.read_text()[-4_000:]
        yield Running(line.split()[-1], process, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def client(running: Running, **options: Any) -> httpx.Client:
    """Return a client of a server."""
    return httpx.Client(base_url=running.url, timeout=60, trust_env=False, verify=NO_TLS, **options)
