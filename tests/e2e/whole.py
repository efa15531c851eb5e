"""The whole of it: a file is imported while a server on the same store takes traffic; every report is recounted.

Run it large: python -m tests.e2e.whole --events 1000000
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.command import REPORTS, recount, reports, start, tillroll
from tests.e2e.server import Server

ODD = ("--duplicates", "0.01", "--late", "0.05", "--invalid", "0.01")
RANGE = ("--from", "2026-02-01", "--to", "2026-03-01", "--merchants", "2000")


def check_whole(directory: Path, events: int, sent: int) -> dict[str, float]:
    """Generate, import beside traffic, and compare; return what it took in seconds."""
    file, data = directory / "purchases.ndjson", directory / "data"
    traffic = directory / "traffic.ndjson"
    over_http = ("--events", str(sent), "--seed", "2", *RANGE, *ODD)
    tillroll("generate", file, "--events", str(events), *RANGE, *ODD, "--summary", directory / "file.json")
    tillroll("generate", traffic, *over_http, "--summary", directory / "traffic.json")
    took = {}
    server = Server(data, directory)
    try:
        server.start()
        started = time.monotonic()
        sending = start("generate", server.url, *over_http, "--json")
        imported = json.loads(tillroll("import", file, "--data", data, "--json", code=3).stdout)[0]
        took["import"] = time.monotonic() - started
        answered = json.loads(sending.communicate(timeout=600)[0])["sent"]
        took["traffic"] = time.monotonic() - started
        server.stop()
    finally:
        server.close()
    for found, summary in ((imported, "file.json"), (answered, "traffic.json")):
        told = json.loads((directory / summary).read_bytes())
        for name in ("accepted", "duplicates", "rejected"):
            assert found[name] == told[name], (summary, name)
    lines = file.read_bytes().splitlines() + traffic.read_bytes().splitlines()
    found, expected = reports(data), recount(lines)
    for name in REPORTS:
        assert found[name] == expected[name], name
        assert found[name] == _summed(directory, name), name
    started = time.monotonic()
    tillroll("audit", "--data", data)
    took["audit"] = time.monotonic() - started
    return took


def _summed(directory: Path, name: str) -> dict[str, int]:
    """What the generator says that a report must show of both."""
    summed: dict[str, int] = {}
    for summary in ("file.json", "traffic.json"):
        for row in json.loads((directory / summary).read_bytes())["reports"][name]:
            summed[row["datapoint"]] = summed.get(row["datapoint"], 0) + row["events"]
    return summed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="in the file")
    parser.add_argument("--sent", type=int, default=50_000, help="over HTTP meanwhile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tillroll-whole-") as directory:
        took = check_whole(Path(directory), options.events, options.sent)
    figures = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items())
    print(f"{options.events:,} events imported beside {options.sent:,} sent: all five reports are right ({figures})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
