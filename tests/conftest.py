"""Servers that several kinds of test use."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.aws.dynamodb_local import DynamoDBLocal


@pytest.fixture(scope="session")
def dynamodb_local() -> Iterator[DynamoDBLocal]:
    """Amazon's DynamoDB Local, in memory, on loopback."""
    from tests.aws.dynamodb_local import running

    with running() as local:
        yield local


def pytest_sessionstart() -> None:
    """Let Ctrl-C reach the commands under test, also where the tests run in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
