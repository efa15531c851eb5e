"""Folders that share the datapoints on DynamoDB: more and fewer of them beside traffic, and what each costs."""

from __future__ import annotations

import json
import logging
import os
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, cast

from tests.aws.test_dynamodb_store import tables
from tests.batches import batch_of
from tests.contract import test_definitions as own
from tests.contract.test_definitions import count_all
from tests.contract.test_store import KEY, purchases
from tests.e2e import forks
from tests.unit.test_sqlite_definitions import TABLES

from tillroll.app import open_store
from tillroll.aws import functions
from tillroll.core.definition import define
from tillroll.errors import TillrollError
from tillroll.stores.dynamodb import fold as fold_module
from tillroll.stores.dynamodb.calls import BatchGet, Call, Count
from tillroll.stores.dynamodb.state import read_folders, read_state

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    import pytest
    from tests.aws.test_dynamodb_store import Tables

    from tillroll.stores.dynamodb.state import Folder
    from tillroll.stores.dynamodb.store import DynamoDBStore

__all__ = ["tables"]
EVENTS = purchases(60, days=1)


def folders_of(store: DynamoDBStore) -> list[Folder]:
    state = store.client.run(read_state(store.context))
    return store.client.run(read_folders(store.context, state.main))


def aws_folders(address: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    return forks.run(["aws", "folders", "--data", address, *words], environment)


def test_one_command_has_the_datapoints_shared_by_four_folders_and_by_one_beside_traffic(tables: Tables) -> None:
    store, address = tables.store(), tables.local.address(tables.names)
    store.apply([define(TABLES[0])])
    errors: list[TillrollError] = []
    done = threading.Event()

    def fold() -> None:
        other = tables.store()
        while not done.is_set():
            try:
                other.fold_if_due(0.2)
                other.count_some(0.1)
            except TillrollError as error:
                errors.append(error)

    threads = [threading.Thread(target=fold) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for at in range(0, len(EVENTS), 10):
            store.journal(batch_of(EVENTS[at : at + 10], KEY, at))
            if at in (10, 40):
                run = aws_folders(address, "4" if at == 10 else "1", "--json")
                assert (run.returncode, json.loads(run.stdout)) == (0, {"folders": 4 if at == 10 else 1}), run.stderr
                assert len(folders_of(store)) == store.folders()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not errors
    count_all(store)
    store.fold()
    found = store.audit()
    assert (found.differences, found.events) == ([], len(EVENTS))
    own.check(store, EVENTS, [TABLES[0]["name"]])
    assert "has the datapoints" in aws_folders(address).stdout


def test_a_store_without_folders_says_so(tmp_path: Path) -> None:
    assert aws_folders(str(tmp_path / "nothing"), "2").returncode == 4
    assert not (tmp_path / "nothing").exists()
    open_store(str(tmp_path)).close()
    done = aws_folders(str(tmp_path), "2")
    assert (done.returncode, "has no folders. Give the address of tables" in done.stderr) == (2, True)
    assert aws_folders(str(tmp_path), "0").returncode == 2


class _Lambda(BaseHTTPRequestHandler):
    """Answers as Lambda does to who does not wait for what is invoked."""

    invoked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        """Take an invocation."""
        event = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.invoked.append(f"{self.path} {self.headers['X-Amz-Invocation-Type']} {event}")
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_fold_function_is_called_once_for_each_folder_and_not_to_watch(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Lambda)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{server.server_address[1]}",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }.items():
        monkeypatch.setenv(name, value)
    _Lambda.invoked.clear()
    store, folder = tables.store(), functions._Folder("fold-it", cast("Any", logging.getLogger("test")))
    try:
        for folders, at in ((1, 0), (3, 10)):
            store.share_fold(folders)
            store.journal(batch_of(EVENTS[at : at + 10], KEY, at))
            folder.call_if_due(store)
            folder.call_if_due(store)  # no range has ended since
            assert _Lambda.invoked == ['/2015-03-31/functions/fold-it/invocations Event {"once": true}'] * folders
            _Lambda.invoked.clear()
    finally:
        server.shutdown()
        server.server_close()


def test_four_folders_write_each_counter_once_and_read_each_chunk_four_times(tables: Tables) -> None:
    store = tables.store()
    store.share_fold(4)
    store.journal(batch_of(EVENTS, KEY))
    written: list[str] = []
    read: list[object] = []
    make = store.client.make

    def count(calls: list[Call]) -> list[object]:
        written.extend(call.datapoint for call in calls if isinstance(call, Count))
        read.extend(
            key for call in calls if isinstance(call, BatchGet) and call.table == "journal" for key in call.keys
        )
        return make(calls)

    store.client.make = count  # type: ignore[method-assign, assignment]
    store.fold()
    assert len(written) == len(set(written)) == store.audit().datapoints
    assert len(read) == 4 * len(set(read)) + len(set(read))  # by the folders, and by the audit
    positions = {folder.position for folder in folders_of(store)}
    assert len(folders_of(store)) == 4
    assert len(positions) == 1


def test_with_little_time_a_call_goes_on_with_the_folder_that_is_least_far(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_module, "_UPDATES_AT_ONCE", 1)
    monkeypatch.setattr(fold_module, "_UPDATES_AT_ONCE_MAX", 1)
    store = tables.store()
    store.share_fold(3)
    for at in (0, 10, 20):  # a range each
        store.journal(batch_of(EVENTS[at : at + 10], KEY, at))
    calls, before = 0, folders_of(store)
    while min(folder.position for folder in before) < 3:
        left = iter([True] * 25)
        store.client.run(fold_module.fold_ledger(store.context, partial(next, left, False)))
        least, after = before.index(min(before, key=lambda folder: folder.position)), folders_of(store)
        ways = [(each.position, each.slice, each.after) for each in (before[least], after[least])]
        assert ways[0] < ways[1]
        calls, before = calls + 1, after
    assert calls > 3
    assert store.audit().differences == []
