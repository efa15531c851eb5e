"""What the simulations found out, to be shown at the end of a test run whether it passed or not."""

from __future__ import annotations

FIGURES: dict[str, list[str]] = {}


def note(subject: str, figure: str) -> None:
    """Add a line to what is shown."""
    FIGURES.setdefault(subject, []).append(figure)
