"""A running DynamoDB Local, for tests: started once when first asked for, ended with the tests."""

from __future__ import annotations

import subprocess
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

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

    from mypy_boto3_dynamodb import DynamoDBClient

REGION = "eu-west-1"


class DynamoDBLocal:
    """An endpoint with tables of any names."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def boto(self) -> DynamoDBClient:
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
    # Serial GC and a small heap: the machine also runs the tests.
    command = ["java", "-Xmx400m", "-XX:+UseSerialGC", f"-Djava.library.path={home}/DynamoDBLocal_lib"]
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


LAUNCHER_CLASS = "DynamoDBLocalOnLoopback"
