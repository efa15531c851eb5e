"""One thread, many workers: every call to the outside world is a step, and the seed says whose step is next.

Each worker is a greenlet that runs the real code. At a call it gives way to the scheduler, which picks who goes on, and
which fault, if any, befalls the call. So a run is a function of its seed, and can be run again.
"""

from __future__ import annotations

import heapq
import zlib
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from random import Random

STARTED_AT: Final = 1_323_000_000.0  # 2011-12-04, by the simulated clock
STEPS_MAX: Final = 200_000


class Killed(BaseException):
    """The process of this worker is gone. No code of the product may catch it."""


class StuckError(AssertionError):
    """Nothing goes on, or it goes on for ever."""


class Fault(Enum):
    """What may befall a call."""

    KILL_BEFORE = "killed before a call"
    KILL_AFTER = "killed after a call's effect"
    LOSE_REQUEST = "request lost"
    LOSE_REPLY = "reply lost"
    LATE_EFFECT = "reply lost, effect late"
    REPEAT = "reply lost, repeated by the client"
    THROTTLE = "throttled"
    CONFLICT = "transaction conflict"
    PARTIAL = "partial result"
    PAUSE_BEFORE = "paused before a call"
    PAUSE_AFTER = "paused after a call's effect"


@dataclass
class Task:
    """A worker's process, or a person at work."""

    name: str
    fiber: greenlet
    clock_error_s: float = 0.0
    alive: bool = True
    on_death: list[Callable[[], None]] = field(default_factory=list)

    def kill(self) -> None:
        """End the process: what it holds is released, and none of its code runs on."""
        self.alive = False
        for release in self.on_death:
            release()


class Scheduler:
    """Runs tasks one step at a time."""

    def __init__(self, random: Random, injected: Counter[str], check: Callable[[], None] | None = None) -> None:
        self.random = random
        self.injected = injected
        self.now = STARTED_AT
        self.steps = 0
        self.trail = 0  # a checksum of every step, to compare two runs of a seed
        self.log: list[str] | None = None  # every step in words, when asked for
        self.error: BaseException | None = None
        self._check = check
        self._home = getcurrent()
        self._ready: list[Task] = []
        self._asleep: list[tuple[float, int, Task]] = []
        self._current: Task | None = None
        self._order = 0

    @property
    def current(self) -> Task:
        """The task whose code is running."""
        assert self._current is not None
        return self._current

    def spawn(self, name: str, work: Callable[[], None], *, clock_error_s: float = 0.0) -> Task:
        """Add a task. It takes its first step when the scheduler picks it."""

        def run() -> None:
            try:
                work()
            except Killed:
                pass
            except BaseException as error:  # noqa: BLE001 handed on to whoever runs the scheduler
                if task.alive:  # what a dead process's code still raises, nobody sees
                    self.error = self.error or error
            finally:
                task.alive = False

        task = Task(name, greenlet(run, self._home), clock_error_s)
        self._ready.append(task)
        return task

    def clock(self) -> float:
        """Return the time as the current task's clock has it."""
        error = 0.0 if self._current is None else self._current.clock_error_s
        return self.now + error

    def step(self, call: str, *, wait_s: float = 0.0) -> None:
        """Give way before a call, for at least some time. Raises Killed in a task that is no more."""
        task = self.current
        assert getcurrent() is task.fiber
        if not task.alive:
            raise Killed
        self._note(task, call)
        self._put(task, wait_s)
        self._switch_away()

    def die(self) -> None:
        """End the current task's process here and now."""
        self.current.kill()
        raise Killed

    def draw(self, call: str, fault: Fault) -> None:
        """Note that a fault was injected."""
        self.injected[fault.value] += 1
        self._note(self.current, f"{call}: {fault.value}")

    def run(self) -> None:
        """Run until no task is left. Raises what any task raised, or StuckError."""
        while self._ready or self._asleep:
            task = self._next()
            self._current = task
            task.fiber.switch()
            self._current = None
            if self.error is not None:
                raise self.error
            if self._check is not None:
                self._check()

    def _next(self) -> Task:
        self.steps += 1
        if self.steps > STEPS_MAX:
            raise StuckError(f"not at rest after {STEPS_MAX} steps")
        self.now += 0.01
        if not self._ready:
            self.now = max(self.now, self._asleep[0][0])
        while self._asleep and self._asleep[0][0] <= self.now:
            self._ready.append(heapq.heappop(self._asleep)[2])
        index = int(self.random.random() * len(self._ready))
        task = self._ready[index]
        self._ready[index] = self._ready[-1]
        self._ready.pop()
        return task

    def _put(self, task: Task, wait_s: float) -> None:
        if wait_s > 0:
            self._order += 1
            heapq.heappush(self._asleep, (self.now + wait_s, self._order, task))
        else:
            self._ready.append(task)

    def _switch_away(self) -> None:
        task = self.current
        self._home.switch()
        if not task.alive:
            raise Killed

    def _note(self, task: Task, text: str) -> None:
        self.trail = zlib.crc32(f"{task.name} {text}".encode(), self.trail)
        if self.log is not None:
            self.log.append(f"{self.steps} {self.now - STARTED_AT:.2f} {task.name}: {text}")
