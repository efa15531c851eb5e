"""Watching the real server: ticks, status, metrics, health."""

from __future__ import annotations

import json
import socket
import sqlite3
import struct
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.command import EVENT as LINE
from tests.e2e.command import tillroll
from tests.e2e.http_server import EVENT, Running, client, serving

from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path) as found:
        yield found


def ticks(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def metrics(http: httpx.Client) -> dict[tuple[str, ...], float]:
    text = http.get("/metrics").text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_watcher_is_told_of_every_change(running: Running, tmp_path: Path) -> None:
    with client(running) as http, client(running) as watching, watching.stream("GET", "/live") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        found = ticks(stream.iter_lines())
        assert next(found) == {"events": 0, "visible": 0, "rejected": 0, "freshness_ms": 0}
        http.post("/events", json=[EVENT, EVENT, 7])
        assert next(tick for tick in found if tick["events"] == 2)["rejected"] == 1
        # What another process adds to the same store is told as well.
        (tmp_path / "more.ndjson").write_bytes(LINE * 3)
        tillroll("import", tmp_path / "more.ndjson", "--data", tmp_path / "data")
        assert next(tick for tick in found if tick["events"] == 5)["visible"] == 5


def test_a_stream_ends_when_the_server_stops(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from tillroll.app import open_store\n"
        "from tillroll.web.server import serve\n"
        "from tillroll.web.settings import ServerSettings\n"
        "serve(open_store(sys.argv[1]), ServerSettings(port=0, stop_s_max=300))\n"
    )
    with (
        serving(tmp_path, code=code) as running,
        client(running) as watching,
        watching.stream("GET", "/live") as stream,
    ):
        lines = stream.iter_lines()
        next(lines)
        assert running.stop() == 0
        for _ in lines:
            pass


def streams(http: httpx.Client) -> float:
    return metrics(http)[("tillroll_live_streams",)]


def wait_for_streams(http: httpx.Client, count: int) -> None:
    give_up = time.monotonic() + 30
    while streams(http) != count:
        assert time.monotonic() < give_up, streams(http)
        time.sleep(0.1)


def test_head_of_a_stream_is_no_stream(running: Running) -> None:
    with client(running) as http:
        for _ in range(250):
            answer = http.head("/live")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert streams(http) == 0
        with http.stream("GET", "/live") as stream:
            assert stream.status_code == 200


LIVE = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "behind",
    [b"", LIVE, b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n" + b" " * 900_000],
)
@pytest.mark.parametrize("reset", [False, True], ids=["left", "reset"])
def test_watcher_who_left_is_no_watcher_whatever_stands_behind(running: Running, behind: bytes, reset: bool) -> None:  # noqa: FBT001
    with client(running) as http:
        for _ in range(2):
            watchers = [socket.create_connection(running.address, timeout=30) for _ in range(10)]
            for watcher in watchers:
                watcher.sendall(LIVE)
                received = b""
                while b"retry" not in received:
                    received += watcher.recv(4_000)
                watcher.setblocking(False)
                with suppress(BlockingIOError):
                    watcher.send(behind)
            assert streams(http) == 10
            for watcher in watchers:
                if reset:
                    watcher.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                watcher.close()
            wait_for_streams(http, 0)


def test_streams_that_begin_at_once_are_counted_each(running: Running) -> None:
    watchers = [socket.create_connection(running.address, timeout=30) for _ in range(230)]
    for watcher in watchers:
        watcher.sendall(LIVE)
    answers = [watcher.recv(4_000).partition(b"\r\n")[0] for watcher in watchers]
    assert answers.count(b"HTTP/1.1 200 OK") == 200
    assert answers.count(b"HTTP/1.1 503 Service Unavailable") == 30
    for watcher in watchers:
        watcher.close()
    with client(running) as http:
        wait_for_streams(http, 0)


def test_what_is_taken_again_is_counted_by_what_became_of_it_alone_or_with_others(running: Running) -> None:
    def counted() -> list[float]:
        found = metrics(http)
        return [found[("tillroll_events_total", each)] for each in ("accepted", "duplicates", "conflicts", "rejected")]

    with client(running) as http:
        valid_at = int(time.time()) + 2
        date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(valid_at + 86_400))
        early = [EVENT | {"date": date, "id": name} for name in ("same", "same", "other")]
        http.post("/events", json=[EVENT] * 9)  # so that the clock is not in doubt
        for each in (EVENT | {"amount": -1}, *early):
            assert http.post("/events", json=each).status_code == 422
        assert counted() == [9, 0, 0, 4]
        time.sleep(max(0.0, valid_at - time.time()))
        retried = http.post("/rejected/retry").json()
        assert (retried["accepted"], retried["duplicates"], retried["still_rejected"]) == (2, 1, 1)
        assert counted() == [11, 1, 0, 5]
        (left,) = http.get("/rejected").json()
        address = f"/rejected/{left['id']}/retry"
        assert http.post(address).status_code == 422
        assert counted() == [11, 1, 0, 6]
        assert http.post(address, json=early[0] | {"amount": 1}).json()["outcome"] == "conflict"
        assert counted() == [11, 1, 1, 6]
        assert http.post(address, json=early).json()["outcome"] == "duplicate"
        assert counted() == [11, 4, 1, 6]


def test_status_and_metrics_count_every_outcome(running: Running) -> None:
    with client(running) as http:
        named = EVENT | {"id": "1"}
        http.post("/events", json=[named, named, named | {"amount": 1}, 7])
        status = http.get("/status").json()
        assert status["counters"] == {"accepted": 1, "duplicates": 1, "conflicts": 1, "rejected": 1}
        ((minute, *counts),) = status["series"]
        assert abs(minute - time.time() / 60) < 3
        assert counts == [1, 1, 1, 1]
        assert (status["events"], status["journal_position"], status["visible_position"]) == (1, 1, 1)
        assert (status["rejected"], status["freshness_ms"], status["lag_s"]) == (2, 0, 0)
        found = metrics(http)
    for outcome in ("accepted", "duplicates", "conflicts", "rejected"):
        assert found[("tillroll_events_total", outcome)] == 1
    assert found[("tillroll_commit_seconds_count",)] == 1
    assert found[("tillroll_journal_position",)] == 1
    assert found[("tillroll_freshness_seconds",)] == 0
    assert found[("tillroll_rejected_waiting",)] == 2
    assert found[("tillroll_merchants",)] == 1
    assert found[("tillroll_http_answers_total", "/status", "200")] == 1


def test_an_audit_is_made_beside_the_traffic_and_told(running: Running, tmp_path: Path) -> None:
    def audited(http: httpx.Client) -> dict[str, Any]:
        assert http.post("/audit").json() == {"running": True}
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            status = http.get("/status").json()
            if not status["audit_running"]:
                found: dict[str, Any] = status["last_audit"]
                return found
        raise AssertionError("the audit does not end")

    with client(running) as http:
        assert http.get("/status").json()["last_audit"] is None
        http.post("/events", json=[EVENT, EVENT])
        assert (found := audited(http))["differences_total"] == 0
        assert (found["events"], found["datapoints"]) == (2, 5)
        assert abs(found["at"] - time.time()) < 60
        with closing(sqlite3.connect(tmp_path / "data" / "tillroll.db")) as connection, connection:
            connection.execute("DELETE FROM aggregate")
        found = audited(http)
        assert found["differences_total"] >= 5
        assert {each["kind"] for each in found["differences"]} >= {"aggregate"}


def test_what_is_noted_is_stored_though_no_other_event_comes(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from tillroll.app import open_store\n"
        "from tillroll.ingest import field_watch, outcome_watch\n"
        "from tillroll.web.server import serve\n"
        "from tillroll.web.settings import ServerSettings\n"
        "field_watch._FLUSH_S = outcome_watch._FLUSH_S = 0.5\n"
        "serve(open_store(sys.argv[1]), ServerSettings(port=0))\n"
    )
    with serving(tmp_path, code=code) as running, client(running) as http:
        assert http.post("/events", json=[EVENT | {"colour": "red"}]).status_code == 202
        assert http.post("/events", json=[EVENT | {"size": 3}]).status_code == 202
        give_up = time.monotonic() + 10
        with closing(SqliteStore(tmp_path / "data")) as store:
            while (rows := store.noted_outcomes().rows("day")) == [] or set(store.noted_fields().fields) != {
                "colour",
                "size",
            }:
                assert time.monotonic() < give_up, (rows, store.noted_fields())
                time.sleep(0.1)
    assert [row.counts.accepted for row in rows] == [2]


def test_metrics_are_given_in_the_format_asked_for(running: Running) -> None:
    with client(running) as http:
        plain = http.get("/metrics")
        open_metrics = http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert open_metrics.text.endswith("# EOF\n")


def test_an_acknowledged_event_is_in_the_reports_that_are_asked_for_next(running: Running) -> None:
    with client(running) as http:
        for number in range(20):
            http.post("/events", json=EVENT).raise_for_status()
            assert http.get("/aggregates/10-50|SLICE_IT").json()["events"] == number + 1


def test_health_is_ok_while_the_store_can_be_read(running: Running) -> None:
    with client(running) as http:
        answer = http.get("/healthz")
        assert (answer.status_code, answer.text) == (200, "ok\n")


def test_problems_are_counted_by_code_wherever_they_are_answered(running: Running) -> None:
    with client(running) as http:
        http.post("/events", content=b"")
        http.get("/reports/none")
        http.get("/nowhere")
        http.put("/status")
        running.talk(b"nothing that is HTTP\r\n\r\n")
        http.get("/" + "x" * 5_000)
        found = metrics(http)
    codes = ("empty_body", "unknown_report", "not_found", "method_not_allowed", "bad_request", "address_too_long")
    assert {code: found[("tillroll_problems_total", code)] for code in codes} == dict.fromkeys(codes, 1)
    assert found[("tillroll_problems_total", "store_damaged")] == 0


def test_metrics_answer_while_the_store_cannot_be_read(running: Running, tmp_path: Path) -> None:
    with client(running) as http:
        http.post("/events", json=EVENT)
        before = metrics(http)
        files = tmp_path / "data"
        assert before[("tillroll_store_readable",)] == 1
        assert before[("tillroll_store_bytes",)] >= (files / "tillroll.db").stat().st_size
        assert before[("tillroll_disk_free_bytes",)] > 0
        (files / "tillroll.head").write_bytes(b"\xff" * 104)
        give_up = time.monotonic() + 10
        while http.get("/healthz").status_code == 200:
            assert time.monotonic() < give_up
            time.sleep(0.05)
        after = metrics(http)
    assert after[("tillroll_store_readable",)] == 0
    assert after[("tillroll_problems_total", "store_damaged")] >= 1
    assert after[("tillroll_events_total", "accepted")] == 1
