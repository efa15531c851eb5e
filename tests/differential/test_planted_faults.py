"""Faults that are planted in how the fold counts definitions: the recount names each, and just what is wrong."""

from __future__ import annotations

from array import array
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from tests.differential.definitions import batch_of, folded, random_purchases

import tillroll.core.fold
from tillroll.core import kernel
from tillroll.core.clocks import Clocks
from tillroll.core.definition import define
from tillroll.core.recount import STORED
from tillroll.stores.sqlite.tallies import Tallies

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tillroll.core.codes import Codes
    from tillroll.core.fold import Counts
    from tillroll.core.report import Report

ZONE = {"zone": "Europe/Stockholm"}
_bucketize, _group = kernel.bucketize, tillroll.core.fold._group


def _late(clocks: Clocks, offsets: list[int]) -> tuple[array[int], array[int]]:
    return array("q", [start + 3_600 for start in clocks.starts]), array("q", offsets)


def _bound_off_by_one(values: array[int], bounds: array[int]) -> array[int]:
    return _bucketize(values, array("q", [bound + 1 for bound in bounds]))


def _numbers_swapped(reports: Sequence[Report], codes: Codes) -> list[Counts]:
    return [counts._replace(numbers=counts.numbers[::-1]) for counts in _group(reports, codes)]


FAULTS: dict[str, tuple[dict[str, Any], object, str, object]] = {
    "a zone's change off by an hour": ({"by": ["hour"], **ZONE}, Clocks, "_shifts", _late),
    "a zone's change off by an hour, by weekday": (
        {"by": ["weekday", "hour-of-day"], **ZONE},
        Clocks,
        "_shifts",
        _late,
    ),
    "a condition left out": (
        {"by": ["day", "method"], "where": {"country": ["SE", {"absent": True}]}},
        tillroll.core.fold,
        "_select",
        lambda codes, _where: codes,
    ),
    "a bound off by one": ({"by": ["bracket"], "brackets": [999, 5_000]}, kernel, "bucketize", _bound_off_by_one),
    "two kept fields swapped": ({"by": ["country", "channel"]}, tillroll.core.fold, "_group", _numbers_swapped),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_recount_names_what_a_planted_fault_counts_wrong(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, module, name, planted = FAULTS[fault]
    report = define({"name": "own", **table}).report(1)
    some = [each for each in random_purchases(Random(3), 2_000) if each[4] in {"SE", "NO", "(absent)"}]
    batch = batch_of(some)
    right = folded(report, batch)
    with monkeypatch.context() as patched:
        patched.setattr(module, name, planted)
        stored = folded(report, batch)
        tallies = Tallies([report], tmp_path)
        tallies.count(batch, b"\1")
        column = (array("I", range(len(stored))), *kernel.join_strings(list(stored)))
        events, amounts = (array("Q", [total[at] for total in stored.values()]) for at in (0, 1))
        tallies.add(STORED, 0, [column], events, amounts, array("Q", bytes(8 * len(stored))))
        found = tallies.differing(b"\1", 10_000)
    wrong = {text for text in right.keys() | stored.keys() if right.get(text) != stored.get(text)}
    assert wrong
    assert {one.text for one in found.first} == wrong
    assert all(right.get(one.text, (0, 0)) == (one.events, one.amount) for one in found.first)
