"""A running DynamoDB Local, for tests: started when first asked for, ended with the tests."""

from __future__ import annotations

import subprocess
import uuid
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from functools import cached_property
from typing import IO, TYPE_CHECKING, Final, cast

import botocore.session
from tests.aws.fetch_dynamodb_local import classpath, fetch
from tests.aws.tables import create_tables

from tillroll.core.rejection import CAPACITY, Capacity
from tillroll.stores.dynamodb.client import Client
from tillroll.stores.dynamodb.http import Connections, Credentials, Signer
from tillroll.stores.dynamodb.store import DynamoDBStore
from tillroll.stores.dynamodb.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mypy_boto3_dynamodb import DynamoDBClient

REGION = "eu-west-1"


class DynamoDBLocal:
    """An endpoint with tables of any names."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def boto(self) -> DynamoDBClient:
        """Return a client, the same one each time: making one takes longer than most tests."""
        return self._boto

    @cached_property
    def _boto(self) -> DynamoDBClient:
        session = botocore.session.Session()
        session.set_credentials("local", "local")
        client = session.create_client("dynamodb", region_name=REGION, endpoint_url=self.endpoint)
        return cast("DynamoDBClient", client)

    def create_tables(self) -> tuple[str, str]:
        """Make two empty tables and return their names: aggregates, journal."""
        name = uuid.uuid4().hex
        tables = (f"aggregates-{name}", f"journal-{name}")
        create_tables(self.boto(), *tables)
        return tables

    def client(self, tables: tuple[str, str]) -> Client:
        signer = Signer(self.endpoint.removeprefix("http://"), REGION, lambda: Credentials("local", "local", None))
        return Client(Connections(self.endpoint, signer), self.endpoint, Wire(*tables))

    def store(
        self,
        tables: tuple[str, str],
        clock: Callable[[], float],
        freshness_s: float = 0.0,
        capacity: Capacity = CAPACITY,
    ) -> DynamoDBStore:
        return DynamoDBStore(self.client(tables), freshness_s=freshness_s, clock=clock, capacity=capacity)

    def address(self, tables: tuple[str, str]) -> str:
        """Return the store's address, for a process that has credentials in its environment."""
        return f"dynamodb://{REGION}/{tables[0]}/{tables[1]}?endpoint={self.endpoint}"


@contextmanager
def running() -> Iterator[DynamoDBLocal]:
    """One that ends with the block."""
    with subprocess.Popen(
        _command(), cwd=fetch(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdout is not None
            yield DynamoDBLocal(_endpoint(process.stdout))
        finally:
            process.kill()


def shared(directory: Path, ends_with: int) -> DynamoDBLocal:
    """Return the one that all processes with this directory have: who comes first starts it.

    It ends with a process, given by its number: so none of those that have it waits for the others.
    """
    said = directory / "dynamodb-local"
    with (directory / "dynamodb-local.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not said.exists():
            said.write_text(_start(ends_with))
    return DynamoDBLocal(said.read_text())


# Starts a program that is nobody's child, whose standard input ends soon after a process has.
_BESIDE: Final = 'while kill -0 "$0" 2>&-; do sleep 2; done | "$@" 2>/dev/null &'


def _start(ends_with: int) -> str:
    command = ["sh", "-c", _BESIDE, str(ends_with), *_command()]
    with subprocess.Popen(command, cwd=fetch(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        return _endpoint(process.stdout)


def _endpoint(output: IO[bytes]) -> str:
    for line in output:
        if line.startswith(b"port "):
            return f"http://127.0.0.1:{int(line.split()[1])}"
    raise RuntimeError("DynamoDB Local did not start")


def _command() -> list[str]:
    home = fetch()
    # The machine also runs the tests, and these are over before a better compiler pays.
    options = ["-Xmx800m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    options += [f"-Djava.library.path={home}/DynamoDBLocal_lib", "-cp", classpath(home)]
    return ["java", *options, LAUNCHER_CLASS]


LAUNCHER_CLASS = "DynamoDBLocalOnLoopback"
