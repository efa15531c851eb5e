"""Damage to the files of a store: no wrong answer, and nothing that audit does not notice. More: run `bit_rot`.

What is too small to be hit often, such as the row of positions, is changed on purpose in tests/unit/test_sqlite.py.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.simulation import figures
from tests.simulation.bit_rot import SHARED_MEMORY, Found, Pristine, campaign, judge, move

from tillroll.stores.sqlite import schema
from tillroll.stores.sqlite.segment_rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow
ROUNDS = 200
ROUNDS_PLANTED = 400
PARTS_PLANTED = 16


def test_of_200_damages_none_gives_a_wrong_answer_and_none_goes_unnoticed() -> None:
    found = campaign(ROUNDS, 20_261_127)
    assert not found.failures, found.failures[0]
    figures.note("SQLite, bit rot, lost and misdirected writes", str(found))


def test_a_table_that_lost_its_rows_is_noticed_whichever_it_is() -> None:
    with TemporaryDirectory(dir=SHARED_MEMORY) as name:
        pristine, directory = Pristine(Path(name) / "pristine"), Path(name) / "damaged"
        unnoticed = []
        for table in pristine.rows:
            shutil.copytree(pristine.directory, directory, dirs_exist_ok=True)
            with closing(sqlite3.connect(directory / schema.FILE_NAME, isolation_level=None)) as connection:
                assert connection.execute(f"DELETE FROM {table}").rowcount
            found = judge(pristine, directory)
            if found.wrong or not found.noticed:
                unnoticed.append((table, found))
        assert not unnoticed


def test_no_repair_writes_where_a_table_has_pages_of_the_journal() -> None:
    with TemporaryDirectory(dir=SHARED_MEMORY) as name:
        pristine, directory = Pristine(Path(name) / "pristine"), Path(name) / "damaged"
        with closing(sqlite3.connect(pristine.directory / schema.FILE_NAME)) as connection:
            roots = dict(connection.execute("SELECT name, rootpage - 1 FROM sqlite_schema WHERE type = 'table'"))
        for table in ("merchant", "aggregate", "rejected_total", "dictionary"):
            shutil.copytree(pristine.directory, directory, dirs_exist_ok=True)
            done = move(pristine, directory, schema.FILE_NAME, roots["chunk"], roots[table])
            assert judge(pristine, directory, repair=True) == Found([], noticed=True, changed=True), done


class Planted(NamedTuple):
    name: str
    where: Any
    attribute: str
    fault: Callable[..., Any]


def _unchecked(self: Rows, row: Any) -> bytes:
    return self.decoded(row[5])


def _links_ignored(self: Rows, start: int | None, stop: int | None) -> Any:
    query = "SELECT window, part, cells FROM aggregate WHERE report = ? AND cells <> x'' ORDER BY window, part"
    for window, part, cells in self._connection.execute(query, (self.name,)):
        if (start is None or window >= start) and (stop is None or window < stop):
            yield window, part, self.decoded(cells)


PLANTED = (
    Planted("segments read without their checksums and links", Rows, "scan", _links_ignored),
    Planted("segments read without their checksum", Rows, "_checked_cells", _unchecked),
)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_check_that_is_left_out_is_missed(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted.where, planted.attribute, planted.fault)
    assert any(
        campaign(ROUNDS_PLANTED // PARTS_PLANTED, seed).failures for seed in range(PARTS_PLANTED)
    )  # in parts: most are found in the first
