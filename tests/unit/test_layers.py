"""Imports point inwards: entry points, app, service and adapters, ports, core."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "tillroll"
MODULES = sorted(PACKAGE.rglob("*.py"))
# What each part may import of the product, besides itself.
ALLOWED = {
    "core": {"errors"},
    "errors": set[str](),
    "ports": {"core", "errors"},
    "service": {"core", "ports", "errors"},
    "intake": {"core", "ports", "errors", "service"},
    "envelope": {"core", "ports"},
    "worker": {"core", "ports", "errors", "service", "envelope"},
    "importer": {"core", "ports", "errors", "service", "imports"},
    "imports": {"core", "ports", "errors"},
    "generator": {"core", "errors"},
    "stores": {"core", "ports", "errors"},
    "queues": {"core", "ports", "errors", "envelope"},
}
DRIVERS = {"sqlite3": {"stores"}, "boto3": {"stores", "queues", "aws"}, "botocore": {"stores", "queues", "aws"}}


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            if node.module == "tillroll":
                names.update(f"tillroll.{alias.name}" for alias in node.names)
    return names


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_inwards(path: Path) -> None:
    part = part_of(path)
    if part not in ALLOWED:
        return
    parts = {name.split(".")[1] for name in imports_of(path) if name.startswith("tillroll.")}
    assert parts - {part} <= ALLOWED[part] | ({"_kernel"} if part == "core" else set())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_driver_is_imported_only_by_its_adapters(path: Path) -> None:
    for driver, parts in DRIVERS.items():
        if any(name.split(".")[0] == driver for name in imports_of(path)):
            assert part_of(path) in parts, f"{path.name} imports {driver}"


@pytest.mark.parametrize("family", ["sqlite", "dynamodb"])
def test_adapters_never_import_each_other(family: str) -> None:
    other = {"sqlite": "dynamodb", "dynamodb": "sqlite"}[family]
    for path in (PACKAGE / "stores").glob(f"{family}*.py"):
        found = [name for name in imports_of(path) if name.startswith(f"tillroll.stores.{other}")]
        assert not found, f"{path.name} imports {found}"


def test_only_config_reads_the_environment() -> None:
    readers = [
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if any(word in path.read_text() for word in ("os.environ", "getenv"))
    ]
    assert set(readers) <= {"config.py"} | {path for path in readers if path.startswith("aws/")}


def test_the_core_and_the_embedded_store_need_no_aws() -> None:
    code = (
        "import sys, tillroll.cli.main, tillroll.stores.sqlite, tillroll.service; "
        "sys.exit(any(name in sys.modules for name in ('boto3', 'botocore', 'starlette', 'uvicorn')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
