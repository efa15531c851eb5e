"""The README's commands, run as they stand there."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.command import environment, start

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def block(heading: str, language: str) -> str:
    """The first code block of a language under a heading."""
    section = README.split(f"## {heading}\n", 1)[1]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None, f"{heading} has no {language} block"
    return found[1]


def shell(script: str, cwd: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=environment(),
    )
    return done.stdout


def test_a_first_purchase_is_answered_as_the_readme_says(tmp_path: Path) -> None:
    server = start("serve", "--data", tmp_path / "data", "--port", "0", stderr=subprocess.DEVNULL)
    assert server.stdout is not None
    try:
        address = server.stdout.readline().decode().split()[-1]
        script = block("A first purchase", "sh").replace("http://127.0.0.1:8080", address)
        said = shell(script.replace("\n\ncurl", "\necho\ncurl"), tmp_path)
        assert said.split() == block("A first purchase", "json").split()
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
        server.stdout.close()


def test_a_month_of_purchases_is_imported_reported_and_audited(tmp_path: Path) -> None:
    script = block("Try it with a month of purchases", "sh")
    script = script.replace(".venv/bin/tillroll", f"{sys.executable} -m tillroll").replace("200000", "20000")
    said = shell(script, tmp_path)
    assert "SLICE_IT" in said
    assert "audit passed: 20,000 events" in said


@pytest.mark.parametrize("document", [README, *[path.read_text() for path in (ROOT / "docs").glob("*.md")]])
def test_links_lead_to_files_of_the_project(document: str) -> None:
    for link in re.findall(r"\]\((?!http|#)([^)#]+)", document):
        assert (ROOT / link).exists() or (ROOT / "docs" / link).exists(), f"{link} leads nowhere"


def test_the_two_commands_come_first() -> None:
    commands = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert commands[:2] == ["run", "test"]
