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
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    """A ministack, which this process takes for AWS."""
    with running(tmp_path_factory.mktemp("ministack")) as found, pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        patch.setenv("AWS_ENDPOINT_URL", found.endpoint)
        patch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        yield found


@pytest.fixture(scope="session")
def deployed(aws: Ministack, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The template's stack, with an HTTP API."""
    return deployments.deploy(aws, tmp_path_factory.mktemp("package"), HttpApi="true")
