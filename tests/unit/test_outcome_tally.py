"""What became of events over time: kept by minute, quarter and day, each for its own while."""

from __future__ import annotations

import msgspec

from tillroll.core.outcome_counts import OutcomeCounts
from tillroll.core.outcome_tally import GRAINS, HTTP, IMPORT, OutcomeTally

NOON_S = 1_800_000_000


def noted(*moments: tuple[str, float, OutcomeCounts]) -> OutcomeTally:
    tally = OutcomeTally()
    for way, at_s, counts in moments:
        tally.note(way, at_s, counts)
    return tally


def test_two_tallies_add_window_by_window_and_way_by_way() -> None:
    tally = noted((HTTP, NOON_S, OutcomeCounts(1, 2, 3, 4)), (IMPORT, NOON_S, OutcomeCounts(5, 0, 0, 0)))
    tally.add(noted((HTTP, NOON_S + 30, OutcomeCounts(1, 0, 0, 0)), (HTTP, NOON_S + 60, OutcomeCounts(0, 0, 0, 1))))
    assert [(row.start, row.way, row.counts) for row in tally.rows("minute")] == [
        (NOON_S, HTTP, OutcomeCounts(2, 2, 3, 4)),
        (NOON_S, IMPORT, OutcomeCounts(5, 0, 0, 0)),
        (NOON_S + 60, HTTP, OutcomeCounts(0, 0, 0, 1)),
    ]
    assert [row.counts for row in tally.rows("day") if row.way == HTTP] == [OutcomeCounts(2, 2, 3, 5)]


def test_old_windows_go_by_the_newest_of_any_way_and_a_tally_stays_small() -> None:
    tally = OutcomeTally()
    for minute in range(0, 100 * 24 * 60, 7):
        tally.add(noted((HTTP, NOON_S + minute * 60, OutcomeCounts(1, 0, 0, 0))))
    assert {grain: len(tally.rows(grain)) <= GRAINS[grain].kept for grain in GRAINS} == dict.fromkeys(GRAINS, True)
    assert len(tally.rows("quarter")) == 96
    assert len(tally.rows("day")) == 90
    assert len(msgspec.json.encode(tally)) < 8_000
    tally.add(noted((IMPORT, NOON_S + 200 * 86_400, OutcomeCounts(1, 0, 0, 0))))
    assert [row.way for row in tally.rows("day")] == [IMPORT]


def test_what_is_written_is_read_again_and_a_grain_that_is_not_known_is_left_out() -> None:
    tally = noted((HTTP, NOON_S, OutcomeCounts(1, 2, 3, 4)))
    text = msgspec.json.encode(tally)
    assert msgspec.json.decode(text, type=OutcomeTally) == tally
    other = OutcomeTally(grains={"century": {HTTP: {1: OutcomeCounts(1, 1, 1, 1)}}})
    tally.add(other)
    assert msgspec.json.encode(tally) == text
