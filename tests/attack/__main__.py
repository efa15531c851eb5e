"""Attack a real server in every way that was found, and say of each what became of it: `python -m tests.attack`.

The exit code is 1 when an attack succeeds. `--tree DIR` attacks the tillroll of another tree, such as an older commit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.attack import over_bodies, over_http, over_secrets, over_the_disk
from tests.attack.target import Attack, BrokenError, Target

ATTACKS = sorted(
    (*over_http.ATTACKS, *over_secrets.ATTACKS, *over_bodies.ATTACKS, *over_the_disk.ATTACKS),
    key=lambda attack: attack.row,
)
AT_ONCE = 4


class Verdict(NamedTuple):
    """What became of an attack."""

    attack: Attack
    succeeded: bool
    seen: str
    seconds: float


def attempt(attack: Attack, target: Target) -> Verdict:
    """Try an attack. One that cannot be tried counts as one that succeeds."""
    began = time.monotonic()
    try:
        seen, succeeded = attack.attempt(target), False
    except BrokenError as error:
        seen, succeeded = str(error), True
    except Exception as error:  # noqa: BLE001 the others are still to be tried
        seen, succeeded = f"{type(error).__name__}: {error}"[:300], True
    return Verdict(attack, succeeded, seen, time.monotonic() - began)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.attack", description=__doc__)
    parser.add_argument("--tree", type=Path, help="attack the tillroll of this directory")
    parser.add_argument("--only", default="", help="only attacks whose row, or whose text, is this")
    arguments = parser.parse_args()
    only = arguments.only
    wanted = [attack for attack in ATTACKS if str(attack.row) == only or (not only.isdigit() and only in attack.tries)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(AT_ONCE) as pool:
        target = Target(Path(directory), arguments.tree)
        succeeded = 0
        for verdict in pool.map(lambda attack: attempt(attack, target), wanted):
            succeeded += verdict.succeeded
            word = "SUCCEEDS" if verdict.succeeded else "fails"
            print(
                f"{verdict.attack.row:>2}  {word:<8}  {verdict.attack.tries}: {verdict.seen} ({verdict.seconds:.1f} s)",
                flush=True,
            )
    print(f"{len(wanted)} attacks in {time.monotonic() - began:.0f} s: {succeeded} succeeded")
    return 1 if succeeded else 0


sys.exit(main())
