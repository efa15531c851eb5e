"""Release 0.1.0 and this one at work on one store, as during a deployment: the old code in a process of its own.

tests/fixtures/tillroll-0.1.0.zip has the modules of its store, as they were released.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.oracle import events_of

from tillroll.core.accept import Body, accept
from tillroll.core.batch import NameKind, Source
from tillroll.core.kept import Keep
from tillroll.core.query import Query
from tillroll.core.report import FIVE
from tillroll.ports import Outcome
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.aws.dynamodb_local import DynamoDBLocal

    from tillroll.ports import Store

CODE = Path(__file__).parents[1] / "fixtures" / "tillroll-0.1.0.zip"
PROGRAM = """
import json, sys
from tillroll import __version__
from tillroll.app import open_store
from tillroll.core.accept import Body, accept
from tillroll.core.batch import NameKind, Source

store = open_store(sys.argv[1])
print(json.dumps(__version__), flush=True)
for line in sys.stdin:
    word, pairs = json.loads(line)
    try:
        if word == "take":
            bodies = [Body(text.encode(), Source(NameKind.KEY, key)) for key, text in pairs]
            answer = list(store.journal(accept(bodies, 2e9).batch))
        else:
            answer = store.fold()
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    print(json.dumps(answer), flush=True)
"""
NEVER_FOLDED = 1e9  # seconds of freshness
Pairs = list[tuple[str, str]]


class Older:
    """The old code, at work on the same tables."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def take(self, pairs: Pairs) -> Any:
        return self._ask("take", pairs)

    def fold(self) -> Any:
        return self._ask("fold", [])

    def _ask(self, word: str, pairs: Pairs) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([word, pairs]) + "\n")
        self._process.stdin.flush()
        return self.answer()


@contextmanager
def older(address: str) -> Iterator[Older]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TILLROLL_"))}
    variables |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "PYTHONPATH": str(CODE)}
    command = [sys.executable, "-c", PROGRAM, address]
    with subprocess.Popen(command, stdin=-1, stdout=-1, env=variables, text=True) as process:
        try:
            found = Older(process)
            assert found.answer() == "0.1.0"
            yield found
        finally:
            process.kill()


def purchases(prefix: str, count: int, day: str = "2011-12-03") -> Pairs:
    """Return purchases by their keys, some in a minute that all of them share."""
    found = []
    for number in range(count):
        event = {
            "date": f"{day}T10:{number % 7:02}:{number % 60:02}Z",
            "amount": 997 * number % 60_000,
            "paymentMethod": ("PAY_NOW", "PAY_LATER", "SLICE_IT")[number % 3],
            "merchantId": f"m-{number % 5}",
            "country": "SE",
        }
        found.append((f"{prefix}-{number}", json.dumps(event)))
    return found


def take(store: Store, pairs: Pairs, keep: Sequence[str] = ()) -> list[int]:
    bodies = [Body(text.encode(), Source(NameKind.KEY, key)) for key, text in pairs]
    return list(store.journal(accept(bodies, 2e9, keep=Keep(tuple(keep))).batch))


def reports(store: Store) -> list[dict[str, int]]:
    return [events_of(store.page(Query(report=report, limit=1_000)).aggregates) for report in FIVE]


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
