"""A folder of inputs, each with its right answer: the same by HTTP, by import and as a queue's message."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.contract.memory_queue import MemoryQueue
from tests.e2e.command import environment
from tests.e2e.http_server import client, serving

from tillroll.core import kernel
from tillroll.ingest.worker import take_messages
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

CASES: Final = Path(__file__).parent.parent / "cases"
ANSWERS: Final[dict[str, Any]] = json.loads((CASES / "answers.json").read_text())
_WITHOUT_KERNEL: Final = "import sys; sys.modules['tillroll._kernel'] = None; "
_MAIN: Final = "import sys; from tillroll.cli.main import main; sys.argv[0] = 'tillroll'; main()"
_SERVE: Final = _WITHOUT_KERNEL + "sys.argv[1:1] = ['serve', '--port', '0', '--data']; " + _MAIN
KERNEL: Final = pytest.mark.parametrize("compiled", [True, False], ids=["kernel", "reference"])


@pytest.fixture(scope="module", params=[True, False], ids=["kernel", "reference"])
def http(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    code = None if request.param else _SERVE
    with serving(tmp_path_factory.mktemp("cases"), code=code) as running, client(running) as found:
        yield found


def test_every_input_has_its_answer() -> None:
    assert set(ANSWERS) == {path.name for path in CASES.iterdir()} - {"answers.json"}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("kind", ["application/json", "text/plain; charset=utf-8"])
def test_a_request_is_answered_right_whatever_its_type(http: httpx.Client, name: str, kind: str) -> None:
    answer = http.post("/events", content=(CASES / name).read_bytes(), headers={"Content-Type": kind}).json()
    right = ANSWERS[name]
    assert answer["accepted"] + answer["duplicates"] == right["accepted"]
    assert answer["conflicts"] == 0
    assert [[each["index"], each["byte"], each["code"]] for each in answer["not_accepted"]] == right["rejected"]


@KERNEL
def test_a_file_is_imported_right(tmp_path: Path, *, compiled: bool) -> None:
    paths = [str(CASES / name) for name in ANSWERS]
    imported = run_json("import", "--json", "--data", tmp_path / "data", *paths, compiled=compiled)
    kept = run_json("rejected", "list", "--json", "--data", tmp_path / "data", compiled=compiled)
    for path, tally, (name, right) in zip(paths, imported, ANSWERS.items(), strict=True):
        assert (name, tally["accepted"] + tally["duplicates"]) == (name, right["accepted"])
        mine = [each for each in kept if each["source"]["value"] == path]
        assert [[each["position"], each["byte"], each["code"]] for each in mine] == right["rejected"], name


def run_json(*arguments: str | Path, compiled: bool) -> Any:
    code = ("" if compiled else _WITHOUT_KERNEL) + _MAIN
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, env=environment(), check=False
    )
    assert done.returncode in {0, 3}, done.stderr
    return json.loads(done.stdout)


@KERNEL
@pytest.mark.parametrize(
    "name", sorted(name for name in ANSWERS if not name.endswith(".json-seq") and name != "lines-latin.ndjson")
)  # SQS carries text alone
def test_a_message_is_answered_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, compiled: bool
) -> None:
    monkeypatch.setattr(kernel, "compiled", compiled and kernel.compiled)
    dead = MemoryQueue(time.monotonic)
    queue = MemoryQueue(time.monotonic, dead)
    data = (CASES / name).read_bytes()
    right = ANSWERS[name]
    queue.send([(data, None)])
    store = SqliteStore(tmp_path)
    try:
        taken = take_messages(store, queue, queue.receive(0.0), time.time)
    finally:
        store.close()
    assert (taken.left, taken.error) == ([], None)
    assert (taken.counts.accepted, taken.counts.rejected) == (right["accepted"], len(right["rejected"]))
    letters = dead.receive(0.0)
    assert [letter.first_position for letter in letters] == [index for index, _, _ in right["rejected"]]
    assert all(
        data[byte:].startswith(letter.body.strip())
        for letter, (_, byte, _) in zip(letters, right["rejected"], strict=True)
    )
