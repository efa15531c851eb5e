"""Realistic purchases from a seed, with what every report must show of them afterwards.

Purchases follow the hours of the day and the days of the week, merchants a Zipf law, amounts a log-normal one; large
amounts are more often paid in slices. The same plan gives the same lines, on every machine.

The tally is counted here from the columns the lines are made of, and shares nothing with the code that folds: so that
it can be held against the product's reports.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import math
import random
import uuid
from collections import Counter
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tillroll.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

METHODS: Final = ("PAY_NOW", "PAY_LATER", "SLICE_IT")
BRACKETS: Final = ("<10", "10-50", "50-100", "100-500", ">500")
_BY_HOUR: Final = (9, 5, 3, 2, 2, 4, 9, 18, 30, 41, 50, 57, 61, 58, 53, 52, 56, 64, 75, 86, 92, 78, 48, 22)
_BY_WEEKDAY: Final = (1.0, 0.96, 0.98, 1.03, 1.16, 1.28, 1.12)  # from Monday
_MEDIAN_CENTS: Final = 3_800
_SIGMA: Final = 1.15
_PRICE_ENDINGS: Final = (99, 95, 0, 50, 90)
# Of 256 purchases of a bracket, so many are paid now and so many later; the rest in slices.
_PAID: Final = ((196, 52), (150, 86), (110, 90), (72, 82), (44, 56))
_AMOUNTS: Final = 1 << 16
_MERCHANT_SLOTS_BITS: Final = 20
_BLOCK_LINES_MAX: Final = 32_768
_HOUR_S: Final = 3_600
_DAY_S: Final = 86_400
_REMEMBERED: Final = 4_096  # lines that a duplicate may repeat
_LATE_MEDIAN_S: Final = 6 * 3_600


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to generate. Shares are of all lines; late purchases are valid ones that stand later than their date."""

    seed: int
    events: int  # lines in all, duplicates and invalid ones among them
    merchants: int
    start_s: int
    stop_s: int
    duplicates: float = 0.0
    late: float = 0.0
    invalid: float = 0.0
    ids: bool = False

    @property
    def has_ids(self) -> bool:
        """Tell whether purchases carry an id of their own: without one nothing could tell a duplicate."""
        return self.ids or self.duplicates > 0

    @property
    def run(self) -> str:
        """A short name that this plan and no other has."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:12]

    def check(self) -> None:
        """Refuse a plan that cannot be carried out."""
        if self.stop_s <= self.start_s:
            raise ConfigError("to", "the range ends before it begins", "Give a later --to, or an earlier --from")
        for name in ("duplicates", "late", "invalid"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    name, f"{getattr(self, name)} is not a share of the lines", "Give 0.01 for one in 100"
                )
        if self.duplicates + self.late + self.invalid >= 1:
            raise ConfigError("duplicates", "no line is left besides late and invalid ones", "Use smaller shares")


class Summary(msgspec.Struct, kw_only=True):
    """What was generated, and what every report must show once all of it is taken and nothing else."""

    seed: int
    start: str
    stop: str
    lines: int
    accepted: int
    duplicates: int
    late: int
    rejected: int
    reports: dict[str, list[dict[str, str | int]]]


class _Slot(NamedTuple):
    """A stretch of time within one hour, and how many lines fall in it."""

    start_s: int
    length_s: float
    lines: int


class Generator:
    """Carries out a plan once: `blocks` yields the lines, `summary` then says what they come to."""

    def __init__(self, plan: Plan) -> None:
        plan.check()
        self.plan = plan
        self._random = random.Random(plan.seed)  # noqa: S311 nothing here is secret, and the same seed must give the same
        self._tables = _Tables(plan, self._random)
        self._tally = _Tally()
        self._made = 0  # valid purchases so far: the last one's id
        self._remembered: list[str] = []
        self._owed = {"duplicates": 0.0, "late": 0.0, "invalid": 0.0}
        self._done = {"duplicates": 0, "late": 0, "invalid": 0}

    def blocks(self) -> Iterator[list[str]]:
        """Yield all lines, without their ends, in the order of a file, some thousand at a time."""
        for slot in _slots(self.plan, self._random):
            yield self._block(slot)

    def totals(self) -> dict[str, int]:
        """Return how many lines of each kind there were so far; the late ones are among the accepted."""
        done = self._done
        return {
            "lines": self._made + done["duplicates"] + done["invalid"],
            "accepted": self._made,
            "duplicates": done["duplicates"],
            "late": done["late"],
            "rejected": done["invalid"],
        }

    def summary(self) -> Summary:
        """Return what the lines come to. Complete when `blocks` is exhausted."""
        plan = self.plan
        return Summary(
            seed=plan.seed,
            start=_instant(plan.start_s),
            stop=_instant(plan.stop_s),
            **self.totals(),
            reports={
                name: [{"datapoint": datapoint, "events": events} for datapoint, events in sorted(counted.items())]
                for name, counted in self._tally.reports(self._tables.merchants).items()
            },
        )

    def _block(self, slot: _Slot) -> list[str]:
        late = self._due("late", slot.lines, slot.lines)
        invalid = self._due("invalid", slot.lines, slot.lines - late)
        duplicates = self._due("duplicates", slot.lines, slot.lines - late - invalid if self._made else 0)
        on_time = slot.lines - late - invalid - duplicates
        lines = self._on_time(slot, on_time)
        odd = [self._late(slot) for _ in range(late)]
        pool = self._remembered or lines or odd
        odd += [pool[self._below(len(pool))] for _ in range(duplicates)]
        odd += [self._invalid(slot) for _ in range(invalid)]
        if self.plan.duplicates:
            self._remember(lines)
        return self._scatter(lines, odd) if odd else lines

    def _due(self, kind: str, lines: int, room: int) -> int:
        """Return how many of the next lines are of a kind, so that its share of all comes out exact."""
        self._owed[kind] += lines * float(getattr(self.plan, kind))
        due = min(room, int(self._owed[kind] + 1e-9))
        self._owed[kind] -= due
        self._done[kind] += due
        return due

    def _on_time(self, slot: _Slot, count: int) -> list[str]:
        """Return valid purchases of a slot, in the order of their dates, and tally them."""
        tables, draw = self._tables, self._random.randbytes
        first = slot.start_s % _HOUR_S
        length = int(slot.length_s)
        times = sorted([x * length >> 32 for x in memoryview(draw(4 * count)).cast("I")])
        amounts = memoryview(draw(2 * count)).cast("H").tolist()
        slots = tables.merchant_slots
        merchants = [slots[x >> 32 - _MERCHANT_SLOTS_BITS] for x in memoryview(draw(4 * count)).cast("I")]
        cells = [tables.cells[amount << 8 | x] for amount, x in zip(amounts, draw(count), strict=True)]
        payers = [merchant * 3 + cell % 3 for merchant, cell in zip(merchants, cells, strict=True)]
        self._tally.add(slot.start_s // _HOUR_S, cells, payers)
        head = f'{{"date":"{_instant(slot.start_s)[:14]}'
        clock, cents, tails = tables.clock[first:], tables.cents, tables.tails
        if not self.plan.has_ids:
            self._made += count
            return [f"{head}{clock[t]}{cents[a]}{tails[p]}}}" for t, a, p in zip(times, amounts, payers, strict=True)]
        run, made = self.plan.run, self._made
        self._made += count
        return [
            f'{head}{clock[t]}{cents[a]}{tails[p]},"id":"{run}-{n}"}}'
            for n, (t, a, p) in enumerate(zip(times, amounts, payers, strict=True), made + 1)
        ]

    def _late(self, slot: _Slot) -> str:
        """Return one valid purchase that arrives in a slot, hours or days after its date, and tally it."""
        tables = self._tables
        delay_s = _LATE_MEDIAN_S * math.exp(NormalDist().inv_cdf(0.02 + 0.96 * self._random.random()))
        second = max(0, slot.start_s + int(slot.length_s) - int(delay_s))
        amount = self._below(_AMOUNTS)
        cell = tables.cells[amount << 8 | self._below(256)]
        payer = tables.merchant_slots[self._below(1 << _MERCHANT_SLOTS_BITS)] * 3 + cell % 3
        self._tally.add(second // _HOUR_S, [cell], [payer])
        self._made += 1
        own = f',"id":"{self.plan.run}-{self._made}"' if self.plan.has_ids else ""
        return f'{{"date":"{_instant(second)[:19]}{tables.cents[amount]}{tables.tails[payer]}{own}}}'

    def _invalid(self, slot: _Slot) -> str:
        """Return a line that no purchase can be read from, wrong in one of the ways that happen."""
        fields: dict[str, object] = {
            "date": _instant(slot.start_s),
            "amount": self._tables.amounts[self._below(_AMOUNTS)],
            "paymentMethod": METHODS[self._below(3)],
            "merchantId": self._tables.merchants[self._below(self.plan.merchants)],
        }
        field, wrong = _WRONG[self._below(len(_WRONG))]
        if field is None:
            return msgspec.json.encode(fields).decode()[: 20 + self._below(60)]
        fields[field] = wrong
        return msgspec.json.encode({key: value for key, value in fields.items() if value is not None}).decode()

    def _below(self, bound: int) -> int:
        return int(self._random.random() * bound)

    def _remember(self, lines: list[str]) -> None:
        for line in lines[:: max(1, len(lines) // 64)]:
            if len(self._remembered) < _REMEMBERED:
                self._remembered.append(line)
            else:
                self._remembered[self._below(_REMEMBERED)] = line

    def _scatter(self, lines: list[str], odd: list[str]) -> list[str]:
        """Return the lines with the odd ones at random places among them."""
        places = sorted(self._below(len(lines) + 1) for _ in odd)
        scattered: list[str] = []
        start = 0
        for place, line in zip(places, odd, strict=True):
            scattered += lines[start:place]
            scattered.append(line)
            start = place
        return scattered + lines[start:]


# A field and what stands in it instead, None for nothing; no field: the line is cut short.
_WRONG: Final[tuple[tuple[str | None, object], ...]] = (
    (None, None),
    ("date", None),
    ("date", "2011-02-30T10:15:30Z"),
    ("date", "2011-12-03T10:15:30"),
    ("date", "9999-01-01T00:00:00Z"),
    ("date", 1_322_907_330),
    ("amount", None),
    ("amount", -1),
    ("amount", "4285"),
    ("amount", 42.85),
    ("amount", 10**12 + 1),
    ("paymentMethod", None),
    ("paymentMethod", "PAY_NEVER"),
    ("merchantId", ""),
    ("merchantId", "10-50"),
    ("merchantId", "a|b"),
)


class _Tables:
    """Everything a purchase is looked up in, so that making one costs a few look-ups."""

    def __init__(self, plan: Plan, source: random.Random) -> None:
        self.merchants = [str(uuid.UUID(bytes=source.randbytes(16), version=4)) for _ in range(plan.merchants)]
        self.merchant_slots = _zipf_slots(plan.merchants)
        normal = NormalDist()
        self.amounts = [
            _price(_MEDIAN_CENTS * math.exp(_SIGMA * normal.inv_cdf((index + 0.5) / _AMOUNTS)), index)
            for index in range(_AMOUNTS)
        ]
        paid = [[0] * now + [1] * later + [2] * (256 - now - later) for now, later in _PAID]
        by_bracket = [bytes(bracket * 3 + method for method in paid[bracket]) for bracket in range(len(BRACKETS))]
        self.cells = b"".join(by_bracket[_bracket(amount)] for amount in self.amounts)
        self.clock = [f"{second // 60:02}:{second % 60:02}" for second in range(_HOUR_S)]
        self.cents = [f'Z","amount":{amount}' for amount in self.amounts]
        self.tails = [
            f',"paymentMethod":"{method}","merchantId":"{merchant}"'
            for merchant in self.merchants
            for method in METHODS
        ]


class _Tally:
    """Counts purchases by what the reports show. A cell is bracket * 3 + method, a payer merchant * 3 + method."""

    def __init__(self) -> None:
        self._hours: dict[int, Counter[int]] = {}
        self._days: dict[int, Counter[int]] = {}

    def add(self, hour: int, cells: list[int], payers: list[int]) -> None:
        self._hours.setdefault(hour, Counter()).update(cells)
        self._days.setdefault(hour // 24, Counter()).update(payers)

    def reports(self, merchants: list[str]) -> dict[str, Counter[str]]:
        """Return every report by name, each datapoint with its count."""
        found: dict[str, Counter[str]] = {
            name: Counter()
            for name in ("hour-bracket", "hour-bracket-method", "bracket-method", "day-merchant", "merchant-method")
        }
        for hour, cells in self._hours.items():
            window = _instant(hour * _HOUR_S)[:13].replace("T", ":")
            for cell, events in cells.items():
                bracket, method = BRACKETS[cell // 3], METHODS[cell % 3]
                found["hour-bracket"][f"{window}|{bracket}"] += events
                found["hour-bracket-method"][f"{window}|{bracket}|{method}"] += events
                found["bracket-method"][f"{bracket}|{method}"] += events
        for day, payers in self._days.items():
            window = _instant(day * _DAY_S)[:10]
            for payer, events in payers.items():
                merchant = merchants[payer // 3]
                found["day-merchant"][f"{window}|{merchant}"] += events
                found["merchant-method"][f"{merchant}|{METHODS[payer % 3]}"] += events
        return found


def _slots(plan: Plan, source: random.Random) -> Iterator[_Slot]:
    """Yield the hours of the plan with their lines by the rhythm of day and week, an overfull hour in parts."""
    edges = [plan.start_s, *range(plan.start_s // _HOUR_S * _HOUR_S + _HOUR_S, plan.stop_s, _HOUR_S), plan.stop_s]
    weights = []
    for start, stop in itertools.pairwise(edges):
        weekday = (start // _DAY_S + 3) % 7  # 1970-01-01 was a Thursday
        noise = math.exp(0.1 * (source.random() + source.random() - 1))
        weights.append((stop - start) * _BY_HOUR[start // _HOUR_S % 24] * _BY_WEEKDAY[weekday] * noise)
    total, passed, made = sum(weights), 0.0, 0
    for (start, stop), weight in zip(itertools.pairwise(edges), weights, strict=True):
        passed += weight
        upto = plan.events if stop == plan.stop_s else round(plan.events * passed / total)
        yield from _parts(start, stop, upto - made)
        made = upto


def _parts(start: int, stop: int, lines: int) -> Iterator[_Slot]:
    parts = min(stop - start, -(-lines // _BLOCK_LINES_MAX))
    for part in range(parts):
        begin, end = start + (stop - start) * part // parts, start + (stop - start) * (part + 1) // parts
        count = lines * (part + 1) // parts - lines * part // parts
        while count:
            now = min(count, 4 * _BLOCK_LINES_MAX)
            yield _Slot(begin, end - begin, now)
            count -= now


def _zipf_slots(merchants: int) -> list[int]:
    """Return a table of merchants in which the n-th has a share of the slots in proportion to 1/n."""
    slots: list[int] = []
    size = 1 << _MERCHANT_SLOTS_BITS
    total = sum(1 / rank for rank in range(1, merchants + 1))
    passed = 0.0
    for merchant in range(merchants):
        passed += 1 / (merchant + 1)
        slots += [merchant] * (round(size * passed / total) - len(slots))
    return slots + [0] * (size - len(slots))


def _price(cents: float, index: int) -> int:
    """Return an amount near to one, which more often than not ends as prices do."""
    whole = max(1, round(cents))
    if whole < 200 or index % 3 == 0:
        return whole
    return whole // 100 * 100 + _PRICE_ENDINGS[index % len(_PRICE_ENDINGS)]


def _bracket(cents: int) -> int:
    """Return the index of an amount's bracket. 500 euro exactly is not more than 500."""
    if cents > 50_000:
        return 4
    return (cents >= 1_000) + (cents >= 5_000) + (cents >= 10_000)


def _instant(second: int) -> str:
    return dt.datetime.fromtimestamp(second, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
