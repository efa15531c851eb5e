"""How many events became what. Pure."""

from __future__ import annotations

from typing import Final

import msgspec


class OutcomeCounts(msgspec.Struct, frozen=True, array_like=True):
    """Events by what became of them. A value; stores keep it as an array."""

    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0

    def __add__(self, other: OutcomeCounts) -> OutcomeCounts:
        return OutcomeCounts(
            self.accepted + other.accepted,
            self.duplicates + other.duplicates,
            self.conflicts + other.conflicts,
            self.rejected + other.rejected,
        )

    def __sub__(self, other: OutcomeCounts) -> OutcomeCounts:
        return OutcomeCounts(
            self.accepted - other.accepted,
            self.duplicates - other.duplicates,
            self.conflicts - other.conflicts,
            self.rejected - other.rejected,
        )

    @property
    def refused(self) -> int:
        """How many were not accepted, and not before either."""
        return self.conflicts + self.rejected

    @property
    def events(self) -> int:
        """How many there are."""
        return self.accepted + self.duplicates + self.refused

    def plain(self) -> dict[str, int]:
        """Return them by name, as answers have them."""
        return {name: getattr(self, name) for name in OUTCOMES}


OUTCOMES: Final = OutcomeCounts.__struct_fields__
NOTHING: Final = OutcomeCounts()
