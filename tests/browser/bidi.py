"""A browser by WebDriver BiDi, which Firefox speaks by itself: JSON over a WebSocket (RFC 6455), no driver between.

Only what a look at a page needs. https://www.w3.org/TR/webdriver-bidi/
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_S = 90.0
ANSWER_S = 60.0


class WebSocket:
    """The client's side of a connection."""

    def __init__(self, port: int, path: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S)
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self._socket.sendall(f"{head}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        reply = b""
        while not reply.endswith(b"\r\n\r\n"):
            reply += self._read(1)
        if b" 101 " not in reply.partition(b"\r\n")[0]:
            raise ConnectionError(reply.decode())

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the browser has closed the connection")
            data += piece
        return data

    def send(self, text: str) -> None:
        """Send a text in one frame, masked as a client's must be."""
        data, mask = text.encode(), os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
        size = struct.pack(">B", 0x80 | len(data)) if len(data) < 126 else struct.pack(">BH", 0xFE, len(data))
        self._socket.sendall(b"\x81" + size + mask + masked)

    def receive(self) -> str:
        """Return the next text, of however many frames; others are passed over."""
        text = b""
        while True:
            first, size = self._read(2)
            if size == 126:
                (size,) = struct.unpack(">H", self._read(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self._read(8))
            data = self._read(size)
            if first & 0x0F in {0, 1}:
                text += data
                if first & 0x80:
                    return text.decode()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


class Tab:
    """A tab of a browser, and what its console said."""

    def __init__(self, connection: WebSocket) -> None:
        self._connection = connection
        self._number = 0
        self.said: list[str] = []
        self._call("session.new", {"capabilities": {}})
        self._call("session.subscribe", {"events": ["log.entryAdded"]})
        self._context = self._call("browsingContext.getTree", {})["contexts"][0]["context"]

    def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.receive())
            if message.get("method") == "log.entryAdded":
                self.said.append(f"{message['params']['level']}: {message['params']['text']}")
            if message.get("id") == self._number:
                if message["type"] == "error":
                    raise RuntimeError(f"{method}: {message['error']}: {message['message']}")
                found: dict[str, Any] = message["result"]
                return found

    def go(self, url: str) -> None:
        """Open an address."""
        self._call("browsingContext.navigate", {"context": self._context, "url": url, "wait": "interactive"})

    def evaluate(self, expression: str) -> Any:
        """Return what an expression gives, by JSON."""
        parameters = {
            "expression": f"JSON.stringify({expression})",
            "target": {"context": self._context},
            "awaitPromise": True,
        }
        reply = self._call("script.evaluate", parameters)
        if reply["type"] == "exception":
            raise RuntimeError(f"{expression}: {reply['exceptionDetails']['text']}")
        return json.loads(reply["result"].get("value", "null"))

    def wait_for(self, expression: str) -> Any:
        """Return what an expression gives once that is true."""
        give_up = time.monotonic() + ANSWER_S
        while time.monotonic() < give_up:
            found = self.evaluate(expression)
            if found:
                return found
            time.sleep(0.1)
        raise AssertionError(f"{expression} does not come true; the console said {self.said}")

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        keyboard = {"type": "key", "id": "keyboard", "actions": actions}
        self._call("input.performActions", {"context": self._context, "actions": [keyboard]})


@contextmanager
def firefox(program: str, profile: Path) -> Iterator[Tab]:
    """Lend a tab of a Firefox without a window, with a profile of its own."""
    profile.mkdir()
    log = profile.with_suffix(".log")
    command = [program, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    environment = os.environ | {"HOME": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "about:blank"], stdout=output, stderr=output, env=environment)
    try:
        give_up = time.monotonic() + START_S
        while not (found := re.search(rb"WebDriver BiDi listening on ws://127\.0\.0\.1:(\d+)", log.read_bytes())):
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"Firefox does not listen: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        with closing(WebSocket(int(found[1]), "/session")) as connection:
            yield Tab(connection)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
