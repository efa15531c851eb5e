"""What the embedded store promises of rejected events: small, erased for good, brought from older files."""

from __future__ import annotations

import gzip
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from tillroll.core import rejection as groups
from tillroll.core.accept import Body, Rejection, accept
from tillroll.core.batch import UNNAMED, NameKind, Source
from tillroll.core.decode import Reason
from tillroll.core.rejection import Capacity
from tillroll.errors import StoreError
from tillroll.stores.sqlite import files, schema
from tillroll.stores.sqlite import head as head_module
from tillroll.stores.sqlite.head import HeadFile
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = Source(NameKind.KEY, "checkout-7")
TILL = Source(NameKind.FILE, "/imports/till.ndjson")
FIXTURE = Path(__file__).parent.parent / "fixtures" / "rejected-0.1.0.db.gz"


def rejection(position: int, body: bytes, source: Source = KEY, message: str = "it is not JSON") -> Rejection:
    return Rejection(source, position, body, Reason("not_json", None, message))


def on_disk(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(directory.iterdir()))


def remains(body: bytes, directory: Path) -> bool:
    """Tell whether anything of a body is in a file of a directory."""
    found = on_disk(directory)
    size = min(16, len(body))
    return any(body[at : at + size] in found for at in range(0, len(body) - size + 1, max(1, len(body) // 50)))


def secrets(count: int, seed: int, size: int = 24) -> list[bytes]:
    """Return bodies that no compression hides."""
    chance = Random(seed)
    return [chance.randbytes(size) for _ in range(count)]


def test_large_bodies_under_one_key_do_not_cost_ever_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[bytes] = []
    decode = groups.decode

    def counted(data: bytes) -> groups.Group:
        unpacked.append(data)
        return decode(data)

    monkeypatch.setattr(groups, "decode", counted)
    bodies = [b"%d" % number + b" " * 2**23 + b"x" for number in range(20)]
    store = SqliteStore(tmp_path)
    for body in bodies:
        unpacked.clear()
        assert store.set_aside([rejection(0, body)], 1.0) == 1
    assert len(unpacked) <= 8
    assert store.set_aside([rejection(0, bodies[-1])], 1.0) == 1  # a repeat of the latest is known
    assert store.status().rejected == len(bodies)
    store.close()


def test_a_small_body_of_many_rejections_stays_small(tmp_path: Path) -> None:
    body = Body(b"[" + b"1," * 99_999 + b"1]", KEY)
    (rejections,) = accept([body], 2e9).rejections
    assert len(rejections) == 100_000
    store = SqliteStore(tmp_path)
    before = len(on_disk(tmp_path))
    assert store.set_aside(rejections, 1.0) == 100_000
    assert len(on_disk(tmp_path)) - before < 400_000
    assert store.set_aside(rejections, 2.0) == 100_000
    assert store.status().rejected == 100_000
    store.close()


@pytest.mark.parametrize("source", [KEY, TILL, UNNAMED])
@pytest.mark.parametrize("size", [24, 3_000, 100_000])
def test_what_is_dropped_is_gone_from_every_file(tmp_path: Path, source: Source, size: int) -> None:
    store = SqliteStore(tmp_path)
    bodies = secrets(12, seed=1, size=size)
    store.set_aside([rejection(0, b"before"), *(rejection(at, body, source) for at, body in enumerate(bodies))], 1.0)
    assert all(remains(body, tmp_path) for body in bodies)
    kept = [each for each in store.rejected() if each.rejection.body in bodies]
    store.discard([each.id for each in kept[1::2]])
    assert [remains(body, tmp_path) for body in bodies] == [True, False] * 6
    store.discard([each.id for each in kept[::2]])
    assert not any(remains(body, tmp_path) for body in bodies)
    assert [each.rejection.body for each in store.rejected()] == [b"before"]
    store.close()


def test_a_message_that_shows_what_was_dropped_is_gone_as_well(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    shown, stays = (body.hex() for body in secrets(2, seed=2))
    store.set_aside([rejection(0, b"x", message=f"{shown} is no amount"), rejection(1, b"y", message=stays)], 1.0)
    store.discard([store.rejected()[0].id])
    assert store.rejected()[0].rejection.reason.message == stays
    store.discard([store.rejected()[0].id])
    assert shown.encode() not in on_disk(tmp_path)
    assert stays.encode() not in on_disk(tmp_path)
    store.close()


def test_an_id_of_another_directory_drops_nothing(tmp_path: Path) -> None:
    stores = [SqliteStore(tmp_path / name) for name in ("one", "two")]
    for store in stores:
        store.set_aside([rejection(0, b"same")], 1.0)
    (mine,), (other,) = (store.rejected() for store in stores)
    assert mine.id != other.id
    stores[0].discard([other.id])
    assert stores[0].find_rejected(other.id) is None
    assert stores[0].rejected() == [mine]
    for store in stores:
        store.close()


@pytest.mark.parametrize(
    "wrong", ["", "-", "-1", "x-1", "1-", "1--1", "ffffffffffffffffffffffff-0", "1-99999", "é-1", "0"]
)
def test_what_is_no_id_names_nothing(tmp_path: Path, wrong: str) -> None:
    store = SqliteStore(tmp_path)
    store.set_aside([rejection(0, b"kept"), rejection(1, b"kept")], 1.0)
    assert store.find_rejected(wrong) is None
    store.discard([wrong])
    assert len(store.rejected()) == 2
    store.close()


def test_bytes_are_capped_as_they_are_stored(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, capacity=Capacity(1_000, 20_000))
    assert store.set_aside([rejection(at, b"1") for at in range(900)], 1.0) == 900
    bodies = secrets(3, seed=4, size=9_000)
    given = [rejection(0, body, Source(NameKind.KEY, str(at))) for at, body in enumerate(bodies)]
    assert store.set_aside(given, 1.0) == 2
    assert store.status().rejected_full
    store.close()
    store = SqliteStore(tmp_path, capacity=Capacity(1_000, 40_000))
    assert store.status().rejected_full  # until something is dropped
    assert store.set_aside(given, 1.0) == 3
    store.close()


def test_a_flipped_bit_of_a_rejection_is_noticed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.set_aside([rejection(0, b"kept"), rejection(1, b"kept")], 1.0)
    store.close()
    path = tmp_path / schema.FILE_NAME
    connection = sqlite3.connect(path)
    (payload,) = connection.execute("SELECT payload FROM rejected_group").fetchone()
    for bit in range(0, 8 * len(payload), 3):
        changed = bytearray(payload)
        changed[bit // 8] ^= 1 << bit % 8
        connection.execute("UPDATE rejected_group SET payload = ?", (bytes(changed),))
        connection.commit()
        store = SqliteStore(tmp_path)
        with pytest.raises(StoreError, match="rejected events are damaged"):
            store.rejected()
        store.close()
    connection.close()


def test_one_key_for_everything_does_not_cost_ever_more(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    given = [rejection(0, b"body %d" % number) for number in range(100)]
    steps = [0]

    def take_step() -> int:
        steps[-1] += 1
        return 0

    store._connection.set_progress_handler(take_step, 10)
    for at_s in (1.0, 2.0):
        for each in given:
            steps.append(0)
            store.set_aside([each], at_s)
    store._connection.set_progress_handler(None, 0)
    assert store.status().rejected == 100
    assert 0 < max(steps[-10:]) < 2 * min(steps[11:21])
    store.close()


# A file that release 0.1.0 wrote: ten events; of the key five rejections, of nobody two, of the till 302; 3 dropped.


@pytest.fixture
def old(tmp_path: Path) -> Path:
    (tmp_path / schema.FILE_NAME).write_bytes(gzip.decompress(FIXTURE.read_bytes()))
    return tmp_path


def test_what_an_older_release_kept_is_brought_along_under_its_ids(old: Path) -> None:
    with sqlite3.connect(old / schema.FILE_NAME) as file:
        rows = file.execute(
            "SELECT id, received_at, kind, source, position, code, message, body"
            " FROM rejected WHERE settled = 0 ORDER BY seq"
        ).fetchall()
    file.close()
    store = SqliteStore(old)
    kept = store.rejected(limit=1_000)
    assert len(kept) == 306
    assert rows == [
        (
            each.id,
            each.received_at,
            each.rejection.source.kind,
            each.rejection.source.value,
            each.rejection.position,
            each.rejection.reason.code,
            each.rejection.reason.message,
            each.rejection.body,
        )
        for each in kept
    ]
    assert store.status().rejected == 306
    assert store.find_rejected(kept[5].id) == kept[5]
    assert store.rejected(after=kept[5].id, limit=1_000) == kept[6:]
    store.discard([kept[5].id, kept[0].id])
    assert store.rejected(limit=1_000) == [*kept[1:5], *kept[6:]]
    assert (store.fold(), store.audit().differences) == (10, [])
    store.close()


def test_repeats_of_what_an_older_release_kept_or_dropped_are_known(old: Path) -> None:
    store = SqliteStore(old)
    again = [rejection(at, b"no event %d" % at) for at in range(5)]
    lines = [rejection(at, b"line %d" % at, TILL) for at in range(300)] + [rejection(300, b"DISCARDED-line", TILL)]
    store.set_aside([*again, *lines], 1.0)
    assert store.status().rejected == 306
    store.set_aside([rejection(1, b"another")], 1.0)
    assert store.status().rejected == 307
    store.close()


@contextmanager
def reading(directory: Path) -> Iterator[sqlite3.Connection]:
    """Read in a store, as another process does, until the connection's COMMIT."""
    with closing(schema.connect(directory / schema.FILE_NAME)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM rejected_group").fetchone()
        yield connection


def test_what_was_dropped_while_somebody_read_is_erased_once_nobody_does(tmp_path: Path) -> None:
    (body,) = secrets(1, 5, 3_000)
    store = SqliteStore(tmp_path)
    store.set_aside([rejection(0, body)], 1.0)
    with reading(tmp_path) as reader:
        store.discard([each.id for each in store.rejected()])
        assert store.rejected() == []
        assert remains(body, tmp_path)  # the reader may still be asked for it
        reader.execute("COMMIT")
        assert store.fold_if_due() is None  # nothing was journaled: no fold comes
        assert not remains(body, tmp_path)
    store.close()


def test_what_was_dropped_by_a_process_that_was_killed_is_erased_by_the_next(tmp_path: Path) -> None:
    (body,) = secrets(1, 7, 3_000)
    code = """
import os, signal, sys
from tests.unit.test_sqlite_rejected import Path, SqliteStore, reading, rejection
directory = Path(sys.argv[1])
store = SqliteStore(directory)
store.set_aside([rejection(0, bytes.fromhex(sys.argv[2]))], 1.0)
with reading(directory):
    store.discard([each.id for each in store.rejected()])
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code, tmp_path, body.hex()], cwd=FIXTURE.parents[2], check=False)
    assert remains(body, tmp_path)
    with reading(tmp_path) as another:
        another.execute("COMMIT")  # or SQLite would empty the log when the last closes the file
        store = SqliteStore(tmp_path)
        assert store.rejected() == []
        store.fold_if_due()  # as a server does a second after its start
        assert not remains(body, tmp_path)
        store.close()


@pytest.mark.parametrize("ends", [True, False])
def test_a_command_that_drops_waits_for_who_reads_and_says_if_it_waited_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, ends: bool
) -> None:
    monkeypatch.setattr(files, "_READERS_S", 30.0 if ends else 0.1)
    (body,) = secrets(1, 6, 3_000)
    store = SqliteStore(tmp_path)
    store.set_aside([rejection(0, body)], 1.0)
    with reading(tmp_path) as reader:
        store.discard([each.id for each in store.rejected()])
        timer = threading.Timer(0.2, reader.execute, ["COMMIT"])
        if ends:
            timer.start()
        store.close()
        timer.join() if ends else timer.cancel()
        assert remains(body, tmp_path) is not ends
        assert ("erased" in caplog.text) is not ends


def test_what_an_older_release_dropped_is_erased(old: Path) -> None:
    assert b"DISCARDED" in on_disk(old)
    store = SqliteStore(old)
    assert b"DISCARDED" not in on_disk(old)
    assert b"no event 2" not in on_disk(old)
    store.close()
    assert b"DISCARDED" not in on_disk(old)


def test_a_file_is_brought_along_once_when_many_open_it(old: Path) -> None:
    code = "import sys; from tillroll.app import open_store; open_store(sys.argv[1]).close()"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(old)]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    store = SqliteStore(old)
    assert store.status().rejected == 306
    store.close()


def test_a_conversion_that_was_cut_short_is_done_by_the_next_opening(
    old: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = old / schema.FILE_NAME
    connection = schema.connect(path)
    head = HeadFile(old / head_module.FILE_NAME)
    head.begin()
    head.close()
    schema.migrate(connection, path)
    connection.close()  # as if killed before what was kept was brought along
    copy = tmp_path_factory.mktemp("copy")
    for name in (path, path.with_name(head_module.FILE_NAME)):
        shutil.copy(name, copy)
    store = SqliteStore(copy)
    assert store.status().rejected == 306
    store.close()


@pytest.mark.parametrize(
    "damage",
    ["codes = '{}'", "waiting = 0", "token = 'ffffffff'", "source = source || 'x'", "low = low + 1", "kind = 3"],
)
def test_a_damaged_row_hides_nothing(tmp_path: Path, damage: str) -> None:
    store = SqliteStore(tmp_path)
    for at in range(3):
        store.set_aside([rejection(0, b"kept", Source(NameKind.KEY, str(at)))], float(at))
    assert store.audit().differences == []
    store._connection.execute(f"UPDATE rejected_group SET {damage} WHERE seq = 2")
    with pytest.raises(StoreError, match=r"rejected events are damaged \(group 2\)"):
        store.rejected()
    assert "rejected" in {each.kind for each in store.audit().differences}
    store.close()


def test_a_lost_row_and_a_changed_total_are_named_by_audit(tmp_path: Path) -> None:
    for number, damage in enumerate(
        ("DELETE FROM rejected_group WHERE seq = 2", "UPDATE rejected_total SET refused = 1")
    ):
        store = SqliteStore(tmp_path / str(number))
        for at in range(3):
            store.set_aside([rejection(0, b"kept", Source(NameKind.KEY, str(at)))], float(at))
        store._connection.execute(damage)
        assert "rejected" in {each.kind for each in store.audit().differences}
        store.close()
