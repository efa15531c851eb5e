"""Export: events as rows, with the name by which a repeat is known, and which are chosen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.batches import batch_of

from tillroll.core.batch import UNNAMED, BatchBuilder, Event, NameKind, Source
from tillroll.core.export import ALL_EVENTS, Chosen, by_day, csv, csv_head, named, ndjson
from tillroll.core.named import name_in, source_of
from tillroll.errors import FieldsError

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY_S = 86_400
KEY = Source(NameKind.KEY, "k")
EVENTS = [Event(0, 500_000_000, 1, 0, 'a"b', "own"), Event(DAY_S, 0, 2, 2, "n"), Event(1, 0, 3, 1, "n")]


def lines(pieces: Iterator[bytes]) -> list[dict[str, object]]:
    return [json.loads(line) for line in b"".join(pieces).splitlines()]


def test_a_row_has_the_event_and_its_name() -> None:
    first, second, _ = lines(ndjson(batch_of(EVENTS, KEY, 4)))
    contract = {"date": "1970-01-01T00:00:00.5Z", "amount": 1, "paymentMethod": "PAY_NOW", "merchantId": 'a"b'}
    assert first == {**contract, "id": "own", "_name": "id:own"}
    assert (second["date"], second["amount"], second["_name"]) == ("1970-01-02T00:00:00Z", 2, "key:5:k")
    assert not second.get("id")


@pytest.mark.parametrize("kind", [NameKind.KEY, NameKind.MESSAGE, NameKind.FILE])
def test_a_name_says_the_source_and_the_position_again(kind: NameKind) -> None:
    source = Source(kind, "a:b|ü")
    (line,) = ndjson(batch_of(EVENTS[1:2], source, 7))
    name = name_in(line)
    assert isinstance(name, str)
    assert source_of(name, "") == (source, 7)


def test_what_nothing_names_is_named_by_its_place_in_the_journal() -> None:
    found = lines(ndjson(named(batch_of(EVENTS[1:], UNNAMED), "token", 40)))
    assert [each["_name"] for each in found] == ["file:40:journal:token", "file:41:journal:token"]
    kept = batch_of(EVENTS, KEY)
    assert named(kept, "token", 40) is kept


def test_csv_has_a_column_for_each_field_and_refuses_to_lose_one() -> None:
    builder = BatchBuilder(["country"])
    builder.add(EVENTS[0], KEY, 0, ["SE"])
    batch = builder.build()
    assert csv_head(["country"]) == b"date,amount,paymentMethod,merchantId,id,country,_name\r\n"
    assert b"".join(csv(batch, ["country"])) == b'1970-01-01T00:00:00.5Z,1,PAY_NOW,"a""b",own,SE,id:own\r\n'
    with pytest.raises(FieldsError):
        csv(batch)


def test_events_are_chosen_by_a_half_open_range_and_by_merchant() -> None:
    batch = batch_of(EVENTS)
    assert list(Chosen(1, DAY_S).of(batch).events()) == [EVENTS[2]]
    assert list(Chosen(merchants=frozenset({"n"})).of(batch).events()) == EVENTS[1:]
    assert ALL_EVENTS.of(batch) is batch
    assert Chosen(1, DAY_S).may_hold(DAY_S - 1, 2 * DAY_S)
    assert not Chosen(1, DAY_S).may_hold(DAY_S, 2 * DAY_S)


def test_events_are_parted_by_day_in_their_order() -> None:
    assert {day: list(some.events()) for day, some in by_day(batch_of(EVENTS)).items()} == {
        0: [EVENTS[0], EVENTS[2]],
        1: [EVENTS[1]],
    }
    assert by_day(batch_of([])) == {}
