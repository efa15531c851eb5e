"""The proof of the proof: every planted fault is found, within the seeds that it states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.simulation import aws_world, figures, planted_aws, planted_sqlite, sqlite_world

if TYPE_CHECKING:
    from tests.simulation.planted import Planted


@pytest.mark.parametrize("planted", planted_aws.PLANTED, ids=lambda planted: planted.name)
def test_a_fault_planted_in_the_protocols_on_aws_is_found(planted: Planted, request: pytest.FixtureRequest) -> None:
    found = planted.find(aws_world.simulate, long=request.config.getoption("--long"))
    assert found is not None, f"{planted.name}: not found in {planted.seeds} seeds"
    figures.note("aws, planted faults caught", f"{planted.name}: at seed {found[0]} of {planted.seeds}")


@pytest.mark.parametrize("planted", planted_sqlite.PLANTED, ids=lambda planted: planted.name)
def test_a_fault_planted_in_the_embedded_store_is_found(planted: Planted, request: pytest.FixtureRequest) -> None:
    found = planted.find(sqlite_world.simulate, long=request.config.getoption("--long"))
    assert found is not None, f"{planted.name}: not found in {planted.seeds} seeds"
    figures.note("sqlite, planted faults caught", f"{planted.name}: at seed {found[0]} of {planted.seeds}")
