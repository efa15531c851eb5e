"""`tillroll import`, as a process."""

from __future__ import annotations

import gzip
import json
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from tests.e2e.command import EVENT, recount, report, reports, start, tillroll

if TYPE_CHECKING:
    from pathlib import Path

RANGE = ("--from", "2026-03-01", "--to", "2026-03-08")
ODD = ("--duplicates", "0.02", "--late", "0.05", "--invalid", "0.02")


@pytest.fixture(scope="module")
def purchases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("purchases") / "purchases.ndjson"
    tillroll("generate", path, "--events", "20000", "--merchants", "200", *RANGE, *ODD)
    return path


def summary(data: Path, *arguments: str | Path, code: int = 0) -> dict[str, int]:
    done = tillroll("import", *arguments, "--data", data, "--json", code=code)
    found: dict[str, int] = json.loads(done.stdout)[0]
    return found


def test_every_line_is_accounted_for_and_every_report_equals_a_recount(purchases: Path, tmp_path: Path) -> None:
    found = summary(tmp_path / "data", purchases, code=3)
    assert (found["lines"], found["accepted"], found["duplicates"], found["rejected"]) == (20_000, 19_200, 400, 400)
    assert reports(tmp_path / "data") == recount(purchases.read_bytes().splitlines())
    tillroll("audit", "--data", tmp_path / "data")


def test_an_import_run_again_adds_nothing(purchases: Path, tmp_path: Path) -> None:
    summary(tmp_path / "data", purchases, code=3)
    before = reports(tmp_path / "data")
    again = summary(tmp_path / "data", purchases, code=3)
    assert (again["accepted"], again["duplicates"]) == (0, 19_600)
    assert reports(tmp_path / "data") == before
    listed = json.loads(tillroll("rejected", "list", "--limit", "1000", "--json", "--data", tmp_path / "data").stdout)
    assert len(listed) == 400


@pytest.mark.parametrize("form", ["gzip", "zstd", "standard input"])
def test_compressed_files_and_standard_input_give_the_same(purchases: Path, tmp_path: Path, form: str) -> None:
    content = purchases.read_bytes()
    data = tmp_path / "data"
    if form == "standard input":
        done = tillroll("import", "-", "--data", data, "--json", stdin=content, code=3)
    else:
        packed = tmp_path / "file"
        packed.write_bytes(gzip.compress(content) if form == "gzip" else zstd.compress(content))
        done = tillroll("import", packed, "--data", data, "--json", code=3)
    assert json.loads(done.stdout)[0]["accepted"] == 19_200


def test_a_rejected_line_is_told_with_file_and_line_and_kept_byte_for_byte(tmp_path: Path) -> None:
    file, data = tmp_path / "purchases.ndjson", tmp_path / "data"
    wrong = b'{"date":"2011-12-03T10:15:30Z","amount":-1 ,"paymentMethod":"SLICE_IT","merchantId":"m"}'
    file.write_bytes(b"\xef\xbb\xbf" + EVENT.replace(b"\n", b"\r\n") + b"\n" + wrong + b"\r\n\xff\xfe\n" + EVENT)
    done = tillroll("import", file, "--data", data, code=3)
    assert f"{file}:3: amount: -1 is not between".encode() in done.stderr
    assert f"{file}:4: byte 0 is not UTF-8".encode() in done.stderr
    assert b"2 accepted, 0 duplicates, 2 rejected" in done.stdout
    first, second = json.loads(tillroll("rejected", "list", "--json", "--data", data).stdout)
    assert (first["position"], first["code"], second["code"]) == (2, "invalid_amount", "not_utf8")
    assert tillroll("rejected", "show", first["id"], "--data", data).stdout == wrong + b"\n"
    assert tillroll("rejected", "show", second["id"], "--data", data).stdout == b"\xff\xfe\n"


def test_a_conflict_is_kept_with_its_line(tmp_path: Path) -> None:
    file, data = tmp_path / "purchases.ndjson", tmp_path / "data"
    first = EVENT.replace(b"}", b',"id":"a"}')
    other = first.replace(b"4285", b"4286")
    file.write_bytes(first + other)
    assert summary(data, file, code=3)["conflicts"] == 1
    (kept,) = json.loads(tillroll("rejected", "list", "--json", "--data", data).stdout)
    assert (kept["code"], kept["position"], kept["body"].encode()) == ("conflict", 1, other.strip())


@pytest.mark.parametrize("name", ["", "two\nlines"])
def test_a_name_that_could_not_be_told_apart_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "purchases.ndjson"
    file.write_bytes(b"")
    done = tillroll("import", "--data", tmp_path / "data", "--name", name, file, code=2)
    assert b"is not a valid name. Give printable characters" in done.stderr


def test_the_same_content_under_another_name_is_asked_about(tmp_path: Path) -> None:
    data, moved = tmp_path / "data", tmp_path / "moved.ndjson.gz"
    content = b"".join(EVENT for _ in range(10))
    (tmp_path / "a.ndjson").write_bytes(content)
    moved.write_bytes(gzip.compress(content))
    summary(data, tmp_path / "a.ndjson")
    refused = tillroll("import", moved, "--data", data, code=2)
    assert b"--name" in refused.stderr
    assert b"--anyway" in refused.stderr
    assert summary(data, moved, "--name", tmp_path / "a.ndjson")["duplicates"] == 10
    assert summary(data, moved, "--anyway")["accepted"] == 10
    assert report(data, "bracket-method") == {"10-50|SLICE_IT": 20}


def test_other_content_under_a_name_is_asked_about_but_a_file_may_grow(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "log.ndjson"
    file.write_bytes(EVENT)
    summary(data, file)
    file.write_bytes(EVENT + EVENT)
    assert summary(data, file)["accepted"] == 1
    file.write_bytes(EVENT.replace(b"4285", b"1") + EVENT)
    assert b"--name" in tillroll("import", file, "--data", data, code=2).stderr
    assert summary(data, file, "--name", "another")["accepted"] == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(EVENT * 5_000)[:-20], b"damaged or cut short"),
        (zstd.compress(EVENT * 5_000)[:-5], b"damaged or cut short"),
        (gzip.compress(b"a" * (33 << 20)), b"a line, is longer than"),
    ],
    ids=["gzip cut short", "zstd cut short", "one endless line"],
)
def test_a_file_that_is_no_lines_of_events_is_refused_with_a_remedy(
    tmp_path: Path, content: bytes, told: bytes
) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert told in tillroll("import", file, "--data", tmp_path / "data", code=2).stderr


def test_a_missing_file_is_told_and_nothing_else_happens(tmp_path: Path) -> None:
    done = tillroll("import", "missing", "--data", tmp_path / "data", cwd=tmp_path, code=2)
    assert done.stderr == b"tillroll: missing: cannot be opened (No such file or directory). Check the name\n"


def test_an_empty_file_and_blank_lines_are_no_events(tmp_path: Path) -> None:
    for content in (b"", b"\n\n", b"\xef\xbb\xbf"):
        (tmp_path / "file").write_bytes(content)
        assert summary(tmp_path / "data", tmp_path / "file", "--anyway")["accepted"] == 0


def test_an_import_killed_at_random_moments_and_run_again_counts_each_purchase_once(
    tmp_path: Path,
) -> None:
    kills = 6
    data, file = tmp_path / "data", tmp_path / "many.ndjson"
    tillroll("generate", file, "--events", "150000", "--merchants", "300", "--seed", "5", *RANGE, "--invalid", "0.001")
    seed = random.randrange(1 << 30)
    moments, latest_s = random.Random(seed), 0.5
    while kills:
        running = start("import", file, "--data", data)
        time.sleep(moments.uniform(0, latest_s))  # where it is then is what is being tested
        running.kill()
        if running.wait() == -9:
            kills -= 1
        else:  # it was done: anew, and killed sooner
            latest_s *= 0.8
            data = tmp_path / f"data-{latest_s:.3f}"
        running.communicate()
    found = tillroll("import", file, "--data", data, "--json", code=3)
    assert json.loads(found.stdout)[0]["lines"] == 150_000
    assert reports(data) == recount(file.read_bytes().splitlines()), seed
    tillroll("audit", "--data", data)


def test_ctrl_c_ends_an_import_with_130_and_it_can_go_on(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "many.ndjson"
    tillroll("generate", file, "--events", "300000", "--merchants", "50", *RANGE)
    running = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, "import", str(file), "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _, told = running.communicate(timeout=120)
    assert running.returncode == 130, told
    assert b"Traceback" not in told
    assert b"again" in told
    tillroll("import", file, "--data", data)
    assert sum(report(data, "bracket-method").values()) == 300_000


def test_ctrl_c_ends_an_import_that_waits_for_more(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", ANNOUNCED, "import", "-", "--data", str(tmp_path / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write(EVENT * 1_000)
    running.stdin.flush()
    assert running.stdout.readline() == b"waiting\n"
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=30) == 130
    running.communicate()


# Runs the command line, and says when the reading thread waits for more.
ANNOUNCED = """
import sys
from tillroll.ingest import files
from tillroll.cli.main import run
parsed = files._parsed
def announced(*arguments):
    print("waiting", flush=True)
    yield from parsed(*arguments)
files._parsed = announced
sys.exit(run(sys.argv[1:]))
"""
# Runs the command line, and presses Ctrl-C as soon as the first block is committed.
INTERRUPTED = """
import os, signal, sys
from tillroll.ingest import files
from tillroll.cli.main import run
count = files._count
def interrupted(*arguments):
    count(*arguments)
    os.kill(os.getpid(), signal.SIGINT)
files._count = interrupted
sys.exit(run(sys.argv[1:]))
"""
