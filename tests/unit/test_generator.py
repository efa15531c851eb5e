"""Purchases from a seed, and what they must come to."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from tests.counted import count_datapoints
from tests.oracle import REPORTS

from tillroll.core.accept import Body, accept
from tillroll.core.batch import UNNAMED
from tillroll.errors import ConfigError
from tillroll.load.generator import Generator, Plan, Summary

MONDAY_S = 1_773_014_400  # 2026-03-09T00:00:00Z
DAY_S = 86_400
PLAN = Plan(seed=7, events=5_000, merchants=40, start_s=MONDAY_S, stop_s=MONDAY_S + 7 * DAY_S)
ODD = msgspec.structs.replace(PLAN, duplicates=0.05, late=0.1, invalid=0.04)


def generated(plan: Plan) -> tuple[list[str], Summary]:
    generator = Generator(plan)
    lines = [line for block in generator.blocks() for line in block]
    return lines, generator.summary()


@pytest.mark.parametrize("plan", [PLAN, ODD], ids=["plain", "odd"])
def test_the_same_plan_gives_the_same_lines_and_another_seed_others(plan: Plan) -> None:
    assert generated(plan) == generated(plan)
    assert generated(plan)[0] != generated(msgspec.structs.replace(plan, seed=8))[0]


def test_the_shares_come_out_exact() -> None:
    lines, summary = generated(ODD)
    assert len(lines) == summary.lines == 5_000
    assert (summary.duplicates, summary.late, summary.rejected) == (250, 500, 200)
    assert summary.accepted == 5_000 - 250 - 200


@pytest.mark.parametrize("plan", [PLAN, ODD], ids=["plain", "odd"])
def test_the_summary_is_what_the_product_counts(plan: Plan) -> None:
    lines, summary = generated(plan)
    fresh = list(dict.fromkeys(lines)) if plan.duplicates else lines
    accepted = accept([Body("\n".join(fresh).encode(), UNNAMED)], MONDAY_S + 30 * DAY_S)
    assert len(accepted.batch) == summary.accepted
    assert len(accepted.rejections[0]) <= summary.rejected
    counted: dict[str, dict[str, int]] = {name: {} for name in summary.reports}
    for datapoint, events in count_datapoints([accepted.batch]).items():
        at = REPORTS.place(datapoint)
        assert at is not None
        counted[at.report.name][datapoint] = events
    told = {name: {row["datapoint"]: row["events"] for row in rows} for name, rows in summary.reports.items()}
    assert counted == told


def test_every_line_meant_to_be_invalid_is_refused() -> None:
    lines, summary = generated(ODD)
    accepted = accept([Body("\n".join(lines).encode(), UNNAMED)], MONDAY_S + 30 * DAY_S)
    assert len(accepted.rejections[0]) == summary.rejected
    assert len({rejection.reason.code for rejection in accepted.rejections[0]}) >= 7


def test_late_purchases_stand_after_younger_ones_and_others_in_order() -> None:
    lines, _ = generated(msgspec.structs.replace(PLAN, late=0.1))
    dates = [line[9:29] for line in lines]
    behind = sum(date < latest for date, latest in zip(dates[1:], running_latest(dates), strict=False))
    assert 400 <= behind <= 510  # a few on time stand behind a late one of the same hour
    on_time = [line[9:29] for line in generated(PLAN)[0]]
    assert on_time == sorted(on_time)
    assert on_time[0] >= "2026-03-09T00:00:00Z"
    assert on_time[-1] < "2026-03-16T00:00:00Z"


def running_latest(dates: list[str]) -> list[str]:
    latest, found = "", []
    for date in dates:
        latest = max(latest, date)
        found.append(latest)
    return found


def test_days_nights_and_merchants_differ_as_they_do() -> None:
    lines, summary = generated(msgspec.structs.replace(PLAN, events=50_000))
    hours = Counter(line[20:22] for line in lines)
    assert hours["20"] > 10 * hours["03"]
    saturday, monday = (sum(line[9:19] == day for line in lines) for day in ("2026-03-14", "2026-03-09"))
    assert saturday > 1.15 * monday
    merchants: Counter[str] = Counter()
    for row in summary.reports["merchant-method"]:
        merchants[str(row["datapoint"]).split("|")[0]] += int(row["events"])
    (_, first), (_, second), *_ = merchants.most_common()
    assert 1.7 < first / second < 2.3  # Zipf
    assert {row["datapoint"] for row in summary.reports["bracket-method"]} >= {"<10|PAY_NOW", ">500|SLICE_IT"}


@pytest.mark.parametrize("events", [0, 1, 2, 3, 17])
def test_few_lines_are_as_many_as_asked_for(events: int) -> None:
    lines, summary = generated(msgspec.structs.replace(ODD, events=events, duplicates=0.4))
    assert len(lines) == summary.lines == events


def test_a_busy_second_is_written_as_well() -> None:
    lines, summary = generated(msgspec.structs.replace(PLAN, events=200_000, stop_s=PLAN.start_s + 1))
    assert len(lines) == summary.accepted == 200_000


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"stop_s": MONDAY_S}, "the range ends before it begins"),
        ({"duplicates": 1.5}, "is not a share"),
        ({"duplicates": 0.5, "late": 0.5}, "no line is left"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changes: dict[str, float], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Generator(msgspec.structs.replace(PLAN, **changes))
