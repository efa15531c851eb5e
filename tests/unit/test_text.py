"""Texts that may name something, and texts that are shown, by code point."""

from __future__ import annotations

import pytest

from tillroll.core.limits import NAME_CHARACTERS_MAX
from tillroll.core.text import is_name, shown, visible


@pytest.mark.parametrize(
    "name", ["m", " m ", "Köln", "می\u200cروم", "👩\u200d👧", "\u3000x", "\U000e0fff", "a|b", "10-50"]
)
def test_a_name_may_have_any_letter_and_joiners(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "\u3000\xa0",
        "a\nb",
        "a\x7f",
        "a\x85b",
        "\ufeffa",
        "a\u202eb",
        "a\u2066b",
        "a\u2028b",
        "\ud800",
        "\ufffe",
        "\U0010ffff",
    ],
)
def test_a_name_has_no_control_no_mark_of_direction_and_is_not_only_spaces(name: str) -> None:
    assert not is_name(name)


def test_a_name_is_as_long_as_may_be() -> None:
    assert is_name("é" * NAME_CHARACTERS_MAX)
    assert not is_name("é" * (NAME_CHARACTERS_MAX + 1))


def test_what_could_steer_a_terminal_is_escaped() -> None:
    assert visible("a\x1b[31mb\u202e") == "a\\u001b[31mb\\u202e"
    assert visible("a\tb\n", kept="\t") == "a\tb\\u000a"
    assert shown("x" * 81) == "x" * 80 + "…"
