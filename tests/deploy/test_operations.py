"""docs/operations.md: what its commands answer is what it says, and what it names of deploy/ is there."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.e2e.command import EVENT, environment, tillroll
from tests.e2e.http_server import serving

from tillroll import config

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
PAGES = ("operations.md",)


class Example(NamedTuple):
    """A command, and the lines that it answers: `…` stands for what differs from run to run."""

    command: str
    answer: str

    def fits(self, said: str) -> bool:
        pattern = ".*".join(re.escape(part) for part in self.answer.split("…"))
        return re.fullmatch(pattern, said.strip()) is not None


def examples(page: str) -> list[Example]:
    """The commands of a page that stand with their answers."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.DOTALL | re.MULTILINE):
        for each in block.split("$ ")[1:]:
            command, _, answer = each.partition("\n")
            found.append(Example(command, answer.strip()))
    return found


def ran(commands: list[str], places: dict[str, Path | str]) -> list[str]:
    """What commands answer, one after another in one shell, with other places than the page's."""
    script = f'tillroll() {{ "{sys.executable}" -m tillroll "$@"; }}\n'
    for command in commands:
        for place, there in places.items():
            command = command.replace(place, str(there))  # noqa: PLW2901
        script += f"{command}\necho '--- next'\n"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout
    said = done.stdout
    for place, there in places.items():
        said = said.replace(str(there), place)
    return said.split("--- next\n")[: len(commands)]


@pytest.mark.parametrize("page", PAGES)
def test_commands_answer_as_the_page_says(page: str, tmp_path: Path) -> None:
    found = examples(page)
    assert len(found) >= 5
    for name in ("etc", "backups"):
        (tmp_path / name).mkdir()
    (tmp_path / "events").write_bytes(EVENT * 2)
    tillroll("import", tmp_path / "events", "--data", tmp_path / "data")
    with serving(tmp_path) as running:
        places: dict[str, Path | str] = {
            "/var/lib/tillroll": tmp_path / "data",
            "/etc/tillroll": tmp_path / "etc",
            "/var/backups/tillroll": tmp_path / "backups",
            "http://127.0.0.1:8080": running.url,
        }
        quiet = [each.command.replace("curl ", "curl --silent ") for each in found]
        for example, said in zip(found, ran(quiet, places), strict=True):
            assert example.fits(said), (example, said)


def test_the_settings_of_the_page_are_settings(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```", OPERATIONS, re.DOTALL | re.MULTILINE)
    (tmp_path / "tillroll.toml").write_text(block.replace("# [events]", "[events]").replace("# keep", "keep"))
    settings = config.load({"config": str(tmp_path / "tillroll.toml")}, {}).settings
    assert settings.tokens_file == "/etc/tillroll/tokens"
    assert settings.audit_at == "03:30"
    assert settings.events_keep == ("country",)
    assert tomllib.loads(block)["peer_connections_max"] == settings.peer_connections_max


def test_what_the_page_names_of_deploy_is_there_and_nothing_is_there_that_it_does_not_name() -> None:
    named = {
        path
        for word in re.findall(r"deploy/[\w./*-]+", OPERATIONS)
        for path in ROOT.glob(word.rstrip("."))
        if path.is_file()
    }
    for word in re.findall(r"deploy/[\w./*-]+", OPERATIONS):
        assert list(ROOT.glob(word.rstrip("."))), f"{word} is not there"
    there = {path for path in (ROOT / "deploy").rglob("*") if path.is_file()} - {ROOT / "deploy" / "template.yaml"}
    assert there == named


def test_links_within_the_page_lead_to_its_headings() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", OPERATIONS, re.MULTILINE)
    }
    links = set(re.findall(r"\]\(#([^)]+)\)", OPERATIONS))
    assert links
    assert links <= headings
