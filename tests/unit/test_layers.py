"""Imports point inwards: entry points, app, service and adapters, ports, core. Every module is looked at."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "tillroll"
MODULES = sorted(PACKAGE.rglob("*.py"))
# What each part may import of the product, besides itself; every part stands here. Only app names adapters, but in AWS
# functions and commands speak to their queue.
ALLOWED = {
    "__init__": set[str](),
    "__main__": {"cli"},
    "errors": set[str](),
    "core": {"_kernel", "errors"},
    "ports": {"core", "errors"},
    "config": {"core", "errors"},
    "connection": {"errors"},
    "definitions": {"core", "ports", "errors", "aws"},
    "ingest": {"core", "ports", "errors"},
    "load": {"core", "errors", "connection"},
    "export": {"core", "ports", "errors"},
    "stores": {"core", "ports", "errors", "connection"},
    "queues": {"core", "ports", "errors", "ingest"},
    "app": {"core", "ports", "errors", "config", "stores", "queues"},
    "web": {"core", "ports", "errors", "ingest", "export", "definitions", "__version__"},
    "cli": {"core", "ports", "errors", "ingest", "load", "export", "app", "config", "definitions", "web"},
    "aws": {"core", "ports", "errors", "ingest", "app", "config", "queues", "cli"},
}
# What only some parts may import from outside: drivers by their adapters, frameworks by their entry points.
KEPT_TO = {
    "sqlite3": {"stores"},
    "boto3": {"queues", "aws"},
    "botocore": {"stores", "queues", "aws"},
    "aws_lambda_powertools": {"aws"},
    "httptools": {"web"},
    "prometheus_client": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "uvloop": {"web"},
    "rich": {"cli", "aws"},
    "typer": {"cli", "aws"},
    "pyarrow": {"export"},
}
# The core reads no file, clock, socket, setting or chance.
IMPURE = {
    "asyncio",
    "http",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "selectors",
    "shutil",
    "signal",
    "socket",
}
IMPURE |= {"ssl", "subprocess", "tempfile", "threading", "time", "urllib", "uuid"}


@cache
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


def test_imports_point_inwards() -> None:
    assert {part_of(path) for path in MODULES} == ALLOWED.keys(), "say in ALLOWED what each part may import"
    outward = {path: inner_parts(path) - {part_of(path)} - ALLOWED[part_of(path)] for path in MODULES}
    assert {path: parts for path, parts in outward.items() if parts} == {}


def inner_parts(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports_of(path) if name.startswith("tillroll.")}


def test_no_part_imports_one_that_imports_it() -> None:
    for part, inner in ALLOWED.items():
        assert not {each for each in inner & ALLOWED.keys() if part in ALLOWED[each]}, part


def test_drivers_and_frameworks_are_imported_only_where_they_belong() -> None:
    outside = [(path, name) for path in MODULES for name in outer_packages(path) & KEPT_TO.keys()]
    assert [(path, name) for path, name in outside if part_of(path) not in KEPT_TO[name]] == []


def test_the_core_is_pure() -> None:
    core = [path for path in MODULES if part_of(path) == "core"]
    assert len(core) > 20
    assert [(path, names) for path in core if (names := outer_packages(path) & IMPURE)] == []


def outer_packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports_of(path)}


@pytest.mark.parametrize("room", [path for path in sorted((PACKAGE / "stores").iterdir()) if path.is_dir()], ids=str)
def test_adapters_never_import_each_other(room: Path) -> None:
    paths = list(room.rglob("*.py"))
    for path in paths:
        found = [name for name in imports_of(path) if name.startswith("tillroll.stores.")]
        assert all(name.startswith(f"tillroll.stores.{room.name}") for name in found), f"{path.name} imports {found}"


def test_the_recount_shares_nothing_with_the_fold() -> None:
    looked_at = {"core.recount", "stores.sqlite.tallies", "stores.sqlite.comparison"}
    counting = {"core.fold", "core.codes", "core.rows", "core.selection"}
    for name in looked_at:
        path = PACKAGE / f"{name.replace('.', '/')}.py"
        found = {target.removeprefix("tillroll.") for target in imports_of(path)}
        assert not any(each == part or each.startswith(f"{part}.") for each in found for part in counting), name
    native = (PACKAGE.parents[1] / "native" / "recount.c").read_text()
    for name in ("group(", "bucketize(", "windows_of(", "shift(", "accepts(", "pick("):
        assert f" {name}" not in native, name


def test_only_config_reads_the_environment() -> None:
    readers = [
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if any(word in path.read_text() for word in ("os.environ", "getenv"))
    ]
    assert set(readers) <= {"config.py"} | {path for path in readers if path.startswith("aws/")}


def test_the_core_and_the_embedded_store_need_no_aws() -> None:
    code = (
        "import sys, tillroll.cli.main, tillroll.stores.sqlite.store, tillroll.ingest.take; "
        "sys.exit(any(name in sys.modules for name in ('boto3', 'botocore', 'starlette', 'uvicorn')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
