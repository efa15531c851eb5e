"""Kept fields in every store: journaled with the event, the first ones for good, and no part of what an event is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.contract.memory_queue import MemoryQueue

from tillroll.core.accept import Body, accept
from tillroll.core.batch import NameKind, Source
from tillroll.core.bracket_order import read_page
from tillroll.core.definition import define
from tillroll.core.kept import Keep
from tillroll.core.query import Query
from tillroll.ingest import correction
from tillroll.ingest.field_watch import FieldWatch
from tillroll.ingest.take import take
from tillroll.ingest.worker import Worker
from tillroll.ports import Outcome

if TYPE_CHECKING:
    from tests.contract.conftest import Bench

    from tillroll.ports import Store

NOW_S = 1_700_000_000.0
KEY = Source(NameKind.KEY, "key")
KEEP = Keep(["country", "customer.segment", "n"])


def purchase(number: int, **others: object) -> bytes:
    event = {"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": "m"}
    return json.dumps(event | {"id": f"order {number}"} | others).encode()


def journal(store: Store, *lines: bytes, keep: Keep = KEEP) -> list[Outcome]:
    return [Outcome(each) for each in store.journal(accept([Body(b"\n".join(lines), KEY)], NOW_S, keep=keep).batch)]


def journaled(store: Store) -> list[dict[str, Any]]:
    store.fold()
    contract = {"date", "amount", "paymentMethod", "merchantId"}
    events = [json.loads(trace.event) for trace in store.trace("10-50|SLICE_IT")]
    events.sort(key=lambda event: str(event["id"]))
    return [{name: value for name, value in event.items() if name not in contract} for event in events]


def test_kept_fields_are_journaled_with_their_event_and_others_are_not(real_bench: Bench) -> None:
    store = real_bench.open()
    journal(
        store,
        purchase(1, country="SE", customer={"segment": "a|b", "name": "secret"}, n=4.2e1),
        purchase(2, country=None, n="42", total=1),
        purchase(3, country=0.5),
    )
    assert journaled(store) == [
        {"id": "order 1", "country": "SE", "customer": {"segment": "a|b"}, "n": 42},
        {"id": "order 2", "country": None, "n": "42"},
        {"id": "order 3"},
    ]


def test_a_repeat_with_other_kept_values_is_a_duplicate_and_the_first_ones_stay(real_bench: Bench) -> None:
    store = real_bench.open()
    assert journal(store, purchase(1, country="SE"), purchase(1, country="NO")) == [
        Outcome.ACCEPTED,
        Outcome.DUPLICATE,
    ]
    assert journal(real_bench.open(), purchase(1, country="DK"), purchase(2, country="FI")) == [
        Outcome.DUPLICATE,
        Outcome.ACCEPTED,
    ]
    assert journal(store, purchase(1, amount=4286, country="SE")) == [Outcome.CONFLICT]
    assert journaled(store) == [{"id": "order 1", "country": "SE"}, {"id": "order 2", "country": "FI"}]


def test_the_list_may_change_at_any_time(real_bench: Bench) -> None:
    store = real_bench.open()
    journal(store, purchase(1, country="SE", n=1), keep=Keep())
    journal(store, purchase(2, country="SE", n=1), keep=Keep(["country"]))
    journal(store, purchase(3, country="SE", n=1), keep=Keep(["n"]))
    assert journal(store, purchase(1, country="NO"), purchase(2, n=7)) == [Outcome.DUPLICATE] * 2
    assert journaled(store) == [{"id": "order 1"}, {"id": "order 2", "country": "SE"}, {"id": "order 3", "n": 1}]
    assert store.audit().differences == []


def test_a_corrected_event_has_its_kept_fields(real_bench: Bench) -> None:
    store = real_bench.open()
    body = Body(purchase(1, country="SE", amount=-1), KEY)

    def set_aside(refused: list[list[Any]]) -> int:
        return store.set_aside(refused[0], NOW_S)

    assert take(store, [body], NOW_S, set_aside)[0].rejected == 1
    (kept,) = store.rejected()
    correction.retry(store, kept.id, purchase(1, country="NO"), NOW_S, KEEP)
    assert journaled(store) == [{"id": "order 1", "country": "NO"}]


def test_many_events_of_many_minutes_keep_their_own_values(real_bench: Bench) -> None:
    store = real_bench.open()
    lines = [
        purchase(number, date=f"2011-12-03T10:{number % 60:02}:30Z", country=f"c{number % 7}", n=number)
        for number in range(100, 300)
    ]
    journal(store, *lines)
    assert [(event["id"], event["country"], event["n"]) for event in journaled(store)] == [
        (f"order {number}", f"c{number % 7}", number) for number in range(100, 300)
    ]


def test_samples_of_fields_are_counted_together_and_shown_beside_what_the_journal_keeps(real_bench: Bench) -> None:
    keep = Keep(["country", "n", "never"])
    for number, country in enumerate(["SE", "NO", "SE", None]):
        store = real_bench.open()
        watch = FieldWatch(keep, store)
        others: dict[str, Any] = (
            {"basket": {"size": number}, "a.b": [], "total": 1.5} if number else {"secret": "4111 1111"}
        )
        others |= {} if country is None else {"country": country}
        body = Body(purchase(number, n=[0.5, 7][number % 2], **others), KEY)
        take(store, [body], NOW_S, lambda _: 0, fields=watch)
        watch.flush()
    shown = FieldWatch(keep, store).shown(store)
    assert (shown["events"], shown["looked_at"]) == (4, 4)
    assert {row["name"]: (row["distinct"], row["absent"], row["not_kept"], row["listed"]) for row in shown["kept"]} == {
        "country": (2, 1, 0, True),
        "n": (1, 2, 2, True),
        "never": (0, 4, 0, True),
    }
    assert {row["name"]: (row["share"], row["types"]) for row in shown["not_kept"]} == {
        '"a.b"': (0.75, {"array": 3}),
        "basket": (0.75, {"object": 3}),
        "basket.size": (0.75, {"number": 3}),
        "total": (0.75, {"number": 3}),
        "secret": (0.25, {"text": 1}),
    }
    assert "4111" not in json.dumps(shown)


def test_messages_of_a_queue_have_their_kept_fields(real_bench: Bench) -> None:
    store = real_bench.open()
    queue = MemoryQueue(lambda: NOW_S)
    queue.send([(purchase(1, country="SE"), None), (b"[%b,%b]" % (purchase(2, country="NO"), purchase(3)), "key")])
    watch = FieldWatch(Keep(["country"]), store)
    Worker(store, queue, 1.0, lambda: NOW_S, fields=watch).run(until_empty=True)
    assert [event.get("country") for event in journaled(store)] == ["SE", "NO", None]


@pytest.mark.parametrize("by", [["country"], ["country", "bracket"], ["bracket", "country"], ["day", "country"]])
@pytest.mark.parametrize("order", ["datapoint", "-events", "bracket"])
def test_pages_are_whole_where_some_datapoints_stand_under_their_hash(
    real_bench: Bench, by: list[str], order: str
) -> None:
    store = real_bench.open()
    values = ["a", "=x", "\x1b", *("|" * length for length in (200, 201, 202, 203))]
    journal(store, *(purchase(at, country=each, amount=at % 3 * 2_000) for at, each in enumerate(values * 3)))
    store.apply([define({"name": "own", "by": by})])
    while store.count_some(1.0):
        pass
    report = store.catalogue().get("own")
    assert report is not None
    if order == "bracket" and "bracket" not in by:
        return
    asked: Any = {"order": "datapoint", "brackets_by_amount": True} if order == "bracket" else {"order": order}
    whole = read_page(store.page, Query(report=report, limit=10_000, **asked)).aggregates
    assert sum(each.events for each in whole) == 21
    assert [each for each in whole if each.text is not None]
    for limit in (1, 2, 5):
        query = Query(report=report, limit=limit, **asked)
        found = []
        for _ in range(len(whole)):
            page = read_page(store.page, query)
            found += page.aggregates
            if page.next is None:
                break
            query = msgspec.structs.replace(query, after=page.next)
        assert found == whole
