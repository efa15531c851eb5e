"""Release 0.1.0 and this one at work on the same tables, as during a deployment: the old in a process of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.older_release import older, purchases, reports, take

from tillroll.ports import Outcome
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.aws.dynamodb_local import DynamoDBLocal

NEVER_FOLDED = 1e9  # seconds of freshness


def test_old_and_new_take_and_fold_on_one_store_and_know_each_others_purchases(
    dynamodb_local: DynamoDBLocal, tmp_path: Path
) -> None:
    tables = dynamodb_local.create_tables()
    first, mine, second, third = (purchases(name, 40) for name in ("first", "mine", "second", "third"))
    new = dynamodb_local.store(tables, time.time, freshness_s=NEVER_FOLDED)
    with older(dynamodb_local.address(tables)) as old:
        assert old.take(first) == [Outcome.ACCEPTED] * 40
        assert isinstance(old.fold(), int)
        assert take(new, mine) == [Outcome.ACCEPTED] * 40  # deployed beside it, and no fold yet
        assert isinstance(old.fold(), int)  # the old one counts what the new one journaled
        assert take(new, first) == [Outcome.DUPLICATE] * 40
        assert old.take(mine) == [Outcome.DUPLICATE] * 40
        assert old.take(second) == [Outcome.ACCEPTED] * 40
        new.fold()  # and takes the state over
        assert "tillroll 0.2.0 or later" in old.fold()
        assert old.take(third) == [Outcome.ACCEPTED] * 40  # it journals on
        changed = [(key, text.replace("PAY_NOW", "PAY_LATER")) for key, text in mine[:1]]
        assert old.take(changed) == [Outcome.CONFLICT]
        assert take(new, third) == [Outcome.DUPLICATE] * 40
    new.fold()
    embedded = SqliteStore(tmp_path / "data")
    take(embedded, [*first, *mine, *second, *third])
    assert reports(new) == reports(embedded)
    audit = new.audit()
    assert (audit.differences, audit.events) == ([], 160)
    embedded.close()
    new.close()


def test_an_old_one_that_goes_on_beside_new_formats_refuses_what_it_cannot_read_and_counts_nothing_twice(
    dynamodb_local: DynamoDBLocal,
) -> None:
    """Kept fields are the new format here: docs/versioning.md says not to use them until every process is new."""
    tables = dynamodb_local.create_tables()
    new = dynamodb_local.store(tables, time.time, freshness_s=NEVER_FOLDED)
    assert take(new, purchases("mine", 20), ["country"]) == [Outcome.ACCEPTED] * 20
    new.fold()
    with older(dynamodb_local.address(tables)) as old:
        refused = old.take(purchases("mine", 20))
        assert isinstance(refused, str), "a purchase whose repeat it cannot see is not taken"
        elsewhere = old.take(purchases("old", 10, "2011-12-04"))
        assert isinstance(elsewhere, str) or elsewhere == [Outcome.ACCEPTED] * 10
        assert isinstance(old.fold(), str)
    new.fold()
    audit = new.audit()
    assert audit.differences == []
    assert audit.events == 20 + (0 if isinstance(elsewhere, str) else 10)
    new.close()
