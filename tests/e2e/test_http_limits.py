"""What a sender cannot do to the server: hold its memory, its connections or its time."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.e2e.http_server import EVENT, Running, client, read_all, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINE = json.dumps(EVENT).encode()
GIGABYTE = 2**30


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("limits")) as found:
        yield found


def still_serves(running: Running) -> None:
    with client(running) as http:
        assert http.post("/events", json=EVENT).json()["accepted"] == 1
    assert running.process.poll() is None
    assert running.memory_bytes() < 400 * 2**20


def send_on(connection: socket.socket, piece: bytes, times: int) -> int:
    """Send a piece many times over, until the other side has had enough; return how often it went."""
    for sent in range(times):
        try:
            connection.sendall(piece)
        except OSError:
            return sent
    return times


def test_ten_gigabytes_that_are_announced_are_refused_at_once(running: Running) -> None:
    with socket.create_connection(running.address, timeout=30) as connection:
        connection.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (10 * GIGABYTE))
        sent = send_on(connection, b"x" * 2**20, 10 * 1024)
        assert sent < 10 * 1024
        with suppress(OSError):
            answer = read_all(connection)
            assert b" 413 " in answer
            assert b"too_large" in answer
    still_serves(running)


def test_a_sender_who_looks_sees_why_a_large_body_is_refused(running: Running) -> None:
    with socket.create_connection(running.address, timeout=30) as connection:
        connection.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (10 * GIGABYTE))
        connection.sendall(b"x" * 200_000)  # beyond what is taken quickly
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()
    assert b"too_large" in answer


def test_expecting_to_continue_a_large_body_is_refused_before_it_is_sent(running: Running) -> None:
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection(running.address, timeout=30) as connection:
        connection.sendall(head % (10 * GIGABYTE))
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(running.address, timeout=30) as connection:
        connection.sendall(head % len(LINE))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(LINE)
        assert connection.recv(1000).startswith(b"HTTP/1.1 202 ")


def test_a_body_in_chunks_without_end_is_cut_off(running: Running) -> None:
    piece = b"100000\r\n" + b"x" * 2**20 + b"\r\n"
    with socket.create_connection(running.address, timeout=30) as connection:
        connection.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert send_on(connection, piece, 10 * 1024) < 10 * 1024
    still_serves(running)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 4_000 + b"\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /events HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 2**20,
        b"GET /" + b"x" * 2**20,
    ],
    ids=["header", "headers", "address", "header-without-end", "address-without-end"],
)
def test_a_head_that_is_too_large_is_refused(running: Running, head: bytes) -> None:
    with socket.create_connection(running.address, timeout=30) as connection:
        with suppress(OSError):
            connection.sendall(head)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"headers_too_large" in answer
    still_serves(running)


def test_headers_without_end_are_cut_off(running: Running) -> None:
    with socket.create_connection(running.address, timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        assert send_on(connection, b"X: y\r\n" * 1_000, 1_000_000) < 1_000_000
    still_serves(running)


def test_trailers_without_end_are_cut_off(running: Running) -> None:
    with socket.create_connection(running.address, timeout=30) as connection:
        connection.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        assert send_on(connection, b"X: " + b"y" * 10_000 + b"\r\n", 1_000_000) < 1_000_000
    still_serves(running)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n bad: folded\r\n\r\n",
        b"POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["tls", "words", "length", "length-and-chunks", "folded", "chunk", "connect"],
)
def test_what_is_not_http_is_refused_as_a_problem(running: Running, sent: bytes) -> None:
    answer = running.talk(sent)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer
    still_serves(running)


def test_an_upgrade_that_is_asked_for_is_answered_without(running: Running) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with socket.create_connection(running.address, timeout=30) as connection:
        connection.sendall(head)
        assert connection.recv(1_000).startswith(b"HTTP/1.1 200 ")


def test_what_follows_a_request_cannot_take_its_answer(running: Running) -> None:
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(LINE)
    answer = running.talk(head + LINE + b"this is not HTTP\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 202 ")


def test_a_request_that_trickles_in_is_ended_and_holds_up_nobody(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from tillroll.app import open_store\n"
        "from tillroll.web.server import serve\n"
        "from tillroll.web.settings import Settings\n"
        "serve(open_store(sys.argv[1]), Settings(port=0, request_s_max=1, keep_alive_s=1))\n"
    )
    with serving(tmp_path, code=code) as running:
        slow = [socket.create_connection(running.address, timeout=30) for _ in range(100)]
        starts = [
            b"GET / HT",
            b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n{",
            b"",
            b"\r\n",
        ]
        for number, connection in enumerate(slow):
            connection.sendall(starts[number % len(starts)])
        still_serves(running)
        began = time.monotonic()
        answers = [read_all(connection) for connection in slow]
        assert time.monotonic() - began < 15
        for number, answer in enumerate(answers):
            if number % len(starts) < 2:
                assert answer.startswith(b"HTTP/1.1 408 ")
                assert b"request_timeout" in answer
        for connection in slow:
            connection.close()
        still_serves(running)


def test_a_full_disk_is_told_and_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from tillroll.app import open_store\n"
        "from tillroll.web.server import serve\n"
        "from tillroll.web.settings import Settings\n"
        "store = open_store(sys.argv[1])\n"
        "store._connection.execute('PRAGMA max_page_count = 300')\n"  # what SQLite takes for a full disk
        "serve(store, Settings(port=0))\n"
    )
    acknowledged = 0
    refused: httpx.Response | None = None
    with serving(tmp_path, code=code) as running, client(running) as http:
        for number in range(400):
            body = b"\n".join(json.dumps(EVENT | {"id": f"{number}-{index}"}).encode() for index in range(500))
            answer = http.post("/events", content=body)
            if answer.status_code != 202:
                refused = answer
                break
            acknowledged += answer.json()["accepted"]
        assert refused is not None
        assert (refused.status_code, refused.json()["code"]) == (507, "store_full")
        assert refused.headers["retry-after"] == "10"
        assert http.get("/status").json()["events"] == acknowledged
    with serving(tmp_path) as again, client(again) as http:
        assert http.get("/aggregates/10-50|SLICE_IT").json()["events"] == acknowledged
        assert http.post("/events", content=body).json()["accepted"] == 500


def test_bodies_that_come_in_part_have_a_bound_together(running: Running) -> None:
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (16 * 2**20)
    held = [socket.create_connection(running.address, timeout=60) for _ in range(20)]

    def fill(connection: socket.socket) -> bytes:
        with suppress(OSError):
            connection.sendall(head + b" " * (15 * 2**20))
        return b""

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fill, held))
    still_serves(running)
    refused = 0
    for connection in held:
        connection.settimeout(0.5)
        try:
            answer = connection.recv(1_000)
        except OSError:
            continue
        finally:
            connection.close()
        refused += b" 503 " in answer and b"retry-after" in answer.lower()
    assert refused
    still_serves(running)


def test_a_stopped_server_has_kept_all_it_acknowledged_and_answered_all_it_took(
    tmp_path: Path,
) -> None:
    acknowledged = 0
    lock = threading.Lock()
    with serving(tmp_path) as running:
        go_on = threading.Event()

        def send() -> None:
            nonlocal acknowledged
            with client(running) as http, suppress(httpx.HTTPError):
                while True:
                    answer = http.post("/events", json=EVENT)
                    with lock:
                        acknowledged += answer.status_code == 202
                    if acknowledged > 200:
                        go_on.set()

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert go_on.wait(60)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(30) == 0
        for thread in threads:
            thread.join(30)
    with serving(tmp_path) as again, client(again) as http:
        assert http.get("/status").json()["events"] == acknowledged
        assert again.stop() == 0
