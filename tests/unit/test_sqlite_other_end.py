"""A journal whose end is another of the same length, as after a copy was put back: no number tells the two apart.

No run of a simulation meets this. So each step that tells them apart is left out here, and what it holds up is wrong.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.batches import batch_of
from tests.oracle import REPORTS

from tillroll.core.batch import Batch, Event
from tillroll.core.query import Query
from tillroll.errors import StoreDamagedError
from tillroll.ports import Outcome
from tillroll.stores.sqlite import head, schema
from tillroll.stores.sqlite.dedupe import Dedupe
from tillroll.stores.sqlite.reader import Tail
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NOON: Final = 1_322_913_600
_METHODS: Final = Query(report=REPORTS["bracket-method"])
_STAND_STILL_S: Final = 0.1  # a commit looks at the head 50 times a second


def _batch(name: str, amount: int) -> Batch:
    return batch_of([Event(_NOON + second, 0, amount, 0, "m", f"{name}{second}") for second in range(5)])


_BEGINNING, _END, _OTHER_END = _batch("p", 1), _batch("x", 1_000), _batch("y", 5_000)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    """A store with a beginning and an end; beside it, in `other`, one that has another end."""
    store = SqliteStore(tmp_path / "store")
    store.journal(_BEGINNING)
    store.fold()
    store.close()
    shutil.copytree(tmp_path / "store", tmp_path / "other")
    for name, end in (("store", _END), ("other", _OTHER_END)):
        store = SqliteStore(tmp_path / name)
        store.journal(end)
        store.close()
    return SqliteStore(tmp_path / "store")


def _put_other_end(directory: Path) -> None:
    """Put the other end in the place of the one that is there, under the processes that have it open."""
    with closing(sqlite3.connect(directory / "store" / schema.FILE_NAME)) as file, file:
        file.execute("ATTACH ? AS other", (str(directory / "other" / schema.FILE_NAME),))
        for table in ("chunk", "identity", "state"):
            file.execute(f"DELETE FROM main.{table}")
            file.execute(f"INSERT INTO main.{table} SELECT * FROM other.{table}")
    _put_other_head(directory)


def _put_other_head(directory: Path) -> None:
    content = (directory / "other" / head.FILE_NAME).read_bytes()
    (directory / "store" / head.FILE_NAME).write_bytes(content)
    time.sleep(_STAND_STILL_S)


def _counts(store: SqliteStore) -> dict[str, int]:
    return {each.datapoint: each.events for each in store.page(_METHODS).aggregates}


def _a_reader_sees_the_other_end(store: SqliteStore, directory: Path) -> bool:
    assert _counts(store) == {"<10|PAY_NOW": 5, "10-50|PAY_NOW": 5}
    _put_other_end(directory)
    with suppress(StoreDamagedError):  # it is told to who held the first; who asks again sees the other
        _counts(store)
    return _counts(store) == {"<10|PAY_NOW": 5, "50-100|PAY_NOW": 5}


def _repeats_of_the_other_end_are_known(store: SqliteStore, directory: Path) -> bool:
    assert set(store.journal(_END)) == {Outcome.DUPLICATE}
    _put_other_end(directory)
    with closing(SqliteStore(directory / "store")) as another:
        another.rebuild()
    return set(store.journal(_OTHER_END)) == {Outcome.DUPLICATE}


def _a_head_of_another_journal_is_told(store: SqliteStore, directory: Path) -> bool:
    _put_other_head(directory)
    try:
        store.journal(_batch("z", 1))
    except StoreDamagedError as error:
        return "is not the one that" in str(error)
    return False


_catch_up, _compare = Tail.catch_up, head.compare


def _by_length(self: Tail, connection: Any, dictionaries: Any, state: Any, after: int) -> None:
    """Compare how many events are held, and not which."""
    if self._unfolded.last != state.events:
        _catch_up(self, connection, dictionaries, state, after)


def _without_chain(found: head.Head | None, events: int, chain: bytes) -> None:
    """Compare how far the journal has come, and not by what."""
    _compare(found, events, chain if found is None else found.chain)


def _nothing(_self: Dedupe) -> None:
    """Keep the chunks that are held."""


STEPS: Final[dict[str, tuple[Callable[[SqliteStore, Path], bool], object, str, object]]] = {
    "the chain of the tail is compared": (_a_reader_sees_the_other_end, Tail, "catch_up", _by_length),
    "chunks that are held are forgotten": (_repeats_of_the_other_end_are_known, Dedupe, "forget", _nothing),
    "the chain of the head is compared": (_a_head_of_another_journal_is_told, head, "compare", _without_chain),
}


@pytest.mark.parametrize("step", STEPS)
def test_another_end_of_the_same_length_is_told_apart(store: SqliteStore, tmp_path: Path, step: str) -> None:
    assert STEPS[step][0](store, tmp_path)
    store.close()


@pytest.mark.parametrize("step", STEPS)
def test_another_end_is_taken_for_the_same_where_a_step_is_left_out(
    store: SqliteStore, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds, where, attribute, instead = STEPS[step]
    monkeypatch.setattr(where, attribute, instead)
    assert not holds(store, tmp_path)
    store.close()


def test_a_store_is_not_opened_with_the_head_of_another(store: SqliteStore, tmp_path: Path) -> None:
    store.close()
    _put_other_head(tmp_path)
    with closing(SqliteStore(tmp_path / "store")) as opened, pytest.raises(StoreDamagedError, match="is not the one"):
        opened.journal(_batch("z", 1))
