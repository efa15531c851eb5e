"""Release 0.1.0 still at work on a store that this release opens: the old code in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.older_release import older, purchases, reports, take

from tillroll.ports import Outcome
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path


def test_an_older_process_on_a_store_that_was_upgraded_takes_and_counts_nothing_more_and_harms_nothing(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    first, mine, late = (purchases(name, 40) for name in ("first", "mine", "late"))
    with older(str(data)) as old:
        assert old.take(first) == [Outcome.ACCEPTED] * 40
        new = SqliteStore(data)  # upgrades the file under it
        assert take(new, first) == [Outcome.DUPLICATE] * 40
        assert take(new, mine) == [Outcome.ACCEPTED] * 40
        for refused in (old.take(late), old.take(first), old.fold(), old.take(mine)):
            assert isinstance(refused, str), "a process that cannot count what is there answers with an error"
        assert take(new, late) == [Outcome.ACCEPTED] * 40
        new.fold()
        audit = new.audit()
        assert (audit.differences, audit.events) == ([], 120)
    fresh = SqliteStore(tmp_path / "fresh")
    take(fresh, [*first, *mine, *late])
    assert reports(new) == reports(fresh)
    new.close()
    fresh.close()


def test_an_older_process_that_starts_on_a_store_of_this_release_says_that_it_is_newer(tmp_path: Path) -> None:
    data = tmp_path / "data"
    new = SqliteStore(data)
    take(new, purchases("mine", 10))
    before = reports(new)
    with older(str(data)) as old:
        assert "newer" in old.refusal()
    assert reports(new) == before
    new.close()
