"""Damage to the files of a store: no wrong answer, and nothing that audit does not notice. More: run `bit_rot`.

What is too small to be hit often, such as the row of positions, is changed on purpose in tests/unit/test_sqlite.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.simulation import figures
from tests.simulation.bit_rot import campaign

from tillroll.stores.sqlite.segment_rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow
ROUNDS = 100
ROUNDS_PLANTED = 400
PARTS_PLANTED = 16


def test_of_100_damages_none_gives_a_wrong_answer_and_none_goes_unnoticed() -> None:
    found = campaign(ROUNDS, 20_261_127)
    assert not found.failures, found.failures[0]
    figures.note("SQLite, bit rot, lost and misdirected writes", str(found))


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
