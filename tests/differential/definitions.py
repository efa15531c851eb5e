"""Random definitions over random purchases: we count what DuckDB and SQLite count, to the last integer, in each way.

`python -m tests.differential.definitions --definitions 5000` does many.
"""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any, Final

from tests.differential.databases import Databases, Purchase, Totals

from tillroll.core import columns, kernel
from tillroll.core.batch import Batch, BatchBuilder, Event
from tillroll.core.codes import Codes, Numbers
from tillroll.core.definition import define
from tillroll.core.fold import fold
from tillroll.core.recount import Recount

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tillroll.core.report import Report

ZONES: Final = (
    "UTC",
    "Europe/Stockholm",
    "America/New_York",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Santiago",
)
MERCHANTS: Final = ("kiosk", "PAY_NOW", "day", "café", "o'neill", "日本")
COUNTRIES: Final = ("SE", "NO", "(absent)", '"1"', "1", "true", "null")  # as core.kept spells them
CHANNELS: Final = ("web", "shop", "(absent)")
FIELDS: Final = ("country", "channel")
_KEYS: Final = ("weekday", "hour-of-day", "bracket", "method", "merchant", *FIELDS)
_WINDOWS: Final = ("hour", "day", "week", "month")
_FIRST, _LAST = 1_230_000_000, 1_730_000_000  # Apia leaves a day out in between
_CHANGES: Final = (1_325_239_200, 1_301_187_600, 1_319_936_400, 1_396_062_000, 1_352_005_200)  # of clocks, and near
_VALUES: Final[dict[str, tuple[Any, ...]]] = {
    "method": ("PAY_NOW", "PAY_LATER", "SLICE_IT"),
    "merchant": (*MERCHANTS, "nobody"),
    "weekday": ("Mon", "Sat", "Sun"),
    "country": ("SE", "NO", 1, "1", True, {"absent": True}),
    "channel": ("web", {"absent": True}, "none"),
}


def random_purchases(source: Random, count: int) -> list[Purchase]:
    """Return purchases of fifteen years, many near changes of the clock, with amounts at and about bounds."""
    return [
        (
            source.choice(_CHANGES) + source.randint(-7_300, 7_300)
            if source.random() < 0.3
            else source.randrange(_FIRST, _LAST),
            source.choice([0, 999, 1_000, 5_000, 50_000, 50_001, 10**12, int(source.lognormvariate(8, 2))]),
            source.randrange(3),
            source.choice(MERCHANTS),
            source.choice(COUNTRIES),
            source.choice(CHANNELS),
        )
        for _ in range(count)
    ]


def random_table(source: Random, name: str) -> dict[str, Any]:
    """Return a definition as it is written."""
    by = source.sample(_KEYS, source.randint(0, 4))
    if source.random() < 0.7:
        by.insert(source.randint(0, len(by)), source.choice(_WINDOWS))
    table: dict[str, Any] = {"name": name, "by": by, "zone": source.choice(ZONES)}
    where = source.sample(sorted(_VALUES), source.choice([0, 0, 1, 2, 3]))
    table["where"] = {field: source.sample(_VALUES[field], source.randint(1, len(_VALUES[field]))) for field in where}
    if "bracket" in by and source.random() < 0.6:
        bounds = [999, 1_000, 5_000, 50_000, 50_001, *(source.randint(1, 90_000) for _ in range(20))]
        table["brackets"] = sorted(set(source.sample(bounds, source.randint(1, 25))))
    return table


def batch_of(purchases: Sequence[Purchase]) -> Batch:
    builder = BatchBuilder(FIELDS)
    for second, amount, method, merchant, *kept in purchases:
        builder.add(Event(second, 0, amount, method, merchant), kept=kept)
    return builder.build()


@contextmanager
def without_kernel() -> Iterator[None]:
    """Have the fold count in plain Python."""
    kept = {name: value for name, value in vars(kernel).items() if not name.startswith("_") and hasattr(columns, name)}
    try:
        for name in kept:
            setattr(kernel, name, getattr(columns, name))
        yield
    finally:
        for name, value in kept.items():
            setattr(kernel, name, value)


def folded(report: Report, batch: Batch) -> Totals:
    """Return what the fold counts."""
    texts: dict[str, list[str]] = {"merchant": batch.merchant_names}
    opens = {"merchant": Numbers(batch.merchants, None, len(texts["merchant"]))}
    for field in FIELDS:
        column = batch.kept_column(field)
        texts[f"field.{field}"] = column.values
        opens[f"field.{field}"] = Numbers(column.indexes, None, len(column.values))

    def find(dictionary: str, text: str) -> int | None:
        return texts[dictionary].index(text) if text in texts[dictionary] else None

    (counts,) = fold([report], Codes(batch.seconds, batch.amounts, batch.methods, opens, find))
    found: Totals = {}
    for row, (window, code, events, amount) in enumerate(zip(*counts[:4], strict=True)):
        numbers, inner = [column[row] for column in counts.numbers], code
        if len(report.opens) == 1:
            number, inner = divmod(code, report.inner)
            numbers = [number]
        told = report.inner_texts(inner)
        told |= {each.name: texts[each.dictionary][at] for each, at in zip(report.opens, numbers, strict=True)}
        if report.window:
            told[report.window.name] = report.window.text(window)
        found[report.text(told[name] for name in report.dimensions)] = (events, amount)
    return found


def recounted(report: Report, batch: Batch, *, plain: bool) -> Totals:
    """Return what the audit's recount counts."""
    recount = Recount([report], plain=plain)
    recount.count(batch, b"\1")
    return {one.text: (one.events, one.amount) for one in recount.differing(b"\1", len(batch)).first}


def check(definitions: int, events: int, seed: int, *, slow_share: float = 0.1) -> int:
    """Compare so many definitions, a share of them in plain Python too; return how many datapoints they had."""
    source = Random(seed)
    datapoints = 0
    for start in range(0, definitions, 100):
        purchases = random_purchases(source, events)
        databases, batch = Databases(purchases, ZONES), batch_of(purchases)
        for number in range(start, min(start + 100, definitions)):
            table = random_table(source, f"own-{number}")
            report = define(table).report(1)
            expected, other = databases.ask(table)
            assert expected == other, (seed, table)
            assert folded(report, batch) == expected, (seed, table)
            assert recounted(report, batch, plain=False) == expected, (seed, table)
            if source.random() < slow_share:
                with without_kernel():
                    assert folded(report, batch) == expected, (seed, table)
                assert recounted(report, batch, plain=True) == expected, (seed, table)
            datapoints += len(expected)
    return datapoints


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--definitions", type=int, default=5_000)
    parser.add_argument("--events", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    datapoints = check(options.definitions, options.events, options.seed, slow_share=0.5)
    print(f"{options.definitions:,} definitions, {datapoints:,} datapoints: all counted alike")


if __name__ == "__main__":
    main()
