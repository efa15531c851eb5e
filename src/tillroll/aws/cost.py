"""What counting costs on AWS: predicted from the rate, the merchants and the freshness, item by item. Pure.

The dear part is the fold: each datapoint that changed in a window of freshness is written once. How many those are is
`distinct_datapoints`; no design with an item a datapoint writes fewer.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import msgspec

from tillroll.aws import prices
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
_POLLERS: Final = 5  # that Lambda keeps at an SQS queue, each asking every 20 s when nothing comes
_LAMBDA_START_S: Final = 0.030  # a batch of one, warm: two round trips to DynamoDB
_LAMBDA_EVENT_S: Final = 0.000_040  # and each event of it, decoded by Python alone
_FOLD_WRITE_S: Final = 1 / 5_000  # the store's bound on one processor
_LOG_BYTES: Final = 1_500  # of a call: its own lines, its metrics and Lambda's
_METRICS: Final = 7

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

    @property
    def total(self) -> float:
        """All of them."""
        return sum(self)


def batch_events(load: Load) -> float:
    """Return how many events a batch has, when no poller gets in another's way."""
    return min(load.batch_size, max(1.0, load.events_a_second * load.batch_window_s))


def write_units(load: Load) -> WriteUnits:
    """Return the write units an event takes, by the billing rules: a unit a KiB begun, twice that in a transaction."""
    window = load.events_a_second * load.freshness_s
    folded = max(window, 1.0)  # nobody folds nothing
    changed = distinct_datapoints(folded, load.merchants)
    batch = batch_events(load)
    minutes = min(load.lag_minutes, batch) if load.lag_minutes > 1 else 1.0
    chunk = math.ceil((_CHUNK_HEAD_BYTES + _CHUNK_BYTES_AN_EVENT * batch / minutes) / KB)
    commit = 2 * (minutes * chunk + math.ceil(_LEDGER_BYTES / KB))
    return WriteUnits(
        aggregates=changed / folded,
        new_keys=_new_datapoints_a_second(load) / load.events_a_second,
        fold_state=2
        / folded,  # the range that is begun, then that it is done; the commit that ends it marks it, at no cost
        journal=commit / batch,
    )


def floor(load: Load) -> float:
    """Return what no design can beat: each changed datapoint once a window, and the journal's bytes."""
    folded = max(load.events_a_second * load.freshness_s, 1.0)
    return distinct_datapoints(folded, load.merchants) / folded + _CHUNK_BYTES_AN_EVENT / KB


def five_adds() -> float:
    """Return what adding each event to its five counters at once costs; it is wrong after a crash."""
    return float(len(FIVE))


def markers() -> float:
    """Return what a transaction of a marker and the counters an event costs at least, uncontended."""
    return 2.0 * (1 + len(FIVE)) - len(FIVE)


def predict(load: Load) -> list[Item]:
    """Return the bill, item by item."""
    rate, batch = load.events_a_second, batch_events(load)
    sends = 0.1 if load.sent_in_tens else 1.0
    idle = _POLLERS / 20 / rate
    items = [_item("SQS", "send", sends, "requests", prices.SQS_REQUEST)]
    items.append(
        _item("SQS", "receive, delete, idle polls", 2 / min(10.0, batch) + idle, "requests", prices.SQS_REQUEST)
    )
    if load.http:
        items.append(_item("API Gateway", "POST /events", 1.0, "requests", prices.API_REQUEST))
    items += _lambda_items(load, batch)
    units = write_units(load)
    if load.capacity == "on-demand":
        for what, count in zip(("aggregates", "index", "fold state", "journal"), units, strict=True):
            items.append(_item("DynamoDB", what, count, "write units", prices.WRITE_UNIT))
    else:
        each = prices.PROVISIONED_WRITE_HOUR / 3_600 / 0.7  # of what is provisioned, 70 % is used
        items.append(_item("DynamoDB", "provisioned, 70 % used", units.total, "write units", each))
    in_minute = (
        load.events_a_second * 60 / 2 * _CHUNK_BYTES_AN_EVENT
    )  # a commit reads the minute as far as it is written
    reads = (in_minute / batch + _CHUNK_BYTES_AN_EVENT) / _READ_BYTES + 2 / batch
    items.append(_item("DynamoDB", "deduplication and fold", reads, "read units", prices.READ_UNIT))
    kept = _CHUNK_BYTES_AN_EVENT / 1e9 * (prices.STORED_GIGABYTE_MONTH + prices.RECOVERY_GIGABYTE_MONTH)
    items.append(
        Item("DynamoDB", "keeping the journal, a month", _CHUNK_BYTES_AN_EVENT, "bytes", kept * prices.MILLION)
    )
    return items


def _lambda_items(load: Load, batch: float) -> list[Item]:
    rate = load.events_a_second
    gigabyte_s = prices.LAMBDA_GIGABYTE_SECOND[load.architecture]
    calls = 1 / batch + 1 / 60 / rate
    writes = write_units(load)
    busy = (_LAMBDA_START_S / batch + _LAMBDA_EVENT_S + writes.aggregates * _FOLD_WRITE_S) * load.memory_gigabytes
    watching = (60.0 if load.freshness_s < 60 else 0.1) / 60 / rate * 0.5
    return [
        _item("Lambda", "calls", calls, "requests", prices.LAMBDA_REQUEST),
        _item("Lambda", "batches and folds", busy, "GB-seconds", gigabyte_s),
        _item("Lambda", "the fold function, waiting", watching, "GB-seconds", gigabyte_s),
        _item("CloudWatch", "logs", calls * _LOG_BYTES, "bytes", prices.LOG_GIGABYTE / 1e9),
        _item("CloudWatch", "metrics", _METRICS / MONTH_S / rate, "metric months", prices.METRIC_MONTH),
    ]


def _item(service: str, what: str, units: float, unit: str, price: float) -> Item:
    return Item(service, what, units, unit, units * price * prices.MILLION)


def dollars_a_month(load: Load, items: list[Item]) -> float:
    """Return the bill of a month at this rate."""
    return sum(item.dollars_a_million for item in items) * load.events_a_second * MONTH_S / prices.MILLION
