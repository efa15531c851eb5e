"""The witness of a SQLite file: reads it by itself after every commit, and says what is wrong.

It decodes chunks with the product's decoder, which has tests of its own, and the segments by itself.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Final

from tests.simulation import oracle
from tests.simulation.deliveries import KINDS

from tillroll.core import chunk
from tillroll.core.batch import NameKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tillroll.core.batch import Batch

_BRACKETS: Final = ("<10", "10-50", "50-100", "100-500", ">500")
_MERCHANTS_OF_A_PART: Final = 1_024


class WrongError(AssertionError):
    """A count is wrong, or a promise broken."""


def journaled(batch: Batch) -> Iterator[tuple[oracle.Identity | None, oracle.Purchase]]:
    """Yield the events of a chunk as the oracle knows them."""
    for index, source in enumerate(batch.sources()):
        event = batch.event(index)
        purchase = oracle.Purchase(
            event.seconds, event.nanos, event.amount, oracle.METHODS[event.method], event.merchant, event.id
        )
        carrier = None
        if source.kind is not NameKind.NONE and source.kind in KINDS:
            carrier = (KINDS[source.kind], source.value, batch.positions[index])
        yield oracle.identity_of(purchase, carrier), purchase


class Witness:
    """Follows one file from commit to commit."""

    def __init__(self, path: Path, ledger: oracle.Ledger) -> None:
        self.connection = sqlite3.Connection(path, isolation_level=None)
        self.ledger = ledger
        self.events = 0
        self.prefixes: dict[int, Counter[str]] = {0: Counter()}  # the reports of each prefix of whole commits
        self.amounts: dict[int, Counter[str]] = {0: Counter()}
        self.purchases: list[tuple[oracle.Identity | None, oracle.Purchase]] = []
        self._folded = 0
        self._generation = 0

    def look(self) -> None:
        """Read what was committed since. Raises WrongError."""
        execute = self.connection.execute
        execute("BEGIN")
        try:
            events, folded, generation = execute("SELECT events, folded, generation FROM state").fetchone()
            if events < self.events or (folded < self._folded and generation == self._generation) or folded > events:
                raise WrongError(f"positions went from {self.events}, {self._folded} to {events}, {folded}")
            if events > self.events:
                self._read(events)
            self._compare(folded)
        finally:
            execute("ROLLBACK")
        self._folded, self._generation = folded, generation

    def _read(self, events: int) -> None:
        counts, amounts = self.prefixes[self.events].copy(), self.amounts[self.events].copy()
        query = "SELECT first, payload FROM chunk WHERE first > ? ORDER BY first"
        for first, payload in self.connection.execute(query, (self.events,)):
            if first != self.events + 1:
                raise WrongError(f"a chunk begins at {first} after event {self.events}")
            for identity, purchase in journaled(chunk.decode(payload)):
                self.purchases.append((identity, purchase))
                counts.update(oracle.datapoints(purchase))
                amounts.update(dict.fromkeys(oracle.datapoints(purchase), purchase.cents))
                self.events += 1
            self.prefixes[self.events], self.amounts[self.events] = counts.copy(), amounts.copy()
        if self.events != events:
            raise WrongError(f"{events} events are recorded, and the chunks hold {self.events}")
        problems = self.ledger.problems(self.purchases)
        if problems:
            raise WrongError("; ".join(problems))

    def _compare(self, folded: int) -> None:
        for measure, found, prefixes in zip(
            ("events", "amounts"), self._segments(), (self.prefixes, self.amounts), strict=True
        ):
            wanted = prefixes.get(folded, Counter())
            if folded not in prefixes or found != wanted:
                differing = {
                    key: (found[key], wanted[key]) for key in sorted({*found, *wanted}) if found[key] != wanted[key]
                }
                raise WrongError(f"the {measure} at {folded} differ, as (stored, right): {differing}")

    def _segments(self) -> tuple[Counter[str], Counter[str]]:
        names = dict(self.connection.execute("SELECT id, name FROM merchant"))
        events: Counter[str] = Counter()
        amounts: Counter[str] = Counter()
        for report, window, part, cells in self.connection.execute(
            "SELECT report, window, part, cells FROM aggregate WHERE cells <> x'' AND report NOT LIKE 'own-%'"
        ):
            key, _, few = report.partition("/")
            name = key.removesuffix(".1")
            per_merchant = {"day-merchant": 1, "merchant-method": 3}.get(name)
            size = {"hour-bracket": 5, "hour-bracket-method": 15, "bracket-method": 15}.get(
                name, _MERCHANTS_OF_A_PART * (per_merchant or 0)
            )
            counters = _sparse(name, window, part, size, cells) if few else _dense(window, part, size, cells)
            for at, code, count, amount in counters:
                if count:
                    datapoint = _datapoint(name, at, code, names)
                    events[datapoint] += count
                    amounts[datapoint] += amount
        return events, amounts


def _dense(window: int, part: int, size: int, cells: bytes) -> Iterator[tuple[int, int, int, int]]:
    data = zlib.decompress(cells) if cells.startswith(b"x") else cells
    counts, lows, highs = _columns(data[:3], data[3:], size)
    for code in range(size):
        yield window, part * size + code, counts[code], highs[code] << 64 | lows[code]


def _sparse(report: str, block: int, group: int, size: int, cells: bytes) -> Iterator[tuple[int, int, int, int]]:
    widths, data = cells[:5], cells[5:]
    first, low = block * (64 if report.startswith("day") else 512), group * 64 * size
    columns = _columns(widths, data, len(data) // sum(widths))
    for window, code, count, low_word, high_word in zip(*columns, strict=True):
        yield first + window, low + code, count, high_word << 64 | low_word


def _columns(widths: bytes, data: bytes, total: int) -> list[list[int]]:
    columns = []
    for width in widths:
        columns.append([int.from_bytes(data[at * width : (at + 1) * width], "little") for at in range(total)])
        data = data[total * width :]
    return columns


def _datapoint(report: str, window: int, code: int, names: dict[int, str]) -> str:
    at = oracle.Purchase(window * (3_600 if report.startswith("hour") else 86_400), 0, 0, "", "")
    hour, _, _, day, _ = (text.rpartition("|")[0] for text in oracle.datapoints(at))
    method = oracle.METHODS[code % 3]
    match report:
        case "hour-bracket":
            return f"{hour}|{_BRACKETS[code]}"
        case "hour-bracket-method":
            return f"{hour}|{_BRACKETS[code // 3]}|{method}"
        case "bracket-method":
            return f"{_BRACKETS[code // 3]}|{method}"
        case "day-merchant":
            return f"{day}|{names.get(code)}"
        case _:
            return f"{names.get(code // 3)}|{method}"
