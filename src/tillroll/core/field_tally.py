"""What fields events bring, of samples; and what the journal has of those that are kept. Pure.

Names, JSON types and numbers, never a value.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tillroll.core.kept import ABSENT, OWN_FIELDS, spell_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tillroll.core.batch import Batch

NAMES_MAX: Final = 1_000  # that are told apart; the events of others are counted together
_DEPTH_MAX: Final = 3
_EXACT_MAX: Final = 4_096
_HASH_BYTES: Final = 8
_TYPES: Final = {str: "text", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}
_decode: Final = msgspec.json.Decoder().decode


class FieldTally(msgspec.Struct):
    """Samples of events: how many were looked at since when, and how many had each field, by its JSON type."""

    since: float = 0.0  # seconds since 1970
    looked_at: int = 0
    fields: dict[str, dict[str, int]] = {}
    others: int = 0  # fields of events, beyond the names that are told apart

    def look(self, event: bytes) -> None:
        """Take an event's JSON into account. What is no object is passed over."""
        try:
            found = _decode(event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            try:
                found = json.loads(event)
            except (ValueError, RecursionError):
                return
        if isinstance(found, dict):
            self.looked_at += 1
            own = {name: value for name, value in found.items() if name not in OWN_FIELDS}
            self._note(own, "", 1)

    def _note(self, members: dict[str, Any], prefix: str, depth: int) -> None:
        for number, (name, value) in enumerate(members.items()):
            spelled = spell_name(name)
            if number >= NAMES_MAX or spelled is None:
                self.others += 1
                continue
            path = prefix + spelled
            self._count(path, _TYPES.get(type(value), "null"), 1)
            if isinstance(value, dict) and depth < _DEPTH_MAX:
                self._note(value, f"{path}.", depth + 1)

    def _count(self, path: str, kind: str, count: int) -> None:
        types = self.fields.get(path)
        if types is None:
            if len(self.fields) >= NAMES_MAX:
                self.others += count
                return
            types = self.fields[path] = {}
        types[kind] = types.get(kind, 0) + count

    def add(self, other: FieldTally) -> None:
        """Count other samples in."""
        if other.looked_at:
            self.since = min(self.since or other.since, other.since)
        self.looked_at += other.looked_at
        self.others += other.others
        for path, types in other.fields.items():
            for kind, count in types.items():
                self._count(path, kind, count)


class _Distinct:
    """Counts distinct values: exactly up to some thousands, then by the least of their hashes, to some percents."""

    def __init__(self) -> None:
        self._hashes: set[int] = set()

    def add(self, values: Iterable[str]) -> None:
        for value in values:
            digest = hashlib.blake2b(value.encode(), digest_size=_HASH_BYTES).digest()
            self._hashes.add(int.from_bytes(digest, "big"))
        if len(self._hashes) > 2 * _EXACT_MAX:
            self._hashes = set(sorted(self._hashes)[: _EXACT_MAX + 1])

    def count(self) -> tuple[int, bool]:
        """Return how many there are, and whether that is exact."""
        if len(self._hashes) <= _EXACT_MAX:
            return len(self._hashes), True
        last = sorted(self._hashes)[_EXACT_MAX]
        return round(_EXACT_MAX * (1 << 8 * _HASH_BYTES) / last), False


class KeptTally:
    """What the journal has of kept fields, up to a position."""

    def __init__(self) -> None:
        self.position = 0
        self.events = 0
        self._present: dict[str, int] = {}
        self._unkept: dict[str, int] = {}
        self._distinct: dict[str, _Distinct] = {}

    def add(self, batch: Batch) -> None:
        """Take events into account."""
        self.events += len(batch)
        for name, column in batch.kept.items():
            values = column.values
            absent = values.index(ABSENT) if ABSENT in values else None
            missing = 0 if absent is None else column.indexes.count(absent)
            self._present[name] = self._present.get(name, 0) + len(batch) - missing
            self._unkept[name] = self._unkept.get(name, 0) + len(batch.unkept.get(name, ()))
            self._distinct.setdefault(name, _Distinct()).add(value for value in values if value != ABSENT)

    def plain(self, listed: Iterable[str]) -> list[dict[str, Any]]:
        """Return a row for each field that is listed, and for each that the journal has."""
        names = tuple(listed)
        rows = []
        for name in dict.fromkeys((*names, *self._present)):
            distinct, is_exact = self._distinct[name].count() if name in self._distinct else (0, True)
            present = self._present.get(name, 0)
            rows.append(
                {
                    "name": name,
                    "listed": name in names,
                    "distinct": distinct,
                    "distinct_is_exact": is_exact,
                    "events": present,
                    "absent": self.events - present,
                    "absent_share": _share(self.events - present, self.events),
                    "not_kept": self._unkept.get(name, 0),
                }
            )
        return rows


def shown_fields(tally: FieldTally, kept: KeptTally, listed: Iterable[str]) -> dict[str, Any]:
    """Return what people are shown of fields: those that are kept, and those that events bring beside them.

    An object that has a listed field in it is left out; its other fields are shown, each by its own name.
    """
    names = tuple(listed)
    others = [
        {
            "name": name,
            "share": _share(sum(types.values()), tally.looked_at),
            "types": dict(sorted(types.items(), key=lambda one: (-one[1], one[0]))),
        }
        for name, types in sorted(tally.fields.items(), key=lambda one: (-sum(one[1].values()), one[0]))
        if name not in names and not (set(types) == {"object"} and _leads_to_any(name, names))
    ]
    return {
        "events": kept.events,
        "kept": kept.plain(names),
        "looked_at": tally.looked_at,
        "since": tally.since or None,
        "not_kept": others,
        "other_names": tally.others,
    }


def _leads_to_any(name: str, names: Iterable[str]) -> bool:
    return any(each.startswith(f"{name}.") for each in names)


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
