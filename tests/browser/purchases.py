"""Purchases made up for the page, with the rhythm of a week, and counted by other means than the product's."""

from __future__ import annotations

import json
import math
import random
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOSTILE = "<img src=x onerror=alert(1)>"
METHODS = ("PAY_NOW", "PAY_LATER", "SLICE_IT")
AMOUNTS = {"<10": (100, 999), "10-50": (1_000, 4_999), "50-100": (5_000, 9_999), "100-500": (10_000, 50_000)}
SHARES = {"<10": (70, 24, 6), "10-50": (55, 35, 10), "50-100": (40, 40, 20), "100-500": (25, 40, 35)}
TOP = (">500", (50_001, 240_000), (15, 30, 55))


class Purchase(NamedTuple):
    """One purchase, and the bracket it was made for."""

    at: datetime
    bracket: str
    amount: int
    method: str
    merchant: str

    @property
    def hour(self) -> str:
        return f"{self.at:%Y-%m-%d:%H}"

    @property
    def day(self) -> str:
        return f"{self.at:%Y-%m-%d}"

    def event(self) -> dict[str, object]:
        date = f"{self.at:%Y-%m-%dT%H:%M:%S}.{self.at.microsecond:06}Z"
        return {"date": date, "amount": self.amount, "paymentMethod": self.method, "merchantId": self.merchant}


def merchants(count: int, seed: int = 7) -> list[str]:
    """Return names of merchants, the busiest first; the hostile one is among them, but not the busiest."""
    pick = random.Random(seed)
    names = [str(uuid.UUID(int=pick.getrandbits(128), version=4)) for _ in range(count - 3)]
    return [names[0], HOSTILE, "Kaffebrenneriet Grünerløkka", "Bücher Engel & Söhne", *names[1:]]


def generate(last: datetime, days: int, an_hour: float, names: list[str], seed: int = 11) -> Iterator[Purchase]:
    """Yield the purchases of some days up to a moment, hour by hour; the last are of that moment, of each method."""
    pick = random.Random(seed)
    weights = [1 / (rank + 1) ** 0.8 for rank in range(len(names))]
    brackets = [(name, AMOUNTS[name], SHARES[name]) for name in AMOUNTS] + [TOP]
    hour = last.replace(minute=0, second=0, microsecond=0) - timedelta(days=days)
    while hour <= last:
        lull = 0.12 + math.exp(-(((hour.hour - 12) / 3.2) ** 2)) + 0.9 * math.exp(-(((hour.hour - 19.5) / 2.4) ** 2))
        busy = an_hour * lull * (1.35 if hour.weekday() in {3, 4, 5} else 0.85 if hour.weekday() == 6 else 1)
        for _ in range(max(0, round(pick.gauss(busy, math.sqrt(busy))))):
            at = hour + timedelta(microseconds=pick.randrange(3_600_000_000))
            bracket, (low, high), shares = pick.choices(brackets, (18, 38, 22, 17, 5))[0]
            if at <= last:
                method = pick.choices(METHODS, shares)[0]
                yield Purchase(at, bracket, pick.randint(low, high), method, pick.choices(names, weights)[0])
        hour += timedelta(hours=1)


def count(purchases: Iterable[Purchase], *dimensions: str) -> dict[str, int]:
    """Return the events of each datapoint of a report of these dimensions."""
    return Counter("|".join(getattr(purchase, one) for one in dimensions) for purchase in purchases)


def lines(purchases: Iterable[Purchase]) -> bytes:
    """Return purchases as NDJSON."""
    return "".join(json.dumps(one.event(), ensure_ascii=False) + "\n" for one in purchases).encode()


# When it is on the server that nobody sends anything more to, and in its pages: the middle of an hour of an afternoon,
# for as long as the tests take. By the machine's own clock a day, or an hour, would end under some test now and then.
MOMENT = datetime(2026, 10, 14, 15, 40, tzinfo=UTC)


def this_moment() -> datetime:
    """Return now, to the second."""
    return datetime.now(UTC).replace(microsecond=0)
