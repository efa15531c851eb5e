"""kill -9 of the server under load. The rounds of kill_rounds.py, a few of them on every run."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tests.e2e.kill_rounds import Kind, Round, full_round, gone_round, http_round

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow
KILLS = 5
SMALL = Kind(events=0, bodies=600, days="7", killed_within_s=0)


def test_nothing_acknowledged_is_lost_or_counted_twice_when_the_server_is_killed(tmp_path: Path) -> None:
    kills = 0
    while kills < KILLS:
        seed = random.randrange(1 << 30)
        directory = tmp_path / str(seed)
        directory.mkdir()
        kills += http_round(directory, seed, str(directory / "data"), SMALL).kills


@pytest.mark.parametrize("play", [gone_round, full_round], ids=lambda play: play.__name__)
def test_nothing_acknowledged_is_lost_when_its_place_is_gone_or_full(
    tmp_path: Path, play: Callable[[Path, int, str, Kind], Round]
) -> None:
    seed = random.randrange(1 << 30)
    assert play(tmp_path, seed, str(tmp_path / "data"), SMALL).events == SMALL.bodies * 20
