"""Every statement of commits, a fold and a rebuild at which a process can be killed, and every pair of them."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.simulation import figures
from tests.simulation.deliveries import Delivery
from tests.simulation.oracle import Purchase
from tests.simulation.scheduler import STARTED_AT, Fault
from tests.simulation.sqlite_world import OWN, Process, World, connected, settle
from tests.simulation.witness import WrongError

from tillroll.core.batch import UNNAMED, NameKind, Source
from tillroll.core.definition import define
from tillroll.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow
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


class _Definer(_Script):
    """Defines a report, counts it, changes it, drops it and defines it once more, each until it is done."""

    def _run(self) -> None:
        self._open()
        self._store._definitions.stride = 1
        steps = (self._take_all, *(self._steps()))
        while self._done < len(steps):
            try:
                steps[self._done]()
            except StoreError as error:
                if "is full" not in str(error):
                    raise WrongError(f"an error that no fault explains: {error}") from error
                self._todo[:0] = self._in_hand  # the sender sends again what was refused
            else:
                self._done += 1
        self._store.close()

    _done = 0

    def _take_all(self) -> None:
        while self._todo:
            self._in_hand = [self._todo.pop(0)]
            self._take_in_hand()

    def _steps(self) -> Iterator[Callable[[], object]]:
        for by in (["day", "method"], ["merchant", "day"]):
            yield partial(self._define, by)
            yield self._count_all
        yield partial(self._store.drop, OWN[0])
        yield self._count_all
        yield partial(self._define, ["merchant"])
        yield self._count_all
        yield self._check

    def _define(self, by: list[str]) -> None:
        self._store.apply([define({"name": OWN[0], "by": by})])

    def _check(self) -> None:
        own = [(each.dimensions, each.version) for each in self._store.catalogue() if each.is_own]
        if own != [(("merchant",), 3)]:
            raise WrongError(f"the report stands as {own}")

    def _count_all(self) -> None:
        while self._store.count_some(0.0):
            pass


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
        assert world.witness.events == {1: 2, 2: 4, 4: 5}[bodies]
    finally:
        world.close()
    return statements


PARTS = 4  # of the kill points; a short run takes the first


@pytest.mark.parametrize("part", [pytest.param(part, marks=[pytest.mark.long] * (part > 0)) for part in range(PARTS)])
def test_no_kill_point_makes_a_count_wrong(part: int) -> None:
    """A kill after a statement is one before the next, save after the last."""
    statements = _run({})
    for statement in range(1 + part, statements + 1, PARTS):
        _run({statement: Fault.KILL_BEFORE})
    _run({statements: Fault.KILL_AFTER})
    figures.count("SQLite, kill points", runs=len(range(1 + part, statements + 1, PARTS)) + 1, wrong=0)


@pytest.mark.parametrize("part", [pytest.param(part, marks=[pytest.mark.long] * (part > 0)) for part in range(PARTS)])
@pytest.mark.parametrize("fault", [Fault.KILL_BEFORE, Fault.PARTIAL])
def test_no_kill_and_no_full_disk_while_a_report_is_defined_changed_and_dropped_makes_a_count_wrong(
    fault: Fault, part: int
) -> None:
    chosen = range(1 + part, _run({}, _Definer, 1) + 1, PARTS)
    for statement in chosen:
        _run({statement: fault}, _Definer, 1)
    figures.count(f"SQLite, {fault.value} while a report is defined, changed and dropped", runs=len(chosen), wrong=0)


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
