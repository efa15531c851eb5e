"""What every kind of test has: an environment that says nothing of who runs them, servers, sizes, and shown figures."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from tests.simulation import figures

if TYPE_CHECKING:
    from tests.aws.dynamodb_local import DynamoDBLocal


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="every seed and every pair of kills, as `make prove` does")


def pytest_configure(config: pytest.Config) -> None:
    """Forget whose machine this is: their AWS account and settings would let a test pass here and fail elsewhere.

    And keep compiled code, as Python does unless it is told otherwise: hundreds of processes would compile all of it.
    """
    config.addinivalue_line("markers", "long: runs with --long only")
    config.addinivalue_line("markers", "slow: takes some seconds, so it begins before others")
    if config.getoption("--long"):
        hypothesis.settings.load_profile("new")
    for name in [name for name in os.environ if name.startswith(("AWS_", "TILLROLL_"))]:
        del os.environ[name]
    os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


# Speed is no test's claim, and another machine may be a busy one. Examples are the same each time, so that no change is
# blamed for what another run's would have found; the long run draws new ones, and more.
for name, is_the_same in (("same", True), ("new", False)):
    hypothesis.settings.register_profile(
        name,
        deadline=None,
        max_examples=60 if is_the_same else 300,
        derandomize=is_the_same,
        print_blob=True,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
hypothesis.settings.load_profile("same")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only the long run has, and let every worker begin with its share of what is slow."""
    if not config.getoption("--long"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if not item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
    items[:] = _slow_first(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def _slow_first(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Order tests for --dist worksteal, which gives each worker a stretch of them: else the last may be the longest."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    others = [item for item in items if not item.get_closest_marker("slow")]
    ordered: list[pytest.Item] = []
    for left in range(workers, 0, -1):
        share, slow_share = (len(slow) + len(others)) // left, -(-len(slow) // left)
        ordered += slow[:slow_share] + others[: share - slow_share]
        slow, others = slow[slow_share:], others[share - slow_share :]
    return ordered


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of every garbage collection to come: it takes a tenth of the tests."""
    gc.collect()
    gc.freeze()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name compressed bytes by their argument: the time is in them, and every worker must give a test the same name."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


@pytest.fixture(scope="session")
def shifted_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that, preloaded, shifts the clock of a process by CLOCK_SHIFT_S seconds."""
    built = tmp_path_factory.mktemp("clock") / "shifted_clock.so"
    source = Path(__file__).parent / "e2e" / "shifted_clock.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(built), str(source), "-ldl"], check=True)
    return built


@pytest.fixture(scope="session")
def for_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers have, for what is dear to make: who needs it first makes it, under a lock."""
    directory = tmp_path_factory.getbasetemp()
    return directory.parent if "PYTEST_XDIST_WORKER" in os.environ else directory


@pytest.fixture(scope="session")
def dynamodb_local(for_all_workers: Path) -> DynamoDBLocal:
    """Amazon's DynamoDB Local, in memory, on loopback: one for all workers, of whose tests each has its own tables."""
    from tests.aws.dynamodb_local import shared

    return shared(for_all_workers, os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid())


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
