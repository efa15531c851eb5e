"""Rejected events over HTTP, of the real server: what is kept, what there is no room for, and who is held up."""

from __future__ import annotations

import gzip
import json
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.e2e.http_server import EVENT, client, serving

if TYPE_CHECKING:
    from pathlib import Path


def test_what_there_is_no_room_for_is_told_to_the_sender_and_to_who_watches(tmp_path: Path) -> None:
    with serving(tmp_path, TILLROLL_REJECTED_MAX="3") as running, client(running) as http:
        key = {"Idempotency-Key": "first"}
        assert http.post("/events", content=b"[1,2,3]", headers=key).status_code == 422
        assert "tillroll_rejected_full 0.0" in http.get("/metrics").text
        answer = http.post("/events", content=b"[4,5]")
        assert (answer.status_code, answer.json()["code"], answer.json()["not_kept"]) == (507, "rejected_full", 2)
        assert [each["code"] for each in answer.json()["not_accepted"]] == ["not_an_object"] * 2
        mixed = http.post("/events", content=json.dumps([EVENT, 6]).encode())
        assert (mixed.status_code, mixed.json()["accepted"], mixed.json()["not_kept"]) == (202, 1, 1)
        again = http.post("/events", content=b"[1,2,3]", headers=key)
        assert (again.status_code, "not_kept" in again.json()) == (422, False)
        give_up = time.monotonic() + 60
        while not http.get("/status").json()["rejected_full"]:  # it may be a moment old
            assert time.monotonic() < give_up
            time.sleep(0.05)
        measures = http.get("/metrics").text
        assert "tillroll_rejected_full 1.0" in measures
        assert "tillroll_rejected_not_kept_total 3.0" in measures
        kept = http.get("/rejected").json()
        assert [each["body"] for each in kept] == ["1", "2", "3"]
        assert http.delete(f"/rejected/{kept[0]['id']}").status_code == 204
        assert http.post("/events", content=b"7").status_code == 422
        assert [each["body"] for each in http.get("/rejected").json()] == ["2", "3", "7"]


@pytest.mark.parametrize("element", [b"1", b"{}", b'{"date":1}'])
def test_a_bomb_of_rejections_fills_no_disk_and_holds_nobody_up_for_long(tmp_path: Path, element: bytes) -> None:
    bomb = gzip.compress(b"[" + (element + b",") * 99_999 + element + b"]", 9)
    assert len(bomb) < 3_000
    waits: list[float] = []
    done = threading.Event()
    with serving(tmp_path) as running, client(running) as http:

        def post_singles() -> None:
            with client(running) as mine:
                while not done.is_set():
                    started = time.perf_counter()
                    assert mine.post("/events", json=EVENT).status_code == 202
                    waits.append(time.perf_counter() - started)

        http.post("/events", json=EVENT)
        beside = threading.Thread(target=post_singles)
        beside.start()
        for number in range(3):
            headers = {"Content-Encoding": "gzip", "Idempotency-Key": f"bomb-{number}"}
            assert http.post("/events", content=bomb, headers=headers).status_code == 422
        done.set()
        beside.join()
        assert http.get("/status").json()["rejected"] == 300_000
        assert running.stop() == 0  # which leaves no log
    size = sum(path.stat().st_size for path in (tmp_path / "data").iterdir())
    print(f"{element!r}: {len(waits)} single posts, the slowest {max(waits):.2f} s; {size / 2**20:.1f} MiB")
    assert size < 3 * 2**20 + 2_000 * len(waits)


def test_what_is_kept_is_counted_filtered_and_taken_again_by_reason_and_source(tmp_path: Path) -> None:
    wrong = EVENT | {"amount": -1}
    with serving(tmp_path) as running, client(running) as http:
        for key, events in {"one": [wrong, EVENT, 3], "two": [wrong] * 3}.items():
            http.post("/events", json=events, headers={"Idempotency-Key": key})
        found = http.get("/rejected/summary").json()
        assert (found["rejected"], found["sources_total"]) == (5, 2)
        assert found["codes"] == {"invalid_amount": 4, "not_an_object": 1}
        assert found["sources"][0] == {"kind": "key", "value": "two", "rejected": 3, "codes": {"invalid_amount": 3}}

        def places(**query: str) -> list[tuple[str, int]]:
            answer = http.get("/rejected", params=query)
            assert answer.status_code == 200
            return [(each["source"]["value"], each["position"]) for each in answer.json()]

        assert places(code="invalid_amount") == [("one", 0), ("two", 0), ("two", 1), ("two", 2)]
        assert places(code="invalid_amount", source="one") == [("one", 0)]
        assert places(source="none") == places(code="none") == []
        for address in ("/rejected?codes=x", "/rejected?code=a&code=b", "/rejected/summary?code=x"):
            assert (http.get(address).status_code, http.get(address).json()["code"]) == (400, "bad_query")
        for method, address in (
            ("DELETE", "/rejected/retry"),
            ("GET", "/rejected/retry"),
            ("PUT", "/rejected/summary"),
        ):
            assert http.request(method, address).status_code == 405
        assert http.get("/rejected/summary-0").status_code == 404
        assert http.post("/rejected/retry").json()["still_rejected"] == 5
        retried = http.post("/rejected/retry", params={"code": "invalid_amount"})
        assert retried.json() == {"accepted": 0, "duplicates": 0, "still_rejected": 4, "after": None}
        assert http.get("/rejected/summary").json()["rejected"] == 5
