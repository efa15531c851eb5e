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
    mix: Any = None  # what a short run draws from, where everything at once finds it rarely
    first: int = (
        0  # the seed that a short run begins with, where the least ones do not find it; it goes on to all others
    )

    @contextmanager
    def grown(self) -> Iterator[None]:
        """Have the product be so changed."""
        with ExitStack() as stack:
            for where, attribute, instead in self.changes:
                stack.callback(setattr, where, attribute, getattr(where, attribute))
                setattr(where, attribute, instead)
            yield

    def find(self, simulate: Callable[..., object], *, long: bool = False) -> tuple[int, str] | None:
        """Return the first seed that finds it and what it says, or None. A long run draws from everything."""
        settings = {} if self.mix is None or long else {"mix": self.mix}
        first = 0 if long else self.first
        with self.grown():
            for seed in (*range(first, self.seeds), *range(first)):
                try:
                    simulate(seed, **settings)
                except WrongError as error:
                    return seed, str(error)
        return None
