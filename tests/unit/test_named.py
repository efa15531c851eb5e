"""The `_name` that an export gave an event: read, refused, and what it says."""

from __future__ import annotations

import json

import pytest

from tillroll.core.batch import UNNAMED, NameKind, Source
from tillroll.core.decode import Reason
from tillroll.core.named import name_in, source_of


def event(**fields: object) -> bytes:
    return json.dumps({"date": "x", **fields}).encode()


def test_a_name_is_a_text_and_none_is_none() -> None:
    assert name_in(event(_name="id:a")) == "id:a"
    assert name_in(event()) == name_in(event(_name=None)) == ""
    assert name_in(b'{"\\u005fname": "key:0:k"}') == "key:0:k"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (event(_name=1), "invalid_name"),
        (event(_name=["id:a"]), "invalid_name"),
        (b'{"_name": "\\ud800"}', "invalid_name"),
        (b'{"_name": "id:a", "_name": "id:a"}', "duplicate_field"),
    ],
)
def test_what_is_no_text_or_stands_twice_is_refused(line: bytes, code: str) -> None:
    found = name_in(line)
    assert isinstance(found, Reason)
    assert (found.code, found.field) == (code, "_name")


def test_a_name_says_where_an_event_came_from() -> None:
    assert source_of("id:a", "a") == (UNNAMED, 0)
    assert source_of("message:3:b:c", "") == (Source(NameKind.MESSAGE, "b:c"), 3)
    for wrong in ("id:b", "key:01:k", "key:-1:k", "key::k", "key:0:", "disk:0:d", "a", "file:9223372036854775808:f"):
        assert source_of(wrong, "a") is None
