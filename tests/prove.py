"""The long run, `make prove`: every proof at its full size, each run whatever the others found."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Final

_STEPS: Final = {
    "every test, at full size": ("pytest", "--numprocesses", "auto", "--dist", "worksteal", "--long"),
    "definitions beside DuckDB and SQLite": ("tests.differential.definitions", "--definitions", "5000"),
    "kills of real processes, SQLite": ("tests.e2e.kill_rounds", "--rounds", "100"),
    "bit rot, lost and misdirected writes": ("tests.simulation.bit_rot", "--rounds", "10000"),
    "kills of real processes, DynamoDB": ("tests.e2e.kill_rounds", "--rounds", "20", "--store", "dynamodb"),
    "attacks on a real server": ("tests.attack",),
    "a million events beside traffic": ("tests.e2e.whole", "--events", "1000000"),
    "ten thousand messages through AWS": ("tests.aws.end_to_end",),
    "new seeds": ("tests.simulation.soak", "--minutes", "10"),
    "fuzzing": ("tests.fuzz", "--minutes", "10"),
}


def main() -> int:
    """Run every step and say which failed."""
    variables = {"SCHEMATHESIS_EXAMPLES": "100"} | os.environ
    failed = []
    for name, words in _STEPS.items():
        print(f"== {name}", flush=True)
        started = time.monotonic()
        if subprocess.run([sys.executable, "-m", *words], env=variables, check=False).returncode != 0:
            failed.append(name)
        print(f"== {name}: {time.monotonic() - started:,.0f} s", flush=True)
    print(f"failed: {', '.join(failed)}" if failed else f"all {len(_STEPS)} steps passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
