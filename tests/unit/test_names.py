"""Names under a secret of the file: nobody stops the intake by the names that are sent; and files of before."""

from __future__ import annotations

import gzip
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.batches import batch_of
from tests.old_hash import colliding_ids, old_hash

from tillroll.core.batch import Event, NameKind, Source
from tillroll.core.query import Query
from tillroll.core.report import FIVE
from tillroll.errors import StoreError
from tillroll.ports import Outcome
from tillroll.stores.sqlite.naming import read_naming
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tillroll.core.batch import Batch

STORED = Path(__file__).parent / "stored" / "sqlite-0.1.0.db.gz"
NOON = 1_322_913_600  # 2011-12-03T12:00:00Z
MANY = 4_096


def ordinary(count: int = MANY) -> Batch:
    return batch_of([Event(NOON, 0, 100, 0, "m", f"order {i:0122d}") for i in range(count)])


def seconds_to_take(store: SqliteStore, batch: Batch, outcome: Outcome = Outcome.ACCEPTED) -> float:
    """Return the processor's seconds: others may have the machine meanwhile."""
    started = time.process_time()
    assert set(store.journal(batch)) == {outcome}
    return time.process_time() - started


def colliding() -> Batch:
    ids = colliding_ids()
    assert len(set(ids)) == MANY
    assert len({old_hash(each.encode()) for each in ids}) == 1
    return batch_of([Event(NOON, 0, 100, 0, "m", each) for each in ids])


def one_id_at_many_instants() -> Batch:
    return batch_of([Event(NOON + i % 60, i, 100, 0, "m", "the same") for i in range(MANY)])


def one_key_at_many_instants() -> Batch:
    return batch_of([Event(NOON + i % 60, i, 100, 0, "m") for i in range(MANY)], Source(NameKind.KEY, "k"))


@pytest.mark.parametrize("names", [colliding, one_id_at_many_instants, one_key_at_many_instants])
def test_names_that_were_chosen_take_no_longer_than_others(tmp_path: Path, names: Callable[[], Batch]) -> None:
    chosen, others = SqliteStore(tmp_path / "chosen"), SqliteStore(tmp_path / "others")
    bound_s = 10 * seconds_to_take(others, ordinary()) + 0.5  # one after another they took a hundred times as long
    assert seconds_to_take(chosen, names()) < bound_s
    assert seconds_to_take(chosen, names(), Outcome.DUPLICATE) < bound_s
    started = time.process_time()
    assert chosen.audit().differences == []
    assert time.process_time() - started < bound_s + 1
    for store in (chosen, others):
        store.close()


def test_two_stores_hash_the_same_names_under_two_secrets(tmp_path: Path) -> None:
    hashes = []
    for name in ("one", "two"):
        store = SqliteStore(tmp_path / name)
        store.journal(ordinary(200))
        hashes.append({each for (each,) in store._connection.execute("SELECT hash FROM identity")})
        store.close()
    assert len(hashes[0]) == len(hashes[1]) == 200
    assert not hashes[0] & hashes[1]


KILLED = """
import os, pathlib, signal, sys
from tillroll.stores.sqlite import reindex
from tillroll.stores.sqlite.store import SqliteStore
reindex._STRETCH_EVENTS = 1
write = reindex.write_naming
left = int(sys.argv[2])
def write_and_die(*arguments):
    global left
    write(*arguments)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
reindex.write_naming = write_and_die
SqliteStore(pathlib.Path(sys.argv[1]))
"""


@pytest.mark.parametrize("stretch", [1, 2, 7])
def test_an_upgrade_killed_between_stretches_goes_on_where_it_was(tmp_path: Path, stretch: int) -> None:
    path = tmp_path / "tillroll.db"
    path.write_bytes(gzip.decompress(STORED.read_bytes()))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(stretch)], check=False)
    assert killed.returncode == -signal.SIGKILL
    connection = sqlite3.connect(path)
    indexed = read_naming(connection).indexed
    assert indexed is not None  # the transaction it was killed in is not there
    assert (indexed > 0) == (stretch > 1)
    assert connection.execute("SELECT coalesce(max(event), 0) FROM identity").fetchone()[0] <= indexed
    connection.close()
    store = SqliteStore(tmp_path)
    assert read_naming(store._connection).indexed is None
    assert store.audit().differences == []
    lines = [Event(NOON + 977 * i, i % 3, i * 7919 % 60_000, i % 3, f"m{i % 1500}") for i in range(3_000)]
    assert set(store.journal(batch_of(lines, Source(NameKind.FILE, "november.ndjson")))) == {Outcome.DUPLICATE}
    late = [Event(NOON + 977 * i, i % 3, i * 7919 % 60_000, i % 3, f"m{i % 7}") for i in range(5_000, 5_040)]
    assert set(store.journal(batch_of(late, Source(NameKind.KEY, "late")))) == {Outcome.DUPLICATE}
    store.close()


def test_a_damaged_key_is_an_error_and_no_repeat_is_missed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.journal(ordinary(10))
    store._connection.execute("UPDATE naming SET key = x'000102030405060708090a0b0c0d0e0f'")
    store.close()
    store = SqliteStore(tmp_path)
    with pytest.raises(StoreError, match="key under which names are hashed"):
        store.journal(ordinary(10))
    page = store.page(Query(report=FIVE[0]))
    assert page.totals is not None
    assert page.totals.events == 10
    assert [(one.kind, one.subject) for one in store.audit().differences] == [("index", "key")]
    store.close()
