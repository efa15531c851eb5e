"""Watches the model's tables: checks every write against the invariants, and keeps what each prefix must count."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from tests.simulation import oracle
from tests.simulation.witness import journaled

from tillroll.core import chunk
from tillroll.stores.dynamodb_protocol import Call, Correct, Count, MoveFold, Put
from tillroll.stores.dynamodb_schema import FOLD_KEY, LEDGER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.dynamodb_model import Tables

Place = tuple[str, int]


class Watch:
    """What is in the tables, as far as it was right."""

    def __init__(self, tables: Tables, ledger: oracle.Ledger, fail: Callable[[str], None]) -> None:
        self._tables = tables
        self._ledger = ledger
        self._fail = fail
        self.found: dict[oracle.Identity, oracle.Purchase] = {}
        self.journal: list[tuple[oracle.Identity | None, oracle.Purchase]] = []
        self.prefixes: list[Counter[str]] = [Counter()]  # what the reports show after each ledger entry
        self.folded = 0
        self._chunks: dict[Place, list[oracle.Purchase]] = {}
        self._listed: dict[Place, int] = {}
        self._entries: dict[int, list[Place]] = {}
        tables.on_write = self.write
        tables.on_whole = self.check_whole

    def write(self, call: Call) -> None:
        """Check a write that just became visible."""
        match call:
            case Put() if call.item["log"] == LEDGER:
                self._entry(int(call.item["number"]), str(call.item["entry"]))
            case Put() if isinstance(call.item.get("chunk"), bytes):
                self._chunk((str(call.item["log"]), int(call.item["number"])), call.item["chunk"])
            case Count():
                self._counter(call.datapoint)
            case MoveFold():
                self._moved(call.upto)
            case Correct():
                self._fail(f"an audit corrected what was not wrong: {call}")

    def _entry(self, number: int, text: str) -> None:
        places = [_place(ref) for ref in msgspec.json.decode(text).get("chunks", [])]
        if number in self._entries:
            self._fail(f"ledger entry {number} was written twice")
        for place in places:
            if place in self._listed:
                self._fail(f"{place} is listed by ledger entries {self._listed[place]} and {number}")
            self._listed[place] = number
        self._entries[number] = places

    def _chunk(self, place: Place, data: Any) -> None:
        if place in self._chunks:
            self._fail(f"{place} was written twice")
        purchases = self._chunks[place] = []
        for identity, purchase in journaled(chunk.decode(data)):
            purchases.append(purchase)
            self.journal.append((identity, purchase))
            if identity is None:
                continue
            if identity in self.found:
                self._fail(f"{identity} is journaled twice")
            if purchase not in self._ledger.contents.get(identity, ()):
                self._fail(f"{identity} is journaled as {purchase}, which nobody sent")
            self.found[identity] = purchase

    def check_whole(self) -> None:
        """Extend the prefixes; and check, when no transaction is half visible, that every chunk is listed once."""
        self._extend()
        if self._tables.under_way:
            return
        if self._chunks.keys() != self._listed.keys():
            self._fail(f"chunks and the ledger differ: {self._chunks.keys() ^ self._listed.keys()}")
        if len(self._entries) != len(self.prefixes) - 1:
            self._fail(f"the ledger has a gap: {sorted(self._entries)}")

    def _counter(self, datapoint: str) -> None:
        item = self._tables.aggregates[datapoint]
        self._extend()
        fold = int(item["fold"])
        if fold >= len(self.prefixes) or item["events"] != self.prefixes[fold][datapoint]:
            right = self.prefixes[fold][datapoint] if fold < len(self.prefixes) else None
            self._fail(f"{datapoint} is {item['events']} at {fold}, not {right}")

    def _extend(self) -> None:
        """Extend the prefixes by the entries that are visible with all their chunks."""
        while True:
            places = self._entries.get(len(self.prefixes))
            if places is None or not all(place in self._chunks for place in places):
                return
            counts = self.prefixes[-1].copy()
            for place in places:
                for purchase in self._chunks[place]:
                    counts.update(oracle.datapoints(purchase))
            self.prefixes.append(counts)

    def _moved(self, upto: int) -> None:
        self._extend()
        if upto <= self.folded or upto >= len(self.prefixes):
            self._fail(f"the folded position went from {self.folded} to {upto}")
            return
        self.folded = upto
        for datapoint, events in self.prefixes[upto].items():
            item = self._tables.aggregates.get(datapoint)
            if item is None or (item["fold"] <= upto and item["events"] != events):
                self._fail(f"at {upto} {datapoint} is {item}, not {events}")

    def folded_counts(self) -> Counter[str]:
        """Return what the reports show at the folded position."""
        state = self._tables.aggregates.get(FOLD_KEY)
        return self.prefixes[int(state["upto"]) if state else 0]


def _place(ref: list[int]) -> Place:
    from tillroll.stores.dynamodb_schema import minute_log

    minute, lane, number, _ = ref
    return minute_log(minute, lane), number
