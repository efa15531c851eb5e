"""The usual clients, as they come: what each says beside its request must not cost the request."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.command import environment
from tests.e2e.http_server import EVENT, Running, client, read_all, read_until

if TYPE_CHECKING:
    import httpx

CLIENTS = Path(__file__).parent / "clients"
BODY = json.dumps(EVENT)
JSON = "Content-Type: application/json"
PERL = (
    "my $http = HTTP::Tiny->new; for (1..3) { my $answer = $http->post($ARGV[0], {content => $ARGV[1],"
    " headers => {'Content-Type' => 'application/json'}}); print $answer->{content}, qq{\\n} }"
)
COMMANDS: dict[str, list[str]] = {
    "java": ["java", "-XX:TieredStopAtLevel=1", str(CLIENTS / "Post.java"), "URL", BODY],
    "node": ["node", str(CLIENTS / "post.mjs"), "URL", BODY],
    "curl": ["curl", "-sS", "--http2", "--json", BODY, "URL", "URL", "URL"],
    "wget": ["wget", "-qO-", f"--header={JSON}", f"--post-data={BODY}", "URL", "URL", "URL"],
    "perl": [
        "perl",
        "-MHTTP::Tiny",
        "-e",
        PERL,
        "URL",
        BODY,
    ],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_usual_client_is_answered_three_times_on_one_connection(running: Running, name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not on this machine")
    with client(running) as http:
        before = counted(http)
        command = [f"{running.url}/events" if part == "URL" else part for part in COMMANDS[name]]
        done = subprocess.run(command, capture_output=True, check=False, timeout=60, env=environment())
        assert done.stdout.count(b'{"accepted":1,') == 3, (done.stdout, done.stderr)
        assert counted(http) == before + 3


def counted(http: httpx.Client) -> int:
    (aggregate,) = http.get("/aggregates", params={"datapoint": "10-50|SLICE_IT"}).json()
    events: int = aggregate["events"]
    return events


def offer(protocol: bytes, body: bytes, *, method: bytes = b"POST", more: bytes = b"") -> bytes:
    return (
        method + b" /events HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: " + protocol + b"\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n" + more + b"\r\n" + body
    )


LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY.encode())


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0", b"TLS/1.3, HTTP/2.0", b"anything/9 , h2c", b""])
def test_offer_of_another_protocol_is_ignored_and_what_follows_is_answered(running: Running, protocol: bytes) -> None:
    once = offer(protocol, BODY.encode(), more=LENGTH)
    chunked = offer(protocol, CHUNKED, more=b"Transfer-Encoding: chunked\r\n")
    plain = b"POST /events HTTP/1.1\r\nHost: localhost\r\n" + LENGTH + b"\r\n" + BODY.encode()
    answer = running.talk(once + plain + chunked + once + plain)
    assert answer.count(b"HTTP/1.1 202 ") == 5, answer
    assert answer.count(b'{"accepted":1,') == 5


def test_offer_that_comes_byte_by_byte_is_ignored(running: Running) -> None:
    sent = offer(b"h2c", BODY.encode(), more=LENGTH)
    with socket.create_connection(running.address, timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(sent)):
            connection.sendall(sent[at : at + 1])
            if at % 20 == 0:
                time.sleep(0.001)
        assert b'{"accepted":1,' in read_until(connection, b'{"accepted":1,')


def test_offer_with_an_expectation_is_told_to_go_on(running: Running) -> None:
    head = offer(b"h2c", b"", more=LENGTH + b"Expect: 100-continue\r\n")
    with socket.create_connection(running.address, timeout=30) as connection:
        connection.sendall(head)
        assert connection.recv(1_000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(BODY.encode())
        connection.shutdown(socket.SHUT_WR)
        assert b'{"accepted":1,' in read_all(connection)


def test_offer_does_not_hide_what_is_wrong_with_a_request(running: Running) -> None:
    assert b" 405 " in running.talk(offer(b"h2c", b"", method=b"PUT"))
    assert b"empty_body" in running.talk(offer(b"h2c", b""))
    too_large = offer(b"h2c", b"", more=b"X: " + b"y" * 20_000 + b"\r\n")
    assert b"headers_too_large" in running.talk(too_large)
