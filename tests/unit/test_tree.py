"""What the docs say of the tree is so: files, modules, planted faults, and how much is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests import prove
from tests.simulation import planted_aws, planted_restores, planted_sqlite, test_random
from tests.simulation.campaign import BLOCK

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "tillroll"
PAGES = [*(ROOT / "docs").glob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))]
EXACTNESS = " ".join((ROOT / "docs" / "exactness.md").read_text().split())
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
PLANTED = (planted_aws.PLANTED, planted_restores.PLANTED, planted_sqlite.PLANTED)
# Rooms of the project and of the package by which a path in the text begins.
ROOMS = "src|tests|docs|deploy|native|bench|release|requirements|core|stores|queues|ingest|load|export|web|cli|aws"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_file_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(rf"`((?:{ROOMS})/[\w./-]*|\w+\.(?:py|c|h))`", page.read_text())
    rooms = (ROOT, PACKAGE, page.parent)
    missing = [name for name in named if not any((room / name).exists() for room in rooms)]
    assert missing == []


def test_the_map_of_the_architecture_has_every_room_and_every_module_of_the_core() -> None:
    (found,) = re.findall(r"^```\nsrc/tillroll/\n(.*?)^```", ARCHITECTURE, re.DOTALL | re.MULTILINE)
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    files = {path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")}
    assert {name for name in rooms if f"{name}/" not in found} == set()
    assert {name for name in files if name not in found} == set()
    core = {path.stem for path in (PACKAGE / "core").glob("*.py")} - {"__init__"}
    said = re.findall(r"\w+", " ".join(re.findall(r"^    [a-z]+ +(.*)$", found, re.MULTILINE)))
    assert sorted(said) == sorted(core)


def test_every_planted_fault_is_in_the_argument_and_no_other() -> None:
    said = re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", EXACTNESS)
    assert set(said) == {planted.name for each in PLANTED for planted in each}
    aws, restores, sqlite = map(len, PLANTED)
    assert f"AWS ({aws}), of restores ({restores}), of the embedded store ({sqlite})" in EXACTNESS


def test_how_much_is_run_is_what_the_page_says() -> None:
    for world, name in (("aws", "AWS"), ("sqlite", "SQLite")):
        short, long = (BLOCK * blocks[world] for blocks in (test_random.BLOCKS, test_random.BLOCKS_LONG))
        assert f"| {name}, random seeds | {short:,} | {long:,} |" in EXACTNESS
    seeds, seeds_long = test_random.SEEDS_OF_A_MIX, test_random.SEEDS_OF_A_MIX_LONG
    assert f"sixteen narrow mixes of operations, in both worlds | {seeds} seeds | {seeds_long} seeds |" in EXACTNESS
    assert len(test_random.MIXES) == 16


def test_every_step_of_the_long_proof_is_on_the_page() -> None:
    commands = {"tests.e2e.kill_rounds": "make kill-rounds", "tests.attack": "make attack", "pytest": "pytest tests"}
    commands |= {"tests.fuzz": "make fuzz", "tests.simulation.soak": "make soak"}
    for module, *_ in prove._STEPS.values():
        assert commands.get(module, module) in EXACTNESS


# Modules of the core whose tests are those of another: the way of a body from bytes to events is one, and limits are
# what the tests of each of them are about.
TESTED_WITH = {"codes": "fold", "decode": "accept", "parse": "accept", "limits": "accept"}


def test_each_module_of_the_core_has_tests_by_its_name() -> None:
    names = {path.stem for path in (PACKAGE / "core").glob("*.py")} - {"__init__"}
    tests = {path.stem for room in ("unit", "property") for path in (ROOT / "tests" / room).glob("test_*.py")}
    assert sorted(name for name in names if f"test_{TESTED_WITH.get(name, name)}" not in tests) == []
    assert set(TESTED_WITH) <= names
