"""What can be asked, in words, and what an unanswerable question is told."""

from __future__ import annotations

import pytest
from tests.oracle import REPORTS

from tillroll.core import limits
from tillroll.core.query import Query
from tillroll.core.question import PARAMETERS, find_datapoint, find_report, parse_query, whole_number
from tillroll.core.report import FIVE, Report
from tillroll.errors import QueryError

HOURS = REPORTS["hour-bracket-method"]
DAYS = REPORTS["day-merchant"]
TIMELESS = REPORTS["merchant-method"]


@pytest.mark.parametrize("report", FIVE, ids=lambda report: report.name)
def test_no_parameter_asks_for_all_of_a_report(report: Report) -> None:
    assert parse_query(report, {}) == Query(report=report)


@pytest.mark.parametrize(
    "text",
    [
        "1970-01-02:03",
        "1970-01-02T03:00Z",
        "1970-01-02T03:00:00Z",
        "1970-01-02T03:00:00.000z",
        "1970-01-02T05:30:00+02:30",
        "1970-01-01T22:00:00-05:00",
    ],
)
def test_every_spelling_of_an_hour_is_the_same_window(text: str) -> None:
    assert parse_query(HOURS, {"from": [text]}).start == 27
    assert parse_query(HOURS, {"to": [text]}).stop == 27


def test_a_date_is_midnight_utc() -> None:
    assert parse_query(HOURS, {"from": ["1970-01-02"]}).start == 24
    assert parse_query(DAYS, {"from": ["1970-01-02"]}).start == 1
    assert parse_query(DAYS, {"from": ["1969-12-31T00:00:00Z"]}).start == -1


@pytest.mark.parametrize("text", ["1970-01-02T03:00:01Z", "1970-01-02T03:00:00.5Z", "1970-01-02T03:59:59Z"])
def test_an_instant_inside_a_window_is_told_the_nearest_two(text: str) -> None:
    with pytest.raises(QueryError, match="1970-01-02T03:00:00Z and 1970-01-02T04:00:00Z") as caught:
        parse_query(HOURS, {"from": [text]})
    assert caught.value.field == "from"


def test_an_hour_is_no_bound_of_a_report_of_days() -> None:
    with pytest.raises(QueryError, match="inside a day"):
        parse_query(DAYS, {"to": ["1970-01-02T03:00:00Z"]})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "today",
        "2011-13-01",
        "2011-02-29",
        "2011-12-03T10:00:00",
        "2011-12-03T24:00:00Z",
        "2011-12-03T10:00:00 02:00",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="not a date or an instant"):
        parse_query(HOURS, {"from": [text]})


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:00:00-01:00"])
def test_an_instant_outside_the_years_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match="outside the years"):
        parse_query(HOURS, {"from": [text]})


@pytest.mark.parametrize("stop", ["1970-01-02", "1970-01-01"])
def test_a_range_that_is_empty_or_inverted_is_refused(stop: str) -> None:
    with pytest.raises(QueryError, match="not after") as caught:
        parse_query(DAYS, {"from": ["1970-01-02"], "to": [stop]})
    assert caught.value.field == "to"


def test_a_report_over_all_time_has_no_range() -> None:
    with pytest.raises(QueryError, match="over all time"):
        parse_query(TIMELESS, {"from": ["1970-01-02"]})


def test_filters_take_several_values() -> None:
    query = parse_query(HOURS, {"bracket": ["<10", "10-50"], "method": ["PAY_NOW"]})
    assert query.filters == {"bracket": frozenset({"<10", "10-50"}), "method": frozenset({"PAY_NOW"})}
    assert parse_query(TIMELESS, {"merchant": ["a,b"]}).filters == {"merchant": frozenset({"a,b"})}


@pytest.mark.parametrize("report", FIVE, ids=lambda report: report.name)
@pytest.mark.parametrize("name", ["bracket", "method", "merchant"])
def test_a_filter_that_the_report_does_not_have_is_refused(report: Report, name: str) -> None:
    value = {"bracket": "<10", "method": "PAY_NOW", "merchant": "a"}[name]
    if name in report.dimensions:
        assert parse_query(report, {name: [value]}).filters
    else:
        with pytest.raises(QueryError, match=f"does not count by {name}"):
            parse_query(report, {name: [value]})


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"bracket": ["10-51"]}, "bracket: '10-51' is not one of its values. They are <10, 10-50"),
        ({"method": ["pay_now"]}, "PAY_NOW, PAY_LATER, SLICE_IT"),
        ({"by": ["merchant"]}, "They are hour, bracket, method, day, week"),
        ({"by": ["bracket,bracket"]}, "given twice"),
        ({"by": ["day", "hour"]}, "both given"),
        ({"order": ["events"]}, "They are datapoint, bracket, -events"),
        ({"order": ["bracket"], "by": ["method"]}, "the answer has no brackets"),
        ({"limit": ["0"]}, f"from 1 to {limits.PAGE_MAX}"),
        ({"limit": ["٣"]}, "not a whole number"),
        ({"limit": ["1" * 5000]}, "not a whole number"),
        ({"limit": ["1", "2"]}, "given 2 times"),
        ({"cursor": [""]}, "not a cursor"),
        ({"cursor": ["a"], "order": ["-events"]}, "not a cursor of the order -events"),
        ({"cursor": ["0|2011-12-03"], "order": ["-events"]}, "not a cursor of the order -events"),
        ({"cursor": ["1" * 5000 + "|a"], "order": ["-events"]}, "not a cursor"),
        ({"colour": ["red"]}, "There are from, to, zone, bracket, method, by, order, limit, cursor"),
    ],
)
def test_a_bad_parameter_is_named_with_what_it_can_be(parameters: dict[str, list[str]], problem: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(HOURS, parameters)
    assert problem in str(caught.value)
    assert caught.value.field in (*PARAMETERS, "bracket", "method", "merchant") or caught.value.field == "colour"


def test_too_many_filter_values_and_too_long_a_merchant_are_refused() -> None:
    with pytest.raises(QueryError, match="more than"):
        parse_query(TIMELESS, {"merchant": [str(number) for number in range(limits.FILTER_VALUES_MAX + 1)]})
    with pytest.raises(QueryError, match="characters long"):
        parse_query(TIMELESS, {"merchant": ["m" * (limits.NAME_CHARACTERS_MAX + 1)]})


def test_roll_ups_keep_their_order() -> None:
    assert parse_query(HOURS, {"by": ["method,day"]}).by == ("method", "day")
    assert parse_query(HOURS, {"by": ["method", "day"]}).by == ("method", "day")


def test_reports_and_datapoints_are_found_by_name() -> None:
    assert find_report(REPORTS, "day-merchant") is DAYS
    with pytest.raises(QueryError, match="There are hour-bracket,"):
        find_report(REPORTS, "day")
    assert find_datapoint(REPORTS, "2011-12-03|m").report is DAYS
    with pytest.raises(QueryError, match="datapoint of no report"):
        find_datapoint(REPORTS, "2011-12-03")


def test_a_whole_number_has_bounds() -> None:
    assert whole_number("limit", "7", 1, 7) == 7
    with pytest.raises(QueryError, match="from 1 to 7"):
        whole_number("limit", "8", 1, 7)


def test_a_range_of_a_report_over_all_time_is_told_who_answers_it() -> None:
    with pytest.raises(QueryError, match="Query hour-bracket-method with by=bracket,method and the range"):
        parse_query(REPORTS["bracket-method"], {"from": ["2011-12-03"]})
    with pytest.raises(QueryError, match="no report counts by merchant,method within a range"):
        parse_query(TIMELESS, {"to": ["2011-12-03"]})


def test_the_order_bracket_is_the_order_of_datapoints_with_brackets_by_amount() -> None:
    query = parse_query(HOURS, {"order": ["bracket"]})
    assert (query.order, query.brackets_by_amount) == ("datapoint", True)


@pytest.mark.parametrize(
    ("report", "parameters", "problem"),
    [
        ("hour-bracket", {"zone": ["Mars/Olympus"]}, "zone: 'Mars/Olympus' is not a time zone. Give an IANA name"),
        ("hour-bracket", {"zone": ["UTC", "UTC"]}, "given 2 times"),
        (
            "day-merchant",
            {"zone": ["Europe/Stockholm"]},
            "counts whole days of UTC. Leave it out, or query",
        ),
        ("bracket-method", {"zone": ["Europe/Stockholm"]}, "is over all time"),
        ("hour-bracket", {"by": ["week,month"]}, "week and month are both given"),
        ("hour-bracket", {"by": ["hour,weekday"]}, "hour and weekday are both given"),
        ("day-merchant", {"by": ["hour-of-day"]}, "They are day, merchant, week, month, weekday"),
        ("bracket-method", {"by": ["week"]}, "They are bracket, method"),
        ("hour-bracket", {"zone": ["Asia/Kolkata"], "from": ["2011-12-03"]}, "lies inside an hour of the report"),
    ],
)
def test_a_question_by_time_that_no_report_answers_is_told(
    report: str, parameters: dict[str, list[str]], problem: str
) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(REPORTS[report], parameters)
    assert problem in str(caught.value)


def test_dates_are_by_the_zones_clocks_and_instants_are_not() -> None:
    query = parse_query(HOURS, {"zone": ["Europe/Stockholm"], "from": ["2026-06-01"], "to": ["2026-06-01T05:00:00Z"]})
    assert (query.start, query.stop) == (
        parse_query(HOURS, {"from": ["2026-05-31:22"]}).start,
        query.start + 7 if query.start else 0,
    )
