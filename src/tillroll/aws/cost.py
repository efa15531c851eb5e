"""What counting costs on AWS: predicted from the rate, the merchants and the freshness, item by item. Pure.

The dear part is the fold: each datapoint that changed in a window of freshness is written once. How many those are is
`distinct_datapoints`; no design with an item a datapoint writes fewer.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import msgspec

from tillroll.aws.prices import MILLION, PRICES, Prices
from tillroll.core.dimension import BRACKET, MERCHANT, METHOD
from tillroll.core.report import FIVE, Report

KB: Final = 1_024
_READ_BYTES: Final = 4_096  # in one strongly consistent read unit
MONTH_S: Final = 30 * 86_400
# How purchases spread over brackets and methods, for D(n) only: its error is a few per cent whatever they are.
BRACKET_SHARES: Final = (0.22, 0.42, 0.18, 0.15, 0.03)
METHOD_SHARES: Final = (0.60, 0.25, 0.15)
_CHUNK_BYTES_AN_EVENT: Final = 40.0  # the most a purchase takes in a chunk, with a name and a merchant of its own
_CHUNK_HEAD_BYTES: Final = 150  # keys, attribute names, the chunk's head
_LEDGER_BYTES: Final = 300
POLLERS: Final = 5  # that Lambda keeps at an SQS queue, each with batches of its own
_SCHEDULE_S: Final = 60.0  # the fold function is called so often, as the template has it
_POLL_S: Final = 20  # each asks so often when nothing comes
_RACE_S: Final = 0.010  # from reading the ledger's end to writing it: another commit meanwhile makes it fail
_RACE_EVENT_S: Final = 0.000_015  # and for each event of the batch
OFFERED_EVENTS_MAX: Final = 500  # of a batch that is offered to others after a race is lost
_LOOK_READS: Final = 7.0  # of the fold function: how it stands, that nothing is due, that no own report lags
_FOLD_READS: Final = 7.0  # more where something is due, without the chunks
_LOOK_S: Final = 0.1  # round trips
_FOLD_GIGABYTES: Final = 0.5
_LAMBDA_START_S: Final = 0.030  # a batch of one, warm: two round trips to DynamoDB
_LAMBDA_EVENT_S: Final = 0.000_040  # and each event of it, decoded by Python alone
_KERNEL_EVENT_S: Final = 0.000_008  # by the compiled kernel
_FOLD_EVENT_S: Final = 0.000_005  # of each folder, by a whole processor: it decodes and groups every event
_FOLD_WRITE_S: Final = 1 / 5_000  # the store's bound on one processor
_LOG_BYTES: Final = 1_500  # of a call: its own lines, its metrics and Lambda's
_LOOK_LOG_BYTES: Final = 600  # of each further look of a call that watches: a line and metrics
_METRICS: Final = 7
ALARMS: Final = 12  # as the template has them
_COUNTER_BYTES: Final = 330  # an item and its entry in the index, with the 100 bytes that DynamoDB adds to each
_ITEM_BYTES: Final = 100  # which it adds to a chunk and to an entry of the ledger

Capacity = Literal["on-demand", "provisioned"]


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be counted, and how."""

    events_a_second: float
    merchants: int = 10_000
    freshness_s: float = 60.0
    batch_size: int = 2_000
    batch_window_s: float = 5.0
    architecture: Literal["arm64", "x86_64"] = "arm64"
    memory_gigabytes: float = 1.0
    sent_in_tens: bool = False
    http: bool = False
    capacity: Capacity = "on-demand"
    lag_minutes: float = 1.0  # across how many minutes of `date` the events of a commit are spread
    pollers: int = POLLERS  # among whom the messages of a window are split
    concurrency: int = 2  # batches at once, which race for the ledger's next entry
    folders: int = 1  # that share the datapoints among them; each reads the whole journal
    own_touched: float = 0.0  # counters of reports of one's own that a fold writes (own_cost.touched)
    own_made_a_second: float = 0.0  # those that were not there, on average (own_cost.made_a_second)


class Item(NamedTuple):
    """One line of the bill: how many of a unit an event takes, and dollars per million events."""

    service: str
    what: str
    units_an_event: float
    unit: str
    dollars_a_million: float


@lru_cache(maxsize=32)
def _merchant_shares(merchants: int) -> tuple[float, ...]:
    total = sum(1 / rank for rank in range(1, merchants + 1))
    return tuple(1 / rank / total for rank in range(1, merchants + 1))


def _cell_shares(report: Report, merchants: int) -> list[float]:
    shares = [1.0]
    by = {BRACKET.key: BRACKET_SHARES, METHOD.key: METHOD_SHARES, MERCHANT.key: _merchant_shares(merchants)}
    for dimension in (*report.closed, *report.opens):
        of_key = by[dimension.key]
        shares = [share * mine for share in shares for mine in of_key]
    return shares


def distinct_datapoints(events: float, merchants: int) -> float:
    """Return D(n): how many datapoints of all reports so many events are expected to touch, within one hour.

    Merchants are Zipf(1.0). A cell of share p is touched with a chance of 1 - (1 - p)^n.
    """
    touched = 0.0
    for report in FIVE:
        for share in _cell_shares(report, merchants):
            touched += 1.0 if share >= 1 else -math.expm1(events * math.log1p(-share))
    return touched


def _new_datapoints_a_second(load: Load) -> float:
    """Return how many datapoints appear that were never counted before: each costs a write of the index."""
    day, hour = load.events_a_second * 86_400, load.events_a_second * 3_600
    a_day = 0.0
    for report in FIVE:
        if report.window is None:
            continue
        seen, times = (hour, 24) if report.window.unit_hours == 1 else (day, 1)
        shares = _cell_shares(report, load.merchants)
        a_day += times * sum(-math.expm1(seen * math.log1p(-share)) for share in shares)
    return a_day / 86_400


class WriteUnits(NamedTuple):
    """Write units an event, by what they are for."""

    aggregates: float
    new_keys: float
    fold_state: float
    journal: float
    split: float  # what the journal takes more since pollers split a window's messages
    lost_races: float  # commits whose condition failed since another was first: billed, offered, tried again
    own: float  # the counters of reports of one's own, and their entries in the index

    @property
    def total(self) -> float:
        """All of them."""
        return sum(self)


def batch_events(load: Load) -> float:
    """Return how many events a batch has: the pollers split what comes in a window."""
    return _batch_of(load, load.pollers)


def _batch_of(load: Load, pollers: int) -> float:
    return min(load.batch_size, max(1.0, load.events_a_second * load.batch_window_s / pollers))


def _minutes(load: Load, batch: float) -> float:
    """Return across how many minutes of `date` a batch is spread, each with a log of its own."""
    return min(load.lag_minutes, batch) if load.lag_minutes > 1 else 1.0


def _commit_units(load: Load, batch: float) -> float:
    minutes = _minutes(load, batch)
    chunk = math.ceil((_CHUNK_HEAD_BYTES + _CHUNK_BYTES_AN_EVENT * batch / minutes) / KB)
    return 2 * (minutes * chunk + math.ceil(_LEDGER_BYTES / KB))


def _lost_share(load: Load) -> float:
    """Return how many attempts fail for one that succeeds: where another commit ends while it is under way.

    By chance alone: pollers whose windows end together lose more, two that take turns fewer (`python -m bench scale`).
    """
    batch = batch_events(load)
    others_a_second = load.events_a_second / batch * (load.concurrency - 1) / load.concurrency
    return -math.expm1(-others_a_second * (_RACE_S + _RACE_EVENT_S * batch))


def _offer_units(batch: float) -> float:
    """Return what it costs that a small batch is put beside the ledger for others to commit, and deleted there."""
    return 2.0 * _chunk_units(batch) if batch <= OFFERED_EVENTS_MAX else 0.0


def write_units(load: Load) -> WriteUnits:
    """Return the write units an event takes, by the billing rules: a unit a KiB begun, twice that in a transaction."""
    window = load.events_a_second * load.freshness_s
    folded = max(window, 1.0)  # nobody folds nothing
    changed = distinct_datapoints(folded, load.merchants)
    whole, batch = _batch_of(load, 1), batch_events(load)
    journal = _commit_units(load, whole) / whole
    split = _commit_units(load, batch) / batch
    return WriteUnits(
        aggregates=changed / folded,
        new_keys=_new_datapoints_a_second(load) / load.events_a_second,
        # The range that is begun, then that it is done; the commit that ends it marks it, at no cost.
        fold_state=2 * load.folders / folded,
        journal=journal,
        split=max(0.0, split - journal),
        lost_races=(split + _offer_units(batch) / batch) * _lost_share(load),
        own=load.own_touched / folded + load.own_made_a_second / load.events_a_second,
    )


class ReadUnits(NamedTuple):
    """Read units an event, by what they are for."""

    commits: float
    folds: float
    looks: float

    @property
    def total(self) -> float:
        """All of them."""
        return sum(self)


def read_units(load: Load) -> ReadUnits:
    """Return the read units an event takes: strongly consistent ones, a unit for each 4 KiB begun."""
    rate, batch = load.events_a_second, batch_events(load)
    minutes = _minutes(load, batch)
    # The ledger's end, the offers, and each minute's log, of which a function reads what others wrote.
    others = min(load.concurrency - 1.0, 60 * rate / batch)
    commits = (2 + minutes) * (1 + _lost_share(load)) / batch + others * _CHUNK_BYTES_AN_EVENT / _READ_BYTES
    chunks = minutes * math.ceil((_CHUNK_HEAD_BYTES + _CHUNK_BYTES_AN_EVENT * batch / minutes) / _READ_BYTES)
    ranges = _ranges_an_event(load)
    called = load.folders * ranges * (_LOOK_READS + _FOLD_READS) + ranges  # one tells how many folders there are
    return ReadUnits(
        commits=commits,
        folds=load.folders * (chunks + _LEDGER_BYTES / _READ_BYTES) / batch,
        looks=_LOOK_READS / _look_every_s(load) / rate + called,
    )


def _ranges_an_event(load: Load) -> float:
    """Return how many ranges of the fold end for an event: after each, the fold function is called for each folder."""
    return 1 / max(load.events_a_second * load.freshness_s, 1.0)


def _look_every_s(load: Load) -> float:
    """Return how often the schedule's call looks: with a short freshness it watches all the minute."""
    return _SCHEDULE_S if load.freshness_s >= _SCHEDULE_S else max(load.freshness_s / 2, 1.0)


def floor(load: Load) -> float:
    """Return what no design can beat: each changed datapoint once a window, and the journal's bytes."""
    folded = max(load.events_a_second * load.freshness_s, 1.0)
    return (distinct_datapoints(folded, load.merchants) + load.own_touched) / folded + _CHUNK_BYTES_AN_EVENT / KB


def five_adds() -> float:
    """Return what adding each event to its five counters at once costs; it is wrong after a crash."""
    return float(len(FIVE))


def markers() -> float:
    """Return what a transaction of a marker and the counters an event costs at least, uncontended."""
    return 2.0 * (1 + len(FIVE)) - len(FIVE)


def predict(load: Load, prices: Prices = PRICES) -> list[Item]:
    """Return the bill of taking and counting events, item by item. What is kept is in `storage`."""
    rate, batch = load.events_a_second, batch_events(load)
    sends = 0.1 if load.sent_in_tens else 1.0
    idle = load.pollers / _POLL_S / rate
    items = [_item("SQS", "send", sends, "requests", prices.sqs_request)]
    items.append(
        _item("SQS", "receive, delete, idle polls", 2 / min(10.0, batch) + idle, "requests", prices.sqs_request)
    )
    if load.http:
        items.append(_item("API Gateway", "POST /events", 1.0, "requests", prices.api_request))
    items += _lambda_items(load, batch, prices)
    units = write_units(load)
    if load.capacity == "on-demand":
        names = (
            "aggregates",
            "index",
            "fold state",
            "journal",
            "batches split over pollers",
            "lost races",
            "own reports",
        )
        for what, count in zip(names, units, strict=True):
            items.append(_item("DynamoDB", what, count, "write units", prices.write_unit))
    else:
        each = prices.provisioned_write_hour / 3_600 / 0.7  # of what is provisioned, 70 % is used
        items.append(_item("DynamoDB", "provisioned, 70 % used", units.total, "write units", each))
    each = prices.read_unit if load.capacity == "on-demand" else prices.provisioned_read_hour / 3_600 / 0.7
    reading = ("deduplication", "fold, reading", "the fold function, looking")
    for what, count in zip(reading, read_units(load), strict=True):
        items.append(_item("DynamoDB", what, count, "read units", each))
    return items


def _lambda_items(load: Load, batch: float, prices: Prices) -> list[Item]:
    rate = load.events_a_second
    arm = load.architecture == "arm64"
    gigabyte_s = prices.lambda_gigabyte_second_arm64 if arm else prices.lambda_gigabyte_second_x86_64
    called = load.folders * _ranges_an_event(load)
    calls = 1 / batch + 1 / _SCHEDULE_S / rate + called
    writes = write_units(load)
    folds_s = load.folders * _FOLD_EVENT_S + (writes.aggregates + writes.own) * _FOLD_WRITE_S
    busy = (_LAMBDA_START_S / batch + _LAMBDA_EVENT_S + folds_s) * load.memory_gigabytes
    watching = (_SCHEDULE_S if load.freshness_s < _SCHEDULE_S else _LOOK_S) / _SCHEDULE_S / rate
    logs = calls * _LOG_BYTES + (1 / _look_every_s(load) - 1 / _SCHEDULE_S) / rate * _LOOK_LOG_BYTES
    waiting = (watching + called * _LOOK_S) * _FOLD_GIGABYTES
    return [
        _item("Lambda", "calls", calls, "requests", prices.lambda_request),
        _item("Lambda", "batches and folds", busy, "GB-seconds", gigabyte_s),
        _item("Lambda", "the fold function, waiting", waiting, "GB-seconds", gigabyte_s),
        _item("CloudWatch", "logs", logs, "bytes", prices.log_gigabyte / 1e9),
        _item("CloudWatch", "metrics", _METRICS / MONTH_S / rate, "metric months", prices.metric_month),
        _item("CloudWatch", "alarms", ALARMS / MONTH_S / rate, "alarm months", prices.alarm_month),
        _item("CloudWatch", "dashboard", 1 / MONTH_S / rate, "dashboard months", prices.dashboard_month),
    ]


def _item(service: str, what: str, units: float, unit: str, price: float) -> Item:
    return Item(service, what, units, unit, units * price * MILLION)


def dollars_a_month(load: Load, items: list[Item]) -> float:
    """Return the bill of a month at this rate, without what is kept."""
    return sum(item.dollars_a_million for item in items) * load.events_a_second * MONTH_S / MILLION


def dollars_without_kernel(architecture: Literal["arm64", "x86_64"], prices: Prices = PRICES) -> float:
    """Return what a million events cost more, in a function of 1 GB, where Python decodes them."""
    arm = architecture == "arm64"
    gigabyte_s = prices.lambda_gigabyte_second_arm64 if arm else prices.lambda_gigabyte_second_x86_64
    return (_LAMBDA_EVENT_S - _KERNEL_EVENT_S) * gigabyte_s * MILLION


class Month(NamedTuple):
    """What is kept at the end of a month from the beginning on, and what keeping it cost in that month."""

    month: int
    journal_gigabytes: float
    aggregates_gigabytes: float
    dollars: float


def storage(load: Load, prices: Prices = PRICES, months: int = 12) -> list[Month]:
    """Return what is kept, and costs, month by month: the journal and the datapoints only grow."""
    batch = batch_events(load)
    a_commit = _LEDGER_BYTES + _CHUNK_HEAD_BYTES + 2 * _ITEM_BYTES
    journal = (_CHUNK_BYTES_AN_EVENT + a_commit / batch) * load.events_a_second * MONTH_S / 1e9
    made = _new_datapoints_a_second(load) + load.own_made_a_second
    aggregates = made * _COUNTER_BYTES * MONTH_S / 1e9
    price = prices.stored_gigabyte_month + prices.recovery_gigabyte_month
    return [
        Month(month, journal * month, aggregates * month, (journal + aggregates) * (month - 0.5) * price)
        for month in range(1, months + 1)
    ]


class Backfill(NamedTuple):
    """What bringing in old purchases takes once."""

    hours: float
    write_units: float
    dollars: float
    write_units_in_any_order: float
    dollars_in_any_order: float


def backfill(load: Load, events: int, days: float, rate: float, prices: Prices = PRICES) -> Backfill:
    """Return what it takes to import so many purchases of so many days at a rate, in order of date and in any order."""
    minutes = days * 1_440
    commit = min(20_000.0, rate)
    folds = max(1.0, events / rate / load.freshness_s)
    ledger = 2 * math.ceil(_LEDGER_BYTES / KB) * events / commit
    a_minute = events / minutes
    in_order = 2 * min(minutes, events) * _chunk_units(a_minute) + ledger
    spread = distinct_of(commit, minutes)  # minutes that a commit of purchases in any order has
    any_order = 2 * spread * _chunk_units(commit / spread) * events / commit + ledger
    ordered = folds * _datapoints_over(load, events / folds, days / folds)
    mixed = folds * _datapoints_over(load, events / folds, days)
    fixed = 2 * folds * load.folders + _datapoints_over(load, events, days)  # the state; the index
    units = (in_order + ordered + fixed, any_order + mixed + fixed)
    dollars = [each * prices.write_unit for each in units]
    return Backfill(events / rate / 3_600, units[0], dollars[0], units[1], dollars[1])


def _chunk_units(events: float) -> int:
    return math.ceil((_CHUNK_HEAD_BYTES + _CHUNK_BYTES_AN_EVENT * max(events, 1.0)) / KB)


def distinct_of(draws: float, boxes: float) -> float:
    """Return how many of so many boxes are expected to have one of some draws, each as likely."""
    return boxes if boxes <= 1 else -boxes * math.expm1(draws * math.log1p(-1 / boxes))


def _datapoints_over(load: Load, events: float, days: float) -> float:
    """Return how many datapoints so many purchases are expected to touch that are spread over so many days."""
    touched = 0.0
    for report in FIVE:
        windows = 1.0
        if report.window is not None:
            windows = max(1.0, days * (24 if report.window.unit_hours == 1 else 1))
        for share in _cell_shares(report, load.merchants):
            touched += windows * (1.0 if share >= 1 else -math.expm1(events / windows * math.log1p(-share)))
    return touched
