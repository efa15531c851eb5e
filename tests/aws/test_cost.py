from __future__ import annotations

import json
import math
from collections import Counter
from random import Random

import pytest

from tillroll.aws import prices
from tillroll.aws.cost import (
    BRACKET_SHARES,
    METHOD_SHARES,
    Load,
    batch_events,
    distinct_datapoints,
    dollars_a_month,
    five_adds,
    floor,
    markers,
    predict,
    write_units,
)
from tillroll.aws.measured import Measured
from tillroll.cli.main import run


def test_shares_are_whole() -> None:
    assert math.isclose(sum(BRACKET_SHARES), 1)
    assert math.isclose(sum(METHOD_SHARES), 1)


def test_distinct_datapoints_are_what_drawing_finds() -> None:
    draw = Random(1)
    merchants, events, rounds = 50, 300, 30
    weights = [1 / rank for rank in range(1, merchants + 1)]
    found = 0
    for _ in range(rounds):
        seen: Counter[tuple[object, ...]] = Counter()
        for _ in range(events):
            [bracket] = draw.choices(range(5), BRACKET_SHARES)
            [method] = draw.choices(range(3), METHOD_SHARES)
            [merchant] = draw.choices(range(merchants), weights)
            pairs = [("hb", bracket), ("hbm", bracket, method), ("bm", bracket, method), ("dm", merchant)]
            seen.update([*pairs, ("mm", merchant, method)])
        found += len(seen)
    assert distinct_datapoints(events, merchants) == pytest.approx(found / rounds, rel=0.02)


@pytest.mark.parametrize(("events", "distinct"), [(10, 35), (1_000, 1_149), (10_000, 6_551), (100_000, 24_073)])
def test_distinct_datapoints_agree_with_what_was_drawn_before(events: int, distinct: int) -> None:
    """The figures that docs/architecture.md argues from, of 10,000 merchants."""
    assert distinct_datapoints(events, 10_000) == pytest.approx(distinct, rel=0.02)


@pytest.mark.parametrize("freshness_s", [10, 60])
@pytest.mark.parametrize("rate", [1, 10, 100, 1_000])
def test_write_units_lie_between_the_floor_and_five(rate: float, freshness_s: float) -> None:
    load = Load(events_a_second=rate, freshness_s=freshness_s, batch_window_s=freshness_s)
    assert floor(load) < write_units(load).total < five_adds() < markers()


def test_longer_freshness_is_cheaper() -> None:
    bills = [
        sum(item.dollars_a_million for item in predict(Load(events_a_second=100, freshness_s=freshness_s)))
        for freshness_s in (1, 10, 60, 600)
    ]
    assert bills == sorted(bills, reverse=True)


def test_a_batch_is_no_larger_than_it_may_be() -> None:
    assert batch_events(Load(events_a_second=100_000)) == 2_000
    assert batch_events(Load(events_a_second=0.01)) == 1


def test_every_item_is_its_units_times_its_price() -> None:
    load = Load(events_a_second=100, http=True)
    items = {(item.service, item.what): item for item in predict(load)}
    aggregates = items["DynamoDB", "aggregates"]
    assert aggregates.dollars_a_million == pytest.approx(aggregates.units_an_event * prices.WRITE_UNIT * 1e6)
    assert items["API Gateway", "POST /events"].dollars_a_million == pytest.approx(3.5)
    month = dollars_a_month(load, predict(load))
    assert month == pytest.approx(sum(item.dollars_a_million for item in items.values()) * 100 * 30 * 86_400 / 1e6)


def test_the_measured_stands_beside_the_line_it_is_of() -> None:
    seen = Measured(events=1_000, journal_write_units=80, aggregates_write_units=700, calls=10, sent=None)
    items = {(item.service, item.what): seen.units_an_event(item) for item in predict(Load(events_a_second=100))}
    assert items["DynamoDB", "journal"] == pytest.approx(0.08)
    assert items["DynamoDB", "aggregates"] == pytest.approx(0.7)
    assert items["Lambda", "calls"] == pytest.approx(0.01)
    assert items["SQS", "send"] is None
    assert items["CloudWatch", "logs"] is None


def test_the_command_prints_the_bill_and_its_date(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["aws", "cost", "--rate", "100", "--freshness-s", "10"]) == 0
    out = capfd.readouterr().out
    assert "write units" in out
    assert prices.AS_OF in out
    assert run(["aws", "cost", "--rate", "100", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["write_units_an_event"] == pytest.approx(write_units(Load(events_a_second=100)).total)


def test_an_unknown_architecture_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["aws", "cost", "--architecture", "mips"]) == 2
    assert "arm64" in capfd.readouterr().err
