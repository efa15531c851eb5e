"""The client: does what the protocols' calls say, on AWS or on a server that speaks its language.

Credentials and the endpoint come from botocore, so that profiles, roles, containers and instances work as they do for
every other program; the requests are this package's own, for speed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from tillroll.errors import StoreError
from tillroll.stores.dynamodb.calls import Call, Count, Fault, Sleep
from tillroll.stores.dynamodb.http import Connections, Credentials, Reply, Signer
from tillroll.stores.dynamodb.tunnel import proxy_for
from tillroll.stores.dynamodb.wire import Wire, fault_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tillroll.stores.dynamodb.calls import Procedure

T = TypeVar("T")


class Client:
    """Runs protocols against two tables. Safe to use from any number of threads."""

    def __init__(
        self, connections: Connections, endpoint: str, wire: Wire, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._connections = connections
        self._endpoint = endpoint
        self._wire = wire
        self._sleep = sleep

    def run(self, protocol: Procedure[T]) -> T:
        """Drive a protocol to its end and return what it returns.

        Raises:
            StoreError: somebody has to act, or the service stayed unavailable.
        """
        try:
            wanted = next(protocol)
            while True:
                if isinstance(wanted, list):
                    wanted = protocol.send(self.make(wanted))
                    continue
                (reply,) = self.make([wanted])
                wanted = protocol.throw(reply) if isinstance(reply, Fault) else protocol.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            protocol.close()

    def make(self, calls: Sequence[Call]) -> list[Any]:
        """Make calls; return for each what it replies, or its fault."""
        if len(calls) == 1 and isinstance(calls[0], Sleep):
            self._sleep(calls[0].seconds)
            return [None]
        wire = self._wire
        replies = self._connections.make([wire.request(call) for call in calls])
        return [
            self._result(call, reply) if isinstance(reply, Reply) else reply
            for call, reply in zip(calls, replies, strict=True)
        ]

    def _result(self, call: Call, reply: Reply) -> Any:
        if reply.status != 200:
            return fault_of(reply, self._endpoint, self._wire.names)
        return b'"events"' not in reply.body if isinstance(call, Count) else self._wire.reply(call, reply.body)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


def open_client(region: str | None, aggregates: str, journal: str, endpoint: str | None) -> Client:
    """Return a client. The region, when not given, is the profile's or AWS_REGION; so is the endpoint.

    Raises:
        ModuleNotFoundError: the AWS extra is not installed.
        StoreError: there are no credentials or no region.
    """
    import botocore.exceptions  # noqa: PLC0415 an extra, and a third of a second
    import botocore.session  # noqa: PLC0415

    try:
        session = botocore.session.Session()
        made = session.create_client("dynamodb", region_name=region, endpoint_url=endpoint)
        source = session.get_credentials()
    except botocore.exceptions.BotoCoreError as error:
        remedy = "Set AWS_REGION, or a profile of ~/.aws/config with AWS_PROFILE"
        raise StoreError(f"AWS is not configured ({error})", remedy) from error
    url = str(made.meta.endpoint_url)
    if source is None:
        raise StoreError(
            "there are no AWS credentials", "Set AWS_PROFILE, or run aws configure, or give this machine a role"
        )

    def credentials() -> Credentials:
        try:
            frozen = source.get_frozen_credentials()
        except botocore.exceptions.BotoCoreError as error:
            raise StoreError(f"AWS credentials cannot be renewed ({error})", "Sign in again") from error
        return Credentials(frozen.access_key or "", frozen.secret_key or "", frozen.token)

    signer = Signer(url.partition("://")[2].rstrip("/"), str(made.meta.region_name), credentials)
    ca_file = session.get_config_variable("ca_bundle")  # AWS_CA_BUNDLE, or the profile's
    connections = Connections(url, signer, ca_file=ca_file, proxy=proxy_for(url))
    return Client(connections, url, Wire(aggregates, journal))
