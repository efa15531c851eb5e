"""What every store promises, over the oracle, SQLite and DynamoDB Local. The obligations stand in tillroll.ports."""

from __future__ import annotations

import json
import random
import threading
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.batches import batch_of
from tests.oracle import REPORTS, Oracle, counted, events_of

from tillroll.core.accept import Rejection
from tillroll.core.batch import UNNAMED, BatchBuilder, Event, NameKind, Source
from tillroll.core.decode import Reason
from tillroll.core.outcome_counts import OutcomeCounts
from tillroll.core.query import Aggregate, Query
from tillroll.core.rejection import Capacity, RejectedFilter
from tillroll.core.report import FIVE
from tillroll.errors import StoreError
from tillroll.ingest import correction
from tillroll.ports import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.contract.conftest import Bench

    from tillroll.core.batch import Batch
    from tillroll.ports import Store

NOON = 1_322_913_600  # 2011-12-03T12:00:00Z
KEY = Source(NameKind.KEY, "checkout-7")
PURCHASE = Event(NOON, 0, 42_85, 2, "1bb53ed1-787b-4543-9def-ea18eef7902e")
NEW, REPEAT, CONFLICT = Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.CONFLICT


def purchases(count: int, *, seed: int = 0, days: int = 2, merchants: int = 6) -> list[Event]:
    """Return different purchases spread over some days."""
    chance = random.Random(seed)
    shops = [f"Shop {number}" for number in range(merchants)]
    return [
        Event(
            NOON + chance.randrange(days * 86_400),
            chance.choice([0, 0, 5, 999_999_999]),
            chance.choice([0, 9_99, 10_00, 49_99, 50_00, 99_99, 100_00, 500_00, 500_01, 10**12]),
            chance.randrange(3),
            chance.choice(shops),
            f"id-{number}" if number % 3 == 0 else "",
        )
        for number in range(count)
    ]


def check(store: Store, events: Sequence[Event]) -> None:
    """Fold, and see that every report shows exactly these events."""
    store.fold()
    expected = counted(events)
    assert events_of(store.get(list(expected))) == expected
    shown: dict[str, int] = {}
    for report in REPORTS:
        shown |= events_of(store.page(Query(report=report, limit=10_000)).aggregates)
    assert shown == expected


def test_new_events_are_accepted_and_counted_in_every_report(store: Store) -> None:
    events = purchases(40)
    assert store.journal(batch_of(events, KEY)) == bytes([NEW] * 40)
    check(store, events)


def test_repeat_of_a_batch_changes_nothing(store: Store) -> None:
    events = purchases(20)
    store.journal(batch_of(events, KEY))
    store.fold()
    assert store.journal(batch_of(events, KEY)) == bytes([REPEAT] * 20)
    check(store, events)


def test_repeats_inside_a_batch_are_found(store: Store) -> None:
    named = msgspec.structs.replace(PURCHASE, id="purchase-1")
    other = msgspec.structs.replace(named, amount=1)
    assert store.journal(batch_of([named, named, other, PURCHASE], KEY)) == bytes([NEW, REPEAT, CONFLICT, NEW])
    check(store, [named, PURCHASE])


def test_same_identity_with_other_content_is_a_conflict_that_changes_nothing(store: Store) -> None:
    store.journal(batch_of([PURCHASE], KEY))
    for change in ({"amount": 1}, {"method": 0}, {"merchant": "another"}):
        assert store.journal(batch_of([msgspec.structs.replace(PURCHASE, **change)], KEY)) == bytes([CONFLICT])
    check(store, [PURCHASE])


def test_an_own_id_names_an_event_whatever_carried_it(store: Store) -> None:
    named = msgspec.structs.replace(PURCHASE, id="purchase-1")
    carriers = [KEY, UNNAMED, Source(NameKind.MESSAGE, "m-1"), Source(NameKind.FILE, "november.ndjson")]
    outcomes = [store.journal(batch_of([named], carrier, position)) for position, carrier in enumerate(carriers)]
    assert outcomes == [bytes([NEW]), *[bytes([REPEAT])] * 3]
    check(store, [named])


def test_kinds_of_name_do_not_mix(store: Store) -> None:
    kinds = (NameKind.KEY, NameKind.MESSAGE, NameKind.FILE)
    events = [msgspec.structs.replace(PURCHASE, id="same"), *[PURCHASE] * 3]
    outcomes = [store.journal(batch_of(events[:1]))]
    outcomes += [store.journal(batch_of([PURCHASE], Source(kind, "same"))) for kind in kinds]
    assert outcomes == [bytes([NEW])] * 4
    check(store, events)


def test_position_and_instant_are_part_of_an_identity(store: Store) -> None:
    later = msgspec.structs.replace(PURCHASE, nanos=1)
    other_day = msgspec.structs.replace(PURCHASE, seconds=NOON + 86_400)
    for event in (PURCHASE, later, other_day):
        assert store.journal(batch_of([event], KEY, 0)) == bytes([NEW])
        assert store.journal(batch_of([event], KEY, 1)) == bytes([NEW])
    check(store, [PURCHASE, later, other_day] * 2)


def test_an_event_that_nothing_names_is_always_new(store: Store) -> None:
    assert store.journal(batch_of([PURCHASE, PURCHASE])) == bytes([NEW, NEW])
    assert store.journal(batch_of([PURCHASE])) == bytes([NEW])
    check(store, [PURCHASE] * 3)


def test_a_repeat_is_recognised_at_any_age_and_after_any_fold(store: Store, bench: Bench) -> None:
    old = msgspec.structs.replace(PURCHASE, seconds=-1_000_000_000)
    store.journal(batch_of([old], KEY))
    for day in range(3):
        store.journal(batch_of([msgspec.structs.replace(PURCHASE, seconds=NOON + day * 86_400)], KEY))
        store.fold()
    assert bench.open().journal(batch_of([old], KEY)) == bytes([REPEAT])


def test_repeats_in_other_batches_are_recognised(store: Store) -> None:
    events = purchases(30)
    store.journal(batch_of(events[:10], KEY, 0))
    store.journal(batch_of(events[20:], KEY, 20))
    mixed = store.journal(batch_of(events, KEY, 0))
    assert mixed == bytes([REPEAT] * 10 + [NEW] * 10 + [REPEAT] * 10)
    check(store, events)


def test_a_batch_of_many_sources_gets_outcomes_in_its_order(store: Store) -> None:
    builder = BatchBuilder()
    store.journal(batch_of([PURCHASE], Source(NameKind.MESSAGE, "m-3")))
    for number in range(6):
        builder.add(PURCHASE, Source(NameKind.MESSAGE, f"m-{number}"), 0)
    assert store.journal(builder.build()) == bytes([NEW, NEW, NEW, REPEAT, NEW, NEW])
    check(store, [PURCHASE] * 6)


def test_a_batch_over_many_minutes_is_journaled_whole(store: Store) -> None:
    events = [Event(NOON + 60 * minute, 0, 10_00, 0, "Shop") for minute in range(200)]
    assert store.journal(batch_of(events, KEY)) == bytes([NEW] * 200)
    assert store.journal(batch_of(events, KEY)) == bytes([REPEAT] * 200)
    check(store, events)


def test_dates_at_the_ends_of_the_calendar_are_counted(store: Store) -> None:
    events = [Event(seconds, 0, 10_00, 0, "Shop") for seconds in (-62_135_596_800, -1, 0, 253_402_300_799)]
    assert store.journal(batch_of(events, KEY)) == bytes([NEW] * 4)
    check(store, events)


def test_names_of_any_printable_characters_are_kept_apart(store: Store) -> None:
    names = ["Ünïcode", "ünïcode", "a b", '"quoted"', "back\\slash", "日本", "🛒", "'; DROP TABLE", "#fold", "x" * 128]
    events = [msgspec.structs.replace(PURCHASE, merchant=name) for name in names]
    store.journal(batch_of(events, Source(NameKind.KEY, "Schlüssel 🔑")))
    check(store, events)


def test_workers_at_once_count_everything_once(real_bench: Bench) -> None:
    events = purchases(60, days=1)
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        store = real_bench.open()
        starts = list(range(0, 60, 10))
        random.Random(seed).shuffle(starts)
        try:
            for start in starts:
                store.journal(batch_of(events[start : start + 10], KEY, start))
                store.fold()
        except BaseException as error:  # noqa: BLE001 shown by the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    check(real_bench.open(), events)
    assert real_bench.open().audit().differences == []


def test_fold_again_changes_nothing(store: Store, bench: Bench) -> None:
    events = purchases(10)
    store.journal(batch_of(events, KEY))
    position = store.fold()
    assert store.fold() == position
    assert bench.open().fold() == position
    check(store, events)


def test_fold_of_an_empty_journal_is_position_0(store: Store) -> None:
    assert store.fold() == 0
    assert store.page(Query(report=FIVE[0])).aggregates == []
    assert store.get(["<10|PAY_NOW"]) == [Aggregate("<10|PAY_NOW", 0)]


def test_positions_only_grow(store: Store) -> None:
    seen = []
    for event in purchases(4):
        store.journal(batch_of([event]))
        seen.append((store.status().journal_position, store.fold()))
    for (journaled, folded), (journaled_later, folded_later) in pairwise(seen):
        assert journaled < journaled_later
        assert folded < folded_later


def test_what_is_not_folded_is_not_told_as_folded_and_what_is_told_as_visible_is_in_the_reports(store: Store) -> None:
    store.journal(batch_of(purchases(5)))
    store.fold()
    folded = store.status().folded_position
    store.journal(batch_of(purchases(6)[5:]))
    status = store.status()
    assert status.folded_position == folded < status.journal_position
    shown = sum(row.events for row in store.page(Query(report=REPORTS["bracket-method"])).aggregates)
    assert shown == (6 if status.visible_position == status.journal_position else 5)


def test_status_tells_where_the_store_stands(store: Store) -> None:
    empty = store.status()
    assert (empty.journal_position, empty.folded_position, empty.folded_at, empty.unfolded_since) == (0, 0, None, None)
    store.journal(batch_of(purchases(5)))
    store.fold()
    status = store.status()
    assert status.events in {5, None}
    assert status.journal_position == status.folded_position == status.visible_position > 0
    assert status.folded_at is not None
    assert status.unfolded_since is None
    assert status.rejected == 0


# Pages.


@pytest.fixture
def filled(bench: Bench) -> tuple[Store, Oracle]:
    store, oracle = bench.open(), Oracle()
    batch = batch_of(purchases(120, seed=3, days=3), KEY)
    for each in (store, oracle):
        each.journal(batch)
        each.fold()
    return store, oracle


def test_pages_are_what_the_oracle_answers(filled: tuple[Store, Oracle]) -> None:
    store, oracle = filled
    hour, day = NOON // 3_600, NOON // 86_400
    merchant: dict[str, frozenset[str]] = {"merchant": frozenset({"Shop 1", "Shop 4", "nobody"})}
    bracket: dict[str, frozenset[str]] = {"bracket": frozenset({"<10", ">500"})}
    method: dict[str, frozenset[str]] = {"method": frozenset({"PAY_LATER"})}
    by_name = REPORTS
    orders = ("datapoint", "-events", "-amount")
    queries = [Query(report=report, order=order) for report in REPORTS for order in orders]  # type: ignore[arg-type]
    queries += [
        Query(report=by_name["hour-bracket"], start=hour + 3, stop=hour + 20),
        Query(report=by_name["hour-bracket"], start=hour + 20, filters=bracket, by=("day", "bracket")),
        Query(report=by_name["hour-bracket-method"], stop=hour + 30, filters=bracket | method),
        Query(report=by_name["hour-bracket-method"], by=("method",), order="-events"),
        Query(report=by_name["hour-bracket-method"], by=("method", "day")),
        Query(report=by_name["bracket-method"], filters=method),
        Query(report=by_name["day-merchant"], start=day + 1, stop=day + 2),
        Query(report=by_name["day-merchant"], filters=merchant, by=("merchant",)),
        Query(report=by_name["merchant-method"], filters=merchant | method),
        Query(report=by_name["hour-bracket"], start=hour + 5, stop=hour + 5),
        Query(report=by_name["day-merchant"], start=-(10**7), stop=10**7),
    ]
    for query in queries:
        assert store.page(query) == oracle.page(query), query


SHOP_1: dict[str, frozenset[str]] = {"merchant": frozenset({"Shop 1"})}
OUTER: dict[str, frozenset[str]] = {"bracket": frozenset({"<10", ">500"})}
JOINED = [
    Query(report=REPORTS["merchant-method"], order="datapoint"),
    Query(report=REPORTS["merchant-method"], order="-events"),
    Query(report=REPORTS["merchant-method"], order="-amount"),
    Query(report=REPORTS["day-merchant"], start=NOON // 86_400 + 1, filters={"merchant": frozenset({"Shop 1"})}),
    Query(report=REPORTS["hour-bracket"], stop=NOON // 3_600 + 30, filters={"bracket": frozenset({"<10", ">500"})}),
    Query(report=REPORTS["hour-bracket"], by=("bracket",)),
]


@pytest.mark.parametrize("whole", JOINED)
def test_pages_join_to_the_whole_answer(filled: tuple[Store, Oracle], whole: Query) -> None:
    store, oracle = filled
    expected = oracle.page(whole)
    found = []
    query = msgspec.structs.replace(whole, limit=3)
    while True:
        page = store.page(query)
        assert page.totals == (expected.totals if query.totals else None)
        found += page.aggregates
        if page.next is None:
            break
        query = msgspec.structs.replace(query, after=page.next, totals=False)
    assert found == expected.aggregates
    assert store.page(msgspec.structs.replace(whole, totals=False)).aggregates == expected.aggregates


def test_get_answers_in_the_order_asked(filled: tuple[Store, Oracle]) -> None:
    store, oracle = filled
    asked = ["Shop 1|PAY_NOW", "2011-12-03|Shop 2", "1999-01-01|Shop 2", "Shop 1|PAY_NOW", "<10|SLICE_IT"]
    assert store.get(asked, amounts=True) == oracle.get(asked, amounts=True)
    assert [each.events for each in store.get(asked)] == [each.events for each in oracle.get(asked)]
    assert store.get([]) == []


def test_merchants_are_found_by_any_part_of_their_name(store: Store) -> None:
    names = ["Backwaren", "bäckerei", "Ackermann", "Zubehack", "Straße", "STRASSE 2"]
    store.journal(batch_of([msgspec.structs.replace(PURCHASE, merchant=name) for name in names], KEY))
    store.fold()
    assert store.merchants("ACK", 10) == ["Ackermann", "Backwaren", "Zubehack"]
    assert store.merchants("ack", 2) == ["Ackermann", "Backwaren"]
    assert store.merchants("strasse", 10) == ["STRASSE 2", "Straße"]
    assert store.merchants("nobody", 10) == []
    assert len(store.merchants("", 10)) == 6


# Rejected events.


def rejection(position: int, body: bytes = b"{}", source: Source = KEY) -> Rejection:
    return Rejection(source, position, body, Reason("missing_field", "date", "date is missing"), 7 * position)


def test_rejections_are_kept_byte_for_byte_and_listed_oldest_first(store: Store) -> None:
    bodies = [b"", b"\xff\x00\n", b"x" * 1_048_576, "ü".encode()]
    given = [rejection(position, body) for position, body in enumerate(bodies)]
    store.set_aside(given[:2], 1_000.5)
    store.set_aside(given[2:], 2_000.25)
    kept = store.rejected()
    assert [each.rejection for each in kept] == given
    assert [each.received_at for each in kept] == [1_000.5, 1_000.5, 2_000.25, 2_000.25]
    assert store.status().rejected == 4
    for each in kept:
        assert store.find_rejected(each.id) == each


def test_rejections_are_listed_in_pages(store: Store) -> None:
    store.set_aside([rejection(position) for position in range(7)], 5.0)
    whole = store.rejected()
    found = []
    after = None
    while page := store.rejected(after=after, limit=3):
        found += page
        after = page[-1].id
    assert found == whole
    assert len(whole) == 7


def test_a_page_of_rejections_ends_by_their_bytes_as_well(store: Store) -> None:
    sizes = [15, 15, 15, 1, 31]
    given = [rejection(position, b"%d" % position + b" " * (size << 20)) for position, size in enumerate(sizes)]
    for each in given:
        store.set_aside([each], 5.0 + each.position)
    pages: list[list[int]] = []
    after = None
    while page := store.rejected(after=after):
        pages.append([kept.rejection.position for kept in page])
        after = page[-1].id
    assert pages == [[0, 1], [2, 3], [4]]


def test_the_same_bytes_at_the_same_place_of_a_named_source_are_kept_once(store: Store) -> None:
    for now in (1.0, 2.0):
        store.set_aside([rejection(0), rejection(0), rejection(1), rejection(0, b"other")], now)
    assert [each.received_at for each in store.rejected()] == [1.0, 1.0, 1.0]


def test_rejections_of_an_unnamed_source_are_all_kept(store: Store) -> None:
    store.set_aside([rejection(0, source=UNNAMED)], 1.0)
    store.set_aside([rejection(0, source=UNNAMED)], 2.0)
    assert len(store.rejected()) == 2


def test_a_settled_rejection_is_forgotten(store: Store) -> None:
    store.set_aside([rejection(position) for position in range(3)], 1.0)
    kept = store.rejected()
    store.discard([kept[1].id])
    store.discard([kept[1].id, "unknown"])
    assert store.rejected() == [kept[0], kept[2]]
    assert store.find_rejected(kept[1].id) is None
    store.discard([each.id for each in kept])
    assert store.rejected() == []
    assert store.find_rejected("unknown") is None


def test_a_page_goes_on_after_what_was_settled_meanwhile(store: Store) -> None:
    store.set_aside([rejection(position, source=UNNAMED) for position in range(4)], 1.0)
    kept = store.rejected()
    store.discard([each.id for each in kept[:2]])
    assert store.rejected(after=kept[1].id) == kept[2:]
    store.discard([each.id for each in kept[2:]])
    assert store.rejected(after=kept[3].id) == []


@pytest.mark.parametrize("settled", [(0, 1, 2), (1,)])
def test_a_repeat_of_what_was_settled_is_known(store: Store, settled: tuple[int, ...]) -> None:
    given = [rejection(position, b"no event") for position in range(3)]
    store.set_aside(given, 1.0)
    kept = store.rejected()
    store.discard([kept[index].id for index in settled])
    left = store.rejected()
    store.set_aside(given, 2.0)
    store.set_aside(given[1:2], 3.0)
    assert store.rejected() == left
    store.set_aside([rejection(1, b"another")], 4.0)
    assert [each.rejection.body for each in store.rejected()[len(left) :]] == [b"another"]


def test_rejections_of_many_sources_are_listed_in_the_order_they_came(store: Store) -> None:
    sources = [KEY, UNNAMED, Source(NameKind.FILE, "a"), KEY, Source(NameKind.KEY, "other"), UNNAMED]
    given = [rejection(position, source=source) for position, source in enumerate(sources * 30)]
    store.set_aside(given, 1.0)
    assert [each.rejection for each in store.rejected(limit=1_000)] == given
    assert len({each.id for each in store.rejected(limit=1_000)}) == 180


def test_many_rejections_are_kept_and_found_one_by_one(store: Store) -> None:
    given = [rejection(position, b"%d" % (position % 7)) for position in range(3_000)]
    assert store.set_aside(given, 1.0) == 3_000
    assert store.set_aside(given[1_000:], 2.0) == 2_000
    kept = store.rejected(limit=20_000)
    assert [each.rejection for each in kept] == given
    assert store.find_rejected(kept[2_222].id) == kept[2_222]
    store.discard([each.id for each in kept[::2]])
    assert store.rejected(limit=20_000) == kept[1::2]
    assert store.status().rejected == 1_500


def test_a_rejection_as_large_as_a_body_is_kept(store: Store) -> None:
    body = random.Random(4).randbytes(7 * 2**20)
    store.set_aside([rejection(0), rejection(1, body), rejection(2)], 1.0)
    kept = store.rejected()
    assert [each.rejection.body for each in kept] == [b"{}", body, b"{}"]
    store.discard([kept[1].id])
    assert store.rejected() == [kept[0], kept[2]]


def of_code(position: int, code: str, source: Source) -> Rejection:
    return Rejection(source, position, b"[%d]" % position, Reason(code, None, "no"))  # type: ignore[arg-type]


def test_rejections_are_counted_and_listed_by_reason_and_source(store: Store) -> None:
    till = Source(NameKind.FILE, "till")
    codes = ["not_json", "invalid_date", "not_json", "invalid_amount"]
    store.set_aside([of_code(position, code, KEY) for position, code in enumerate(codes)], 1.0)
    store.set_aside([of_code(position, "not_json", till) for position in range(3)], 2.0)
    store.set_aside([of_code(0, "invalid_date", UNNAMED)], 3.0)
    found = store.rejected_summary()
    assert (found.rejected, found.sources_total) == (8, 3)
    assert list(found.codes.items()) == [("not_json", 5), ("invalid_date", 2), ("invalid_amount", 1)]
    assert [(each.kind, each.value, each.rejected) for each in found.sources] == [
        ("key", "checkout-7", 4),
        ("file", "till", 3),
        ("none", "", 1),
    ]
    assert found.sources[0].codes == {"not_json": 2, "invalid_amount": 1, "invalid_date": 1}

    def places(code: str | None, *sources: str) -> list[tuple[str, int]]:
        which = RejectedFilter(code, sources)
        one_by_one = []
        after = None
        while page := store.rejected(after=after, limit=1, which=which):
            one_by_one += page
            after = page[-1].id
        assert store.rejected(which=which) == one_by_one
        return [(each.rejection.source.value, each.rejection.position) for each in one_by_one]

    assert places("not_json") == [("checkout-7", 0), ("checkout-7", 2), ("till", 0), ("till", 1), ("till", 2)]
    assert places(None, "till") == [("till", 0), ("till", 1), ("till", 2)]
    assert places("invalid_date", "checkout-7", "nowhere") == [("checkout-7", 1)]
    assert places("invalid_date", "till") == places("no_such") == []
    store.discard([each.id for each in store.rejected(which=RejectedFilter("not_json"))])
    assert store.rejected_summary().codes == {"invalid_date": 2, "invalid_amount": 1}


def test_a_reason_that_has_passed_is_taken_again_in_bulk(store: Store) -> None:
    def line(day: str, amount: int) -> bytes:
        return b'{"date":"%sT00:00:00Z","amount":%d,"paymentMethod":"PAY_NOW","merchantId":"m"}' % (
            day.encode(),
            amount,
        )

    future = Reason("future_date", "date", "more than a day ahead")
    till = Source(NameKind.FILE, "till")
    given = [Rejection(KEY, at, line("2023-11-16", at), future) for at in range(1_500)]
    given += [Rejection(UNNAMED, at, line("2023-11-16", 5), future) for at in range(2)]
    given += [Rejection(till, 0, line("2023-12-24", 1), future), Rejection(till, 1, b"no event", future)]
    store.set_aside(given, 1.0)
    counted_first = batch_of([Event(1_700_092_800, 0, 7, 0, "m")], KEY, 7)
    assert store.journal(counted_first) == bytes([NEW])
    assert store.journal(batch_of([Event(1_700_092_800, 0, 1, 0, "m")], KEY, 8)) == bytes([NEW])
    which = RejectedFilter("future_date")
    assert correction.retry_some(store, which, None, 1_700_000_000.0 - 1e6).counts.rejected == 1_000

    def all_of(now_s: float) -> OutcomeCounts:
        part = correction.retry_some(store, which, None, now_s)
        total = part.counts
        while part.after is not None:
            part = correction.retry_some(store, which, part.after, now_s)
            total += part.counts
        return total

    # Beside a repeat: a conflict, the day to come, and no event.
    assert all_of(1_700_100_000.0) == OutcomeCounts(1_500, 1, rejected=3)
    assert {(each.rejection.source, each.rejection.position) for each in store.rejected()} == {
        (KEY, 8),
        (till, 0),
        (till, 1),
    }
    assert all_of(1_700_100_000.0) == OutcomeCounts(rejected=3)
    store.fold()
    assert store.get(["<10|PAY_NOW"])[0].events == 1_002


def test_what_there_is_no_room_for_is_told_and_room_is_made_by_settling(bench: Bench) -> None:
    store = bench.open(Capacity(3, 2**30))
    assert store.set_aside([rejection(0), rejection(1)], 1.0) == 2
    other = Source(NameKind.KEY, "other")
    given = [rejection(2), rejection(0, source=other), rejection(1, source=other)]
    assert store.set_aside(given, 2.0) == 1
    assert store.status().rejected_full
    assert [each.rejection.position for each in store.rejected()] == [0, 1, 2]
    assert store.set_aside([rejection(1), rejection(0)], 3.0) == 2  # what is kept needs no room
    some = [each.id for each in store.rejected()]
    store.discard(["fffff-0"])  # there is no such
    assert store.status().rejected_full
    store.discard(some)
    store.discard(some)
    assert not store.status().rejected_full
    assert store.set_aside(given, 4.0) == 3
    assert store.status().rejected == 2


# Proof.


def test_audit_of_a_right_store_finds_nothing(filled: tuple[Store, Oracle]) -> None:
    store, oracle = filled
    seen: list[tuple[int, int]] = []
    audit = store.audit(progress=lambda done, of: seen.append((done, of)))
    assert (audit.differences, audit.differences_total, audit.events) == ([], 0, 120)
    assert audit.datapoints == len(oracle.aggregates)
    assert seen
    assert seen[-1][0] == 120


def test_audit_of_an_empty_store_finds_nothing(store: Store) -> None:
    audit = store.audit()
    assert (audit.events, audit.datapoints, audit.differences) == (0, 0, [])


def test_audit_names_a_changed_aggregate_and_repairs_it(filled: tuple[Store, Oracle], bench: Bench) -> None:
    store, oracle = filled
    datapoint = "10-50|PAY_NOW"
    right = oracle.aggregates[datapoint]
    bench.add(datapoint, 5)
    found = store.audit()
    (difference,) = found.differences
    assert (difference.kind, difference.subject) == ("aggregate", datapoint)
    assert (difference.stored, difference.recounted, found.differences_total) == (right + 5, right, 1)
    assert store.audit(repair=True).differences_total == 1
    assert store.audit().differences == []
    assert store.get([datapoint])[0].events == right


def test_audit_since_a_day_leaves_out_what_is_before(filled: tuple[Store, Oracle], bench: Bench) -> None:
    store, oracle = filled
    bench.add("10-50|PAY_NOW", 5)
    day = NOON // 86_400 + 1
    audit = store.audit(since=day)
    assert audit.differences == []
    assert audit.datapoints == oracle.audit(since=day).datapoints


def test_audit_names_a_lost_chunk(real_bench: Bench) -> None:
    store = real_bench.open()
    for event in purchases(3):
        store.journal(batch_of([event]))
    store.fold()
    real_bench.lose_chunk()
    assert "chunk" in {difference.kind for difference in real_bench.open().audit().differences}


def test_audit_names_a_flipped_bit(real_bench: Bench) -> None:
    store = real_bench.open()
    for event in purchases(3):
        store.journal(batch_of([event]))
    store.fold()
    real_bench.flip_bit()
    assert "chunk" in {difference.kind for difference in real_bench.open().audit().differences}


def test_a_fold_over_a_damaged_chunk_refuses_rather_than_miscounts(real_bench: Bench) -> None:
    store = real_bench.open()
    store.journal(batch_of(purchases(5, days=1), KEY))
    real_bench.flip_bit()
    with pytest.raises(StoreError, match=r"(?i)damaged.*audit"):
        real_bench.open().fold()


def test_rebuild_comes_out_the_same(filled: tuple[Store, Oracle], bench: Bench) -> None:
    store, oracle = filled
    bench.add("10-50|PAY_NOW", 5)
    seen: list[tuple[int, int]] = []
    assert store.rebuild(lambda done, of: seen.append((done, of))) == 120
    assert seen
    check(store, oracle.events())
    assert store.audit().differences == []


def test_rebuild_of_an_empty_store_counts_nothing(store: Store) -> None:
    assert store.rebuild() == 0


def test_trace_yields_the_events_behind_a_number(filled: tuple[Store, Oracle]) -> None:
    store, oracle = filled
    late = msgspec.structs.replace(PURCHASE, merchant="Shop 1", id="late")
    for each in (store, oracle):
        each.journal(batch_of([late]))
    for datapoint in ("2011-12-03|Shop 1", "Shop 1|SLICE_IT", "10-50|SLICE_IT", "2011-12-03:12|10-50"):
        found = list(store.trace(datapoint))
        expected = list(oracle.trace(datapoint))
        assert sorted(json.dumps(json.loads(x.event)) for x in found) == sorted(
            json.dumps(json.loads(x.event)) for x in expected
        )
        assert "id late" in {x.name for x in found}
        assert {x.folded for x in found} == {x.folded for x in expected}
        for after in (1, 2, len(found) - 1, len(found), len(found) + 1):
            assert list(store.trace(datapoint, after)) == found[after:]
    assert list(store.trace("no such datapoint")) == []
    assert list(store.trace("1999-01-01|Shop 1")) == []


@pytest.mark.parametrize("seed", range(4))
def test_random_batches_have_the_oracle_s_outcomes_and_counts(bench: Bench, seed: int) -> None:
    chance = random.Random(seed)
    store, oracle = bench.open(), Oracle()
    pool = purchases(30, seed=seed, days=1, merchants=3)
    for _ in range(8):
        batch = random_batch(chance, pool)
        assert store.journal(batch) == oracle.journal(batch)
        if chance.random() < 0.4:
            store.fold()
        if chance.random() < 0.2:
            store = bench.open()
    check(store, oracle.events())
    assert store.audit().differences == []


def random_batch(chance: random.Random, pool: Sequence[Event]) -> Batch:
    builder = BatchBuilder()
    for _ in range(chance.randrange(1, 4)):
        source = chance.choice([UNNAMED, KEY, Source(NameKind.MESSAGE, "m"), Source(NameKind.FILE, "f")])
        for position in sorted(chance.sample(range(30), chance.randrange(1, 8))):
            event = pool[position]
            if chance.random() < 0.1:
                event = msgspec.structs.replace(event, amount=7)
            builder.add(event, source, position)
    return builder.build()
