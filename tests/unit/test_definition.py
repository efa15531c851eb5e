"""Definitions: what is written is what is counted, and what is wrong is told with its field and its remedy."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from tillroll.core.definition import FORMAT, changed_zone, compare, define, read_definition, read_file, same
from tillroll.errors import DefinitionError

DOCS = Path(__file__).parents[2] / "docs"
OWN = {"name": "own", "by": ["day", "method"]}


def test_every_definition_of_the_docs_is_one() -> None:
    blocks = re.findall(r"```toml\n(\[\[reports\]\].*?)```", (DOCS / "reports.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        assert [definition.name for definition in read_file(block)]


def test_a_definition_is_stored_with_its_zone_and_read_back() -> None:
    definition = define(
        {
            "name": "turnover-country",
            "title": "Turnover per local day by country",
            "by": ["day", "country", "bracket"],
            "zone": "Europe/Stockholm",
            "where": {"currency": ["EUR", 1, {"absent": True}, True, "1", "a|b", ""], "method": ["PAY_LATER"]},
            "brackets": [550, 1000, 10000],
        }
    )
    assert definition.fields == ("country", "currency")
    assert dict(definition.where) == {
        "currency": tuple(sorted(("EUR", "1", "(absent)", "true", '"1"', '"a\\u007cb"', '""'))),
        "method": ("PAY_LATER",),
    }
    assert len(definition.changes) > 100
    assert read_definition(definition.text()) == definition
    report = definition.report(3)
    assert (report.key, report.prefix) == ("turnover-country.3", "|turnover-country|")
    assert report.closed[0].texts == ("<5.50", "5.50-10", "10-100", ">=100")
    assert not changed_zone(definition)
    moved = msgspec.structs.replace(definition, changes=definition.changes[:-1])
    assert changed_zone(moved)
    assert not same(moved, definition)
    assert same(msgspec.structs.replace(definition, zone_data="1999a"), definition)


def test_only_what_is_another_is_a_change() -> None:
    first, other = define(OWN), define(OWN | {"title": "Mine"})
    assert compare([first], {}) == [first]
    assert compare([first], {"own": first}) == []
    assert compare([other], {"own": first}) == [other]


def test_a_definition_of_a_later_format_is_not_read() -> None:
    later = msgspec.json.encode({"format": FORMAT + 1, "name": "own", "colour": "red"}).decode()
    assert read_definition(later) is None


def test_a_kept_field_of_a_dimensions_name_is_told_from_it() -> None:
    definition = define(
        {"name": "own", "by": ["hour", "field.hour", "field.country", "field.limit", "customer.country"]}
    )
    assert definition.by == ("hour", "field.hour", "country", "field.limit", "customer.country")
    assert definition.fields == ("hour", "country", "limit", "customer.country")


@pytest.mark.parametrize(
    ("changes", "field", "problem"),
    [
        ({"name": "hour-bracket"}, "name", "one of the five"),
        ({"name": "Own"}, "name", "is not a valid report name"),
        ({"name": "x" * 41}, "name", "is not a valid report name"),
        ({"name": 7}, "name", "is not a valid report name"),
        ({"colour": "red"}, "colour", "unknown field"),
        ({"title": ""}, "title", "is not a valid title"),
        ({"title": "a\nb"}, "title", "control character"),
        ({"by": "day"}, "by", "is not a list"),
        ({"by": ["day", "hour"]}, "by", "both windows"),
        ({"by": ["method", "method"]}, "by", "twice"),
        ({"by": ["country", "field.country"]}, "by", "twice"),
        ({"by": ["weekday", "hour-of-day", "bracket", "method", "merchant"]}, "by", "more than 4"),
        ({"by": ["limit"]}, "by", "field.limit"),
        ({"by": ["a|b"]}, "by", "is not a dimension"),
        ({"by": [""]}, "by", "is not a dimension"),
        ({"zone": "Europe/Atlantis"}, "zone", "is not a time zone"),
        ({"zone": 1}, "zone", "is not a time zone"),
        ({"brackets": [1000]}, "brackets", "does not use"),
        ({"by": ["bracket"], "brackets": []}, "brackets", "not a list of bounds"),
        ({"by": ["bracket"], "brackets": [5, 5]}, "brackets", "not above"),
        ({"by": ["bracket"], "brackets": [0, 5]}, "brackets", "is not a bound"),
        ({"by": ["bracket"], "brackets": [1.5]}, "brackets", "is not a bound"),
        ({"by": ["bracket"], "brackets": [True]}, "brackets", "is not a bound"),
        ({"by": ["bracket"], "brackets": list(range(1, 52))}, "brackets", "not a list of bounds"),
        ({"by": ["bracket"], "brackets": [10**12 + 1]}, "brackets", "is not a bound"),
        ({"where": ["method"]}, "where", "is not a table"),
        ({"where": {"method": "PAY_NOW"}}, "where.method", "is not a list"),
        ({"where": {"method": ["CASH"]}}, "where.method", "not one of its values"),
        ({"where": {"day": ["2011-12-03"]}}, "where.day", "cannot be filtered"),
        ({"where": {"hour-of-day": ["10"]}}, "where.hour-of-day", "cannot be filtered"),
        ({"where": {"weekday": ["Monday"]}}, "where.weekday", "not one of its values"),
        ({"where": {"bracket": ["10-51"]}}, "where.bracket", "not one of its values"),
        ({"where": {"country": [1.5]}}, "where.country", "not one of its values"),
        ({"where": {"country": [{"absent": False}]}}, "where.country", "not one of its values"),
        ({"where": {"country": []}}, "where.country", "is not a list"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, object], field: str, problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem) as caught:
        define(OWN | changes)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("reports = 1", "no \\[\\[reports\\]\\]"),
        ("", "no \\[\\[reports\\]\\]"),
        ("[[reports", "not TOML"),
        ('port = 1\n[[reports]]\nname = "a"', "it has port"),
        ('[[reports]]\nname = "a"\n[[reports]]\nname = "a"', "twice"),
        ("[[reports]]\nby = []", "is not a valid report name"),
    ],
)
def test_a_file_that_is_none_is_told(text: str, problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        read_file(text)
