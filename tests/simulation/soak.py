"""Simulate for as long as asked, or one seed again: `python -m tests.simulation.soak --minutes 60`."""

from __future__ import annotations

import argparse
import sys
import time
from random import SystemRandom
from typing import Final

from tests.simulation.campaign import WORLDS, Result, endless, run, simulator

_EVERY_S: Final = 30.0
_SHARES: Final = {"aws": 5, "sqlite": 1}


def main() -> int:
    """Run, and return 1 when any seed was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=0, help="stop after so many, if that is sooner")
    parser.add_argument("--first", type=int, default=SystemRandom().randrange(1 << 40), help="first seed")
    parser.add_argument("--world", choices=WORLDS, help="only this one")
    parser.add_argument("--seed", type=int, help="run this one again and print its steps; needs --world")
    options = parser.parse_args()
    if options.seed is not None:
        return again(options.world or "aws", options.seed)
    return soak(options.minutes * 60, options.seeds or sys.maxsize, options.first, options.world)


def soak(seconds: float, seeds: int, first: int, only: str | None) -> int:
    """Run seeds from the first one on, telling now and then how far it is."""
    totals = {world: Result() for world in WORLDS}
    started = told = time.monotonic()
    print(f"seeds from {first} on, for {seconds / 60:g} minutes", flush=True)
    for block, result in run(endless({only: 1} if only else _SHARES, first)):
        totals[block.world].add(result)
        for problem in result.wrong:
            print(f"WRONG {problem}", flush=True)
        now = time.monotonic()
        done = now - started >= seconds or sum(total.seeds for total in totals.values()) >= seeds
        if done or now - told >= _EVERY_S:
            told = now
            _tell(totals, now - started)
        if done:
            break
    return 1 if any(total.wrong for total in totals.values()) else 0


def _tell(totals: dict[str, Result], seconds: float) -> None:
    for world, total in totals.items():
        if total.seeds:
            print(f"{seconds / 60:.1f} min, {world}: {total}, {total.seeds / seconds:.1f} seeds/s", flush=True)


def again(world: str, seed: int) -> int:
    """Run one seed again with every step printed."""
    log: list[str] = []
    try:
        simulator(world)(seed, log)
    except Exception as error:  # noqa: BLE001 shown with the steps that led there
        print(*log, sep="\n")
        print(f"WRONG {error!r}")
        return 1
    print(*log, sep="\n")
    print("right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
