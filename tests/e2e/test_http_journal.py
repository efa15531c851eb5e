"""GET /events: the journal out over HTTP, a piece at a time and each event once."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING

from tests.e2e.command import tillroll
from tests.e2e.server import Server, post_until_answered

if TYPE_CHECKING:
    from pathlib import Path


def body(number: int, events: int = 3) -> list[bytes]:
    line = b'{"date":"2011-12-03T10:15:30Z","amount":%d,"paymentMethod":"PAY_NOW","merchantId":"m%d"}'
    return [line % (number, index % 7) for index in range(events)]


def get(server: Server, path: str, method: str = "GET") -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_the_journal_comes_out_once_by_positions(tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = Server(data, tmp_path)
    server.start()
    try:
        status, headers, first = get(server, "/events")
        assert (status, headers["Tillroll-Position"], first) == (200, "0", b"")
        post_until_answered(server.port, "a", body(1))
        post_until_answered(server.port, "b", body(2))
        status, headers, first = get(server, "/events?after=2")
        position = headers["Tillroll-Position"]
        assert (status, headers["Content-Type"], position) == (200, "application/x-ndjson", "6")
        assert [json.loads(line)["_name"] for line in first.splitlines()] == [
            "key:2:a",
            "key:0:b",
            "key:1:b",
            "key:2:b",
        ]
        post_until_answered(server.port, "c", body(3, 25_000))
        status, headers, more = get(server, f"/events?after={position}")
        assert (status, headers["Tillroll-Position"], more.count(b"\n")) == (200, "25006", 25_000)
        assert get(server, "/events", "HEAD")[::2] == (200, b"")
        assert get(server, "/events")[2] == tillroll("events", "--data", data).stdout
        for query in ("after=25007", "after=-1", "after=x", "after=1&after=2", "before=1"):
            status, _, answer = get(server, f"/events?{query}")
            assert (status, json.loads(answer)["code"]) == (400, "bad_query"), query
        assert {"GET", "POST"} <= set(get(server, "/events", "OPTIONS")[1]["Allow"].split(", "))
        assert get(server, "/events", "PUT")[0] == 405
    finally:
        server.close()


def test_readers_who_leave_or_take_nothing_hold_up_nobody(tmp_path: Path) -> None:
    """Ten readers ask and stop reading: some are told to wait, the server answers on, and forgets those that left."""
    file = tmp_path / "in.ndjson"
    file.write_bytes(b"\n".join(body(1, 400_000)))
    tillroll("import", file, "--data", tmp_path / "data")
    server = Server(tmp_path / "data", tmp_path)
    server.start()
    try:
        idle = []
        for _ in range(10):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            connection.request("GET", "/events")
            idle.append((connection, connection.getresponse()))
        assert sorted({response.status for _, response in idle}) == [200, 503]
        assert post_until_answered(server.port, "a", body(2))["accepted"] == 3
        for connection, _ in idle:
            connection.close()
        for _ in range(100):
            status, _, lines = get(server, "/events?after=399999")
            if status == 200:
                break
        assert lines.count(b"\n") == 4
    finally:
        server.close()
