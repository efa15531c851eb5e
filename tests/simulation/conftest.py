"""Shows the simulations' figures at the end of a test run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.figures import FIGURES

if TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures."""
    if FIGURES:
        terminalreporter.section("simulation")
        for subject, figures in sorted(FIGURES.items()):
            for figure in figures:
                terminalreporter.write_line(f"{subject}: {figure}")
