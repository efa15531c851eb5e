"""Attacks by what is sent over HTTP: offers, trailers, doubled headers, addresses, lengths, idle connections."""

from __future__ import annotations

import gzip
import json
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from tests.attack.target import Attack, holds
from tests.e2e.http_server import EVENT, client, read_all

if TYPE_CHECKING:
    from tests.attack.target import Target
    from tests.e2e.http_server import Running

BODY = json.dumps(EVENT).encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
POST = b"POST /events HTTP/1.1\r\nHost: localhost\r\n"
PLAIN = POST + LENGTH + b"\r\n" + BODY
CLIENT = Path(__file__).parents[1] / "e2e" / "clients" / "Post.java"
TOKEN = "a-token-of-some-length"
FEW_DESCRIPTORS = (
    "import resource, sys\n"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))\n"
    "from tillroll.app import open_store\n"
    "from tillroll.web.server import serve\n"
    "from tillroll.web.settings import ServerSettings\n"
    "serve(open_store(sys.argv[1]), ServerSettings(port=0))\n"
)


def _accepted(answer: bytes) -> int:
    return answer.count(b'{"accepted":1,')


def _status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0


def _slow_answer(running: Running, sent: bytes, timeout_s: float = 4) -> bytes:
    """Send, keep the connection open, and return what has come within a time."""
    received = b""
    with socket.create_connection(running.address, timeout=timeout_s) as connection, suppress(TimeoutError):
        connection.sendall(sent)
        received = read_all(connection)
    return received


def offer_of_another_protocol(target: Target) -> str:
    offers = (b"h2c", b"websocket", b"TLS/1.0", b"anything/2")
    with target.serving() as running:
        for protocol in offers:
            offer = (
                POST
                + b"Connection: Upgrade, HTTP2-ServerSettings\r\nUpgrade: "
                + protocol
                + b"\r\n"
                + LENGTH
                + b"\r\n"
                + BODY
            )
            answer = running.talk(offer + PLAIN)
            holds(_accepted(answer) == 2, f"{protocol.decode()} costs {2 - _accepted(answer)} of 2 purchases")
    return f"{len(offers)} offers, each with its body and a request behind it"


def client_of_java(target: Target) -> str:
    if shutil.which("java") is None:
        return "not tried: there is no Java here"
    with target.serving() as running:
        sent = ["java", "-XX:TieredStopAtLevel=1", str(CLIENT), f"{running.url}/events", BODY.decode()]
        done = subprocess.run(sent, capture_output=True, check=False, timeout=50)
    holds(_accepted(done.stdout) == 3, f"Java's client is told {done.stdout[:60].decode()!r}")
    return "three posts by Java's default client"


def heads_of_streams(target: Target) -> str:
    with target.serving() as running, ExitStack() as held:
        for _ in range(201):
            connection = held.enter_context(socket.create_connection(running.address, timeout=10))
            connection.sendall(b"HEAD /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            connection.recv(1_000)
        held.close()
        time.sleep(1)
        with client(running) as http, http.stream("GET", "/live") as stream:
            holds(stream.status_code == 200, f"after 201 HEADs the live page is {stream.status_code}")
    return "201 HEAD /live, then a page that watches"


def streams_left_behind(target: Target) -> str:
    live = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with target.serving() as running:
        for _ in range(200):
            with socket.create_connection(running.address, timeout=10) as connection:
                connection.sendall(live + live)
                connection.recv(1_000)
        give_up = time.monotonic() + 6
        status = 0
        while status != 200 and time.monotonic() < give_up:
            time.sleep(0.5)
            with client(running) as http, http.stream("GET", "/live") as stream:
                status = stream.status_code
    holds(status == 200, f"after 200 readers that left, each with a request behind, the live page is {status}")
    return "200 streams whose reader left while nothing was read"


def connections_that_wait(target: Target) -> str:
    kinds = (b"", b"\r\n", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /he")
    with target.serving(code=FEW_DESCRIPTORS) as running, ExitStack() as held:
        for number in range(200):
            connection = held.enter_context(socket.create_connection(running.address, timeout=10))
            with suppress(OSError):
                connection.sendall(kinds[number % len(kinds)])
        answered = 0
        give_up = time.monotonic() + 5
        while answered < 5 and time.monotonic() < give_up:
            with suppress(httpx.HTTPError), client(running) as http:
                answered += http.post("/events", json=EVENT).status_code == 202
    holds(answered == 5, "200 silent connections keep a server of 256 descriptors shut")
    return "200 silent connections to a server of 256 descriptors"


def trailers(target: Target) -> str:
    head = POST + b"Transfer-Encoding: chunked\r\n%s\r\n%x\r\n" + BODY + b"\r\n0\r\n%s\r\n\r\n"
    authorization = f"Authorization: Bearer {TOKEN}".encode()
    with target.serving(TILLROLL_SEND_TOKENS=TOKEN) as running:
        answer = running.talk(head % (b"", len(BODY), authorization))
        holds(_status_of(answer) == 401, f"a token in a trailer is let in: {_status_of(answer)}")
        for trailer in (b"Content-Encoding: gzip", b"Idempotency-Key: x", b"Idempotency-Key: x"):
            answer = running.talk(head % (authorization + b"\r\n", len(BODY), trailer))
            holds(_accepted(answer) == 1, f"the trailer {trailer.decode()} counts")
    return "a token, a key, a coding and a host behind the body"


def doubled_headers(target: Target) -> str:
    token = f"Authorization: Bearer {TOKEN}\r\n".encode()
    wrong = b"Authorization: Bearer nobody-knows-this-one\r\n"
    host = b"Host: localhost\r\n"
    heads = {
        "two tokens": host + wrong + token,
        "two tokens, the other way": host + token + wrong,
        "two hosts": host + b"Host: evil.example\r\n" + token,
        "no host": token,
    }
    with target.serving(TILLROLL_SEND_TOKENS=TOKEN, TILLROLL_READ_TOKENS=TOKEN) as running:
        for name, head in heads.items():
            for first, rest in ((b"POST /events", LENGTH + b"\r\n" + BODY), (b"GET /reports", b"\r\n")):
                answer = running.talk(first + b" HTTP/1.1\r\n" + head + rest)
                holds(_status_of(answer) == 400, f"{name}: {first.decode()} is {_status_of(answer)}")
    return f"{', '.join(heads)}"


def addresses_of_no_file(target: Target) -> str:
    with target.serving() as running, client(running) as http:
        for path, status in (("%00", 404), ("a%00b", 404), ("x" * 300, 404), ("x" * 5_000, 414)):
            found = http.get(f"/static/{path}").status_code
            holds(found == status, f"/static/{path[:10]}... is {found}")
        answer = http.get("/", headers={"Range": "bytes=99999999-"})
        kind = answer.headers.get("content-type")
        holds((answer.status_code, kind) == (416, "application/problem+json"), f"a range that is not there is {kind}")
        holds("Traceback" not in running.log.read_text(), "a traceback in the log")
    return "NUL, 300 and 5,000 letters, and a range beyond the end"


def lengths_beyond_all_bounds(target: Target) -> str:
    with target.serving() as running:
        for length in (2**34, 2**63, 2**64, 10**40):
            began = time.monotonic()
            answer = _slow_answer(running, POST + b"Content-Length: %d\r\n\r\n" % length)
            seen = f"{length} bytes are {_status_of(answer)} after {time.monotonic() - began:.1f} s"
            holds(_status_of(answer) == 413 and time.monotonic() - began < 3, seen)
    return "2^34 to 10^40 bytes, announced"


def second_coding(target: Target) -> str:
    packed = gzip.compress(BODY)
    head = POST + b"Content-Length: %d\r\nContent-Encoding: %s\r\nContent-Encoding: %s\r\n\r\n"
    with target.serving() as running:
        for first, second, status in (
            (b"gzip", b"identity", 202),
            (b"identity", b"gzip", 202),
            (b"gzip", b"gzip", 415),
        ):
            answer = running.talk(head % (len(packed), first, second) + packed)
            seen = f"{first.decode()} and {second.decode()} are {_status_of(answer)}"
            holds(_status_of(answer) == status, seen)
    return "two Content-Encoding headers"


ATTACKS = [
    Attack(1, "offer another protocol with a request", offer_of_another_protocol),
    Attack(1, "be Java's default client", client_of_java),
    Attack(6, "end the live page by HEAD", heads_of_streams),
    Attack(6, "end the live page by leaving while nothing is read", streams_left_behind),
    Attack(8, "shut the server by waiting", connections_that_wait),
    Attack(10, "say in a trailer what a header says", trailers),
    Attack(10, "say twice, or not at all, who asks and whom", doubled_headers),
    Attack(13, "ask for files that no file system can have", addresses_of_no_file),
    Attack(13, "announce a body beyond all bounds", lengths_beyond_all_bounds),
    Attack(13, "compress in two headers", second_coding),
]
