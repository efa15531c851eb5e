"""Watches the model's tables: checks every write against the invariants, and keeps what each prefix must count."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from tests.simulation import oracle
from tests.simulation.witness import journaled

from tillroll.core import chunk
from tillroll.stores.dynamodb.calls import Call, Correct, Count, Discard, Put, PutState
from tillroll.stores.dynamodb.schema import EPOCH, FOLD_KEY, LEDGER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
        self.amounts: list[Counter[str]] = [Counter()]
        self.folded: dict[str, int] = {}  # how far each folder has come
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
            case PutState():
                self._moved(call.item)
            case Discard():
                self._discarded(call)
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
        entry = int(item["fold"]) % EPOCH
        if entry >= len(self.prefixes):
            self._fail(f"{datapoint} is folded to {entry}, where no mark can be")
        else:
            self._check(datapoint, item, entry)

    def _check(self, datapoint: str, item: Mapping[str, Any], entry: int) -> None:
        right = self.prefixes[entry][datapoint]
        if item["events"] != right:
            self._fail(f"{datapoint} is {item['events']} at {entry}, not {right}")
        right = self.amounts[entry][datapoint]
        if item["fold"] >= EPOCH and item["amount"] != right:
            self._fail(f"{datapoint} has the amount {item['amount']} at {entry}, not {right}")

    def _discarded(self, call: Discard) -> None:
        self._extend()
        first = self._tables.aggregates[FOLD_KEY]["first"]
        if call.epoch == self._tables.aggregates[FOLD_KEY]["epoch"] * EPOCH and self.prefixes[first][call.datapoint]:
            self._fail(f"a recount deleted {call.datapoint}, which it has")

    def _extend(self) -> None:
        """Extend the prefixes by the entries that are visible with all their chunks."""
        while True:
            places = self._entries.get(len(self.prefixes))
            if places is None or not all(place in self._chunks for place in places):
                return
            counts, amounts = self.prefixes[-1].copy(), self.amounts[-1].copy()
            for place in places:
                for purchase in self._chunks[place]:
                    counts.update(oracle.datapoints(purchase))
                    amounts.update(dict.fromkeys(oracle.datapoints(purchase), purchase.cents))
            self.prefixes.append(counts)
            self.amounts.append(amounts)

    def _moved(self, item: Mapping[str, Any]) -> None:
        """Check a folder's state: its position only grows, and all its counters have taken what lies before it."""
        key = str(item["datapoint"])
        if key == FOLD_KEY:
            return
        self._extend()
        generation, folder = map(int, key.split("/")[1:])
        root = self._tables.aggregates[FOLD_KEY]
        if root["generation"] != generation:
            return  # nobody reads it any more
        position = int(item["position"])
        before = self.folded.get(key, position)
        if position < before or position >= len(self.prefixes):
            self._fail(f"the position of {key} went from {before} to {position}")
            return
        self.folded[key] = position
        if position > before or not item["until"]:
            self._check_all(position, folder, root)

    def _check_all(self, position: int, folder: int, root: Mapping[str, Any]) -> None:
        for datapoint, events in self.prefixes[position].items():
            if zlib.crc32(datapoint.encode()) % root["folders"] != folder:
                continue
            item = self._tables.aggregates.get(datapoint)
            if item is None or item["fold"] // EPOCH != root["epoch"] or item["events"] < events:
                self._fail(f"at {position} {datapoint} is {item}, not {events}")
            else:
                self._check(datapoint, item, max(position, int(item["fold"]) % EPOCH))

    def folded_position(self) -> int:
        """Return the least position of any folder."""
        root = self._tables.aggregates.get(FOLD_KEY)
        if root is None:
            return 0
        if "format" not in root:
            return int(root["upto"])
        found = [self._tables.aggregates.get(f"{FOLD_KEY}/{root['generation']}/{n}") for n in range(root["folders"])]
        return min(
            0 if root["first"] and item is None else (item or {"position": root["begins"]})["position"]
            for item in found
        )

    def folded_counts(self) -> Counter[str]:
        """Return the least that the reports may show."""
        return self.prefixes[self.folded_position()]


def _place(ref: list[int]) -> Place:
    from tillroll.stores.dynamodb.schema import minute_log

    minute, _, number, _ = ref
    return minute_log(minute), number
