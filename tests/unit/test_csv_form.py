"""CSV: columns, the guard against formulas, and the byte order mark."""

from __future__ import annotations

import pytest
from tests.oracle import REPORTS

from tillroll.core.csv_form import COLUMNS, CsvForm, guarded
from tillroll.core.query import Aggregate, Query

DAYS = Query(report=REPORTS["day-merchant"])


def test_packed_is_the_datapoint_as_it_is() -> None:
    form = CsvForm(Query(report=REPORTS["merchant-method"]))
    assert form.head() == b"datapoint,events\r\n"
    assert form.rows([Aggregate("=1+1|SLICE_IT", 7)]) == b"=1+1|SLICE_IT,7\r\n"


def test_split_has_a_column_for_each_dimension_of_the_answer() -> None:
    hours = Query(report=REPORTS["hour-bracket-method"])
    assert CsvForm(hours, "split").head() == b"hour,bracket,method,events\r\n"
    assert CsvForm(hours, "split").rows([Aggregate("2011-12-03:10|<10|PAY_NOW", 1)]) == (
        b"2011-12-03:10,<10,PAY_NOW,1\r\n"
    )
    rolled = Query(report=hours.report, by=("method", "day"))
    assert CsvForm(rolled, "split").head() == b"method,day,events\r\n"


def test_a_mark_comes_first_and_once() -> None:
    form = CsvForm(DAYS, "split", marked=True)
    assert form.head() == b"\xef\xbb\xbfday,merchant,events\r\n"
    assert form.rows([Aggregate("2011-12-03|å", 1)]) == "2011-12-03,å,1\r\n".encode()


@pytest.mark.parametrize(
    "merchant",
    ["=1+1", "+46701234567", "-2", "@SUM(A1)", "\t=1", "\r=1", "＝1", "＋1", "－1", "＠x", " =1", "\u3000=1", "\xa0+1"],  # noqa: RUF001
)
def test_what_a_spreadsheet_takes_for_a_formula_stands_behind_an_apostrophe(merchant: str) -> None:
    assert guarded(merchant) == f"'{merchant}"
    rows = [Aggregate(f"2011-12-03|{merchant}", 1)]
    assert f"'{merchant}".encode() in CsvForm(DAYS, "split").rows(rows)
    by_merchant = Query(report=DAYS.report, by=("merchant",))
    for columns in COLUMNS:
        assert f"'{merchant}".encode() in CsvForm(by_merchant, columns).rows([Aggregate(merchant, 1)])


@pytest.mark.parametrize(
    "merchant", ["1bb53ed1-787b-4543-9def-ea18eef7902e", "a=b", "a+b", "<10", "'x", "shop@home", "#1"]
)
def test_other_text_is_as_it_is(merchant: str) -> None:
    assert guarded(merchant) == merchant


def test_commas_quotes_and_apostrophes_are_quoted_by_the_format() -> None:
    form = CsvForm(DAYS, "split")
    assert form.rows([Aggregate('2011-12-03|=HYPERLINK("x","y")', 1)]) == (
        b'2011-12-03,"\'=HYPERLINK(""x"",""y"")",1\r\n'
    )
