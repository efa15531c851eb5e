"""A running DynamoDB Local, for tests: started when first asked for, ended with the tests."""

from __future__ import annotations

import subprocess
import time
import uuid
from contextlib import ExitStack, contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from functools import cached_property
from typing import IO, TYPE_CHECKING, cast

import botocore.session
from tests.aws.fetch_dynamodb_local import classpath, fetch

from tillroll.core.rejection import CAPACITY, Capacity
from tillroll.stores.dynamodb.client import Client
from tillroll.stores.dynamodb.http import Connections, Credentials, Signer
from tillroll.stores.dynamodb.schema import create_tables
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
    home = fetch()
    # The machine also runs the tests, and these are over before a better compiler pays.
    command = [
        "java",
        "-Xmx800m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Djava.library.path={home}/DynamoDBLocal_lib",
    ]
    command += ["-cp", classpath(home), LAUNCHER_CLASS]
    with subprocess.Popen(
        command, cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("port "):
                    yield DynamoDBLocal(f"http://127.0.0.1:{int(line.split()[1])}")
                    break
            else:
                raise RuntimeError("DynamoDB Local did not start")
        finally:
            process.kill()


@contextmanager
def shared(directory: Path) -> Iterator[DynamoDBLocal]:
    """The one that all processes with this directory have: who comes first starts it, and ends it after the last."""
    said = directory / "dynamodb-local"
    with (directory / "dynamodb-local.users").open("w") as users, ExitStack() as stack:
        with _locked(directory):
            if said.exists():
                flock(users, LOCK_SH)
                found = DynamoDBLocal(said.read_text())
            else:
                found = stack.enter_context(running())
                stack.callback(_outlive, directory, users, said)
                said.write_text(found.endpoint)
        yield found


def _outlive(directory: Path, users: IO[str], said: Path) -> None:
    """Wait until nobody else uses it, and let nobody begin to."""
    while True:
        with _locked(directory), suppress(BlockingIOError):
            flock(users, LOCK_EX | LOCK_NB)
            said.unlink()
            return
        time.sleep(0.1)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with (directory / "dynamodb-local.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


LAUNCHER_CLASS = "DynamoDBLocalOnLoopback"
