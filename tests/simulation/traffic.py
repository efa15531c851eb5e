"""Purchases to simulate with: few, close together, often equal, often repeated, at every boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.simulation.oracle import METHODS, Purchase
from tests.simulation.scheduler import STARTED_AT

if TYPE_CHECKING:
    from random import Random

_CENTS: Final = (0, 999, 1_000, 4_999, 5_000, 9_999, 10_000, 50_000, 50_001, 10**12)
_MERCHANTS: Final = ("kiosk", "bakery", "1bb53ed1-787b-4543-9def-ea18eef7902e", "PAY_NOW", "Käthe & Söhne")
# Three minutes, two hours and two days meet here.
SECONDS: Final = tuple(int(STARTED_AT) // 86_400 * 86_400 + offset for offset in (-61, -60, -1, 0, 0, 59, 3_600))


class Traffic:
    """Draws purchases from a seed."""

    def __init__(self, random: Random, ids: float = 0.4) -> None:
        """`ids` is how many of them have an id of their own."""
        self._random = random
        self._ids = ids
        self._named: list[Purchase] = []
        self._count = 0

    def purchase(self) -> Purchase:
        """Return a purchase: mostly new, else a repeat of one with an id, or another under the same id."""
        draw = self._random.random()
        if self._named and draw < 0.25:
            repeated = self._random.choice(self._named)
            if draw < 0.06:
                return repeated._replace(cents=self._random.choice(_CENTS))
            return repeated
        return self.fresh()

    def fresh(self) -> Purchase:
        """Return a purchase that is no repeat."""
        random = self._random
        own = ""
        if random.random() < self._ids:
            self._count += 1
            own = f"p{self._count}"
        purchase = Purchase(
            random.choice(SECONDS),
            random.choice((0, 0, 0, 250_000_000)),
            random.choice(_CENTS),
            random.choice(METHODS),
            random.choice(_MERCHANTS),
            own,
        )
        if own:
            self._named.append(purchase)
        return purchase
