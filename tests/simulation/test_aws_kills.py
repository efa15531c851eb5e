"""Every kill point, and every pair of kill points, of a commit and a fold on AWS."""

from __future__ import annotations

from random import Random

import pytest
from tests.simulation import figures
from tests.simulation.aws_world import Processes, World, settle, simulated_time
from tests.simulation.oracle import Purchase
from tests.simulation.scheduler import STARTED_AT, Fault

KILLS = (Fault.KILL_BEFORE, Fault.KILL_AFTER)
_MIDNIGHT = int(STARTED_AT) // 86_400 * 86_400


def _run(plan: dict[int, Fault]) -> int:
    """Take two messages of three minutes and fold, with these kills; return how many calls it took."""
    world = World(Random(1), plan=plan)
    with simulated_time(world):
        named = Purchase(_MIDNIGHT, 0, 999, "PAY_NOW", "kiosk", "p1")
        unlike = named._replace(id="", second=_MIDNIGHT - 1)
        world.send([named, unlike], None)
        world.send([named, unlike._replace(second=_MIDNIGHT + 60)], "e1")
        processes = Processes(world)
        processes.start("worker", processes.work_once)
        world.scheduler.run()
        calls = world.calls
        settle(world)
    assert sum(world.watch.prefixes[-1].values()) == 5 * 3
    return calls


def test_no_kill_point_of_a_commit_and_a_fold_makes_a_count_wrong() -> None:
    calls = _run({})
    for call in range(1, calls + 1):
        for kill in KILLS:
            _run({call: kill})
    figures.note("AWS, every kill point", f"{2 * calls} runs, 0 wrong")


@pytest.mark.long
@pytest.mark.parametrize("first", KILLS)
def test_no_pair_of_kill_points_makes_a_count_wrong(first: Fault) -> None:
    runs = 0
    for call in range(1, _run({}) + 1):
        last = _run({call: first})
        for later in range(call + 1, last + 1):
            for second in KILLS:
                _run({call: first, later: second})
                runs += 1
    figures.note("AWS, every pair of kill points", f"{runs} runs, 0 wrong")
