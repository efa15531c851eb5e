"""`tillroll rejected`, `audit`, `rebuild`, and what every command has in common, as processes."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import sys
from array import array
from typing import TYPE_CHECKING

import pytest
from tests.e2e.command import EVENT, command, environment, report, tillroll
from tests.oracle import REPORTS

from tillroll import __version__
from tillroll.core import kernel
from tillroll.stores.sqlite.segments import Segments

if TYPE_CHECKING:
    from pathlib import Path

WRONG = EVENT.replace(b"4285", b"-4285")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A store with two purchases and one rejected line between them."""
    tillroll("import", "-", "--name", "till", "--data", tmp_path / "data", stdin=EVENT + WRONG + EVENT, code=3)
    return tmp_path / "data"


def listed(data: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(tillroll("rejected", "list", "--json", "--data", data).stdout)
    return found


def test_a_corrected_event_is_counted_once_however_often_it_is_sent(data: Path) -> None:
    (kept,) = listed(data)
    assert b"till:2" in tillroll("rejected", "list", "--data", data).stdout
    assert b"still rejected" in tillroll("rejected", "retry", kept["id"], "--data", data, code=3).stderr
    again = tillroll("rejected", "retry", kept["id"], "--body", "-", "--data", data, stdin=EVENT)
    assert b"accepted" in again.stdout
    assert listed(data) == []
    assert report(data, "bracket-method") == {"10-50|SLICE_IT": 3}
    # Its line in the corrected file is the same event, for it kept the name it came with.
    tillroll("import", "-", "--name", "till", "--data", data, "--anyway", stdin=EVENT + EVENT + EVENT)
    assert report(data, "bracket-method") == {"10-50|SLICE_IT": 3}
    assert b"no rejected event of this id" in tillroll("rejected", "retry", kept["id"], "--data", data, code=2).stderr


def test_a_correction_can_come_from_a_file(data: Path, tmp_path: Path) -> None:
    (kept,) = listed(data)
    (tmp_path / "body.json").write_bytes(EVENT)
    done = tillroll("rejected", "retry", kept["id"], "--body", tmp_path / "body.json", "--json", "--data", data)
    assert json.loads(done.stdout)["outcome"] == "accepted"


def test_what_is_dropped_is_no_longer_listed(data: Path) -> None:
    (kept,) = listed(data)
    tillroll("rejected", "drop", "--data", data, code=2)
    tillroll("rejected", "drop", "none-such", "--data", data, code=2)
    tillroll("rejected", "drop", kept["id"], "--data", data)
    assert listed(data) == []
    assert b"0 dropped" in tillroll("rejected", "drop", "--all", "--data", data).stdout


def test_what_came_with_a_source_is_listed_and_dropped_together(data: Path) -> None:
    (kept,) = listed(data)
    tillroll("import", "-", "--name", "broken", "--anyway", "--data", data, stdin=b"1\n2\n3\n", code=3)
    tillroll("rejected", "drop", "--all", "--source", "broken", "--data", data, code=2)
    assert len(listed(data)) == 4
    found = json.loads(
        tillroll("rejected", "list", "--source", "broken", "--limit", "2", "--json", "--data", data).stdout
    )
    assert [one["body"] for one in found] == ["1", "2"]
    cut = tillroll("rejected", "list", "--source", "broken", "--limit", "2", "--data", data)
    assert f"2; more with --limit N, or --after {found[1]['id']}".encode() in cut.stderr
    assert b"3 of 4; more" in tillroll("rejected", "list", "--limit", "3", "--data", data).stderr
    tillroll("rejected", "drop", "--source", "unknown", "--data", data, code=2)
    assert b"3 dropped" in tillroll("rejected", "drop", "--source", "broken", "--yes", "--data", data).stdout
    assert listed(data) == [kept]


def test_a_name_that_is_no_utf8_is_that_of_no_merchant(data: Path) -> None:
    assert b"|" not in tillroll("report", "day-merchant", "--merchant", "\udcff", "--data", data).stdout
    assert b"0 events" in tillroll("explain", "2011-12-03|\udcff", "--data", data).stdout


def test_a_file_is_a_source_by_any_path_to_it(data: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.ndjson").write_bytes(b"1\n")
    tillroll("import", tmp_path / "bad.ndjson", "--anyway", "--data", data, code=3)
    path = tmp_path / "none" / ".." / "bad.ndjson"
    assert b"1 dropped" in tillroll("rejected", "drop", "--source", path, "--yes", "--data", data).stdout


def test_audit_passes_names_what_differs_and_repairs_it(data: Path) -> None:
    done = json.loads(tillroll("audit", "--json", "--data", data).stdout)
    assert (done["events"], done["differences_total"]) == (2, 0)
    assert b"audit passed: 2 events and 5 datapoints" in tillroll("audit", "--data", data).stdout
    change_an_aggregate(data)
    failed = tillroll("audit", "--data", data, code=1)
    assert b"2011-12-03:10|10-50|SLICE_IT" in failed.stdout
    assert b"audit FAILED" in failed.stderr
    differences = json.loads(tillroll("audit", "--json", "--data", data, code=1).stdout)["differences"]
    assert [(one["kind"], one["stored"], one["recounted"]) for one in differences] == [("aggregate", 3, 2)]
    tillroll("audit", "--since", "2012-01-01", "--slow", "--data", data)
    tillroll("audit", "--since", "2011-12-03", "--data", data, code=1)
    tillroll("audit", "--repair", "--data", data, code=1)
    tillroll("audit", "--data", data)
    assert b"is not a day" in tillroll("audit", "--since", "yesterday", "--data", data, code=2).stderr


def test_a_flipped_bit_is_refused_and_repaired(data: Path) -> None:
    connection = sqlite3.connect(data / "tillroll.db")
    with connection:
        connection.execute("UPDATE aggregate SET cells = CAST(x'05' || substr(cells, 2) AS BLOB) WHERE cells <> x''")
    connection.close()
    refused = tillroll("report", "hour-bracket", "--data", data, code=4).stderr
    assert b"is damaged" in refused
    assert b"tillroll audit --repair" in refused
    assert b"is damaged" in tillroll("audit", "--data", data, code=1).stdout
    tillroll("audit", "--repair", "--data", data, code=1)
    assert report(data, "hour-bracket") == {"2011-12-03:10|10-50": 2}
    tillroll("audit", "--data", data)


def test_rebuild_sets_right_what_was_changed(data: Path) -> None:
    change_an_aggregate(data)
    assert report(data, "hour-bracket-method") == {"2011-12-03:10|10-50|SLICE_IT": 3}
    assert b"rebuilt from 2 events" in tillroll("rebuild", "--data", data).stdout
    assert report(data, "hour-bracket-method") == {"2011-12-03:10|10-50|SLICE_IT": 2}
    tillroll("audit", "--data", data)


def change_an_aggregate(data: Path) -> None:
    """Add one to the only counter of a report, as a fault in our own program would."""
    connection = sqlite3.connect(data / "tillroll.db")
    segments, report = Segments(connection), REPORTS["hour-bracket-method"]
    with connection:
        rows = list(segments.read(report))
        for window, part, cells in rows:
            counts, _, _ = kernel.read_counts(cells, report.inner)
            at, one, none = (array("Q", [each]) for each in (next(i for i, count in enumerate(counts) if count), 1, 0))
            segments.put(report, window, part, kernel.add_counts(cells, 0, report.inner, at, one, none, array("Q")))
    connection.close()
    assert rows


def test_a_store_that_is_not_there_is_said_to_be_missing_and_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments in (("audit",), ("report", "hour-bracket"), ("rejected", "list"), ("rebuild",), ("top",)):
        for name in ("none", "empty"):
            done = tillroll(*arguments, "--data", tmp_path / name, code=4)
            assert b"there is no store in" in done.stderr
    assert not (tmp_path / "none").exists()
    assert not list((tmp_path / "empty").iterdir())


def test_a_repair_says_what_it_could_not_mend(data: Path) -> None:
    with sqlite3.connect(data / "tillroll.db") as file:
        file.execute("UPDATE chunk SET low = low - 1")
    file.close()
    assert b"restore the store from a copy" in tillroll("audit", "--repair", "--data", data, code=1).stderr
    assert b"Restore the file from a copy" in tillroll("rebuild", "--data", data, code=4).stderr


def test_a_chart_is_no_csv(data: Path) -> None:
    told = tillroll("report", "bracket-method", "--chart", "--format", "csv", "--data", data, code=2).stderr
    assert b"a chart cannot be written as csv" in told


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" | head -1', "sh", *command("generate", "--events", "100000", "--from", "2026-03-01")],
        capture_output=True,
        check=True,
        env=environment(),
        cwd=tmp_path,
    )
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


def test_progress_is_shown_on_a_terminal_and_nowhere_else(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "purchases.ndjson"
    tillroll("generate", file, "--events", "1000", "--from", "2026-03-01")
    assert b"events/s" not in tillroll("import", file, "--data", data).stderr
    ours, theirs = pty.openpty()
    shown = environment(TERM="xterm")
    running = subprocess.Popen(command("import", file, "--data", data), stderr=theirs, stdout=theirs, env=shown)
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert running.wait() == 0
    assert b"events/s" in seen


def test_help_is_quick_to_load_and_every_command_has_its_own() -> None:
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "tillroll", "--help"], capture_output=True, check=True
    )
    for heavy in (b"boto3", b"uvicorn", b"starlette", b"sqlite3", b"rich.progress"):
        assert heavy not in loaded.stderr
    assert b"Count purchases exactly" in loaded.stdout


def test_a_command_that_is_not_there_ends_with_2() -> None:
    assert b"No such command 'imprt'. Did you mean 'import'?" in tillroll("imprt", code=2).stderr
    assert b"No such option: --dat" in tillroll("audit", "--dat", code=2).stderr


def test_the_version_is_shown() -> None:
    assert tillroll("version").stdout == tillroll("--version").stdout == f"{__version__}\n".encode()


def test_settings_show_where_they_came_from(tmp_path: Path) -> None:
    (tmp_path / "tillroll.toml").write_text('port = 9000\nhost = "::1"\nread_tokens = ["secret-one"]\n')
    done = tillroll("config", "--json", "--data", "here", cwd=tmp_path, TILLROLL_PORT="9001")
    found = json.loads(done.stdout)
    assert found["port"] == {"value": 9001, "origin": "TILLROLL_PORT"}
    assert found["host"] == {"value": "::1", "origin": "tillroll.toml"}
    assert found["data"] == {"value": "here", "origin": "--data"}
    assert found["log_level"] == {"value": "info", "origin": "default"}
    assert b"secret-one" not in done.stdout
    (tmp_path / "tillroll.toml").write_text("prt = 9000\n")
    refused = tillroll("config", cwd=tmp_path, code=2)
    assert refused.stderr.startswith(b"tillroll: prt: unknown setting in tillroll.toml. Did you mean port")
