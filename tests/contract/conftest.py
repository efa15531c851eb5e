"""The stores that the contract suite runs over, each with a way to damage it."""

from __future__ import annotations

import sqlite3
from array import array
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from tests.contract.memory_store import MemoryBench
from tests.oracle import REPORTS, Oracle

from tillroll.app import open_store
from tillroll.core import kernel
from tillroll.core.dimension import BRACKETS
from tillroll.core.limits import METHODS
from tillroll.core.rejection import CAPACITY, Capacity
from tillroll.stores.sqlite.segments import Segments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.aws.dynamodb_local import DynamoDBLocal

    from tillroll.ports import Store


class Bench(Protocol):
    """A store under test, and what the suite needs besides the port.

    It is made anew for each test. `opened` lists what was opened; the suite closes it.
    """

    opened: list[Store]

    def open(self, capacity: Capacity = CAPACITY) -> Store:
        """Return another user of the same store, as another process would be."""
        ...

    def add(self, datapoint: str, events: int) -> None:
        """Change an aggregate of bracket-method behind the store's back."""
        ...

    def lose_chunk(self) -> None:
        """Delete the first chunk of the journal. Skip the test where nothing is stored that could be lost."""
        ...

    def flip_bit(self) -> None:
        """Change one bit of the first chunk of the journal. Skip the test where no bytes are stored."""
        ...


class OracleBench:
    def __init__(self) -> None:
        self.store = Oracle()
        self.opened: list[Store] = []

    def open(self, capacity: Capacity = CAPACITY) -> Store:
        self.store.capacity = capacity
        return self.store

    def add(self, datapoint: str, events: int) -> None:
        self.store.aggregates[datapoint] += events

    def lose_chunk(self) -> None:
        raise NotImplementedError

    def flip_bit(self) -> None:
        raise NotImplementedError


class SqliteBench:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.opened: list[Store] = []

    def open(self, capacity: Capacity = CAPACITY) -> Store:
        self.opened.append(open_store(str(self.directory), capacity=capacity))
        return self.opened[-1]

    def _change(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        connection = sqlite3.connect(self.directory / "tillroll.db")
        for statement, values in statements:
            connection.execute(statement, values)
        connection.commit()
        connection.close()

    def add(self, datapoint: str, events: int) -> None:
        at = REPORTS.place(datapoint)
        assert at is not None
        connection = sqlite3.connect(self.directory / "tillroll.db")
        segments, report = Segments(connection), REPORTS["bracket-method"]
        code = report.inner_code(
            dimension.texts.index(text) for dimension, text in zip(report.closed, at.texts, strict=True)
        )
        size = len(BRACKETS) * len(METHODS)
        words = ([code], [events], [0], [0])
        added = kernel.add_counts(segments.cells(report, 0, 0), 0, size, *(array("Q", word) for word in words))
        segments.put(report, 0, 0, added)
        connection.commit()
        connection.close()

    def lose_chunk(self) -> None:
        self._change(("DELETE FROM chunk WHERE first = 1", ()))

    def flip_bit(self) -> None:
        connection = sqlite3.connect(self.directory / "tillroll.db")
        (payload,) = connection.execute("SELECT payload FROM chunk WHERE first = 1").fetchone()
        connection.close()
        self._change(("UPDATE chunk SET payload = ? WHERE first = 1", (flipped(payload),)))


class DynamoDBBench:
    def __init__(self, local: DynamoDBLocal) -> None:
        self.local = local
        self.tables = local.create_tables()
        self.boto = local.boto()
        self.now = 1_700_000_000.0
        self.opened: list[Store] = []

    def open(self, capacity: Capacity = CAPACITY) -> Store:
        self.opened.append(self.local.store(self.tables, lambda: self.now, capacity=capacity))
        return self.opened[-1]

    def add(self, datapoint: str, events: int) -> None:
        at = REPORTS.place(datapoint)
        assert at is not None
        self.boto.update_item(
            TableName=self.tables[0],
            Key={"datapoint": {"S": datapoint}},
            UpdateExpression="ADD events :n SET report = :r",
            ExpressionAttributeValues={":n": {"N": str(events)}, ":r": {"S": at.report.name}},
        )

    def first_chunk(self) -> dict[str, Any]:
        items = self.boto.scan(TableName=self.tables[1])["Items"]
        chunks = [item for item in items if "chunk" in item]
        return dict(min(chunks, key=lambda item: (int(item["entry"]["N"]), item["log"]["S"])))

    def lose_chunk(self) -> None:
        item = self.first_chunk()
        self.boto.delete_item(TableName=self.tables[1], Key={"log": item["log"], "number": item["number"]})

    def flip_bit(self) -> None:
        item = self.first_chunk()
        item["chunk"] = {"B": flipped(item["chunk"]["B"])}
        self.boto.put_item(TableName=self.tables[1], Item=item)


def flipped(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 8]) + data[at + 1 :]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bench", metavar="MODULE:CLASS", help="run the suite over this Bench alone: docs/new-store.md")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    given = metafunc.config.getoption("--bench", None)
    for name, stores in (
        ("bench", ["oracle", "memory", "sqlite", "dynamodb-local"]),
        ("real_bench", ["memory", "sqlite", "dynamodb-local"]),
        ("folding_bench", ["sqlite", "dynamodb-local"]),
    ):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, stores if given is None else [given], indirect=True)


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    yield from _bench(request, tmp_path)


@pytest.fixture
def real_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A store that has chunks to damage, and other processes: not the oracle."""
    yield from _bench(request, tmp_path)


@pytest.fixture
def folding_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A store that counts with core.fold."""
    yield from _bench(request, tmp_path)


def _bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made: Any
    match request.param:
        case "oracle":
            made = OracleBench()
        case "memory":
            made = MemoryBench()
        case "sqlite":
            made = SqliteBench(tmp_path)
        case "dynamodb-local":
            made = DynamoDBBench(request.getfixturevalue("dynamodb_local"))
        case given:
            module, _, name = given.partition(":")
            made = getattr(import_module(module), name)(tmp_path)
    yield made
    for store in made.opened:
        store.close()


@pytest.fixture
def store(bench: Bench) -> Store:
    return bench.open()
