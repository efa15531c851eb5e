"""Every statement of commits, a fold and a rebuild at which a process can be killed, and every pair of them."""

from __future__ import annotations

from random import Random

import pytest
from tests.simulation import figures
from tests.simulation.deliveries import Delivery
from tests.simulation.oracle import Purchase
from tests.simulation.scheduler import STARTED_AT, Fault
from tests.simulation.sqlite_world import Process, World, connected, settle

from tillroll.core.batch import UNNAMED, NameKind, Source

_MIDNIGHT = int(STARTED_AT) // 86_400 * 86_400
_NAMED = Purchase(_MIDNIGHT, 0, 999, "PAY_NOW", "kiosk", "p1")
_OTHER = Purchase(_MIDNIGHT - 1, 0, 50_001, "SLICE_IT", "bakery")


class _Script(Process):
    """Takes a body with an id, a conflict and a bad event, a file's lines and a repeat, then folds and rebuilds."""

    rebuilds = True

    def _run(self) -> None:
        self._open()
        while self._todo:
            self._in_hand = [self._todo.pop(0)]
            self._take_in_hand()
        self._fold()
        self._page()
        if self.rebuilds:
            self._rebuild()
            self._page()
        self._store.close()


def _deliveries() -> list[Delivery]:
    key, file = Source(NameKind.KEY, "k"), Source(NameKind.FILE, "f")
    first = [_NAMED, _OTHER, None, _NAMED._replace(cents=0)]
    return [
        Delivery(key, first, [b"{}" if x is None else x.text() for x in first]),
        Delivery(file, [_OTHER, _OTHER], [_OTHER.text(), _OTHER.text()]),
        Delivery(UNNAMED, [_NAMED], [_NAMED.text()]),
        Delivery(file, [_OTHER, _OTHER], [_OTHER.text(), _OTHER.text()], 1),
    ]


class _Short(_Script):
    """Does not rebuild."""

    rebuilds = False


def _run(plan: dict[int, Fault], script: type[_Script] = _Script, bodies: int = 4) -> int:
    """Run the script with these kills; return how many statements it took."""
    world = World(Random(1), plan=plan or {0: Fault.KILL_BEFORE})
    try:
        with connected(world):
            todo = _deliveries()[:bodies]
            for delivery in todo:
                delivery.sent(world.ledger)
            script(world, "process", todo)
            world.scheduler.run()
            statements = world.statements
            settle(world)
        assert world.witness.events == {2: 4, 4: 5}[bodies]
    finally:
        world.close()
    return statements


def test_no_kill_point_makes_a_count_wrong() -> None:
    """A kill after a statement is one before the next, save after the last."""
    statements = _run({})
    for statement in range(1, statements + 1):
        _run({statement: Fault.KILL_BEFORE})
    _run({statements: Fault.KILL_AFTER})
    figures.note("SQLite, every kill point", f"{statements + 1} runs, 0 wrong")


@pytest.mark.long
@pytest.mark.parametrize("half", [0, 1])
def test_no_pair_of_kill_points_makes_a_count_wrong(half: int) -> None:
    """A kill after a statement is one before the next, so each pair of gaps between statements is tried once."""
    runs = 0
    for statement in range(1 + half, _run({}, _Short, 2) + 2, 2):
        last = _run({statement: Fault.KILL_BEFORE}, _Short, 2)
        for later in range(statement + 1, last + 1):
            _run({statement: Fault.KILL_BEFORE, later: Fault.KILL_BEFORE}, _Short, 2)
            runs += 1
    figures.note("SQLite, every pair of kill points", f"{runs} runs, 0 wrong")
