"""Random seeds of each world, seeds of each narrow mix, and the same seed twice. The long run has ten thousand."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.simulation import aws_world, figures, restores, sqlite_world
from tests.simulation.campaign import BLOCK, WORLDS, Block, run_block

BLOCKS = {"aws": 2, "sqlite": 1}
BLOCKS_LONG = {"aws": 100, "sqlite": 15}
MIXES = {
    f"{module.__name__.rpartition('.')[2]} {name}": (module.simulate, mix)
    for module in (aws_world, restores, sqlite_world)
    for name, mix in vars(module).items()
    if name.isupper() and isinstance(mix, module.Mix) and mix is not module.EVERYTHING and name[0] != "_"
}
SEEDS_OF_A_MIX, SEEDS_OF_A_MIX_LONG = 12, 500
_TRAIL = (
    "from tests.simulation.{0}_world import simulate; s = [simulate(n) for n in range(6)]; print([x.trail for x in s])"
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "block" in metafunc.fixturenames:
        blocks = BLOCKS_LONG if metafunc.config.getoption("--long") else BLOCKS
        drawn = [Block(world, BLOCK * number, BLOCK) for world in WORLDS for number in range(blocks[world])]
        metafunc.parametrize("block", drawn, ids=[f"{block.world}-{block.first}" for block in drawn])


@pytest.mark.slow
def test_no_seed_makes_a_count_wrong(block: Block) -> None:
    result = run_block(block)
    faults = {f"faults: {name}": number for name, number in sorted(result.injected.items())}
    wrong = len(result.wrong)
    figures.count(f"{block.world}, random", seeds=result.seeds, wrong=wrong, steps=result.steps, **faults)
    assert not result.wrong, "\n".join(result.wrong)


@pytest.mark.parametrize("mix", MIXES)
def test_no_seed_of_a_narrow_mix_makes_a_count_wrong(mix: str, request: pytest.FixtureRequest) -> None:
    simulate, drawn_from = MIXES[mix]
    seeds = SEEDS_OF_A_MIX_LONG if request.config.getoption("--long") else SEEDS_OF_A_MIX
    for seed in range(1_000, 1_000 + seeds):  # others than the planted faults are looked for in
        simulate(seed, mix=drawn_from)
    figures.count("narrow mixes", seeds=seeds, wrong=0)


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
