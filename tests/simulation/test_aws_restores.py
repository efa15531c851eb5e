"""Restores at random moments, and the faults planted in what follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.simulation import figures, planted_restores, restores

if TYPE_CHECKING:
    from tests.simulation.planted import Planted

pytestmark = pytest.mark.slow


def test_after_a_restore_of_any_moments_no_count_is_wrong(request: pytest.FixtureRequest) -> None:
    seeds = 3_000 if request.config.getoption("--long") else 50
    for seed in range(seeds):
        restores.simulate(seed)
    figures.note("AWS, restores", f"{seeds} seeds, 0 wrong")


@pytest.mark.parametrize("planted", planted_restores.PLANTED, ids=lambda planted: planted.name)
def test_a_fault_planted_in_what_follows_a_restore_is_found(planted: Planted, request: pytest.FixtureRequest) -> None:
    found = planted.find(restores.simulate, long=request.config.getoption("--long"))
    assert found is not None, f"{planted.name}: not found in {planted.seeds} seeds"
    figures.note("AWS, planted faults of restores caught", f"{planted.name}: at seed {found[0]} of {planted.seeds}")
