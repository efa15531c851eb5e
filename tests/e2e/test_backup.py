"""A copy beside traffic, and a store out of it: the drill of docs/operations.md, and litestream."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.e2e.command import environment, reports, tillroll
from tests.e2e.server import Server, post_until_answered

from tillroll.stores.sqlite.schema import MIGRATIONS

pytestmark = pytest.mark.slow
OPERATIONS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
LITESTREAM = Path(sys.executable).with_name("litestream")
LATE_S = 3.0  # as docs/operations.md says


def body(number: int) -> list[bytes]:
    line = b'{"date":"2011-12-03T10:15:30Z","amount":%d,"paymentMethod":"PAY_NOW","merchantId":"m"}'
    return [line % number, line % (number + 1)]


class Sender:
    """Posts bodies one after another, each under its number, and knows when each was acknowledged."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self.acknowledged: list[float] = []
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        while not self._stop.is_set():
            try:
                post_until_answered(
                    self._server.port, f"body {len(self.acknowledged)}", body(len(self.acknowledged)), 0
                )
            except OSError:
                return
            self.acknowledged.append(time.monotonic())

    def wait_for(self, bodies: int) -> None:
        give_up = time.monotonic() + 60
        while len(self.acknowledged) < bodies:
            assert time.monotonic() < give_up
            time.sleep(0.01)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def numbers(data: Path) -> list[int]:
    """Which bodies are in a store, in the order they came."""
    lines = [json.loads(line) for line in tillroll("events", "--data", data).stdout.splitlines()]
    return [int(line["_name"].split("body ")[1]) for line in lines[::2]]


def drill(copy: Path, data: Path) -> None:
    """Run the steps of the restore drill as they stand in docs/operations.md."""
    found = re.search(r"```sh drill\n(.*?)```", OPERATIONS, re.DOTALL)
    assert found is not None
    script = found[1].replace("/var/lib/tillroll", str(data)).replace("/backup/tillroll.db", str(copy))
    shim = f'tillroll() {{ "{sys.executable}" -m tillroll "$@"; }}\n'
    done = subprocess.run(["bash", "-euc", shim + script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "audit" in script


def test_the_drill_gives_back_all_that_was_there_when_the_copy_was_made(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy.db"
    file = tmp_path / "imported.ndjson"
    file.write_bytes(b"\n".join(line.replace(b'"m"', b'"imported"') for line in body(1)))
    tillroll("import", file, "--data", data)
    tillroll("import", "-", "--name", "bad", "--data", data, "--anyway", stdin=b"{}\n", code=3)
    server = Server(data, tmp_path)
    server.start()
    sender = Sender(server)
    sender.wait_for(20)
    before = len(sender.acknowledged)
    made = json.loads(tillroll("backup", copy, "--json", "--data", data).stdout)
    sender.wait_for(before + 20)
    server.kill()
    sender.stop()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.glob("*copy*")) == ["copy.db"]
    content = copy.read_bytes()
    drill(copy, data)
    assert copy.read_bytes() == content
    lines = tillroll("events", "--data", data).stdout.splitlines()
    assert len(lines) == made["events"]
    restored = (len(lines) - 2) // 2
    assert before <= restored < len(sender.acknowledged)
    assert json.loads(tillroll("rejected", "list", "--json", "--data", data).stdout)[0]["source"]["value"] == "bad"
    done = tillroll("import", file, "--name", "another", "--data", data, code=2)  # the list of imports is in it
    assert b"--anyway" in done.stderr
    server.start()
    outcomes = [post_until_answered(server.port, f"body {n}", body(n)) for n in (0, restored - 1, restored)]
    assert [outcome["duplicates"] for outcome in outcomes] == [2, 2, 0]
    server.stop()
    server.close()
    assert reports(data)["bracket-method"] == {"<10|PAY_NOW": made["events"] + 2}


def test_a_copy_that_is_not_whole_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy.db"
    tillroll("import", "-", "--data", data, stdin=b"\n".join(body(number)[0] for number in range(2_000)))
    tillroll("backup", copy, "--data", data)
    damaged = tmp_path / "damaged.db"
    content = bytearray(copy.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8_192] = bytes(8_192)
    shorter = tmp_path / "shorter.db"
    shutil.copy(copy, shorter)
    with sqlite3.connect(shorter) as connection:
        connection.execute("DELETE FROM chunk")
    connection.close()
    damaged.write_bytes(content)
    (tmp_path / "text.db").write_text("no database")
    for name in ("damaged.db", "shorter.db", "text.db", "none.db"):
        done = tillroll("restore", tmp_path / name, "--data", tmp_path / "new", code=4)
        assert done.stderr.count(b"\n") == 1, done.stderr
        assert not (tmp_path / "new" / "tillroll.db").exists()
    done = tillroll("restore", copy, "--data", data, code=4)
    assert b"there is a store in" in done.stderr
    assert b"cannot be written" in tillroll("backup", tmp_path / "no" / "copy.db", "--data", data, code=2).stderr
    left = tmp_path / "left"
    left.mkdir()
    (left / "tillroll.db-wal").write_bytes(b"of another file")
    assert b"Move its contents away" in tillroll("restore", copy, "--data", left, code=4).stderr


# A command that stops itself once it has copied, and has not put the copy in its place.
HALFWAY = """
import os, signal, sys
from tillroll.cli.main import run
from tillroll.stores.sqlite import backup
checked = backup._checked
def stopped(path):
    os.kill(os.getpid(), signal.SIGSTOP)
    return checked(path)
backup._checked = stopped
sys.exit(run(sys.argv[1:]))
"""


def stopped_halfway(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start a command that copies, and return it where it has stopped halfway."""
    running = subprocess.Popen(
        [sys.executable, "-c", HALFWAY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    os.waitid(os.P_PID, running.pid, os.WSTOPPED)
    return running


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A store with two purchases."""
    data = tmp_path / "filled"
    tillroll("import", "-", "--data", data, stdin=b"\n".join(body(1)))
    return data


def test_what_a_killed_copy_left_is_removed_by_the_next_and_what_another_writes_is_not(
    filled: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()
    killed = stopped_halfway("backup", copy, "--data", filled)
    tillroll("backup", copy, "--data", filled)
    assert len(list(copy.parent.glob(".*.part"))) == 1
    killed.kill()
    killed.communicate()
    tomorrow = copy.with_name("tomorrow.db")
    tillroll("backup", tomorrow, "--data", filled)
    assert set(copy.parent.iterdir()) == {copy, tomorrow}


def test_a_copy_is_not_put_over_a_store_that_was_made_meanwhile(filled: Path, tmp_path: Path) -> None:
    copy, data = tmp_path / "copy.db", tmp_path / "data"
    tillroll("backup", copy, "--data", filled)
    restoring = stopped_halfway("restore", copy, "--data", data)
    server = Server(data, tmp_path)
    server.start()
    try:
        assert post_until_answered(server.port, "first", body(1))["accepted"] == 2
        restoring.send_signal(signal.SIGCONT)
        _, told = restoring.communicate()
        assert restoring.returncode == 4
        assert b"there is a store in" in told
        assert post_until_answered(server.port, "second", body(2))["accepted"] == 2
        server.stop()
    finally:
        server.close()
    assert not list(data.glob(".*"))
    assert reports(data)["bracket-method"] == {"<10|PAY_NOW": 4}
    tillroll("audit", "--data", data)


def test_a_list_of_imports_beside_the_file_moves_into_it(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "in.ndjson"
    file.write_bytes(b"\n".join(body(1)))
    tillroll("import", file, "--name", "first", "--data", data)
    with sqlite3.connect(data / "tillroll.db") as connection:  # as a release before had it
        (row,) = connection.execute("SELECT name, head_bytes, sha256 FROM import").fetchall()
        later = [script for script in MIGRATIONS[7:] if isinstance(script, str)]
        for table in ("import", "seal", *re.findall(r"CREATE TABLE (\w+)", "".join(later))):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    line = json.dumps(dict(zip(("name", "head_bytes", "sha256"), row, strict=True)))
    (data / "imports.ndjson").write_text(line + "\n" + '{"name":"torn')
    done = tillroll("import", file, "--name", "second", "--data", data, code=2)
    assert b"under the name first" in done.stderr
    assert not (data / "imports.ndjson").exists()


def litestream_restore(replica: Path, copy: Path) -> bool:
    command = [str(LITESTREAM), "restore", "-o", str(copy), f"file://{replica}"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def copied_in_time(sender: Sender, replica: Path, copy: Path) -> int:
    """Return how many bodies were acknowledged, 0 unless all of them are in the replica as soon as is documented."""
    sender.wait_for(len(sender.acknowledged) + 20)
    newest = len(sender.acknowledged)
    time.sleep(LATE_S)
    if not litestream_restore(replica, copy):
        return 0
    with closing(sqlite3.connect(copy)) as connection:
        ((events,),) = connection.execute("SELECT events FROM state")
    return newest if events >= 2 * newest else 0


@pytest.mark.skipif(not LITESTREAM.exists(), reason="litestream is not installed")
def test_litestream_loses_only_the_newest_posts(tmp_path: Path) -> None:
    data, replica = tmp_path / "data", tmp_path / "replica"
    server = Server(data, tmp_path)
    server.start()
    log = (tmp_path / "litestream.log").open("wb")
    replicate = [str(LITESTREAM), "replicate", str(data / "tillroll.db"), f"file://{replica}"]
    process = subprocess.Popen(replicate, stdout=log, stderr=log)
    sender = Sender(server)
    copied = (copied_in_time(sender, replica, tmp_path / f"copy-{number}.db") for number in range(10))
    newest = next(filter(None, copied))  # the machine may stand still for so long, and then this is tried again
    process.kill()
    server.kill()
    sender.stop()
    process.wait()
    log.close()
    shutil.rmtree(data)
    copy = tmp_path / "copy.db"
    assert litestream_restore(replica, copy)
    tillroll("restore", copy, "--data", data)
    tillroll("audit", "--data", data)
    found = numbers(data)
    assert found == list(range(len(found)))
    assert len(found) >= newest
    server.start()
    outcomes = [
        post_until_answered(server.port, f"body {number}", body(number)) for number in range(len(sender.acknowledged))
    ]
    assert sum(outcome["accepted"] for outcome in outcomes) == 2 * (len(sender.acknowledged) - len(found))
    server.stop()
    server.close()
