"""A few seeds of each world, to kill mutants with: a mutant of a protocol is a planted fault that nobody thought of."""

from __future__ import annotations

import pytest
from tests.simulation import aws_world, sqlite_world


@pytest.mark.parametrize("block", range(4))
def test_no_seed_on_aws_makes_a_count_wrong(block: int) -> None:
    for seed in range(20 * block, 20 * block + 20):
        aws_world.simulate(seed)


@pytest.mark.parametrize("block", range(3))
def test_no_seed_of_the_embedded_store_makes_a_count_wrong(block: int) -> None:
    for seed in range(10 * block, 10 * block + 10):
        sqlite_world.simulate(seed)
