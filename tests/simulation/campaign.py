"""Runs many seeds on every core, and adds up what happened."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle, islice
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.simulation.scheduler import Scheduler

BLOCK: Final = 100
CORES: Final = 2
WORLDS: Final = ("aws", "sqlite")


class Block(NamedTuple):
    """Seeds to run in one go."""

    world: str
    first: int
    seeds: int


@dataclass
class Result:
    """What some seeds came to."""

    seeds: int = 0
    steps: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: Result) -> None:
        """Take another result in."""
        self.seeds += other.seeds
        self.steps += other.steps
        self.injected.update(other.injected)
        self.wrong += other.wrong
        self.seconds += other.seconds

    def __str__(self) -> str:
        faults = sum(self.injected.values())
        return f"{self.seeds:,} seeds, {self.steps:,} steps, {faults:,} faults injected, {len(self.wrong)} wrong"


def simulator(world: str) -> Callable[[int, list[str] | None], Scheduler]:
    """Return what runs one seed of a world; each is imported when it is used."""
    if world == "aws":
        from tests.simulation import aws_world

        return aws_world.simulate
    from tests.simulation import sqlite_world

    return sqlite_world.simulate


def run_block(block: Block) -> Result:
    """Run some seeds in this process. A seed fails by any exception: it is noted with what to run to see it again."""
    simulate = simulator(block.world)
    result = Result()
    started = time.perf_counter()
    for seed in range(block.first, block.first + block.seeds):
        result.seeds += 1
        try:
            scheduler = simulate(seed, None)
        except Exception as error:  # noqa: BLE001 whatever it is, the other seeds go on
            again = f"python -m tests.simulation.soak --world {block.world} --seed {seed}"
            result.wrong.append(f"{again}: {error!r:.500}")
            continue
        result.steps += scheduler.steps
        result.injected.update(scheduler.injected)
    result.seconds = time.perf_counter() - started
    return result


def blocks(world: str, first: int, seeds: int) -> Iterator[Block]:
    """Cut a range of seeds into blocks."""
    for start in range(first, first + seeds, BLOCK):
        yield Block(world, start, min(BLOCK, first + seeds - start))


def run(work: Iterable[Block]) -> Iterator[tuple[Block, Result]]:
    """Run blocks on every core; yield each as it is done, in order. Work may be endless: little is taken ahead."""
    with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as pool:
        source = iter(work)
        waiting = [(block, pool.submit(run_block, block)) for block in islice(source, 2 * CORES)]
        while waiting:
            block, future = waiting.pop(0)
            yield block, future.result()
            waiting.extend((following, pool.submit(run_block, following)) for following in islice(source, 1))


def endless(worlds: dict[str, int], first: int) -> Iterator[Block]:
    """Yield blocks for ever: of each world as many in a round as it says."""
    order = [world for world, share in worlds.items() for _ in range(share)]
    starts = dict.fromkeys(worlds, first)
    for world in cycle(order):
        yield Block(world, starts[world], BLOCK)
        starts[world] += BLOCK
