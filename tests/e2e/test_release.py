"""What is released installs where there is no compiler, is one wheel for all Pythons, and says what is in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
COMPILED = "from tillroll.core import kernel; print(kernel.compiled)"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what `make wheel` makes, built from a copy, as building leaves files beside the sources."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("src", "native", "requirements", "release"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    _run([sys.executable, "-m", "release", "dist"], cwd=copy)
    return copy / "dist"


def _run(command: list[str], cwd: Path, **variables: str) -> str:
    done = subprocess.run(command, cwd=cwd, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _install(what: Path, target: Path, **variables: str) -> str:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    _run([*command, "--target", str(target), str(what)], target.parent, **variables)
    return _run([sys.executable, "-c", COMPILED], target.parent, PYTHONPATH=str(target)).strip()


def test_the_source_archive_installs_where_there_is_no_compiler(released: Path, tmp_path: Path) -> None:
    (source,) = released.glob("*.tar.gz")
    assert _install(source, tmp_path / "installed", CC="/nonexistent/cc") == "False"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler")
def test_the_wheel_is_for_every_python_and_has_the_kernel(released: Path, tmp_path: Path) -> None:
    (wheel,) = released.glob("*.whl")
    assert "-cp311-abi3-" in wheel.name
    assert _install(wheel, tmp_path / "installed") == "True"


def test_the_wheel_has_every_guide(released: Path) -> None:
    (wheel,) = released.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name.removeprefix("tillroll/web/guide/") for name in archive.namelist() if "/web/guide/" in name}
    assert held == {path.name for path in (ROOT / "docs").glob("*.md")}


@pytest.mark.skipif(shutil.which("readelf") is None, reason="no binutils")
def test_the_kernel_is_hardened(released: Path, tmp_path: Path) -> None:
    (wheel,) = released.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".so"))
        archive.extract(name, tmp_path)
    told = _run(["readelf", "--wide", "--dynamic", "--program-headers", "--dyn-syms", name], tmp_path)
    assert "GNU_RELRO" in told
    assert re.search(r"FLAGS.*NOW", told)
    assert "__stack_chk_fail" in told
    assert re.search(r"__\w+_chk\b", told)


def test_the_bill_of_materials_has_what_is_installed_and_what_the_page_brings(released: Path) -> None:
    (path,) = released.glob("*.cdx.json")
    bill = json.loads(path.read_text())
    addresses = {
        each["purl"].partition("@")[0] if "%40" not in each["purl"] else each["purl"] for each in bill["components"]
    }
    locked = set(re.findall(r"(?m)^([a-z0-9.-]+)==", (ROOT / "requirements" / "run.txt").read_text()))
    assert {f"pkg:pypi/{name}" for name in locked} <= addresses
    assert {"pkg:npm/uplot", "pkg:npm/swagger-ui-dist"} <= addresses
