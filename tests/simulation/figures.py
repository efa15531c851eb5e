"""What the simulations found out, to be shown at the end of a test run whether it passed or not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NOTES: dict[str, list[str]] = {}
_COUNTS: dict[str, Counter[str]] = {}


def note(subject: str, figure: str) -> None:
    """Add a line to what is shown."""
    _NOTES.setdefault(subject, []).append(figure)


def count(subject: str, **counts: int) -> None:
    """Add to the numbers that a subject's one line shows."""
    _COUNTS.setdefault(subject, Counter()).update(counts)


def packed() -> dict[str, dict[str, list[str] | dict[str, int]]]:
    """Return everything as plain values, to go from a process to another."""
    return {"notes": dict(_NOTES), "counts": {subject: dict(counts) for subject, counts in _COUNTS.items()}}


def add(other: Mapping[str, Mapping[str, list[str] | dict[str, int]]]) -> None:
    """Take in what another process packed."""
    for subject, found in other.get("notes", {}).items():
        _NOTES.setdefault(subject, []).extend(found)
    for subject, found in other.get("counts", {}).items():
        _COUNTS.setdefault(subject, Counter()).update(found)


def lines() -> Iterator[str]:
    """Yield what is shown."""
    for subject, counts in sorted(_COUNTS.items()):
        yield f"{subject}: " + ", ".join(f"{number:,} {name}" for name, number in counts.items())
    for subject, notes in sorted(_NOTES.items()):
        for each in sorted(notes):
            yield f"{subject}: {each}"
