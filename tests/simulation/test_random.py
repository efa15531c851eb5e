"""Random seeds of each world, and the same seed twice. The long run has ten thousand."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.simulation import figures
from tests.simulation.campaign import BLOCK, WORLDS, Block, run_block

BLOCKS = {"aws": 10, "sqlite": 2}
BLOCKS_LONG = {"aws": 100, "sqlite": 15}
_TRAIL = (
    "from tests.simulation.{0}_world import simulate; s = [simulate(n) for n in range(6)]; print([x.trail for x in s])"
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "block" in metafunc.fixturenames:
        blocks = BLOCKS_LONG if metafunc.config.getoption("--long") else BLOCKS
        drawn = [Block(world, BLOCK * number, BLOCK) for world in WORLDS for number in range(blocks[world])]
        metafunc.parametrize("block", drawn, ids=[f"{block.world}-{block.first}" for block in drawn])


def test_no_seed_makes_a_count_wrong(block: Block) -> None:
    result = run_block(block)
    faults = {f"faults: {name}": number for name, number in sorted(result.injected.items())}
    wrong = len(result.wrong)
    figures.count(f"{block.world}, random", seeds=result.seeds, wrong=wrong, steps=result.steps, **faults)
    assert not result.wrong, "\n".join(result.wrong)


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
