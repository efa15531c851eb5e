"""kill -9 of the server under load. The rounds of kill_rounds.py, a few of them on every run."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.e2e.kill_rounds import Kind, http_round

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 5
SMALL = Kind(events=0, bodies=600, days="7", killed_within_s=0)


def test_nothing_acknowledged_is_lost_or_counted_twice_when_the_server_is_killed(tmp_path: Path) -> None:
    kills = 0
    while kills < KILLS:
        seed = random.randrange(1 << 30)
        directory = tmp_path / str(seed)
        directory.mkdir()
        kills += http_round(directory, seed, str(directory / "data"), SMALL).kills
