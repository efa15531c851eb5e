"""`tillroll rejected` as a process: by reason and source, many at once, what it asks, what a terminal gets."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.command import EVENT, command, environment, report, tillroll

if TYPE_CHECKING:
    from pathlib import Path

WRONG = EVENT.replace(b"4285", b"-4285")
FUTURE = EVENT.replace(b"2011", b"2999")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A store with two purchases; three rejected of `till`, two of `shop`."""
    data = tmp_path / "data"
    lines = {"till": [EVENT, WRONG, WRONG, b"no event\n"], "shop": [EVENT, WRONG, FUTURE]}
    for name, content in lines.items():
        tillroll("import", "-", "--name", name, "--data", data, stdin=b"".join(content), code=3)
    return data


def listed(data: Path, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(tillroll("rejected", "list", "--json", *options, "--data", data).stdout)
    return found


def on_terminal(*arguments: str | Path, answer: bytes = b"") -> tuple[int, bytes]:
    """Run a command with a terminal on all sides, and return its exit code and what it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command(*arguments), stdin=theirs, stdout=theirs, stderr=theirs, env=environment())
    os.close(theirs)
    os.write(ours, answer)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    return process.wait(60), shown


def test_what_is_kept_is_counted_by_reason_and_source(data: Path) -> None:
    found = json.loads(tillroll("rejected", "summary", "--json", "--data", data).stdout)
    assert (found["rejected"], found["sources_total"]) == (5, 2)
    assert found["codes"] == {"invalid_amount": 3, "future_date": 1, "not_json": 1}
    assert [(each["value"], each["rejected"]) for each in found["sources"]] == [("till", 3), ("shop", 2)]
    shown = tillroll("rejected", "summary", "--data", data).stdout.decode()
    assert "5 rejected, of 2 sources" in shown
    assert [line.split() for line in shown.splitlines() if "future_date" in line] == [
        ["1", "future_date", "all"],
        ["1", "future_date", "file", "shop"],
    ]


def test_a_list_is_filtered_by_reason_and_source(data: Path) -> None:
    assert [each["code"] for each in listed(data, "--code", "invalid_amount")] == ["invalid_amount"] * 3
    assert [each["position"] for each in listed(data, "--code", "invalid_amount", "--source", "shop")] == [1]
    assert len(listed(data, "--source", "till")) == 3
    assert listed(data, "--code", "none_such") == []


def test_a_reason_that_still_holds_leaves_all_as_it_is(data: Path) -> None:
    none = tillroll("rejected", "retry", "--code", "invalid_amount", "--data", data, code=3)
    assert b"0 accepted, 0 duplicates, 3 still rejected" in none.stdout
    assert len(listed(data)) == 5


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("1-0", "--code", "not_json"),
        ("--code", "not_json", "--body", "-"),
        ("--code", "none_such"),
        ("--source", "none such"),
    ],
)
def test_a_retry_of_nothing_or_of_two_things_is_refused(data: Path, arguments: tuple[str, ...]) -> None:
    tillroll("rejected", "retry", *arguments, "--data", data, code=2)
    assert len(listed(data)) == 5


@pytest.mark.parametrize("which", [("--all",), ("--source", "till"), ("--code", "invalid_amount")])
def test_nothing_is_dropped_in_bulk_without_a_yes(data: Path, which: tuple[str, ...]) -> None:
    refused = tillroll("rejected", "drop", *which, "--data", data, code=2)
    assert b"Add --yes" in refused.stderr
    code, shown = on_terminal("rejected", "drop", *which, "--data", data, answer=b"n\n")
    assert code == 2
    assert b"nothing was dropped" in shown
    assert len(listed(data)) == 5


def test_a_bulk_drop_that_was_confirmed_drops_what_was_named_and_no_more(data: Path) -> None:
    code, shown = on_terminal("rejected", "drop", "--source", "shop", "--data", data, answer=b"y\n")
    assert code == 0
    assert b"Erase 2 rejected events for good?" in shown
    assert b"2 dropped" in shown
    assert len(listed(data)) == 3
    (named,) = [each["id"] for each in listed(data) if each["code"] == "not_json"]
    assert b"1 dropped" in tillroll("rejected", "drop", named, named, "--data", data).stdout
    assert b"2 dropped" in tillroll("rejected", "drop", "--all", "--yes", "--data", data).stdout
    assert b"0 dropped" in tillroll("rejected", "drop", "--all", "--data", data).stdout
    assert report(data, "bracket-method") == {"10-50|SLICE_IT": 2}


@pytest.mark.parametrize(("which", "code"), [(["--all"], 0), (["--code", "future_date"], 2)])
def test_a_later_drop_erases_what_somebody_read_though_it_drops_nothing(
    which: list[str], code: int, data: Path
) -> None:
    log = data / "tillroll.db-wal"
    with closing(sqlite3.connect(data / "tillroll.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        assert other.execute("SELECT count(*) FROM rejected_group").fetchone() > (0,)
        told = tillroll("rejected", "drop", *which, "--yes", "--data", data).stderr
        assert b"a later `tillroll rejected drop` removes them" in told
        other.execute("COMMIT")
        assert log.stat().st_size
        tillroll("rejected", "drop", *which, "--yes", "--data", data, code=code)
        assert not log.stat().st_size


def test_a_terminal_is_never_steered_and_a_pipe_gets_the_bytes(tmp_path: Path) -> None:
    steering = ["\x1b]0;owned\x07", "\x9b2J", "\r\x08\x7f", "\u202e\u2066", "\x1b[31m"]
    bodies = [f'{{"amount":"{each}"'.encode() + b"\xff\x9b\t end\n" for each in steering]
    tillroll("import", "-", "--name", "till", "--data", tmp_path, stdin=EVENT + b"".join(bodies), code=3)
    kept = [each["id"] for each in listed(tmp_path)]
    assert [tillroll("rejected", "show", each, "--data", tmp_path).stdout for each in kept] == bodies
    one_by_one = [(word, each) for word in ("show", "retry") for each in kept]
    for arguments in (*one_by_one, ("list",), ("summary",)):
        _, shown = on_terminal("rejected", *arguments, "--data", tmp_path)
        text = shown.decode(errors="surrogateescape").replace("\r\n", "\n")
        assert [each for each in steering if each in text] == [], arguments
        assert not any(control in text for control in "\x07\x08\r\x7f\x9b\u202e\u2066"), arguments
        assert "\udcff" not in text, arguments
        assert "\\xff" in text or arguments[0] != "show"
