"""What is seen, with a real server, when a bit of what is counted flips on the disk: the journal goes on."""

from __future__ import annotations

import http.client
import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from tests.aws.deployed import wait_until
from tests.e2e.command import report, tillroll
from tests.e2e.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGE = 20_000  # a body that is folded in its own commit
MANY = 70_000  # three times this, and every commit must fold


def lines(count: int, merchant: str) -> bytes:
    purchase = {
        "date": "2011-12-03T10:15:30Z",
        "amount": 4285,
        "paymentMethod": "SLICE_IT",
        "merchantId": merchant,
    }
    return b"\n".join([json.dumps(purchase).encode()] * count)


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": "application/x-ndjson"} if body else {})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def count(port: int, name: str) -> tuple[int, int]:
    """Return the status of a report, and how many events it has."""
    status, found = ask(port, "GET", f"/reports/{name}")
    return status, sum(row["events"] for row in found) if status == 200 else -1


def flip_a_bit(path: Path, place: bytes, *, after: int = 0) -> None:
    """Flip a bit on the disk where these bytes stand, from some byte of the file on; nobody has it open."""
    content = bytearray(path.read_bytes())
    content[content.index(place, after) + len(place) // 2] ^= 1
    path.write_bytes(content)


def flip_in_segment(data: Path, name: str) -> None:
    """Flip a bit of the one segment of a report that counts anything."""
    connection = sqlite3.connect(data / "tillroll.db")
    query = "SELECT checksum, cells FROM aggregate WHERE report IN (? || '.1', ? || '.1/sparse') AND cells <> x''"
    ((checksum, cells),) = connection.execute(query, (name, name)).fetchall()
    connection.close()
    # As they stand side by side in the row; what is long goes on elsewhere.
    flip_a_bit(data / "tillroll.db", checksum.to_bytes(4, "big") + cells[:200])


def flip_in_name(data: Path, name: bytes) -> None:
    """Flip a bit of the name of a merchant, in the table of these."""
    connection = sqlite3.connect(data / "tillroll.db")
    (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'merchant'").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    flip_a_bit(data / "tillroll.db", name, after=(page - 1) * page_bytes)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A store that has folded some events, all in its file."""
    directory = tmp_path / "data"
    first = tmp_path / "lines"
    first.write_bytes(lines(3, "the-first-kiosk"))
    tillroll("import", first, "--data", directory)
    connection = sqlite3.connect(directory / "tillroll.db")
    assert connection.execute("SELECT events, folded FROM state").fetchone() == (3, 3)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return directory


@pytest.fixture
def server(data: Path, tmp_path: Path) -> Iterator[Server]:
    running = Server(data, tmp_path)
    yield running
    running.close()


def folded(server: Server) -> tuple[int, int]:
    status = ask(server.port, "GET", "/status")[1]
    return status["folded_position"], status["visible_position"]


@pytest.mark.parametrize("damaged", ["merchant-method", "day-merchant", "hour-bracket"])
def test_a_flipped_bit_of_a_report_stops_neither_senders_nor_other_reports(
    damaged: str, data: Path, server: Server
) -> None:
    flip_in_segment(data, damaged)
    server.start()
    total = 3
    bodies = (
        lines(1, "a"),
        lines(LARGE, "b"),
        *[lines(MANY, "c")] * 3,
        lines(1, "d"),
        lines(LARGE, "e"),
        lines(1, "f"),
    )
    for body in bodies:
        status, receipt = ask(server.port, "POST", "/events", body)
        assert status == 202, receipt
        total += receipt["accepted"]
    assert total == 3 + 3 + 2 * LARGE + 3 * MANY
    assert count(server.port, "bracket-method") == (200, total)
    status, problem = ask(server.port, "GET", f"/reports/{damaged}")
    assert (status, problem["code"]) == (503, "store_damaged")
    assert "tillroll audit --repair" in problem["detail"]
    assert ask(server.port, "GET", "/status")[0] == 200
    tillroll("audit", "--repair", "--data", data, code=1)
    for name in ("merchant-method", "bracket-method", "hour-bracket", "hour-bracket-method", "day-merchant"):
        assert count(server.port, name) == (200, total)
    assert ask(server.port, "POST", "/events", lines(LARGE, "g"))[0] == 202
    wait_until(lambda: folded(server) == (total + LARGE, total + LARGE), "a fold of all")
    server.stop()
    assert report(data, "bracket-method") == {"10-50|SLICE_IT": total + LARGE}
    tillroll("audit", "--data", data)


def test_a_flipped_bit_of_a_merchants_name_does_not_stop_senders(data: Path, server: Server) -> None:
    flip_in_name(data, b"the-first-kiosk")
    server.start()
    total = 3
    for body in (lines(1, "a"), lines(LARGE, "the-first-kiosk"), lines(1, "the-first-kiosk")):
        status, receipt = ask(server.port, "POST", "/events", body)
        assert status == 202, receipt
        total += receipt["accepted"]
    status, problem = ask(server.port, "GET", "/reports/day-merchant")
    assert (status, problem["code"]) == (503, "store_damaged")
    status, told = ask(server.port, "GET", "/status")
    assert (status, told["events"]) == (200, total)
    assert ask(server.port, "POST", "/events", b"oops")[0] == 422
    assert ask(server.port, "GET", "/rejected")[0] == 200
    tillroll("rebuild", "--data", data)
    assert count(server.port, "day-merchant") == (200, total)
    server.stop()
    assert report(data, "merchant-method") == {
        "a|SLICE_IT": 1,
        "the-first-kiosk|SLICE_IT": total - 1,
    }
    tillroll("audit", "--data", data)


def test_an_import_goes_on_beside_a_flipped_bit(data: Path, tmp_path: Path) -> None:
    flip_in_segment(data, "bracket-method")
    more = tmp_path / "more"
    more.write_bytes(lines(LARGE, "a"))
    tillroll("import", more, "--data", data)
    tillroll("report", "bracket-method", "--data", data, code=4)
    tillroll("audit", "--repair", "--data", data, code=1)
    assert report(data, "bracket-method") == {"10-50|SLICE_IT": 3 + LARGE}
