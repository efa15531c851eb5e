"""What whoever runs a server sees: outcomes that outlive a restart, imports, and how the queue stands."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from tests.e2e.command import environment
from tests.e2e.http_server import EVENT, client, serving

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

NAMED = EVENT | {"id": "1"}


def sums(http: httpx.Client, by: str) -> dict[str, list[int]]:
    """Return the events of each way in, by outcome."""
    found: dict[str, list[int]] = {}
    for row in http.get("/outcomes", params={"by": by}).raise_for_status().json():
        counts = [row[name] for name in ("accepted", "duplicates", "conflicts", "rejected")]
        found[row["way"]] = [a + b for a, b in zip(found.get(row["way"], [0] * 4), counts, strict=True)]
        assert abs(row["from"] - time.time()) <= 90_000
    return found


def test_outcomes_outlive_a_restart_and_imports_are_beside_them(tmp_path: Path) -> None:
    with serving(tmp_path) as running, client(running) as http:
        http.post("/events", json=[NAMED, NAMED, NAMED | {"amount": 1}, 7])
        assert sums(http, "minute") == {"http": [1, 1, 1, 1]}
        assert running.stop() == 0
    file = tmp_path / "more.ndjson"
    file.write_text("".join(json.dumps(EVENT | {"id": str(number)}) + "\n" for number in range(1, 6)) + "7\n")
    command = [
        sys.executable,
        "-m",
        "tillroll",
        "import",
        "--data",
        str(tmp_path / "data"),
        "--name",
        "more",
        str(file),
    ]
    for _ in range(2):
        assert subprocess.run(command, check=False, env=environment(), capture_output=True).returncode == 3
    with serving(tmp_path) as running, client(running) as http:
        http.post("/events", json=EVENT)
        for by in ("minute", "quarter", "day"):
            assert sums(http, by) == {"http": [2, 1, 1, 1], "import": [4, 6, 0, 2]}
        second, first = http.get("/imports").json()
        assert [(each["accepted"], each["duplicates"], each["rejected"]) for each in (first, second)] == [
            (4, 1, 1),
            (0, 5, 1),
        ]
        assert [each["name"] for each in (first, second)] == ["more", "more"]
        assert first["done"]
        assert first["began_at"] <= first["noted_at"] <= second["began_at"]
        assert http.get("/imports", params={"limit": 1}).json() == [second]
        assert http.get("/queue").json() is None
        wrong: dict[str, Any] = {"/outcomes": {"by": "hour"}, "/imports": {"limit": 0}, "/queue": {"by": "day"}}
        for path, question in wrong.items():
            assert http.get(path, params=question).json()["code"] == "bad_query"
