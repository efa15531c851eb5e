"""The fold: batches counted into reports, with conditions, sums and several open dimensions."""

from __future__ import annotations

from array import array
from typing import Any

from tests.batches import batch_of
from tests.counted import count_datapoints

from tillroll.core.batch import UNNAMED, BatchBuilder, Event
from tillroll.core.definition import define
from tillroll.core.fold import Counts, batch_codes, fold, indexes_behind
from tillroll.core.report import FIVE

HOUR_S = 3_600
BATCH = batch_of(
    [
        Event(0, 0, 999, 0, "m"),
        Event(HOUR_S, 0, 1_000, 1, "n"),
        Event(HOUR_S + 1, 0, 10**12, 1, "n"),
        Event(-1, 0, 0, 2, "m"),
    ]
)


def counted(**table: Any) -> Counts:
    report = define({"name": "own", **table}).report(1)
    (counts,) = fold([report], batch_codes(BATCH, [report])[0])
    return counts


def test_the_five_count_each_event_once() -> None:
    found = count_datapoints([BATCH])
    assert sum(found.values()) == len(FIVE) * len(BATCH)
    assert found["1970-01-01:01|10-50|PAY_LATER"] == 1
    assert found["1970-01-01:01|>500"] == 1
    assert found["1969-12-31|m"] == 1
    assert count_datapoints([BATCH, BATCH]) == {datapoint: 2 * events for datapoint, events in found.items()}


def test_cells_are_sorted_by_window_and_have_sums_of_amounts() -> None:
    counts = counted(by=["hour"])
    assert list(zip(counts.windows, counts.counts, counts.sums, strict=True)) == [
        (-1, 1, 0),
        (0, 1, 999),
        (1, 2, 10**12 + 1_000),
    ]


def test_a_condition_leaves_out_what_it_does_not_say() -> None:
    counts = counted(by=["day"], where={"method": ["PAY_LATER"], "merchant": ["n"]})
    assert (list(counts.counts), list(counts.sums)) == ([2], [10**12 + 1_000])
    assert not counted(by=["day"], where={"merchant": ["nobody"]}).counts


def test_a_report_by_nothing_is_one_number() -> None:
    counts = counted(by=[])
    assert (list(counts.counts), list(counts.codes)) == ([4], [0])


def test_several_open_dimensions_have_a_column_of_numbers_each() -> None:
    counts = counted(by=["merchant", "country", "method"])
    assert [list(numbers) for numbers in counts.numbers] == [[0, 0, 1], [0, 0, 0]]
    assert list(counts.counts) == [1, 1, 2]
    assert counts.numbers[0].typecode == array("Q").typecode


def test_events_behind_a_datapoint_are_those_whose_text_it_is() -> None:
    builder = BatchBuilder(("f",))
    values = ['"1"', "1", "x", "y" * 400, "\u00e4" * 300]
    for number, value in enumerate(values * 3):
        builder.add(Event(number * HOUR_S, 0, number * 700, number % 3, f"m{number % 4}"), UNNAMED, number, [value])
    batch = builder.build()
    own: list[dict[str, Any]] = [
        {"by": ["week", "weekday", "f"], "zone": "Europe/Stockholm"},
        {"by": ["f", "merchant"], "where": {"method": ["PAY_LATER", "SLICE_IT"]}},
        {"by": ["hour-of-day", "bracket"], "where": {"f": ["x", 1]}, "brackets": [1_000, 2_000]},
        {"by": []},
    ]
    reports = [*FIVE, *(define({"name": "own", **table}).report(1) for table in own)]
    for report in reports:
        texts = {report.text_of(event, batch.kept_of(index)) for index, event in enumerate(batch.events())} - {None}
        assert texts
        for text in map(str, texts):
            for datapoint in (text, report.datapoint(text)):
                assert list(indexes_behind(report, batch, datapoint)) == list(report.indexes_of(batch, datapoint))
        assert not indexes_behind(report, batch_of([]), next(iter(map(str, texts))))
        assert not indexes_behind(report, batch, "nothing|like|it") or report.by == ()
