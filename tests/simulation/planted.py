"""What a planted fault is: one step of a protocol left out, which the simulator must find within so many seeds."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.simulation.witness import WrongError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Planted(NamedTuple):
    """A small change of the product, by which it must fail."""

    name: str
    seeds: int  # within so many it must be found
    changes: tuple[tuple[Any, str, Any], ...]  # (where, attribute, what stands there instead)
    begin: int = 0  # the seed that a short run begins with, where finding it from 0 takes long

    @contextmanager
    def grown(self) -> Iterator[None]:
        """Have the product be so changed."""
        with ExitStack() as stack:
            for where, attribute, instead in self.changes:
                stack.callback(setattr, where, attribute, getattr(where, attribute))
                setattr(where, attribute, instead)
            yield

    def find(self, simulate: Callable[[int], object], begin: int = 0) -> tuple[int, str] | None:
        """Return the first seed that finds it and what it says, None when none does."""
        with self.grown():
            for seed in range(begin, begin + self.seeds):
                try:
                    simulate(seed)
                except WrongError as error:
                    return seed, str(error)
        return None
