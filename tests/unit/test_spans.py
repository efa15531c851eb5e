"""Spans: what they are called, beside what the standard library calls them."""

from __future__ import annotations

import datetime

from hypothesis import given
from hypothesis import strategies as st

from tillroll.core.spans import SPANS

EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 local time
moments = st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23))  # noqa: DTZ001 local time


@given(moments)
def test_an_hour_lies_in_the_span_that_the_calendar_says(moment: datetime.datetime) -> None:
    hour = (moment - EPOCH) // datetime.timedelta(hours=1)
    iso = moment.isocalendar()
    assert {name: span.text(span.code(hour)) for name, span in SPANS.items()} == {
        "day": moment.date().isoformat(),
        "week": f"{iso.year:04}-W{iso.week:02}",
        "month": moment.date().isoformat()[:7],
        "weekday": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][moment.weekday()],
        "hour-of-day": f"{moment.hour:02}",
    }


@given(moments, moments)
def test_later_hours_lie_in_later_spans_of_greater_texts(one: datetime.datetime, other: datetime.datetime) -> None:
    hours = sorted((moment - EPOCH) // datetime.timedelta(hours=1) for moment in (one, other))
    for span in SPANS.values():
        if span.rises:
            codes = [span.code(hour) for hour in hours]
            assert codes == sorted(codes)
            assert [span.text(code) for code in codes] == sorted(span.text(code) for code in codes)


def test_hours_outside_the_years_that_dates_have_count_on_the_edge_day() -> None:
    first, last = -(10**8), 10**8
    assert [SPANS["day"].text(SPANS["day"].code(hour)) for hour in (first, last)] == ["0001-01-01", "9999-12-31"]
    assert [SPANS["week"].text(SPANS["week"].code(hour)) for hour in (first, last)] == ["0001-W01", "9999-W52"]
