"""Ten thousand seeds and more, on all cores, and the same seed twice."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from tests.simulation import figures
from tests.simulation.campaign import CORES, WORLDS, Result, blocks, run

SEEDS = {"aws": 10_000, "sqlite": 1_500}
_TRAIL = (
    "from tests.simulation.{0}_world import simulate; s = [simulate(n) for n in range(6)]; print([x.trail for x in s])"
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("world", WORLDS)
def test_no_seed_makes_a_count_wrong(world: str) -> None:
    total = Result()
    started = time.perf_counter()
    for _, result in run(blocks(world, 0, SEEDS[world])):
        total.add(result)
    seconds = time.perf_counter() - started
    figures.note(f"{world}, random", f"{total}; seeds 0 to {SEEDS[world] - 1:,}, {seconds:.0f} s on {CORES} cores")
    figures.note(f"{world}, random", ", ".join(f"{fault} {count:,}" for fault, count in sorted(total.injected.items())))
    assert not total.wrong, "\n".join(total.wrong)


@pytest.mark.parametrize("world", WORLDS)
def test_a_seed_takes_the_same_steps_again(world: str) -> None:
    trails = {
        subprocess.run(
            [sys.executable, "-c", _TRAIL.format(world)],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(trails) == 1
