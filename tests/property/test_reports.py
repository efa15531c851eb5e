"""Brackets, windows and datapoints, for every value there is."""

from __future__ import annotations

import datetime

from hypothesis import given
from hypothesis import strategies as st

from tillroll.core import limits
from tillroll.core.accept import Reason, decode_event, encode_event
from tillroll.core.batch import Event
from tillroll.core.dimension import BRACKETS, merchant_is_reserved
from tillroll.core.fold import Cell, cell_of, code_of
from tillroll.core.limits import METHODS
from tillroll.core.report import REPORTS, Coordinates, bracket_of, datapoint, parse_datapoint, parse_window, window_text
from tillroll.core.text import is_name

FIRST_S = int(datetime.datetime(1, 1, 1, tzinfo=datetime.UTC).timestamp())
LAST_S = int(datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC).timestamp())
seconds = st.integers(FIRST_S, LAST_S)
merchants = st.text(min_size=1, max_size=128).filter(
    lambda text: is_name(text) and "|" not in text and not merchant_is_reserved(text)
)
cells = st.builds(Cell, st.integers(0, 4), st.integers(0, 2), st.integers(0, 10**6))


def bracket_in_words(amount: int) -> str:
    """The contract's table, written another way."""
    euro = amount / 100
    if euro < 10:
        return "<10"
    if euro < 50:
        return "10-50"
    if euro < 100:
        return "50-100"
    return "100-500" if euro <= 500 else ">500"


@given(st.integers(0, 60_000) | st.integers(0, limits.AMOUNT_MAX))
def test_a_bracket_is_what_the_contract_says(amount: int) -> None:
    assert BRACKETS[bracket_of(amount)] == bracket_in_words(amount)


def test_bounds_belong_to_the_bracket_above_save_the_last() -> None:
    amounts = [0, 999, 1_000, 4_999, 5_000, 9_999, 10_000, 50_000, 50_001, limits.AMOUNT_MAX]
    expected = ["<10", "<10", "10-50", "10-50", "50-100", "50-100", "100-500", "100-500", ">500", ">500"]
    assert [BRACKETS[bracket_of(amount)] for amount in amounts] == expected


@given(seconds)
def test_a_window_is_the_utc_hour_and_day(second: int) -> None:
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=second)
    assert window_text(3_600, second // 3_600) == f"{moment:%Y-%m-%d:%H}".rjust(13, "0")
    assert window_text(86_400, second // 86_400) == f"{moment:%Y-%m-%d}".rjust(10, "0")
    for window_s in (3_600, 86_400):
        assert parse_window(window_s, window_text(window_s, second // window_s)) == second // window_s


@given(seconds, st.integers(0, limits.AMOUNT_MAX), st.integers(0, 2), merchants)
def test_a_datapoint_names_its_coordinates_and_no_others(second: int, amount: int, method: int, merchant: str) -> None:
    for report in REPORTS:
        window = second // report.window_s if report.window else 0
        text = datapoint(report, window, bracket_of(amount), method, merchant)
        keys = report.keys
        assert parse_datapoint(text) == Coordinates(
            report,
            window,
            bracket_of(amount) if "bracket" in keys else 0,
            method if "method" in keys else 0,
            merchant if "merchant" in keys else "",
        )


@given(st.text())
def test_any_text_is_a_datapoint_of_one_report_or_of_none(text: str) -> None:
    found = parse_datapoint(text)
    if found is not None:
        assert datapoint(found.report, found.window, found.bracket, found.method, found.merchant) == text


@given(cells)
def test_a_code_and_its_cell_are_inverse(cell: Cell) -> None:
    for report in REPORTS:
        kept = Cell(
            cell.bracket if "bracket" in report.keys else 0,
            cell.method if "method" in report.keys else 0,
            cell.merchant if "merchant" in report.keys else 0,
        )
        assert cell_of(report, code_of(report, cell)) == kept


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
