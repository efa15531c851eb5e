"""Every fenced block of every page, and every command line in its text: run, or parsed, or in a table of why not."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.aws.fetch_environments import packages
from tests.e2e.command import EVENT, environment, tillroll
from tests.e2e.http_server import serving

from tillroll import config
from tillroll.cli.main import COMMANDS, load_command
from tillroll.core.definition import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
HERE = "http://127.0.0.1:8080"

# Blocks that a test of their own runs: page, what stands behind the fence.
ELSEWHERE = {
    ("aws-tour.md", "python"): "tests/aws/test_aws_tour.py",
    ("checkout.md", "js"): "tests/e2e/test_recipes.py",
    ("checkout.md", "python"): "tests/e2e/test_recipes.py",
    ("checkout.md", "sh"): "tests/e2e/test_recipes.py",
    ("frontends.md", "js"): "tests/browser/test_frontends.py",
    ("frontends.md", "json"): "tests/browser/test_frontends.py",
    ("frontends.md", "python"): "tests/browser/test_frontends.py",
    ("frontends.md", "sh"): "tests/browser/test_frontends.py",
    ("frontends.md", "yaml"): "tests/browser/test_frontends.py",
    ("operations.md", "console"): "tests/deploy/test_operations.py",
    ("operations.md", "sh drill"): "tests/e2e/test_backup.py",
}
# Blocks that are not run, by how they begin, and why.
NOT_RUN = {
    "make run ": "installs, and serves until it is stopped",
    "tillroll events warehouse/ --format parquet --follow": "goes on until it is stopped",
    '>>> refresh_credentials("clj-prod")': "needs two profiles of AWS: tests/aws/test_aws_tour.py has such",
    "let\n    Address": "Power Query runs in Excel alone",
    ".venv/bin/python -m pytest tests/contract --bench": "is of a package of the reader's own",
    "python3 -m venv /opt/tillroll": "needs root",
    "systemctl daemon-reload": "needs root, and systemd",
    "make wheel\npodman": "needs podman, and a registry",
    "curl -i https://tillroll.example/healthz": "needs a proxy with a certificate",
    "cp deploy/prometheus/": "needs root",
    "litestream replicate": "goes on until it is stopped",
    "tillroll backup /var/backups/tillroll/before-upgrade.db": "needs root, and systemd",
    "promtool check rules": "needs Prometheus",
    "src/tillroll/\n": "a map: tests/unit/test_tree.py",
}
# What is other than the page says when its blocks are run, so that they are quick and touch nothing of this machine.
PLACES = {
    ".venv/bin/tillroll": "tillroll",
    "/var/lib/tillroll": "data",
    "https://tillroll.example": HERE,
    "--events 1000000": "--events 1000",
    "--events 200000": "--events 2000",
    "--events 100000": "--events 100",
    "--after 120000": "--after 1",
}
BEGINS = """
tillroll() { "$PYTHON" -m tillroll "$@"; }
curl() { [[ "$*" = *--fail* ]] || set -- --fail "$@"; command curl --silent "$@"; }
runuser() { shift 3; "$@"; }
"""
WRONG = {"date": "2026-11-03T10:15:30Z", "amount": "4285", "paymentMethod": "PAY_NOW", "merchantId": "m"}


class Block(NamedTuple):
    """A fenced block of a page: `kind` is what stands behind the fence."""

    page: str
    kind: str
    text: str

    @property
    def language(self) -> str:
        return self.kind.split(" ", 1)[0]

    @property
    def is_run_here(self) -> bool:
        return (self.page, self.kind) not in ELSEWHERE and not self.text.startswith(tuple(NOT_RUN))


def blocks(path: Path) -> list[Block]:
    found = re.findall(r"^( *)```(.*)\n((?:.*\n)*?)\1```$", path.read_text(), re.MULTILINE)
    return [Block(path.name, kind, re.sub(f"^{indent}", "", text, flags=re.MULTILINE)) for indent, kind, text in found]


ALL = [block for path in PAGES for block in blocks(path)]


def of(page: str, kind: str) -> list[Block]:
    return [block for block in ALL if (block.page, block.kind) == (page, kind) and block.is_run_here]


def words_of(line: str) -> list[str]:
    """The words after `tillroll` of the first command of a line in a page's text, without placeholders of the shell."""
    return list(itertools.takewhile(lambda word: word[0] not in "|<>#…", shlex.split(line)[1:]))


def command_lines() -> Iterator[tuple[str, str]]:
    """Every `tillroll ...` of every page's text, with the page."""
    for path in PAGES:
        text = re.sub(r"^( *)```(?:.*\n)*?\1```$", "", path.read_text(), flags=re.MULTILINE)
        for line in re.findall(r"`(tillroll\s[^`]+)`|^    (?:\w+=\S+ )?(tillroll .+)$", text, re.MULTILINE):
            yield path.name, " ".join("".join(line).split()).replace("\\|", "|")


def test_every_fence_is_seen() -> None:
    assert 2 * len(ALL) == sum(len(re.findall(r"^ *```", path.read_text(), re.MULTILINE)) for path in PAGES)


def test_every_block_is_run_or_parsed_or_stands_in_a_table_of_why_not() -> None:
    known = {"sh", "json", "text", "toml", "python"}
    assert [block for block in ALL if block.is_run_here and block.kind not in known] == []


def test_the_tables_have_nothing_that_is_no_more() -> None:
    assert [begin for begin in NOT_RUN if not any(block.text.startswith(begin) for block in ALL)] == []
    assert set(ELSEWHERE) - {(block.page, block.kind) for block in ALL} == set()
    for (page, _), test in ELSEWHERE.items():
        assert page in (ROOT / test).read_text()


@pytest.mark.parametrize("block", [block for block in ALL if block.is_run_here and block.kind == "toml"])
def test_toml_is_settings_or_reports(block: Block, tmp_path: Path) -> None:
    if "[[reports]]" in block.text:
        assert read_file(block.text)
        return
    file = tmp_path / "tillroll.toml"
    file.write_text(re.sub(r"^# (\[|\w+ =)", r"\1", block.text, flags=re.MULTILINE))  # what may be added as well
    assert set(config.load({"config": str(file)}, {}).origins.values()) == {"default", str(file)}


@pytest.mark.parametrize(("page", "line"), sorted(set(command_lines())))
def test_a_command_line_in_the_text_is_one(page: str, line: str) -> None:
    name, *rest = words_of(line) or [""]
    if not name.islower() or name.startswith("-"):  # COMMAND, a version, or --help
        return
    assert name in COMMANDS, page
    command = load_command(name)
    if rest and rest[0] in getattr(command, "commands", {}):
        command, *rest = command.commands[rest[0]], *rest[1:]
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    assert {word.partition("=")[0] for word in rest if re.match("--?[a-z]", word)} <= known | {"-events", "-amount"}


@pytest.fixture(scope="module")
def goods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a store that has a rejected event, and the files that the pages name."""
    directory = tmp_path_factory.mktemp("goods")
    (directory / "bad.ndjson").write_text(f"{json.dumps(WRONG)}\n")
    tillroll("import", "bad.ndjson", "--anyway", "--data", "data", cwd=directory, code=3)
    for seed, name in enumerate(("purchases.ndjson", "more.ndjson.zst", "old.gz")):
        options = ("--events", "50", "--seed", str(seed), "--from", "2026-11-01", "--days", "7")
        tillroll("generate", name, *options, cwd=directory)
    (directory / "reports.toml").write_text(of("reports.md", "toml")[0].text)
    return directory


@pytest.fixture
def shop(goods: Path, tmp_path: Path) -> Iterator[str]:
    """A server's address, over a copy of the goods."""
    shutil.copytree(goods, tmp_path, dirs_exist_ok=True)
    with serving(tmp_path) as running:
        yield running.url


def shell(page: str, directory: Path, address: str) -> str:
    """What the commands of a page answer, one after another."""
    script = "\n".join(block.text for block in of(page, "sh"))
    for place, there in (PLACES | {HERE: address}).items():
        script = script.replace(place, there)
    if re.search(r"\bID\b", script):
        listed = tillroll("rejected", "list", "--json", "--data", "data", cwd=directory).stdout
        script = re.sub(r"\bID\b", json.loads(listed)[0]["id"], script)
    return "\n".join(run(command, directory) for command in commands_of(script))


def commands_of(script: str) -> Iterator[str]:
    """Each command of a script: a line, and those that go on with it."""
    command = ""
    for line in script.splitlines():
        command += f"{line}\n"
        with suppress(ValueError):  # a quotation goes on
            words = shlex.split(command, comments=True)
            if not line.endswith("\\"):
                command, whole = "", command
                if words:
                    yield whole


def run(command: str, directory: Path) -> str:
    """What a command answers, by a shell where it needs one: a process of Python takes half a second to start."""
    words = shlex.split(command.replace("\\\n", ""), comments=True)
    if words[0] == "tillroll" and not set(words) & {"|", ">", "<"}:
        return tillroll(*words[1:], cwd=directory, TILLROLL_DATA="data").stdout.decode()
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", BEGINS + command],
        cwd=directory,
        env=environment(PYTHON=sys.executable, TILLROLL_DATA="data"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", sorted({block.page for block in ALL if block.is_run_here and block.kind == "sh"}))
def test_commands_run_and_answer_what_the_page_shows(page: str, tmp_path: Path, shop: str) -> None:
    if page == "analysts.md":
        run(f"curl {shop}/events -d '{EVENT.decode().strip()}'", tmp_path)  # a purchase to be seen
    said = shell(page, tmp_path, shop)
    for shown in (block for kind in ("json", "text") for block in of(page, kind)):
        assert "".join(shown.text.split()) in "".join(said.split())
    for block in of(page, "python"):
        program = [sys.executable, "-c", block.text.replace(HERE, shop)]
        env = environment(PYTHONPATH=packages("pandas"))
        subprocess.run(program, check=True, cwd=tmp_path, env=env, capture_output=True, timeout=60)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files_of_the_project(path: Path) -> None:
    for link in re.findall(r"\]\((?!http|#)([^)#]+)", path.read_text()):
        assert (path.parent / link).exists(), f"{link} leads nowhere"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_target_of_make_in_the_text_is_one(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^ *)make ([a-z-]+)", path.read_text(), re.MULTILINE)) <= targets


def test_the_two_commands_come_first() -> None:
    commands = re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert commands[:2] == ["run", "test"]
