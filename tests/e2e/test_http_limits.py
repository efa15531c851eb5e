"""What a sender cannot do to the server: hold its memory, its connections or its time."""

from __future__ import annotations

import gzip
import json
import selectors
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.e2e.http_server import EVENT, Running, client, read_all, read_until, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINE = json.dumps(EVENT).encode()
GIGABYTE = 2**30


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
    with socket.create_connection(running.address, timeout=60) as connection:
        connection.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (10 * GIGABYTE))
        sent = send_on(connection, b"x" * 2**20, 10 * 1024)
        assert sent < 10 * 1024
        with suppress(OSError):
            answer = read_all(connection)
            assert b" 413 " in answer
            assert b"too_large" in answer
    still_serves(running)


def test_a_sender_who_looks_sees_why_a_large_body_is_refused(running: Running) -> None:
    with socket.create_connection(running.address, timeout=60) as connection:
        connection.sendall(b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (10 * GIGABYTE))
        connection.sendall(b"x" * 200_000)  # beyond what is taken quickly
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()
    assert b"too_large" in answer


def test_expecting_to_continue_a_large_body_is_refused_before_it_is_sent(running: Running) -> None:
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection(running.address, timeout=60) as connection:
        connection.sendall(head % (10 * GIGABYTE))
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(running.address, timeout=60) as connection:
        connection.sendall(head % len(LINE))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(LINE)
        assert connection.recv(1000).startswith(b"HTTP/1.1 202 ")


def test_a_body_in_chunks_without_end_is_cut_off(running: Running) -> None:
    piece = b"100000\r\n" + b"x" * 2**20 + b"\r\n"
    with socket.create_connection(running.address, timeout=60) as connection:
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
    with socket.create_connection(running.address, timeout=60) as connection:
        with suppress(OSError):
            connection.sendall(head)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"headers_too_large" in answer
    still_serves(running)


def test_headers_without_end_are_cut_off(running: Running) -> None:
    with socket.create_connection(running.address, timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        assert send_on(connection, b"X: y\r\n" * 1_000, 1_000_000) < 1_000_000
    still_serves(running)


def test_trailers_without_end_are_cut_off(running: Running) -> None:
    with socket.create_connection(running.address, timeout=60) as connection:
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
    with socket.create_connection(running.address, timeout=60) as connection:
        connection.sendall(head)
        assert connection.recv(1_000).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("length", [2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**40])
@pytest.mark.parametrize("address", [b"/events", b"/aggregates"])
def test_length_beyond_all_bounds_is_too_large_at_once(running: Running, length: int, address: bytes) -> None:
    with socket.create_connection(running.address, timeout=60) as connection:
        connection.sendall(b"POST " + address + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % length)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"too_large" in answer


def test_chunk_beyond_all_bounds_is_too_large_at_once(running: Running) -> None:
    with socket.create_connection(running.address, timeout=60) as connection:
        connection.sendall(
            b"POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + b"F" * 20
        )
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"Host: localhost\r\nHost: localhost\r\n",
        b"Host: localhost\r\nHOST: evil.example\r\n",
        b"Host: localhost\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n",
        b"Host: localhost\r\nContent-Type: application/json\r\nContent-Type: text/csv\r\n",
        b"Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil.example\r\n",
    ],
    ids=["no-host", "hosts", "hosts-that-differ", "tokens", "types", "origins"],
)
def test_header_that_is_missing_or_there_twice_is_refused_everywhere(running: Running, fields: bytes) -> None:
    posted = b"POST /events HTTP/1.1\r\n" + fields + b"Content-Length: %d\r\n\r\n" % len(LINE) + LINE
    for sent in (posted, b"GET /reports HTTP/1.1\r\n" + fields + b"\r\n", b"GET / HTTP/1.1\r\n" + fields + b"\r\n"):
        answer = running.talk(sent)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"bad_request" in answer


def test_address_that_no_file_can_have_is_not_there(running: Running) -> None:
    with client(running) as http:
        for path in (
            "%00",
            "js/%00",
            "a%00b.js",
            "x" * 300,
            "x/" * 900,
            "..%2f..%2f__init__.py",
            "%2e%2e/static.py",
            "",
            "js",
            "0123456789abcdef/",
            "0123456789abcdef/..%2fasgi.py",
            "0123456789abcdef/0123456789abcdef/js/main.js",
            "0123456789ABCDEF/js/main.js",
        ):
            answer = http.get(f"/static/{path}")
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        for address in ("/static/", "/aggregates/", "/", "/docs/", "/events/"):
            answer = http.get(address + "x" * 5_000)
            assert (answer.status_code, answer.json()["code"]) == (414, "address_too_long"), address
            assert answer.headers["content-type"] == "application/problem+json"
        assert http.get("/static/docs/docs.js", headers={"If-Modified-Since": "yesterday"}).status_code == 200
    assert "Traceback" not in running.log.read_text()


@pytest.mark.parametrize("address", ["/", "/docs", "/static/docs/docs.js"])
def test_range_that_a_file_does_not_have_is_a_problem(running: Running, address: str) -> None:
    with client(running) as http:
        size = int(
            http.get(address, headers={"Range": "bytes=0-0"}).headers["content-range"].removeprefix("bytes 0-0/")
        )
        for asked, status, code in (
            ("bytes=99999999-", 416, "bad_range"),
            (f"bytes={size}-", 416, "bad_range"),
            ("bytes=5-2", 400, "bad_request"),
            ("lines=1-2", 400, "bad_request"),
            (f"bytes={'9' * 400}-", 416, "bad_range"),
        ):
            for method in ("GET", "HEAD"):
                answer = http.request(method, address, headers={"Range": asked})
                assert answer.status_code == status, (asked, answer.text)
                assert answer.headers["content-type"] == "application/problem+json"
                assert method == "HEAD" or answer.json()["code"] == code
            assert status != 416 or answer.headers["content-range"] == f"bytes */{size}"
        part = http.get(address, headers={"Range": "bytes=0-9"})
        assert (part.status_code, len(part.content)) == (206, 10)


def test_old_http_needs_no_host(running: Running) -> None:
    assert running.talk(b"GET /healthz HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("trailer", "status"),
    [
        (b"Content-Encoding: gzip", b" 202 "),
        (b"Idempotency-Key: trailing", b" 202 "),
        (b"Host: evil.example", b" 202 "),
        (b"Content-Type: text/csv", b" 202 "),
        (b"Expect: 100-continue", b" 202 "),
    ],
)
def test_trailer_is_no_header(running: Running, trailer: bytes, status: bytes) -> None:
    chunks = b"%x\r\n%s\r\n0\r\n%s\r\n\r\n" % (len(LINE), LINE, trailer)
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n%s\r\n"
    quick, slow = running.talk(head % b"" + chunks), running.talk(head % b"Content-Encoding: identity\r\n" + chunks)
    assert status in quick.partition(b"\r\n")[0] + b" "
    assert status in slow.partition(b"\r\n")[0] + b" "
    again = running.talk(head % b"" + chunks)
    assert b'"accepted":1,' in again  # under a key that counted it would be a duplicate


def test_second_coding_of_a_body_counts(running: Running) -> None:
    fields = b"Content-Encoding: %s\r\nContent-Encoding: %s\r\n"
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
    packed = gzip.compress(LINE)
    for names in ((b"identity", b"gzip"), (b"gzip", b"identity"), (b"gzip", b"")):
        answer = running.talk(head % len(packed) + fields % names + b"\r\n" + packed)
        assert answer.startswith(b"HTTP/1.1 202 "), (names, answer)
    answer = running.talk(head % len(packed) + fields % (b"gzip", b"gzip") + b"\r\n" + packed)
    assert answer.startswith(b"HTTP/1.1 415 ")


def test_what_follows_a_request_cannot_take_its_answer(running: Running) -> None:
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(LINE)
    answer = running.talk(head + LINE + b"this is not HTTP\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 202 ")


def test_what_is_wrong_behind_a_request_leaves_it_its_answer(running: Running) -> None:
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(LINE)
    slow = (
        b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for first in (head + LINE, b"GET /reports HTTP/1.1\r\nHost: localhost\r\n\r\n", (head + LINE) * 3):
        answer = running.talk(first + slow + b"zz\r\n")
        assert b" 400 " not in answer
        assert answer.count(b"HTTP/1.1 20") == first.count(b"HTTP/1.1")


def test_slow_requests_are_ended_after_an_error_on_another_connection_too(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from tillroll.app import open_store\n"
        "from tillroll.web.protocol import BoundedProtocol\n"
        "from tillroll.web.server import serve\n"
        "from tillroll.web.settings import ServerSettings\n"
        "sweep = BoundedProtocol.sweep\n"
        "def fail(connection, now):\n"
        "    BoundedProtocol.sweep = sweep\n"
        "    raise ZeroDivisionError('planted')\n"
        "BoundedProtocol.sweep = fail\n"
        "serve(open_store(sys.argv[1]), ServerSettings(port=0, request_s_max=1))\n"
    )
    with serving(tmp_path, code=code) as running, socket.create_connection(running.address, timeout=20) as slow:
        slow.sendall(b"GET / HT")
        assert b" 408 " in slow.recv(4_000)
    assert "planted" in running.log.read_text()


def test_a_request_that_trickles_in_is_ended_and_holds_up_nobody(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from tillroll.app import open_store\n"
        "from tillroll.web.server import serve\n"
        "from tillroll.web.settings import ServerSettings\n"
        "serve(open_store(sys.argv[1]), ServerSettings(port=0, request_s_max=1, keep_alive_s=1))\n"
    )
    with serving(tmp_path, code=code) as running:
        slow = [socket.create_connection(running.address, timeout=60) for _ in range(100)]
        starts = [
            b"GET / HT",
            b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n{",
            b"",
            b"\r\n",
        ]
        for number, connection in enumerate(slow):
            connection.sendall(starts[number % len(starts)])
        still_serves(running)
        answers = [read_all(connection) for connection in slow]
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
        "from tillroll.web.settings import ServerSettings\n"
        "store = open_store(sys.argv[1])\n"
        "store._connection.execute('PRAGMA max_page_count = 300')\n"  # what SQLite takes for a full disk
        "serve(store, ServerSettings(port=0))\n"
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


def test_who_reads_what_takes_long_holds_up_no_sender_no_page_and_no_watcher(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from tillroll.app import open_store\n"
        "from tillroll.stores.sqlite.store import SqliteStore\n"
        "from tillroll.web.server import serve\n"
        "from tillroll.web.settings import ServerSettings\n"
        "SqliteStore.trace = lambda *_: time.sleep(5) or iter(())\n"
        "serve(open_store(sys.argv[1]), ServerSettings(port=0))\n"
    )
    ask = b"GET /explain?datapoint=10-50%7CSLICE_IT HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(tmp_path, code=code) as running, client(running) as http, ExitStack() as held:
        http.post("/events", json=EVENT)
        for _ in range(20):
            held.enter_context(socket.create_connection(running.address, timeout=60)).sendall(ask)
        began = time.monotonic()
        packed = gzip.compress(json.dumps(EVENT).encode())
        assert http.post("/events", content=packed, headers={"Content-Encoding": "gzip"}).status_code == 202
        for address in ("/healthz", "/metrics", "/status", "/reports/bracket-method"):
            assert http.get(address).status_code == 200
        assert time.monotonic() - began < 4


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
    with selectors.DefaultSelector() as ready:
        for number, connection in enumerate(held):
            ready.register(connection, selectors.EVENT_READ, number)
        answered = [held[key.data] for key, _ in ready.select(60)]
    assert any(map(is_refused, answered))
    for connection in held:
        connection.close()
    still_serves(running)


def is_refused(connection: socket.socket) -> bool:
    """Tell whether what waits to be read says that there is no room, and when to come again."""
    try:
        answer = read_until(connection, b"\r\n\r\n")
    except OSError:
        return False
    return b" 503 " in answer and b"retry-after" in answer.lower()


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
        assert running.process.wait(60) == 0
        for thread in threads:
            thread.join()
    with serving(tmp_path) as again, client(again) as http:
        assert http.get("/status").json()["events"] == acknowledged
        assert again.stop() == 0


FEW = (
    "import resource, sys\n"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))\n"
    "from tillroll.app import open_store\n"
    "from tillroll.web.server import serve\n"
    "from tillroll.web.settings import ServerSettings\n"
    "serve(open_store(sys.argv[1]), ServerSettings(port=0))\n"
)
# Who is slow has an hour, and on a signal no time at all.
PATIENT = (
    "import signal\n"
    "from tillroll.web import protocol\n"
    "protocol._PATIENCE_S = 3600.0\n"
    "signal.signal(signal.SIGUSR1, lambda *_: setattr(protocol, '_PATIENCE_S', 0.0))\n"
)
POST = (
    b"POST /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(json.dumps(EVENT)), json.dumps(EVENT).encode())
)
SILENT = {
    "silent": b"",
    "blank": b"\r\n",
    "kept-alive": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "half-a-head": b"GET /heal",
    "half-a-body": b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n{",
    "streams": b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "heads-of-streams": b"HEAD /live HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.fixture(scope="module")
def of_few_descriptors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("few"), code=FEW) as running:
        yield running


@pytest.mark.parametrize("kind", SILENT)
@pytest.mark.parametrize(
    "source", ["127.0.0.1", pytest.param("127.0.0.2", marks=pytest.mark.long)], ids=["same-peer", "other-peer"]
)
def test_connections_that_wait_for_nothing_do_not_shut_a_server_of_few_descriptors(
    of_few_descriptors: Running, kind: str, source: str
) -> None:
    running, held = of_few_descriptors, []
    for _ in range(300):
        connection = socket.create_connection(running.address, timeout=60, source_address=(source, 0))
        with suppress(OSError):
            connection.sendall(SILENT[kind])
        held.append(connection)
    give_up = time.monotonic() + 60
    answered = 0
    while answered < 20 and time.monotonic() < give_up:
        answer = b""
        with suppress(OSError):
            answer = running.talk(POST)
        if answer.startswith(b"HTTP/1.1 202 "):
            answered += 1
        else:
            time.sleep(0.05)  # until those who say nothing have had their time
    assert answered == 20
    for connection in held:
        connection.close()
    still_serves(running)
    assert "Traceback" not in running.log.read_text()


def test_one_address_cannot_have_all_connections(tmp_path: Path) -> None:
    code = PATIENT + FEW.replace("port=0", "port=0, peer_connections_max=10")
    slow = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n{"
    with serving(tmp_path, code=code) as running:
        held = [socket.create_connection(running.address, source_address=("127.0.0.2", 0)) for _ in range(10)]
        for connection in held:
            connection.sendall(slow)
        still_serves(running)  # from another address
        with socket.create_connection(running.address, timeout=60, source_address=("127.0.0.2", 0)) as connection:
            assert b"overloaded" in read_all(connection)
        running.process.send_signal(signal.SIGUSR1)
        answer, give_up = b"", time.monotonic() + 60
        while not answer.startswith(b"HTTP/1.1 200 ") and time.monotonic() < give_up:
            time.sleep(0.05)
            with (
                socket.create_connection(running.address, timeout=60, source_address=("127.0.0.2", 0)) as connection,
                suppress(OSError),
            ):
                connection.sendall(SILENT["kept-alive"])
                answer = connection.recv(1_000)
        assert answer.startswith(b"HTTP/1.1 200 ")
        for connection in held:
            connection.close()
