"""Lines of a server as batches: what is made of these is the lines again, byte for byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillroll.core import export
from tillroll.core.kept import Keep
from tillroll.errors import ServerError
from tillroll.stores.http.events import batches

if TYPE_CHECKING:
    from tillroll.core.batch import Batch


def line(number: int, fields: dict[str, object]) -> bytes:
    event = {"date": f"2011-12-03T10:15:{number % 60:02}Z", "amount": number, "paymentMethod": "PAY_NOW"}
    event |= {"merchantId": "m", **fields, "_name": f"key:{number}:a key"}
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def written_of(batch: Batch) -> bytes:
    return b"".join(export.ndjson(batch))


def test_fields_in_one_order_are_one_batch() -> None:
    text = line(1, {"a": "x"}) + line(2, {"b": 1, "c": {"d": True}}) + line(3, {"a": "y", "b": None, "c": {"d": "z"}})
    (batch,) = batches(text)
    assert list(batch.kept) == ["a", "b", "c.d"]
    assert written_of(batch) == text


def test_fields_in_another_order_begin_another_batch() -> None:
    text = line(1, {"a": "x", "b": "y"}) + line(2, {"b": "y", "a": "x"})
    assert [list(batch.kept) for batch in batches(text)] == [["a", "b"], ["b", "a"]]


NAMES = ["a", "b", "c.d", "c.e", 'c."f.g"', '""']
values = st.one_of(st.text('aé"\\|\x7f\u2028', max_size=3), st.integers(-(10**18), 10**18), st.booleans(), st.none())


@given(st.lists(st.tuples(st.permutations(NAMES), st.lists(values, min_size=6, max_size=6)), max_size=8))
def test_what_a_journal_writes_comes_back_as_it_was(
    events: list[tuple[list[str], list[str | int | bool | None]]],
) -> None:
    text = b""
    for number, (names, found) in enumerate(events):
        keep = Keep(names[: number % 7])
        tree: dict[str, object] = {}
        for path, value in zip(keep.paths, found, strict=False):
            inner = tree
            for step in path[:-1]:
                inner = inner.setdefault(step, {})  # type: ignore[assignment]
            inner[path[-1]] = value
        text += line(number, tree)
    written = b"".join(map(written_of, batches(text)))  # as the journal spells it
    assert written.count(b"\n") == len(events)
    assert b"".join(map(written_of, batches(written))) == written


@pytest.mark.parametrize("wrong", [b"nonsense\n", b"7\n", b'{"date":1}\n'])
def test_what_is_no_event_is_an_error(wrong: bytes) -> None:
    with pytest.raises(ServerError, match="an invalid event"):
        list(batches(line(1, {}) + wrong))
