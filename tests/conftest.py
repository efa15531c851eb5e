"""What every kind of test has: an environment that says nothing of who runs them, servers, sizes, and shown figures."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from tests.simulation import figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.aws.dynamodb_local import DynamoDBLocal


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="every seed and every pair of kills, as `make prove` does")


def pytest_configure(config: pytest.Config) -> None:
    """Forget whose machine this is: their AWS account and settings would let a test pass here and fail elsewhere."""
    config.addinivalue_line("markers", "long: runs with --long only")
    for name in [name for name in os.environ if name.startswith(("AWS_", "TILLROLL_"))]:
        del os.environ[name]
    os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


# Speed is no test's claim, and another machine may be a busy one.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("unhurried")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only the long run has."""
    if config.getoption("--long"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if not item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name compressed bytes by their argument: the time is in them, and every worker must give a test the same name."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


@pytest.fixture(scope="session")
def dynamodb_local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynamoDBLocal]:
    """Amazon's DynamoDB Local, in memory, on loopback: one for all workers, of whose tests each has its own tables."""
    from tests.aws.dynamodb_local import shared

    directory = tmp_path_factory.getbasetemp()
    with shared(directory.parent if "PYTEST_XDIST_WORKER" in os.environ else directory) as local:
        yield local


def pytest_sessionstart() -> None:
    """Let Ctrl-C reach the commands under test, also where the tests run in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what a worker has to show to the process that shows it."""
    handed: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if handed is not None:
        handed["figures"] = figures.packed()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker has to show, unless it crashed."""
    figures.add(getattr(node, "workeroutput", {}).get("figures", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the simulations' figures."""
    lines = list(figures.lines())
    if lines:
        terminalreporter.section("simulation")
        for line in lines:
            terminalreporter.write_line(line)
