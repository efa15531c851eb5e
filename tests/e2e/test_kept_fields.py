"""Kept fields through the real server and the command line: listed, posted, shown, and there after a restart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.e2e.command import tillroll
from tests.e2e.http_server import EVENT, client, serving

if TYPE_CHECKING:
    from pathlib import Path


def test_fields_that_the_file_lists_are_kept_from_every_way_in_and_shown(tmp_path: Path) -> None:
    config = tmp_path / "tillroll.toml"
    config.write_text('[events]\nkeep = ["country", "customer.segment"]\n')
    data = tmp_path / "data"
    some: list[dict[str, Any]] = [
        EVENT | {"id": "1", "country": "SE", "customer": {"segment": "a|b", "name": "A"}, "secret": "4111"},
        EVENT | {"id": "2", "country": 1},
    ]
    for _ in range(2):  # started again, everything is a repeat
        with serving(tmp_path, "--config", str(config)) as running, client(running) as http:
            http.post("/events", json=some).raise_for_status()
            http.post("/events", content="\n".join(map(json.dumps, some))).raise_for_status()
            shown = http.get("/fields").json()
    rows = {row["name"]: (row["distinct"], row["events"], row["absent"], row["listed"]) for row in shown["kept"]}
    assert rows == {"country": (2, 2, 0, True), "customer.segment": (1, 1, 1, True)}
    assert {row["name"]: row["types"] for row in shown["not_kept"]} == {
        "customer.name": {"text": 4},
        "secret": {"text": 4},
    }
    csv = tmp_path / "more.csv"
    csv.write_text(f"{','.join(EVENT)},id,country,colour\n{','.join(map(str, EVENT.values()))},3,NO,red\n")
    assert tillroll("import", csv, "--data", data, "--config", config).returncode == 0
    told = json.loads(tillroll("fields", "--json", "--data", data, "--config", config).stdout)
    assert {row["name"]: row["distinct"] for row in told["kept"]} == {"country": 3, "customer.segment": 1}
    assert {row["name"] for row in told["not_kept"]} == {"customer.name", "secret", "colour"}
    assert "4111" not in json.dumps(told)
    events = [json.loads(line) for line in tillroll("events", "--data", data).stdout.splitlines()]
    assert [(event["id"], event.get("country"), event.get("customer")) for event in events] == [
        ("1", "SE", {"segment": "a|b"}),
        ("2", 1, None),
        ("3", "NO", None),
    ]
