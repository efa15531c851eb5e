"""kill -9 of the server under load. The rounds of kill_rounds.py, a few of them on every run."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.e2e.kill_rounds import http_round

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 5


def test_nothing_acknowledged_is_lost_or_counted_twice_when_the_server_is_killed(tmp_path: Path) -> None:
    kills = 0
    for _ in range(KILLS):
        seed = random.randrange(1 << 30)
        directory = tmp_path / str(seed)
        directory.mkdir()
        kills += http_round(directory, seed, str(directory / "data")).kills
        if kills >= KILLS:
            break
    assert kills
