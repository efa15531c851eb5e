"""What a report is, for programs that know none by name: the page reads it here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tillroll.core.dimension import (
    FIELD_PREFIX,
    HOUR,
    KEYS,
    WINDOWS,
    Bracket,
    Closed,
    Merchant,
    Open,
    Window,
    dimension,
)
from tillroll.core.question import RESERVED, spans_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tillroll.core.dimension import Dimension
    from tillroll.core.report import Report

KINDS: Final = ("window", "bracket", "choice", "open")


def described(report: Report) -> dict[str, Any]:
    """Return what a report is made of, as `GET /reports` lists it.

    `parts` are its dimensions: what kind each is, the values of one that has a known number of them, in their order,
    and the address that finds values of one by a part of their text. `grains` are the lengths of time that it can be
    asked by; `any_zone` says that a question may name a zone.
    """
    return {
        "parts": [_part(dimension) for dimension in report.by],
        "grains": [report.window.name, *(span for span in spans_of(report) if span in WINDOWS)]
        if report.window
        else [],
        "any_zone": report.window is HOUR,
    }


def possible(keep: Iterable[str]) -> list[dict[str, Any]]:
    """Return the dimensions that a report of one's own may have, where these fields are kept, as `parts` has them."""
    fields = (name if name not in (*WINDOWS, *KEYS, *RESERVED) else f"{FIELD_PREFIX}{name}" for name in keep)
    return [_part(dimension(name)) for name in (*WINDOWS, *KEYS, *fields)]


def _part(dimension: Dimension) -> dict[str, Any]:
    part: dict[str, Any] = {"name": dimension.name, "kind": _kind(dimension)}
    if isinstance(dimension, Closed):
        part["values"] = dimension.texts
    if isinstance(dimension, Merchant):
        part["search"] = "/merchants"
    return part


def _kind(dimension: Dimension) -> str:
    for kind, known in zip(KINDS, (Window, Bracket, Closed, Open), strict=True):
        if isinstance(dimension, known):
            return kind
    raise TypeError(dimension.name)
