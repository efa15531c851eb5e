"""A REPL for exploring: clients, and the deployed queue and tables by name, with results as plain Python data."""

from __future__ import annotations

import code
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tillroll.aws.errors import AwsError, explained
from tillroll.aws.stack import outputs
from tillroll.queues.sqs.session import open_session

if TYPE_CHECKING:
    from collections.abc import Callable

    import boto3

SAMPLE_EVENT: Final = (
    '{"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT",'
    ' "merchantId": "1bb53ed1-787b-4543-9def-ea18eef7902e"}'
)
SAMPLE_AGGREGATES: Final = (
    {"datapoint": "2011-12-03:10|10-50|SLICE_IT", "events": 42},
    {"datapoint": "2011-12-03|1bb53ed1-787b-4543-9def-ea18eef7902e", "events": 7},
)
_SERVICES: Final = {
    "dynamodb": "dynamodb",
    "sqs": "sqs",
    "functions": "lambda",
    "cloudformation": "cloudformation",
    "sts": "sts",
}


class PlainClient:
    """A client whose calls take and return plain Python data: 42 and not {"N": "42"}, nor Decimal("42").

    It has every call of boto3's client of the service, by the same names and with the same arguments.
    """

    def __init__(self, session: boto3.Session, service: str) -> None:
        self._service = service
        self._client: Any = None
        self._connect(session)

    def _connect(self, session: boto3.Session) -> None:
        if self._service == "dynamodb":  # the resource's client is the one that turns items into Python data
            self._client = session.resource("dynamodb").meta.client
        else:
            self._client = session.client(self._service)  # type: ignore[call-overload]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found) or name in {"get_waiter", "get_paginator"}:
            return found

        def call(**arguments: Any) -> Any:
            with explained(f"{self._service} {name}"):
                return plain(found(**arguments))

        call.__name__, call.__doc__ = name, found.__doc__
        return call

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._client) if not name.startswith("_")]

    def __repr__(self) -> str:
        return f"<{self._service} in {self._client.meta.region_name}>"


def plain(value: Any) -> Any:
    """Return a reply as plain Python data, without what is about the reply itself."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key != "ResponseMetadata"}
    if isinstance(value, list | tuple | set):
        return [plain(each) for each in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.read() if hasattr(value, "read") else value


class Shell:
    """The names of the REPL, and what changes them."""

    def __init__(self, stack: str, profile: str | None = None, region: str | None = None) -> None:
        self.stack = stack
        self.names: dict[str, Any] = {
            "refresh_credentials": self.refresh_credentials,
            "sample_event": SAMPLE_EVENT,
            "sample_aggregates": [dict(each) for each in SAMPLE_AGGREGATES],
            "wait_for_table": self.wait_for_table,
        }
        self._region = region
        self._profile = profile
        self._session = self._open(profile)
        self._clients = {name: PlainClient(self._session, service) for name, service in _SERVICES.items()}
        self.names |= self._clients
        self._find_parts()

    def _open(self, profile: str | None) -> boto3.Session:
        with explained("opening a session"):
            session = open_session(profile, self._region)
        if session.region_name is None:
            raise AwsError("no region is known", "Set AWS_REGION=eu-west-1, say, or give the profile one")
        return session

    def refresh_credentials(self, profile: str | None = None) -> str:
        """Read ~/.aws/credentials again, and go on under this profile, or under the same; return who one is now.

        All clients keep their names, and what was assigned from them goes on working.
        """
        self._profile = profile or self._profile
        self._session = self._open(self._profile)
        for client in self._clients.values():
            client._connect(self._session)  # noqa: SLF001 its own module
        self._find_parts()
        with explained("asking who one is"):
            return self._session.client("sts").get_caller_identity()["Arn"]

    def wait_for_table(self, table: str) -> str:
        """Wait until a table can be used, and return its status: ACTIVE."""
        with explained(f"waiting for {table}"):
            client = self._session.client("dynamodb")
            client.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
            return client.describe_table(TableName=table)["Table"]["TableStatus"]

    def _find_parts(self) -> None:
        """Name the deployed queue and tables; without a stack, or the right to see it, there are none."""
        try:
            found = outputs(self._session, self.stack)
        except AwsError as error:
            self.names["stack"] = {"missing": str(error)}
            return
        self.names |= {
            "stack": found,
            "queue": found["QueueUrl"],
            "dead_letters": found["DeadLettersUrl"],
            "aggregates": found["AggregatesTable"],
            "journal": found["JournalTable"],
            "store": found["Store"],
        }

    def banner(self) -> str:
        """Return what stands at the top."""
        names = ", ".join(name for name in self.names if name != "stack")
        return (
            f"tillroll on AWS: {self._session.region_name}, profile {self._session.profile_name}.\n"
            f"Names: {names}; all outputs are in `stack`.\n"
            'Try: dynamodb.list_tables(), or refresh_credentials("another-profile"). docs/aws-tour.md is a tour.'
        )

    def run(self, read: Callable[[str], str] | None = None) -> None:
        """Read, evaluate, print, until the end of the input."""
        try:
            import readline  # noqa: PLC0415 absent on some platforms
            import rlcompleter  # noqa: PLC0415

            readline.set_completer(rlcompleter.Completer(self.names).complete)
            readline.parse_and_bind("tab: complete")
        except ImportError:
            pass
        code.interact(self.banner(), read, self.names, exitmsg="")
