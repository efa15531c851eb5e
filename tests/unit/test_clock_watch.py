"""When the clock is doubted, and what that costs whom."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tillroll.core.accept import Body, accept
from tillroll.core.batch import UNNAMED
from tillroll.core.clock_watch import ClockWatch
from tillroll.errors import ClockError

NOW = 1_700_000_000.0
DAY_S = 86_400


def purchase(days: float) -> bytes:
    date = datetime.fromtimestamp(NOW + days * DAY_S, UTC).isoformat()
    return json.dumps({"date": date, "amount": 1, "paymentMethod": "PAY_NOW", "merchantId": "m"}).encode()


def check(watch: ClockWatch, *bodies: list[bytes], now_s: float = NOW) -> list[int]:
    """Return which bodies are refused."""
    accepted = accept([Body(b"\n".join(lines), UNNAMED) for lines in bodies], now_s)
    try:
        watch.check(accepted, now_s)
    except ClockError as error:
        return error.bodies
    return []


GOOD, NEXT_WEEK = purchase(-1), purchase(7)


def test_a_minute_that_is_mostly_of_the_future_puts_the_clock_in_doubt() -> None:
    assert check(ClockWatch(), [NEXT_WEEK]) == [0]
    assert check(ClockWatch(), [NEXT_WEEK, GOOD, NEXT_WEEK]) == [0]
    assert check(ClockWatch(), [NEXT_WEEK, GOOD]) == []
    assert check(ClockWatch(), [NEXT_WEEK, GOOD, GOOD]) == []


def test_bodies_without_events_of_the_future_are_not_held_up() -> None:
    assert check(ClockWatch(), [GOOD], [NEXT_WEEK, NEXT_WEEK], [GOOD], [NEXT_WEEK]) == [1, 3]


def test_good_events_of_the_minute_vouch_for_the_clock_and_those_long_ago_do_not() -> None:
    watch = ClockWatch()
    assert check(watch, [GOOD] * 5) == []
    assert check(watch, [NEXT_WEEK]) == []
    assert check(watch, [NEXT_WEEK], now_s=NOW + 60) == []
    assert check(watch, [NEXT_WEEK], now_s=NOW + 600) == [0]


def test_what_is_refused_is_counted_so_the_doubt_stays_while_it_comes_again() -> None:
    watch = ClockWatch()
    assert check(watch, [NEXT_WEEK] * 10) == [0]
    assert check(watch, [GOOD] * 3) == []
    assert check(watch, [NEXT_WEEK]) == [0]


@pytest.mark.parametrize(
    "line",
    [
        purchase(0).replace(b"2023", b"9998"),  # no clock is that slow
        NEXT_WEEK.replace(b'"PAY_NOW"', b'"CASH"'),  # wrong in any case
    ],
)
def test_what_no_clock_explains_is_rejected_as_ever(line: bytes) -> None:
    assert check(ClockWatch(), [line] * 3) == []
