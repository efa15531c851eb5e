"""Reports of one's own that the simulator defines, changes and drops, and what they count by themselves."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.brackets import bracket

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.oracle import Purchase


class OwnReport(NamedTuple):
    """A definition, and what stands behind `|NAME|` in the datapoint of a purchase; None: it counts for none."""

    table: dict[str, Any]
    counts_for: Callable[[Purchase], str | None]


def _at(purchase: Purchase) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(purchase.second, datetime.UTC)


def _late(purchase: Purchase) -> str | None:
    return None if purchase.method == "PAY_NOW" else bracket(purchase.cents)


OWN: Final = {
    each.table["title"]: each
    for each in (
        OwnReport({"name": "one", "title": "days", "by": ["day"]}, lambda x: f"{_at(x):%Y-%m-%d}"),
        OwnReport({"name": "one", "title": "all", "by": []}, lambda _: ""),
        OwnReport(
            {"name": "two", "title": "late", "by": ["bracket"], "where": {"method": ["PAY_LATER", "SLICE_IT"]}}, _late
        ),
        OwnReport(
            {"name": "two", "title": "shops", "by": ["merchant", "weekday"]}, lambda x: f"{x.merchant}|{_at(x):%a}"
        ),
    )
}
