"""A server for the tests of one file, and a client of it. A file whose server is another has a `running` of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.http_server import Running, client, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def http(running: Running) -> Iterator[httpx.Client]:
    with client(running) as found:
        yield found
