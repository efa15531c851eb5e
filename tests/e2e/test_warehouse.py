"""A directory of events by day that follows a store, and is killed again and again: nothing twice, nothing missing."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from importlib.metadata import requires
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from tests.e2e.command import start, tillroll
from tests.e2e.server import Server, post_until_answered

from tillroll.errors import PARQUET_EXTRA

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
KILLS = 8


def body(number: int) -> list[bytes]:
    lines = [
        {"date": f"2011-12-{day:02}T10:15:30Z", "amount": number, "paymentMethod": "PAY_NOW", "merchantId": f"m{day}"}
        for day in (3, 4, 3, 5)
    ]
    return [json.dumps(line).encode() for line in lines]


def manifest(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "manifest.json").read_text())
    return found


def rows(directory: Path) -> Counter[tuple[str, str]]:
    with duckdb.connect() as database:
        query = f"SELECT date::VARCHAR, _name FROM read_parquet('{directory}/day=*/*.parquet')"
        return Counter((date, name) for date, name in database.execute(query).fetchall())


def test_follow_killed_at_random_moments_writes_each_event_once(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    server = Server(data, tmp_path)
    server.start()
    stop = threading.Event()
    sent = 0

    def send() -> None:
        nonlocal sent
        while not stop.is_set():
            post_until_answered(server.port, f"body {sent}", body(sent))
            sent += 1

    sender = threading.Thread(target=send)
    sender.start()
    chance = random.Random(4)
    follow = ("events", f"{out}/", "--format", "parquet", "--follow", "--interval", "0.1", "--data", data)
    seen: dict[str, bytes] = {}
    for _ in range(KILLS):
        process = start(*follow)
        started = time.monotonic()
        while not (out / "manifest.json").exists() and time.monotonic() < started + 60:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.3, 1.2))
        process.kill()
        process.communicate()
        for path in out.glob("day=*/*.parquet"):  # what was once there is what a warehouse may have taken
            content = seen.setdefault(str(path), path.read_bytes())
            assert content == path.read_bytes()
    stop.set()
    sender.join()
    tillroll("events", f"{out}/", "--format", "parquet", "--data", data)
    server.stop()
    server.close()
    found = rows(out)
    assert set(seen) <= {str(path) for path in out.glob("day=*/*.parquet")}
    assert set(found.values()) == {1}
    lines = [json.loads(line) for line in tillroll("events", "--data", data).stdout.splitlines()]
    assert {name for _, name in found} == {line["_name"] for line in lines}
    assert len(found) == len(lines) == 4 * sent == manifest(out)["events"] == manifest(out)["position"]
    assert not list(out.glob("day=*/.*"))


@pytest.mark.parametrize("point", range(6))
def test_whoever_is_killed_between_two_files_writes_the_same_ones_again(tmp_path: Path, point: int) -> None:
    """The process ends at the given one of its renames: the manifest's, a file's, the next file's."""
    data, out = tmp_path / "data", tmp_path / "out"
    (tmp_path / "in").write_bytes(b"\n".join(body(1) + body(2)))
    tillroll("import", tmp_path / "in", "--data", data)
    code = (
        "import os, sys; from tillroll.cli.main import run\n"
        f"left, replace = [{point}], os.replace\n"
        "def ending(*names):\n"
        "    left[0] -= 1\n"
        "    os._exit(9) if left[0] < 0 else replace(*names)\n"
        "os.replace = ending\n"
        f"sys.exit(run(['events', {str(out) + '/'!r}, '--format', 'parquet', '--data', {str(data)!r}]))"
    )
    subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    (tmp_path / "more").write_bytes(b"\n".join(body(3)))
    tillroll("import", tmp_path / "more", "--data", data)
    before = {path: path.read_bytes() for path in out.glob("day=*/*.parquet")}
    tillroll("events", f"{out}/", "--format", "parquet", "--data", data)
    assert set(rows(out).values()) == {1}
    assert len(rows(out)) == manifest(out)["events"] == 12
    assert {path: path.read_bytes() for path in before} == before
    assert not list(out.glob("**/.*.part"))


def test_a_directory_of_another_choice_is_refused(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    (tmp_path / "in").write_bytes(b"\n".join(body(1)))
    tillroll("import", tmp_path / "in", "--data", data)
    tillroll("events", f"{out}/", "--merchant", "m3", "--format", "csv", "--data", data)
    assert sorted(path.name for path in out.glob("day=*")) == ["day=2011-12-03"]
    assert manifest(out)["events"] == 2
    tillroll("events", out, "--merchant", "m3", "--format", "csv", "--data", data)
    for arguments in (
        ["--format", "csv"],
        ["--merchant", "m3"],
        ["--merchant", "m3", "--format", "csv", "--after", "1"],
    ):
        done = tillroll("events", out, *arguments, "--data", data, code=2)
        assert b"name another directory" in done.stderr
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("x")
    assert b"mine.txt" in tillroll("events", other, "--data", data, code=2).stderr


def test_following_to_standard_output_gives_what_comes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = Server(data, tmp_path)
    server.start()
    post_until_answered(server.port, "1", body(1))
    process = start("events", "--follow", "--interval", "0.1", "--data", data)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    post_until_answered(server.port, "2", body(2))
    lines += [process.stdout.readline() for _ in range(4)]
    process.kill()
    process.communicate()
    assert lines == tillroll("events", "--data", data).stdout.splitlines(keepends=True)
    server.stop()
    server.close()


def test_a_field_that_was_kept_and_has_no_column_is_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    line = body(1)[0].replace(b"{", b'{"country":"SE",')
    tillroll("import", "-", "--keep", "country", "--data", data, stdin=line)
    done = tillroll("events", tmp_path / "out.csv", "--format", "csv", "--data", data, code=2)
    assert b"country" in done.stderr
    assert not (tmp_path / "out.csv").exists()
    out = tillroll("events", "--format", "csv", "--keep", "country,city", "--data", data).stdout
    assert out.splitlines()[0] == b"date,amount,paymentMethod,merchantId,id,country,city,_name"
    assert b",m3,,SE,,file:0:" in out
    assert b'"country":"SE","_name"' in tillroll("events", "--data", data).stdout


def test_without_pyarrow_the_remedy_is_told_and_all_else_works(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"\n".join(body(1)))
    tillroll("import", tmp_path / "in", "--data", tmp_path / "data")
    code = "import sys; sys.modules['pyarrow'] = None; from tillroll.cli.main import run; sys.exit(run(sys.argv[1:]))"
    arguments = [sys.executable, "-c", code, "events", "--data", str(tmp_path / "data")]
    done = subprocess.run([*arguments, "--format", "parquet"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{sys.executable} -m pip install 'pyarrow>=" in done.stderr
    assert subprocess.run(arguments, capture_output=True, check=False).returncode == 0
    extra = {each.partition(";")[0].strip() for each in requires("tillroll") or [] if "parquet" in each}
    assert extra == set(PARQUET_EXTRA)
