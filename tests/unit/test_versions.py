"""Versions of reports: what changes when definitions are applied, dropped, and counted to the end."""

from __future__ import annotations

from tillroll.core.definition import Definition, define
from tillroll.core.versions import Version, applied, dropped, swapped


def defined(name: str, *by: str) -> Definition:
    return define({"name": name, "by": list(by)})


def version(definition: Definition, number: int, state: str) -> Version:
    return Version(definition.name, number, definition.text(), state, 7)  # type: ignore[arg-type]


DAYS, WEEKS = defined("own", "day"), defined("own", "week")


def test_a_first_definition_is_counted_from_the_beginning() -> None:
    assert applied([], [DAYS]) == [Version("own", 1, DAYS.text(), "counting", 0)]


def test_the_same_definition_again_changes_nothing() -> None:
    for state in ("counting", "readable"):
        assert applied([version(DAYS, 1, state)], [DAYS]) == []


def test_another_definition_ends_the_counting_of_one_and_not_the_reading() -> None:
    counting, readable = version(DAYS, 2, "counting"), version(defined("own", "month"), 1, "readable")
    changed = applied([readable, counting], [WEEKS])
    assert changed == [counting._replace(state="dropped"), Version("own", 3, WEEKS.text(), "counting", 0)]


def test_what_is_read_applied_again_ends_the_counting_of_another() -> None:
    readable, counting = version(DAYS, 1, "readable"), version(WEEKS, 2, "counting")
    assert applied([readable, counting], [DAYS]) == [counting._replace(state="dropped")]


def test_a_number_is_not_used_again_after_a_drop() -> None:
    assert applied([version(DAYS, 4, "gone")], [DAYS])[0].version == 5


def test_a_drop_is_of_what_stands_and_of_ones_own() -> None:
    readable, gone = version(DAYS, 2, "readable"), version(DAYS, 1, "gone")
    five = Version("day-merchant", 1, "", "readable")
    assert dropped([gone, readable, five], "own") == [readable._replace(state="dropped")]
    assert dropped([five], "day-merchant") == []


def test_a_whole_version_takes_the_place_of_the_one_that_was_read() -> None:
    readable, whole = version(DAYS, 1, "readable"), version(WEEKS, 2, "counting")
    assert swapped([readable, whole], [whole]) == [
        readable._replace(state="dropped"),
        whole._replace(state="readable"),
    ]
