"""What fields events bring: counted by name and type in bounds, and distinct values to some percents."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from tillroll.core.batch import UNNAMED, BatchBuilder, Event
from tillroll.core.field_tally import NAMES_MAX, FieldTally, KeptTally, shown_fields
from tillroll.ingest.field_watch import FieldWatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tillroll.ports import JournalPart

EVENT = Event(1_322_907_330, 0, 4_285, 2, "m")


class Notes:
    def __init__(self) -> None:
        self.tally = FieldTally()

    def note_fields(self, tally: FieldTally) -> None:
        self.tally.add(tally)


def test_fields_are_counted_by_name_and_type_whatever_is_in_them() -> None:
    tally = FieldTally()
    for text in (b'{"a":1,"b":"x"}', b'{"a":null,"date":"d"}', b'{"a":"\\ud800"}', b"[1]", b"nope", b'{"a":1e400}'):
        tally.look(text)
    assert tally.looked_at >= 3
    assert set(tally.fields) == {"a", "b"}
    assert tally.fields["b"] == {"text": 1}


def test_an_object_is_not_kept_only_where_none_of_its_fields_is_listed_or_it_is_sometimes_no_object() -> None:
    tally = FieldTally()
    tally.look(b'{"a":{"b":{"c":1,"d":2}},"ab":{"e":1},"a.b":{"c":1},"x":{"y":1},"n":{"m":1}}')
    tally.look(b'{"x":"text","n":null}')
    shown = shown_fields(tally, KeptTally(), ["a.b.c", "x.y", '"n.m"'])
    assert {row["name"]: row["types"] for row in shown["not_kept"]} == {
        "a.b.d": {"number": 1},
        "ab": {"object": 1},
        "ab.e": {"number": 1},
        '"a.b"': {"object": 1},
        '"a.b".c': {"number": 1},
        "x": {"object": 1, "text": 1},
        "n": {"null": 1, "object": 1},
        "n.m": {"number": 1},
    }


def test_an_event_of_ten_thousand_fields_stays_in_bounds() -> None:
    tally = FieldTally()
    tally.look(json.dumps({f"f{number}": number for number in range(10_000)}).encode())
    tally.look(b"{" + b'"a":{' * 500 + b"}" * 501)
    assert len(tally.fields) == NAMES_MAX
    assert tally.others >= 9_000


def test_distinct_values_are_exact_when_few_and_right_to_some_percents_when_many() -> None:
    kept = KeptTally()
    for start in range(0, 100_000, 10_000):
        builder = BatchBuilder(["few", "many"])
        for number in range(start, start + 10_000):
            builder.add(EVENT, UNNAMED, number, [f"v{number % 4_000}", f"v{number}"])
        kept.add(builder.build())
    few, many = kept.plain(["few", "many"])
    assert (few["distinct"], few["distinct_is_exact"]) == (4_000, True)
    assert not many["distinct_is_exact"]
    assert abs(many["distinct"] - 100_000) < 8_000


def test_a_long_body_costs_a_part_of_it_and_samples_end_with_their_budget() -> None:
    notes = Notes()
    watch = FieldWatch(store=notes)
    lines = b"".join(b'{"amount":%d,"country":"SE"}\n' % number for number in range(200_000))
    array = b"[" + b",".join(lines.split(b"\n")[:-1]) + b"]"
    watch.look([lines, array, lines])
    watch.flush()
    assert 500 <= notes.tally.looked_at <= 1_100
    assert notes.tally.fields == {"country": {"text": notes.tally.looked_at}}


class SlowJournal:
    """A store whose journal takes long to read."""

    def __init__(self) -> None:
        self.reading = threading.Event()
        self.read_on = threading.Event()

    def note_fields(self, tally: FieldTally) -> None:
        """Forget it."""

    def noted_fields(self) -> FieldTally:
        return FieldTally()

    def read(self, after: int) -> Iterator[JournalPart]:
        del after
        self.reading.set()
        assert self.read_on.wait(30)
        return iter(())


def test_no_commit_waits_for_who_reads_of_all_the_journal_which_fields_it_has() -> None:
    store: Any = SlowJournal()
    watch = FieldWatch(store=store)
    reader = threading.Thread(target=watch.shown, args=(store,))
    reader.start()
    committer = threading.Thread(target=watch.look, args=([b'{"amount":1,"country":"SE"}'],))
    try:
        assert store.reading.wait(30)
        committer.start()
        committer.join(10)
        waited = committer.is_alive()
    finally:
        store.read_on.set()
        reader.join()
        committer.join()
    assert not waited
