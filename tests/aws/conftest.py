"""One ministack for the tests of AWS, and tillroll deployed in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.aws import deployed as deployments
from tests.aws.ministack import CREDENTIALS, REGION, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.aws.deployed import Deployed
    from tests.aws.ministack import Ministack


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    """A ministack, which no process takes for AWS yet."""
    with running(tmp_path_factory.mktemp("ministack")) as found:
        yield found


@pytest.fixture
def aws(ministack: Ministack, monkeypatch: pytest.MonkeyPatch) -> Ministack:
    """A ministack, which this process takes for AWS during the test."""
    take_for_aws(ministack, monkeypatch)
    return ministack


@pytest.fixture(scope="session")
def once_deployed(ministack: Ministack, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    with pytest.MonkeyPatch.context() as patch:
        take_for_aws(ministack, patch)
        return deployments.deploy(ministack, tmp_path_factory.mktemp("package"), HttpApi="true")


@pytest.fixture
def deployed(aws: Ministack, once_deployed: Deployed) -> Deployed:
    """The template's stack, with an HTTP API."""
    assert once_deployed.aws is aws
    return once_deployed


def take_for_aws(found: Ministack, patch: pytest.MonkeyPatch) -> None:
    for name, value in (CREDENTIALS | {"AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": found.endpoint}).items():
        patch.setenv(name, value)
