"""How many counter updates a second a core can make, against a server that answers at once: ours beside boto3's.

The server does nothing, so the processor time is the client's own; on AWS the waiting of a few ms a call is hidden by
the number of connections.
"""

from __future__ import annotations

import selectors
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.measure import show

from tillroll.stores.dynamodb.calls import Count, run_calls
from tillroll.stores.dynamodb.client import Client
from tillroll.stores.dynamodb.http import Connections, Credentials, Signer
from tillroll.stores.dynamodb.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tillroll.stores.dynamodb.calls import Procedure

BODY = b'{"Attributes":{"events":{"N":"42"},"fold":{"N":"7"},"report":{"S":"day-merchant"}}}'
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)
UPDATES = 20_000
UPDATES_BOTO3 = 1_500


def serve() -> None:
    """Answer every request at once. Runs in a process of its own."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ)
                continue
            connection = key.fileobj  # type: ignore[assignment]
            data = connection.recv(65_536)
            if not data:
                selector.unregister(connection)
                connection.close()
            elif data.endswith(b"}"):  # the end of a request's JSON
                connection.sendall(REPLY)


@contextmanager
def serving() -> Iterator[str]:
    command = [sys.executable, "-c", "from bench.dynamodb import serve; serve()"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


def updates(count: int) -> list[Count]:
    return [
        Count(f"2011-12-03|1bb53ed1-787b-4543-9def-{number:012}", "day-merchant", 3, 12_855, 7_000_001, 0)
        for number in range(count)
    ]


def fold(client: Client, counts: list[Count]) -> Procedure[None]:
    from tillroll.stores.dynamodb.store import DynamoDBStore

    context = DynamoDBStore(client, freshness_s=60.0).context
    for start in range(0, len(counts), 2_000):
        yield from run_calls(context, counts[start : start + 2_000])


def run() -> None:
    rows = []
    with serving() as endpoint:
        signer = Signer(endpoint.removeprefix("http://"), "eu-west-1", lambda: Credentials("key", "secret", None))
        client = Client(Connections(endpoint, signer), endpoint, Wire("aggregates", "journal"))
        client.run(fold(client, updates(500)))
        counts = updates(UPDATES)
        wall, cpu = time.perf_counter(), time.process_time()
        client.run(fold(client, counts))
        rows.append(_row("tillroll's client", UPDATES, time.perf_counter() - wall, time.process_time() - cpu))
        client.close()
        rows.append(_boto3(endpoint))
    show("Counter updates", ["client", "updates", "per s of CPU", "per s", "CPU each, µs"], rows)


def _row(name: str, count: int, wall_s: float, cpu_s: float) -> list[str]:
    return [name, f"{count:,}", f"{count / cpu_s:,.0f}", f"{count / wall_s:,.0f}", f"{cpu_s / count * 1e6:,.0f}"]


def _boto3(endpoint: str) -> list[str]:
    import boto3

    session = boto3.Session("key", "secret", region_name="eu-west-1")
    client = session.client("dynamodb", endpoint_url=endpoint)
    wall, cpu = time.perf_counter(), time.process_time()
    for count in updates(UPDATES_BOTO3):
        client.update_item(
            TableName="aggregates",
            Key={"datapoint": {"S": count.datapoint}},
            UpdateExpression="ADD #e :n SET #f = :t, #r = :r",
            ConditionExpression="attribute_not_exists(#f) OR #f < :t",
            ExpressionAttributeNames={"#e": "events", "#f": "fold", "#r": "report"},
            ExpressionAttributeValues={
                ":n": {"N": str(count.events)},
                ":t": {"N": str(count.fold)},
                ":r": {"S": count.report},
            },
            ReturnValues="UPDATED_NEW",
        )
    spent = time.perf_counter() - wall, time.process_time() - cpu
    client.close()
    return _row("boto3 update_item", UPDATES_BOTO3, *spent)
