"""Watches the model's tables: checks every write against the invariants, and keeps what each prefix must count."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from tests.simulation import oracle
from tests.simulation.own_reports import OWN, OwnReport
from tests.simulation.witness import journaled

from tillroll.core import chunk
from tillroll.stores.dynamodb.calls import Call, Count, Discard, DropState, Put, PutState
from tillroll.stores.dynamodb.schema import EPOCH, FOLD_KEY, LEDGER, is_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.simulation.dynamodb_model import Tables

Place = tuple[str, int]
_STANDS = {"counting", "readable"}


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
        self.reached = 0  # the furthest position that the reports had: counted again or not, they never show less
        self.versions: dict[str, OwnReport] = {}  # of reports of one's own, as they were when they came
        self.purchases: list[list[oracle.Purchase]] = [[]]  # of each ledger entry
        self._readable: set[str] = set()
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
                self._check_rose(call.datapoint)
            case PutState() if not is_state(str(call.item["datapoint"])):
                self._fail(f"an audit corrected what was not wrong: {call}")
            case PutState() if str(call.item["datapoint"]) == FOLD_KEY:
                self._changed(call.item)
            case PutState() if call.item.get("version"):
                self._check_version(f"{str(call.item['datapoint'])[1:-1]}.{int(call.item['version'])}")
            case PutState():
                self._moved(call.item)
            case Discard():
                self._discarded(call)
            case DropState() if not is_state(call.key):
                self._fail(f"an audit corrected what was not wrong: {call}")
        self.reached = max(self.reached, self.folded_position())

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

    def _check_rose(self, datapoint: str) -> None:
        """Check that a counter shows no less than before its last write, whichever count that was of."""
        before, item = self._tables.earlier.get(datapoint) or {}, self._tables.aggregates[datapoint]
        if any(item.get(name, 0) < before.get(name, 0) for name in ("events", "amount")):
            self._fail(f"{datapoint} fell from {before} to {item}")

    def own_counts(self, version: str, entry: int) -> tuple[Counter[str], Counter[str]]:
        """Return events and amounts of the counters of a version, as they must be at a ledger entry."""
        counts, amounts = Counter[str](), Counter[str]()
        for purchase in (each for some in self.purchases[: entry + 1] for each in some):
            text = self.versions[version].counts_for(purchase)
            if text is not None:
                counts[f"|{version}|{text}"] += 1
                amounts[f"|{version}|{text}"] += purchase.cents
        return counts, amounts

    @property
    def _root(self) -> dict[str, Any]:
        root = self._tables.aggregates[FOLD_KEY]
        return {**root, **{name: msgspec.json.decode(root[name]) for name in ("groups", "versions")}}

    def standing(self) -> set[str]:
        """Return the versions that are counted now."""
        return {f"{name}.{number}" for name, number, _, state, _ in self._root["versions"] if state in _STANDS}

    def _changed(self, item: Mapping[str, Any]) -> None:
        """Note versions that come, and check one that is read from now on: it stands where the reports do."""
        self._extend()
        for name, number, digest, state, _ in msgspec.json.decode(item.get("versions", "[]")):
            key = f"{name}.{number}"
            if key not in self.versions:
                definition = self._tables.aggregates[f"#definition/{digest}"]["text"]
                self.versions[key] = OWN[msgspec.json.decode(definition)["title"]]
            if state == "readable" and key not in self._readable:
                self._readable.add(key)
                self._check_version(key)

    def _check_version(self, key: str) -> None:
        self._extend()
        if key in self.standing():
            self._check_all(self.folded_position(), self.own_counts(key, self.folded_position())[0])

    def _check(self, datapoint: str, item: Mapping[str, Any], entry: int) -> None:
        counts, amounts = self.prefixes[entry], self.amounts[entry]
        if datapoint.startswith("|"):
            version = datapoint[1:].partition("|")[0]
            if version not in self.standing():
                return  # nobody reads it any more
            counts, amounts = self.own_counts(version, entry)
        right = counts[datapoint]
        if item["events"] != right:
            self._fail(f"{datapoint} is {item['events']} at {entry}, not {right}")
        right = amounts[datapoint]
        if item["fold"] >= EPOCH and item["amount"] != right:
            self._fail(f"{datapoint} has the amount {item['amount']} at {entry}, not {right}")

    def _discarded(self, call: Discard) -> None:
        self._extend()
        root = self._root
        first = root["groups"][0].get("first", 0)
        upto = max(self.reached, first if first < len(self.prefixes) else 0)
        version = call.datapoint[1:].partition("|")[0] if call.datapoint.startswith("|") else ""
        counts = self.prefixes[upto]
        if version:
            counts = self.own_counts(version, upto)[0] if version in self.standing() else Counter()
        if (call.epoch > 10**29 and version in self.standing()) or (call.epoch < 10**29 and counts[call.datapoint]):
            self._fail(f"{call.datapoint} was deleted, which there is")

    def _extend(self) -> None:
        """Extend the prefixes by the entries that are visible with all their chunks."""
        while True:
            places = self._entries.get(len(self.prefixes))
            if places is None or not all(place in self._chunks for place in places):
                return
            self.purchases.append([each for place in places for each in self._chunks[place]])
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
        if not key.startswith(f"{FOLD_KEY}/"):
            return
        self._extend()
        number, folder = map(int, key.split("/")[1:])
        root = self._root
        group = next((each for each in root["groups"] if each["id"] == number), None)
        if group is None:
            return  # nobody reads it any more
        position = int(item["position"])
        before = self.folded.get(key, position)
        if position < before or position >= len(self.prefixes):
            self._fail(f"the position of {key} went from {before} to {position}")
            return
        self.folded[key] = position
        if position > before or not item["until"]:
            own = self.standing().intersection(group.get("own", ()))
            counts = Counter(self.prefixes[position] if group == root["groups"][0] else {})
            for version in own:
                counts += self.own_counts(version, position)[0]
            self._check_all(position, counts, folder, group.get("folders", 1))

    def _check_all(self, position: int, counts: Counter[str], folder: int = 0, folders: int = 1) -> None:
        root = self._root
        for datapoint, events in counts.items():
            if zlib.crc32(datapoint.encode()) % folders != folder:
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
        main = self._root["groups"][0]
        found = [self._tables.aggregates.get(f"{FOLD_KEY}/{main['id']}/{n}") for n in range(main.get("folders", 1))]
        begins = 0 if main.get("first") else main.get("begins", 0)
        return min(int(begins if item is None else item["position"]) for item in found)

    def least_counts(self) -> Counter[str]:
        """Return the least that the reports may show."""
        return self.prefixes[self.reached]


def _place(ref: list[int]) -> Place:
    from tillroll.stores.dynamodb.schema import minute_log

    minute, _, number, _ = ref
    return minute_log(minute), number
