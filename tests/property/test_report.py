"""Brackets, windows and datapoints, for every value there is."""

from __future__ import annotations

import datetime

from hypothesis import given
from hypothesis import strategies as st
from tests.brackets import bracket
from tests.oracle import REPORTS

from tillroll.core import limits
from tillroll.core.batch import Event
from tillroll.core.decode import Reason, decode_event, encode_event
from tillroll.core.dimension import BRACKET, DAY, HOUR, merchant_is_reserved
from tillroll.core.limits import METHODS
from tillroll.core.text import is_name

FIRST_S = int(datetime.datetime(1, 1, 1, tzinfo=datetime.UTC).timestamp())
LAST_S = int(datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC).timestamp())
seconds = st.integers(FIRST_S, LAST_S)
merchants = st.text(min_size=1, max_size=128).filter(
    lambda text: is_name(text) and "|" not in text and not merchant_is_reserved(text)
)


def bracket_of(amount: int) -> str:
    return BRACKET.of(Event(0, 0, amount, 0, "m"), {})


@given(st.integers(0, 60_000) | st.integers(0, limits.AMOUNT_MAX))
def test_a_bracket_is_what_the_contract_says(amount: int) -> None:
    assert bracket_of(amount) == bracket(amount)


def test_bounds_belong_to_the_bracket_above_save_the_last() -> None:
    amounts = [0, 999, 1_000, 4_999, 5_000, 9_999, 10_000, 50_000, 50_001, limits.AMOUNT_MAX]
    expected = ["<10", "<10", "10-50", "10-50", "50-100", "50-100", "100-500", "100-500", ">500", ">500"]
    assert [bracket_of(amount) for amount in amounts] == expected


@given(seconds)
def test_a_window_is_the_utc_hour_and_day(second: int) -> None:
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=second)
    assert HOUR.text(HOUR.at(second)) == f"{moment:%Y-%m-%d:%H}".rjust(13, "0")
    assert DAY.text(DAY.at(second)) == f"{moment:%Y-%m-%d}".rjust(10, "0")
    for window in (HOUR, DAY):
        assert window.parse(window.text(window.at(second))) == window.at(second)


@given(seconds, st.integers(0, limits.AMOUNT_MAX), st.integers(0, 2), merchants)
def test_a_datapoint_names_its_place_and_no_other(second: int, amount: int, method: int, merchant: str) -> None:
    event = Event(second, 0, amount, method, merchant)
    for report in REPORTS:
        text = report.text_of(event, {})
        assert text is not None
        found = REPORTS.place(text)
        assert found is not None
        assert (found.report, found.texts) == (report, tuple(dimension.of(event, {}) for dimension in report.by))


@given(st.text())
def test_any_text_is_a_datapoint_of_one_report_or_of_none(text: str) -> None:
    found = REPORTS.place(text)
    if found is not None:
        assert found.report.text(found.texts) == text


@given(st.integers(0, 4), st.integers(0, 2))
def test_an_inner_code_and_its_texts_are_inverse(bracket: int, method: int) -> None:
    for report in REPORTS:
        codes = [{"bracket": bracket, "method": method}[dimension.name] for dimension in report.closed]
        texts = [dimension.texts[code] for dimension, code in zip(report.closed, codes, strict=True)]
        assert list(report.inner_texts(report.inner_code(codes)).values()) == texts[::-1]


@given(
    seconds,
    st.integers(0, 999_999_999),
    st.integers(0, limits.AMOUNT_MAX),
    st.integers(0, len(METHODS) - 1),
    merchants,
    st.just("") | st.text(min_size=1, max_size=128).filter(is_name),
)
def test_an_event_written_and_read_is_the_same(
    second: int, nanos: int, amount: int, method: int, merchant: str, own: str
) -> None:
    event = Event(second, nanos, amount, method, merchant, own)
    found = decode_event(encode_event(event), LAST_S)
    assert found == event, found.message if isinstance(found, Reason) else found
