"""What is seen, with real processes, when files are taken away or the journal loses its end."""

from __future__ import annotations

import http.client
import json
import shutil
import sqlite3
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.e2e.command import command as run
from tests.e2e.command import environment, report, start, tillroll
from tests.e2e.server import Server
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POSTS = 40


def event(number: int) -> bytes:
    purchase = {
        "date": "2011-12-03T10:15:30Z",
        "amount": 4285,
        "paymentMethod": "SLICE_IT",
        "merchantId": "kiosk",
        "id": f"p{number}",
    }
    return json.dumps(purchase).encode()


def post(port: int, number: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/events", event(number))
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def replace(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    copy.replace(path)


TAKEN_AWAY: dict[str, Callable[[Path], object]] = {
    "the directory is deleted": shutil.rmtree,
    "the directory is moved": lambda data: data.rename(data.with_name("moved")),
    "the directory is another": lambda data: shutil.copytree(data.rename(data.with_name("moved")), data),
    "the file is deleted": lambda data: (data / "tillroll.db").unlink(),
    "the file is replaced": lambda data: replace(data / "tillroll.db"),
    "the log is deleted": lambda data: (data / "tillroll.db-wal").unlink(),
    "the log is replaced": lambda data: replace(data / "tillroll.db-wal"),
    "the head is deleted": lambda data: (data / "tillroll.head").unlink(),
}


@pytest.mark.parametrize("take_away", TAKEN_AWAY.values(), ids=TAKEN_AWAY)
def test_nothing_is_acknowledged_into_files_that_were_taken_away(
    take_away: Callable[[Path], object], data: Path, tmp_path: Path
) -> None:
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        process = start("serve", "--data", data, "--port", str(port), stderr=log)
        try:
            assert process.stdout is not None
            process.stdout.readline()
            assert post(port, 0) == 202
            take_away(data)
            time.sleep(0.05)  # a commit looks whether the files are there 50 times a second
            with suppress(OSError):  # the server looks as well, once a second, and ends
                assert post(port, 1) == 503
            assert process.wait(60) == 4
        finally:
            process.kill()
            process.communicate()
    assert b"while it was open" in (tmp_path / "log").read_bytes()


def test_a_server_that_is_asked_nothing_sees_it_too(data: Path) -> None:
    process = start("serve", "--data", data, "--port", "0", stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        shutil.rmtree(data, ignore_errors=True)  # who opens the file meanwhile makes it anew
        assert process.wait(60) == 4
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def killed(data: Path, tmp_path: Path) -> Path:
    """A store whose server was killed: its log holds everything."""
    server = Server(data, tmp_path)
    server.start()
    try:
        assert {post(server.port, number) for number in range(POSTS)} == {202}
    finally:
        server.kill()
    assert (data / "tillroll.db-wal").stat().st_size
    return data


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 16
    path.write_bytes(content)


def cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


LOSSES: dict[str, Callable[[Path], object]] = {
    "the log is lost": lambda log: log.unlink(),
    "the log is empty": lambda log: cut(log, 0),
    "the log is cut": lambda log: cut(log, log.stat().st_size * 2 // 3),
    "a bit of the log flipped": lambda log: flip(log, log.stat().st_size * 2 // 3),
    "a bit of the log's head flipped": lambda log: flip(log, 17),
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_the_loss_of_the_end_is_told_until_it_is_accepted(lose: Callable[[Path], object], killed: Path) -> None:
    lose(killed / "tillroll.db-wal")
    refused = tillroll("report", "bracket-method", "--data", killed, code=4).stderr
    assert b"events that were acknowledged are missing" in refused
    assert b"tillroll restored" in refused
    differences = json.loads(tillroll("audit", "--json", "--data", killed, code=1).stdout)["differences"]
    (head,) = [each for each in differences if each["subject"] == "head"]
    assert head["stored"] == POSTS
    assert head["recounted"] < POSTS
    assert f"{POSTS - head['recounted']} events that were acknowledged are missing" in head["message"]
    lines = killed.parent / "lines"
    lines.write_bytes(b"\n".join(event(number) for number in range(POSTS)))
    tillroll("import", lines, "--data", killed, code=4)
    accepted = json.loads(tillroll("restored", "--json", "--data", killed).stdout)
    assert accepted == {"events": head["recounted"], "given_up": POSTS - head["recounted"]}
    tillroll("import", lines, "--data", killed)
    assert report(killed, "bracket-method") == {"10-50|SLICE_IT": POSTS}
    tillroll("audit", "--data", killed)


def test_a_server_goes_on_once_the_loss_is_accepted(killed: Path, tmp_path: Path) -> None:
    (killed / "tillroll.db-wal").unlink()
    server = Server(killed, tmp_path)
    server.start()
    try:
        assert post(server.port, 0) == 503
        tillroll("restored", "--data", killed)
        assert [post(server.port, number) for number in range(2)] == [202, 202]
        assert tillroll("report", "bracket-method", "--format", "json", "--url", server.url).stdout
    finally:
        server.kill()
    assert report(killed, "bracket-method") == {"10-50|SLICE_IT": 2}
    tillroll("audit", "--data", killed)


def test_a_kill_loses_nothing_and_is_no_loss(killed: Path) -> None:
    assert report(killed, "bracket-method") == {"10-50|SLICE_IT": POSTS}
    tillroll("audit", "--data", killed)


def test_a_copy_of_the_file_without_its_log_is_told(killed: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    for name in ("tillroll.db", "tillroll.head"):
        shutil.copy(killed / name, tmp_path / "copy" / name)
    for command in (("report", "bracket-method"), ("backup", tmp_path / "backup.db"), ("events",)):
        assert b"are missing" in tillroll(*command, "--data", tmp_path / "copy", code=4).stderr
    assert not (tmp_path / "backup.db").exists()


def test_a_copy_of_the_whole_directory_is_whole(killed: Path, tmp_path: Path) -> None:
    shutil.copytree(killed, tmp_path / "copy")
    assert report(tmp_path / "copy", "bracket-method") == {"10-50|SLICE_IT": POSTS}


def test_a_backup_needs_a_word_only_where_it_ends_before_the_head(killed: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    shutil.copy(killed / "tillroll.head", backup)  # first, as docs/operations.md says
    source, target = sqlite3.connect(killed / "tillroll.db"), sqlite3.connect(backup / "tillroll.db")
    source.backup(target)
    target.close()
    source.close()
    assert report(backup, "bracket-method") == {"10-50|SLICE_IT": POSTS}
    more = tmp_path / "more"
    more.write_bytes(event(POSTS))
    tillroll("import", more, "--data", killed)
    shutil.copy(backup / "tillroll.db", killed)
    assert b"1 events that were acknowledged are missing" in tillroll("audit", "--data", killed, code=1).stdout.replace(
        b"\n", b" "
    )
    tillroll("restored", "--data", killed)
    assert report(killed, "bracket-method") == {"10-50|SLICE_IT": POSTS}


def test_a_disk_with_no_room_to_open_the_file_is_called_full(data: Path, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_bytes(event(0))
    tillroll("import", lines, "--data", data)
    for arguments in (("report", "bracket-method"), ("serve", "--port", "0"), ("import", lines)):
        limited = ["prlimit", "--fsize=1000", *run(*arguments, "--data", data)]
        done = subprocess.run(limited, capture_output=True, check=False, timeout=60, env=environment())
        assert done.returncode == 4, done.stderr
        assert b"is full. Free some space" in done.stderr


def test_a_new_file_beside_an_old_head_is_told(killed: Path) -> None:
    for path in killed.glob("tillroll.db*"):
        path.unlink()
    assert f"{POSTS} events".encode() in tillroll("import", __file__, "--anyway", "--data", killed, code=4).stderr


def test_a_lost_or_damaged_head_is_told(killed: Path) -> None:
    head = killed / "tillroll.head"
    kept = head.read_bytes()
    flip(head, 20)
    assert report(killed, "bracket-method") == {"10-50|SLICE_IT": POSTS}  # there are two copies in it
    for content in (b"", kept[:30]):
        head.write_bytes(content)
        assert b"it is unknown whether" in tillroll("report", "bracket-method", "--data", killed, code=4).stderr
    tillroll("restored", "--data", killed)
    tillroll("audit", "--data", killed)


def test_the_head_of_another_store_is_told_and_no_repair_is_promised(killed: Path, tmp_path: Path) -> None:
    lines, other = tmp_path / "lines", tmp_path / "other"
    lines.write_bytes(b"\n".join(event(number) for number in range(100)))
    tillroll("import", lines, "--data", killed)
    lines.write_bytes(event(1_000))
    for name in ("less", "within a chunk"):
        lines.write_bytes(lines.read_bytes() + b"\n" + b"\n".join(event(1_000 + number) for number in range(50)))
        tillroll("import", lines, "--name", name, "--anyway", "--data", other)
        shutil.copy(other / "tillroll.head", killed)
        told = tillroll("report", "bracket-method", "--data", killed, code=4).stderr
        assert b"the journal is not the one that tillroll.head was written for" in told
        assert b"run: tillroll restored" in told
        failed = tillroll("audit", "--data", killed, code=1)
        assert b"tillroll restored" in failed.stdout
        assert b"rebuild" not in failed.stderr
        assert b"do what each says" in tillroll("audit", "--repair", "--data", killed, code=1).stderr
        tillroll("restored", "--data", killed)
        tillroll("audit", "--data", killed)


def test_several_writers_keep_one_head(data: Path, tmp_path: Path) -> None:
    server = Server(data, tmp_path)
    server.start()
    try:
        lines = tmp_path / "lines"
        lines.write_bytes(b"\n".join(event(1_000 + number) for number in range(20_000)))
        running = start("import", lines, "--data", data)
        number, give_up = 0, time.monotonic() + 60
        while running.poll() is None and time.monotonic() < give_up:
            assert post(server.port, number) == 202
            number += 1
        running.communicate()
    finally:
        server.kill()
    assert report(data, "bracket-method") == {"10-50|SLICE_IT": 20_000 + number}
    tillroll("audit", "--data", data)
