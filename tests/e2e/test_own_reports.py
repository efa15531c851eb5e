"""Reports of one's own, by the command line and over HTTP, on a server that runs."""

from __future__ import annotations

import datetime
import json
import time
import zoneinfo
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.command import tillroll
from tests.e2e.http_server import Running, client, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

ZONE = zoneinfo.ZoneInfo("Europe/Stockholm")
CHANGE = datetime.datetime(2026, 10, 25, tzinfo=datetime.UTC)  # when an hour comes twice in that zone
DEFINITION = {
    "name": "own",
    "by": ["day", "country", "method"],
    "zone": "Europe/Stockholm",
    "where": {"currency": ["EUR"]},
}
MANAGER, READER, SENDER = "may-manage-and-read", "may-only-read-them", "may-only-send-them"


def purchases(count: int, seed: int) -> list[dict[str, Any]]:
    random = Random(seed)
    return [
        {
            "date": f"{CHANGE + datetime.timedelta(seconds=random.randrange(-90_000, 90_000)):%Y-%m-%dT%H:%M:%SZ}",
            "amount": random.randrange(60_000),
            "paymentMethod": random.choice(["PAY_NOW", "PAY_LATER", "SLICE_IT"]),
            "merchantId": f"m{random.randrange(9)}",
            "country": random.choice(["SE", "NO", "1", 1, "a|b", None]),
            "currency": random.choice(["EUR", "SEK"]),
            "id": f"{seed}-{at}",
        }
        for at in range(count)
    ]


def spelled(value: object) -> str:
    return {"1": '"1"', "a|b": '"a\\u007cb"'}.get(value, value) if isinstance(value, str) else json.dumps(value)


def expected(events: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Count by the standard library alone."""
    counted, amounts = Counter[str](), Counter[str]()
    for event in events:
        if event["currency"] == "EUR":
            local = datetime.datetime.fromisoformat(event["date"]).astimezone(ZONE)
            key = f"|own|{local:%Y-%m-%d}|{spelled(event['country'])}|{event['paymentMethod']}"
            counted[key] += 1
            amounts[key] += event["amount"]
    return {key: (counted[key], amounts[key]) for key in counted}


def send(http: httpx.Client, events: list[dict[str, Any]]) -> None:
    answer = http.post("/events", json=events, headers={"Authorization": f"Bearer {SENDER}"})
    assert answer.json()["accepted"] == len(events)


def shown(http: httpx.Client, name: str = "own") -> dict[str, tuple[int, int]]:
    answer = http.get(f"/reports/{name}?measures=events,amount&limit=10000")
    assert answer.status_code == 200, answer.text
    return {each["datapoint"]: (each["events"], each["amount"]) for each in answer.json()}


def wait(http: httpx.Client, version: int) -> None:
    """Wait until a version is read; a question meanwhile says how far it is, or has the version before."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        states = [each for each in http.get("/reports").json() if each["name"] == "own"]
        if [(each["version"], each["readable"]) for each in states] == [(version, True)]:
            return
        answer = http.get("/reports/own")
        assert answer.status_code == 200 or answer.json()["code"] == "report_counting"
        time.sleep(0.02)
    raise AssertionError(states)


def settings() -> dict[str, str]:
    """Return the settings of a server that keeps the fields, and knows who may do what."""
    tokens = {"MANAGE": MANAGER, "READ": f"{MANAGER},{READER}", "SEND": SENDER}
    return {f"TILLROLL_{right}_TOKENS": token for right, token in tokens.items()} | {
        "TILLROLL_EVENTS_KEEP": "country,currency"
    }


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path, **settings()) as server:
        yield server


def make_change_and_drop(
    http: httpx.Client, see: Callable[[dict[str, tuple[int, int]]], None], counts: tuple[int, int, int]
) -> int:
    """Do to a report what can be done to one, beside purchases; return how many of these there are.

    `see` checks what the report shows; `counts` are how many purchases come each time.
    """
    events = purchases(counts[0], 1)
    http.headers["Authorization"] = f"Bearer {MANAGER}"
    send(http, events)
    preview = http.post("/reports/preview", json=DEFINITION).json()
    assert {each["datapoint"]: (each["events"], each["amount"]) for each in preview["aggregates"]} == expected(events)
    assert http.get("/reports/own").status_code == 404
    assert http.put("/reports/own", json=DEFINITION).status_code in (200, 202)
    more = purchases(counts[1], 2)
    send(http, more)
    events += more
    wait(http, 1)
    see(expected(events))
    more = purchases(counts[2], 3)
    send(http, more)
    events += more
    see(expected(events))
    assert http.put("/reports/own", json=DEFINITION).json()["version"] == 1  # the same
    first = next(iter(expected(events)))
    assert http.get("/aggregates", params={"datapoint": first}).json() == [
        {"datapoint": first, "events": expected(events)[first][0]}
    ]

    assert http.put("/reports/own", json=DEFINITION | {"by": ["method"]}).json()["version"] == 2
    wait(http, 2)
    totals, amounts = Counter[str](), Counter[str]()
    for key, (count, amount) in expected(events).items():
        totals[f"|own|{key.rpartition('|')[2]}"] += count
        amounts[f"|own|{key.rpartition('|')[2]}"] += amount
    see({key: (totals[key], amounts[key]) for key in totals})

    assert http.delete("/reports/own").status_code == 204
    assert http.get("/reports/own").status_code == 404
    assert http.delete("/reports/own").json()["code"] == "unknown_report"
    assert http.delete("/reports/hour-bracket").json()["code"] == "unknown_report"
    assert http.put("/reports/hour-bracket", json={"by": []}).json()["code"] == "bad_definition"
    assert http.put("/reports/own", json=DEFINITION).json()["version"] == 3  # numbers are never used again
    wait(http, 3)
    see(expected(events))
    return len(events)


def test_a_report_is_made_counted_changed_and_dropped_beside_purchases(running: Running, tmp_path: Path) -> None:
    with client(running) as http:

        def see(right: dict[str, tuple[int, int]]) -> None:  # at once, as the five
            assert shown(http) == right

        events = make_change_and_drop(http, see, (400, 300, 200))
    running.process.kill()
    running.process.wait()
    data = next(path.parent for path in tmp_path.rglob("tillroll.db"))
    audit = json.loads(tillroll("audit", "--json", "--data", data).stdout)
    assert (audit["differences_total"], audit["events"]) == (0, events)


FAILS_ONCE = """
import sys
from tillroll.app import open_store
from tillroll.web.server import serve
from tillroll.web.settings import ServerSettings

store = open_store(sys.argv[1])
count_some = store.count_some


def fail(*_, **__):
    store.count_some = count_some
    raise ZeroDivisionError("planted")


store.count_some = fail
serve(store, ServerSettings(port=0))
"""


def test_counting_goes_on_after_an_error_that_nobody_foresaw(tmp_path: Path) -> None:
    with serving(tmp_path, code=FAILS_ONCE) as running, client(running) as http:
        send(http, purchases(10, 1))
        assert http.put("/reports/own", json=DEFINITION).status_code in (200, 202)
        wait(http, 1)
    assert "planted" in running.log.read_text()


def test_who_may_read_may_not_define(running: Running) -> None:
    with client(running) as http:
        for token in (READER, SENDER):
            headers = {"Authorization": f"Bearer {token}"}
            for method, path in (("PUT", "/reports/own"), ("DELETE", "/reports/own"), ("POST", "/reports/preview")):
                answer = http.request(method, path, json=DEFINITION, headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (403, "token_forbids")


def test_a_running_server_takes_what_the_command_line_applies(tmp_path: Path) -> None:
    events = purchases(500, 4)
    file = tmp_path / "reports.toml"
    file.write_text(
        '[[reports]]\nname = "own"\nby = ["day", "country", "method"]\nzone = "Europe/Stockholm"\n'
        'where = { currency = ["EUR"] }\n'
    )
    with serving(tmp_path, TILLROLL_EVENTS_KEEP="country,currency") as running, client(running) as http:
        send(http, events)
        data = next(path.parent for path in tmp_path.rglob("tillroll.db"))
        planned = json.loads(tillroll("reports", "plan", file, "--json", "--data", data).stdout)
        assert [(each["name"], each["events"]) for each in planned["changes"]] == [("own", 500)]
        tillroll("reports", "apply", file, "--data", data)
        assert shown(http) == expected(events)
        assert json.loads(tillroll("reports", "plan", file, "--json", "--data", data).stdout)["changes"] == []
        tillroll("reports", "show", "own", "--data", data)
        tillroll("reports", "drop", "own", "--data", data)
        tillroll("reports", "drop", "own", "--data", data, code=1)
        assert http.get("/reports/own").status_code == 404


def test_a_field_that_the_settings_do_not_keep_is_remarked_on(tmp_path: Path) -> None:
    (tmp_path / "reports.toml").write_text('[[reports]]\nname = "own"\nby = ["day", "country"]\n')
    tillroll("import", "-", cwd=tmp_path, stdin=json.dumps(purchases(1, 1)[0]).encode())
    for command in ("plan", "apply"):
        said = tillroll("reports", command, "reports.toml", cwd=tmp_path).stderr.decode()
        assert "country is neither a dimension (hour, day," in said
        said = tillroll(
            "reports", command, "reports.toml", cwd=tmp_path, TILLROLL_EVENTS_KEEP="country"
        ).stderr.decode()
        assert "country" not in said
