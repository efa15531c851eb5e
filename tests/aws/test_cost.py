from __future__ import annotations

import json
import math
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest
from bench import scale
from bench.billing import bill
from bench.scale_services import assumed
from tests.aws.test_dynamodb_store import tables
from tests.batches import batch_of
from tests.contract.test_store import KEY, purchases

from tillroll.aws import stack
from tillroll.aws.cost import (
    ALARMS,
    BRACKET_SHARES,
    METHOD_SHARES,
    OFFERED_EVENTS_MAX,
    Load,
    backfill,
    batch_events,
    distinct_datapoints,
    dollars_a_month,
    five_adds,
    floor,
    markers,
    predict,
    read_units,
    storage,
    write_units,
)
from tillroll.aws.measured import Measured
from tillroll.aws.own_cost import Shares, made_a_second, touched
from tillroll.aws.prices import PRICES, read_prices
from tillroll.cli.main import run
from tillroll.core.definition import read_file
from tillroll.errors import ConfigError
from tillroll.stores.dynamodb import offers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.aws.test_dynamodb_store import Tables

__all__ = ["tables"]


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
    load = Load(events_a_second=rate, freshness_s=freshness_s, batch_window_s=freshness_s, pollers=1)
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
    assert aggregates.dollars_a_million == pytest.approx(aggregates.units_an_event * PRICES.write_unit * 1e6)
    assert items["API Gateway", "POST /events"].dollars_a_million == pytest.approx(3.5)
    month = dollars_a_month(load, predict(load))
    assert month == pytest.approx(sum(item.dollars_a_million for item in items.values()) * 100 * 30 * 86_400 / 1e6)


def test_pollers_split_what_comes_in_a_window() -> None:
    whole, split = (write_units(Load(events_a_second=10, pollers=pollers)) for pollers in (1, 5))
    assert batch_events(Load(events_a_second=10)) == 10
    assert (whole.split, whole.journal) == (0, split.journal)
    assert split.split == pytest.approx(4 / 10 - 8 / 50)  # chunks of 1 and 3 KiB, and entries, twice in a transaction
    assert write_units(Load(events_a_second=10_000)).split == pytest.approx(0)


def test_a_race_that_is_lost_is_billed() -> None:
    slow, fast = (write_units(Load(events_a_second=rate, batch_size=100)) for rate in (1, 3_000))
    assert slow.lost_races < (slow.journal + slow.split) / 20
    assert fast.lost_races > fast.journal / 10
    assert write_units(Load(events_a_second=3_000, batch_size=100, concurrency=10)).lost_races > fast.lost_races


def test_each_folder_reads_the_whole_journal_and_has_a_state() -> None:
    one, four = ({each.what: each for each in predict(Load(events_a_second=100, folders=n))} for n in (1, 4))
    assert four["fold state"].units_an_event == pytest.approx(4 * one["fold state"].units_an_event)
    more = four["fold, reading"].units_an_event - one["fold, reading"].units_an_event
    assert more == pytest.approx(3 * (2 + 300 / 4_096) / 100)  # batches of 100: chunks of 4,150 bytes, and an entry
    assert four["aggregates"] == one["aggregates"]
    assert four["calls"].units_an_event - one["calls"].units_an_event == pytest.approx(3 / 6_000)
    assert four["batches and folds"].units_an_event - one["batches and folds"].units_an_event == pytest.approx(15e-6)


@pytest.mark.parametrize(
    "simulated",
    [
        scale.Load(rate=20, merchants=50, batch=2_000, functions=2, seconds=125),
        scale.Load(rate=200, merchants=50, batch=100, functions=2, seconds=125),
        scale.Load(rate=400, merchants=50, batch=20, functions=5, seconds=20),  # races are lost; nothing is folded
    ],
)
def test_the_bill_is_what_the_protocols_take_in_the_simulation(simulated: scale.Load) -> None:
    world = scale.World(simulated)
    world.start()
    world.clock.run(simulated.seconds, 1.0, lambda: None)
    taken = world.tables.units
    load = Load(
        events_a_second=simulated.rate,
        merchants=simulated.merchants,
        batch_size=simulated.batch,
        batch_window_s=assumed("batch window"),
        pollers=simulated.functions,
        concurrency=simulated.functions,
    )
    writes, reads = write_units(load), read_units(load)
    journal = sum(taken.writes[kind] for kind in ("TransactWrite", "Put", "Delete")) / world.done
    assert journal < writes.journal + writes.split + writes.lost_races < 1.6 * journal
    asked = reads.commits + reads.folds * (simulated.seconds > load.freshness_s)
    assert taken.read / world.done == pytest.approx(asked, rel=0.4)


def test_the_looks_of_the_fold_function_are_in_the_bill(tables: Tables) -> None:
    """What a look of the function reads where nothing is due, where something is, and how often it looks."""
    store = tables.store()
    store.journal(batch_of(purchases(2)[:1], KEY))
    store.fold()
    store.journal(batch_of(purchases(2)[1:], KEY, 1))
    looks = []
    units = bill(store.client)
    for _ in range(2):
        before = units.read
        store.status()
        store.fold_if_due(10.0)
        store.count_some(1.0)
        looks.append(units.read - before)
    due, idle = looks
    folds = due - 1 + 1  # less the chunk's, and with what tells how many folders there are
    a_minute, ten_s = (read_units(Load(events_a_second=10, freshness_s=freshness_s)) for freshness_s in (60, 10))
    assert a_minute.looks == pytest.approx((idle / 60 + folds / 60) / 10, rel=0.1)
    assert ten_s.looks == pytest.approx((idle / 5 + folds / 10) / 10, rel=0.1)


def test_what_is_offered_is_what_the_store_offers() -> None:
    assert OFFERED_EVENTS_MAX == offers.EVENTS_MAX


@pytest.mark.parametrize(("freshness_s", "watched_s"), [(60, 0.1), (59, 60), (1, 60)])
def test_one_call_watches_whatever_the_freshness(freshness_s: float, watched_s: float) -> None:
    load = Load(events_a_second=10, freshness_s=freshness_s)
    [waiting] = [item for item in predict(load) if item.what == "the fold function, waiting"]
    called_s = 0.1 * 60 / freshness_s  # of each minute
    assert waiting.units_an_event == pytest.approx(0.5 * (watched_s + called_s) / 600)


def test_provisioned_reads_have_their_own_price() -> None:
    items = predict(Load(events_a_second=100, capacity="provisioned"))
    [reading] = [item for item in items if item.what == "fold, reading"]
    price = PRICES.provisioned_read_hour / 3_600 / 0.7
    assert reading.dollars_a_million == pytest.approx(reading.units_an_event * price * 1e6)


def test_what_is_kept_grows_month_by_month() -> None:
    year = storage(Load(events_a_second=100))
    assert [month.month for month in year] == list(range(1, 13))
    assert year[11].journal_gigabytes == pytest.approx(12 * year[0].journal_gigabytes)
    events = 100 * 30 * 86_400
    assert 40 * events / 1e9 < year[0].journal_gigabytes < 60 * events / 1e9
    assert year[11].dollars == pytest.approx(23 * year[0].dollars)


def test_the_alarms_are_as_many_as_the_template_has() -> None:
    assert stack.template().count("Type: AWS::CloudWatch::Alarm") == ALARMS


def test_old_purchases_are_dearer_in_any_order() -> None:
    found = backfill(Load(events_a_second=100), 10_000_000, 365, 1_000)
    assert found.hours == pytest.approx(10_000 / 3_600)
    assert found.write_units_in_any_order > 3 * found.write_units
    assert found.dollars == pytest.approx(found.write_units * PRICES.write_unit)
    dense = backfill(Load(events_a_second=100), 10_000_000, 1, 1_000)
    assert dense.write_units < found.write_units


def test_prices_of_ones_own_take_the_place_of_the_lists(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('as_of = "2026-11"\nregion = "sa-east-1"\nwrite_unit = 0.000001\n')
    found = read_prices(file, {"sqs_request": "0"})
    assert (found.write_unit, found.sqs_request, found.read_unit) == (1e-6, 0, PRICES.read_unit)
    assert run(["aws", "cost", "--prices", str(file), "--price", "alarm_month=7", "--backfill", "1000", "--json"]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert (shown["prices"]["region"], shown["prices"]["alarm_month"]) == ("sa-east-1", 7)
    assert len(shown["storage"]) == 12
    assert shown["backfill"]["write_units"] > 0


@pytest.mark.parametrize("text", ["write_units = 1", "write_unit = -1", 'write_unit = "dear"', "write_unit ="])
def test_a_price_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match="prices"):
        read_prices(file, {})


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
    assert PRICES.as_of in out
    assert run(["aws", "cost", "--rate", "100", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["write_units_an_event"] == pytest.approx(write_units(Load(events_a_second=100)).total)


def test_an_unknown_architecture_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["aws", "cost", "--architecture", "mips"]) == 2
    assert "arm64" in capfd.readouterr().err


OWN = """
[[reports]]
name = "country"
title = "Turnover by local day, country and bracket"
by = ["day", "country", "bracket", "hour-of-day"]
brackets = [1000, 5000, 20000]

[[reports]]
name = "merchants"
title = "Merchants by week"
by = ["week", "merchant", "method"]

[[reports]]
name = "all"
title = "All"
by = []
"""


def test_counters_of_reports_of_ones_own_are_as_many_as_drawing_finds() -> None:
    shares = Shares(200, 30, BRACKET_SHARES, METHOD_SHARES)
    country, merchants, everything = (each.report(1) for each in read_file(OWN))
    random = Random(3)
    drawn = [(random.randrange(30), random.randrange(4)) for _ in range(300)]
    assert touched([country], 300, shares) == pytest.approx(len(set(drawn)), rel=0.1)
    weights = [1 / rank for rank in range(1, 201)]
    ranks = random.choices(range(200), weights, k=300)
    methods = random.choices(range(3), METHOD_SHARES, k=300)
    assert touched([merchants], 300, shares) == pytest.approx(len(set(zip(ranks, methods, strict=True))), rel=0.1)
    assert touched([everything], 300, shares) == 1
    assert made_a_second([everything], 1.0, shares) == 0
    assert made_a_second([country], 10.0, shares) * 86_400 == pytest.approx(30 * 4 * 24, rel=0.01)


def test_reports_of_ones_own_are_in_the_bill_by_file_by_store_or_by_number(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "reports.toml"
    path.write_text(OWN)
    store = str(tmp_path / "data")
    events = tmp_path / "events.ndjson"
    events.write_text(
        '{"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": "m", "id": "1"}'
    )
    assert run(["import", str(events), "--data", store]) == 0
    assert run(["reports", "apply", str(path), "--data", store]) == 0
    capfd.readouterr()

    def bill(*more: str) -> tuple[float, float]:
        assert run(["aws", "cost", "--json", *more]) == 0
        found = json.loads(capfd.readouterr().out)
        (own,) = [item["units_an_event"] for item in found["items"] if item["what"] == "own reports"]
        return own, found["storage"][0]["aggregates_gigabytes"]

    none, by_file, by_store = bill(), bill("--reports", str(path)), bill("--data", store)
    assert none[0] == 0
    assert by_file[0] > 0.1
    assert by_file[1] > none[1]
    assert by_store == pytest.approx(by_file)
    assert bill("--own-counters", "600")[0] == pytest.approx(600 / 6_000)
    assert bill("--reports", str(path), "--field-values", "200")[0] > by_file[0]
    assert run(["aws", "cost", "--reports", str(tmp_path / "none.toml")]) == 2
    assert "cannot be read" in capfd.readouterr().err
