"""Names out of lines: the kernel takes what the reference does, which takes what plain JSON says."""

from __future__ import annotations

import json
from array import array
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.property.test_kernel_agrees import outcome

from tillroll.core import columns, kernel, naming
from tillroll.core.accept import Reader, Stretch
from tillroll.core.batch import NameKind, Source
from tillroll.core.body import Parting
from tillroll.core.decode import Reason
from tillroll.core.named import name_in, with_names

needs_kernel = pytest.mark.skipif(not kernel.compiled, reason="the kernel is not compiled")
if kernel.compiled:
    from tillroll import _kernel

CAME = Source(NameKind.FILE, "a file")
EVENT = {"date": "2011-12-03T10:15:30Z", "amount": 1, "paymentMethod": "PAY_NOW", "merchantId": "m"}
values = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
numbers = st.integers(0, 3) | st.integers(0, 2**63 - 1)
good_names = st.one_of(
    st.builds("key:{}:{}".format, numbers, values),
    st.builds("message:{}:{}".format, numbers, values),
    st.builds("file:{}:{}".format, numbers, values | st.just("journal:ab")),
)
odd_names = st.sampled_from(
    [
        "id:",
        "id:x",
        "key:1",
        "key:01:a",
        "key:-1:a",
        "key:1:",
        "file:9223372036854775808:a",
        "KEY:1:a",
        "",
        "x",
        "key::a",
        "key:18446744073709551617:a",
        "file:9223372036854775807:a",
        "key:1:" + "x" * 8_192,
        "key:1:" + "x" * 8_193,
        "key:٣:a",
        'key:1:"',
        "key:1:\\",
        "key:1:_name",
        "key:1:\n",
        "message:0: ",
        "id:_name",
        "none:0:a",
    ]
)
names = good_names | odd_names


def agree(name: str, *arguments: object) -> object:
    found = outcome(getattr(_kernel, name), *arguments)
    assert found == outcome(getattr(naming, name), *arguments)
    return found


@needs_kernel
@given(st.lists(st.tuples(names, st.sampled_from(["", "x", "y"]))))
def test_sources_of_names_are_the_references(some: list[tuple[str, str]]) -> None:
    ids = columns.join_strings([own for _, own in some])
    agree("sources_of_names", *columns.join_strings([name for name, _ in some]), *ids)
    agree("sources_of_names", *columns.join_strings([name for name, _ in some]), array("I"), b"")


pieces = st.sampled_from(
    [
        b'{"a":1,"_name":"n"}',
        b'{"_name":"n"}',
        b'{"a":1,"_name":""}',
        b'{"a":1,"_name": "n"}',
        b'{"a":"\\"","_name":"n"}',
        b'{"_name":"x","_name":"n"}',
        b'{"a":{"b":1,"_name":"n"}}',
        b'{"a":"x,\\"_name\\":\\"n"}',
        b'{"\\u005fname":"n"}',
        b"",
        b'{"a":",_name","_name":"n"}',
        b'{"a":1,"_name":"n"} \r',
        b'{"_name":null}',
        b'{"a":[{"a":1,"_name":"n"}]}',
        b"_name",
        b',"_name":"',
        b',"_name":"n"',
        b',"_name":"n"}',
        b'"_name":"}',
        b'{"\\u0061":1}',
        b'{"a":1,"_name":"n"}}',
        b"{}",
    ]
)


@needs_kernel
@given(st.lists(pieces | st.binary(max_size=30)), st.integers(0, 5), st.data())
def test_names_in_lines_are_the_references(lines: list[bytes], first: int, data: st.DataObject) -> None:
    text = b"\n".join(lines)
    positions = sorted(data.draw(st.sets(st.integers(max(0, first - 1), first + len(lines) + 1))))
    agree("names_in_lines", text, first, array("Q", positions))
    agree("may_have_names", text)
    agree("names_in_lines", text, 0, array("Q", range(text.count(b"\n") + 1)))
    agree("names_in_lines", text, 0, array("Q", [0, 0]))


forms = st.sets(st.sampled_from(["last", "twice"]))


def said_in(line: bytes) -> list[Any]:
    return [value for key, value in json.loads(line, object_pairs_hook=list) if key == "_name"]


@given(names, st.sampled_from(["_name", "\\u005fname", "_n\\u0061me"]), forms, st.sampled_from([",", ", "]))
@example("key:1:a", "_name", {"last", "twice"}, ",")
def test_a_name_is_what_plain_json_says(name: str, key: str, form: set[str], comma: str) -> None:
    members = [json.dumps(field) + ":" + json.dumps(value) for field, value in EVENT.items()]
    members.insert(len(members) if "last" in form else 2, f'"{key}":{json.dumps(name)}')
    if "twice" in form:
        members.insert(0, '"_name":"key:5:first"')
    line = ("{" + comma.join(members) + "}").encode()
    found = name_in(line)
    said = said_in(line)
    if len(said) > 1 or said == [""]:
        assert isinstance(found, Reason)
    else:
        assert found == said[0]
    (stretch,) = stretches(line)
    if isinstance(found, Reason) or naming.said_by(found.encode()) in {None, (0, 0, found.encode()[3:])}:
        (rejection,) = stretch.rejections
        assert rejection.reason.code in {"invalid_name", "duplicate_field"}
        assert (rejection.body, rejection.source, rejection.position) == (line, CAME, 0)
        assert not len(stretch.batch)
    else:
        kind, position, value = found.split(":", 2)
        assert [run.source for run in stretch.batch.runs] == [Source(NameKind[kind.upper()], value)]
        assert stretch.batch.positions.tolist() == [int(position)]


def stretches(body: bytes) -> list[Stretch]:
    reader = Reader(CAME)
    return [with_names(each) for each in reader.read(body, Parting().part(body, final=True), lambda: 2e9)]


@pytest.mark.parametrize("form", ["lines", "array", "spaced"])
def test_events_with_and_without_names_keep_their_places(form: str) -> None:
    some: list[dict[str, object]] = [
        EVENT,
        EVENT | {"_name": "key:7:k"},
        EVENT | {"_name": "key:8:k"},
        EVENT | {"_name": "nonsense"},
        EVENT | {"id": "o", "_name": "id:o"},
        EVENT | {"id": "o", "_name": "id:p"},
        EVENT | {"amount": "1", "_name": "key:9:k"},
        EVENT | {"_name": None},
        EVENT | {"_name": 5},
        EVENT | {"_name": "key:8:k"},
    ]
    text = {
        "lines": "\n".join(json.dumps(event, separators=(",", ":")) for event in some),
        "array": json.dumps(some),
        "spaced": "\n".join(json.dumps(event) for event in some),
    }[form]
    (stretch,) = stretches(text.encode())
    batch = stretch.batch
    assert [(run.source.kind, run.source.value, run.events) for run in batch.runs] == [
        (NameKind.FILE, "a file", 1),
        (NameKind.KEY, "k", 2),
        (NameKind.NONE, "", 1),
        (NameKind.FILE, "a file", 1),
        (NameKind.KEY, "k", 1),
    ]
    assert batch.positions.tolist() == [0, 7, 8, 0, 7, 8]
    assert stretch.event_positions.tolist() == [0, 1, 2, 4, 7, 9]
    codes = [(each.position, each.reason.code) for each in stretch.rejections]
    assert codes == [(3, "invalid_name"), (5, "invalid_name"), (6, "invalid_amount"), (8, "invalid_name")]
    assert all(json.loads(each.body) == some[each.position] for each in stretch.rejections)
    assert all(text.encode()[each.byte :].startswith(each.body) for each in stretch.rejections)
