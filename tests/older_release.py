"""Release 0.1.0 in a process of its own, beside this one on one store.

tests/fixtures/tillroll-0.1.0.zip has the modules of its stores, as they were released.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.oracle import events_of

from tillroll.core.accept import Body, accept
from tillroll.core.batch import NameKind, Source
from tillroll.core.kept import Keep
from tillroll.core.query import Query
from tillroll.core.report import FIVE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tillroll.ports import Store

CODE = Path(__file__).parent / "fixtures" / "tillroll-0.1.0.zip"
PROGRAM = """
import json, sys
from tillroll import __version__
from tillroll.app import open_store
from tillroll.core.accept import Body, accept
from tillroll.core.batch import NameKind, Source

print(json.dumps(__version__), flush=True)
try:
    store = open_store(sys.argv[1])
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
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
Pairs = list[tuple[str, str]]


class Older:
    """The old code, at work on the same store."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def take(self, pairs: Pairs) -> Any:
        return self._ask("take", pairs)

    def fold(self) -> Any:
        return self._ask("fold", [])

    def refusal(self) -> str:
        """Return why it did not open the store, when it has ended."""
        assert self._process.stderr is not None
        return self._process.stderr.read()

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
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, env=variables, text=True) as process:
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
