"""Corrections of rejected events: under which names what they hold is counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tillroll.core.accept import Body, Rejection
from tillroll.core.batch import UNNAMED, NameKind, Source
from tillroll.core.decode import Reason
from tillroll.core.outcome_counts import OutcomeCounts
from tillroll.core.rejection import RejectedFilter
from tillroll.ingest import correction
from tillroll.ingest.take import take
from tillroll.ports import Outcome
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW_S = 2e9
KEY = Source(NameKind.KEY, "key")
NO = Reason("not_json", None, "no")


def event(amount: int) -> bytes:
    fields = {"date": "2011-12-03T10:15:30Z", "amount": amount, "paymentMethod": "SLICE_IT", "merchantId": "m"}
    return json.dumps(fields).encode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    found = SqliteStore(tmp_path)
    yield found
    found.close()


def keep(store: SqliteStore, rejection: Rejection) -> str:
    store.set_aside([rejection], NOW_S)
    (kept,) = store.rejected()
    assert kept.rejection == rejection
    return kept.id


def sent(store: SqliteStore, body: bytes, source: Source = KEY) -> tuple[int, int]:
    (receipt,) = take(store, [Body(body, source)], NOW_S, lambda _: 0)
    return receipt.accepted, receipt.duplicates


def test_an_array_that_release_0_1_0_kept_whole_is_taken_as_the_array_it_was(store: SqliteStore) -> None:
    body = b"[" + event(1) + b", " + event(2) + b"]"
    name = keep(store, Rejection(KEY, 0, body, NO))
    assert correction.retry(store, name, None, NOW_S) == (Outcome.ACCEPTED, None, OutcomeCounts(2))
    assert sent(store, body) == (0, 2)
    assert store.rejected() == []


def test_several_events_in_the_place_of_one_take_no_other_ones_name(store: SqliteStore) -> None:
    assert sent(store, b"\n".join([event(1), event(2), event(5)])) == (3, 0)
    name = keep(store, Rejection(KEY, 3, event(3) + event(5), NO, 300))
    corrected = correction.retry(store, name, event(3) + b"\n" + event(5), NOW_S)
    assert corrected == (Outcome.ACCEPTED, None, OutcomeCounts(2))
    assert sent(store, b"\n".join([event(1), event(2), event(5), event(3)])) == (0, 4)


@pytest.mark.parametrize("source", [KEY, UNNAMED])
def test_a_correction_that_is_repeated_after_a_crash_counts_nothing_twice(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, source: Source
) -> None:
    name = keep(store, Rejection(source, 1, b"oops", NO, 7))
    body = b"[" + event(3) + b"," + event(4) + b"]"

    def crash(_: object) -> None:
        raise OSError("the machine is gone")

    with monkeypatch.context() as patch:
        patch.setattr(store, "discard", crash)
        with pytest.raises(OSError, match="gone"):
            correction.retry(store, name, body, NOW_S)
    assert correction.retry(store, name, body, NOW_S) == (Outcome.DUPLICATE, None, OutcomeCounts(duplicates=2))


@pytest.mark.parametrize("body", [b"[]", b"", b" \n", b"[" + event(1) + b",]", event(1) + b"\noops"])
def test_a_correction_that_is_not_all_right_counts_nothing(store: SqliteStore, body: bytes) -> None:
    name = keep(store, Rejection(KEY, 0, b"oops", NO, 0))
    corrected = correction.retry(store, name, body, NOW_S)
    assert corrected.reason is not None
    assert (corrected.word, corrected.counts, store.status().events) == ("rejected", OutcomeCounts(rejected=1), 0)
    assert len(store.rejected()) == 1


def test_a_bulk_retry_takes_what_a_single_one_takes(store: SqliteStore) -> None:
    bodies = [
        b"[" + event(1) + b"," + event(2) + b"]",
        b"\xef\xbb\xbf" + event(3),
        event(4) + b"\n" + event(5),
        b"oops",
    ]
    for position, body in enumerate(bodies):
        store.set_aside([Rejection(KEY, 10 * position, body, NO, 0)], 0.0)
    assert correction.retry_some(store, RejectedFilter(), None, NOW_S) == (OutcomeCounts(5, rejected=1), None)
    assert [kept.rejection.body for kept in store.rejected()] == [b"oops"]


def test_a_correction_that_conflicts_says_how_many_of_the_others_were_counted(store: SqliteStore) -> None:
    assert sent(store, b"\n".join([event(1), event(2)])) == (2, 0)
    name = keep(store, Rejection(KEY, 1, b"oops", NO, 0))
    corrected = correction.retry(store, name, event(7) + b"\n" + event(8), NOW_S)
    assert corrected.outcome == Outcome.CONFLICT
    assert corrected.plain(name) == {"id": name, "outcome": "conflict", "accepted": 1, "duplicates": 0}
    assert len(store.rejected()) == 1
    others = correction.retry_some(store, RejectedFilter(), None, NOW_S)
    assert others.counts == OutcomeCounts(rejected=1)


@pytest.mark.parametrize("end", [b"\x0c", b"\x0b"])
def test_what_is_no_json_is_none_when_it_is_sent_again_either(store: SqliteStore, end: bytes) -> None:
    kept = keep(store, Rejection(KEY, 0, event(1) + end, NO))
    assert correction.retry_some(store, RejectedFilter(), None, NOW_S).counts.rejected == 1
    assert correction.retry(store, kept, None, NOW_S).outcome is None
