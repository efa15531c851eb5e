"""What is released installs where there is no compiler, is one wheel for all Pythons, and says what is in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

import pytest
import yaml
from release.notes import notes

import tillroll

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
COMPILED = "from tillroll.core import kernel; print(kernel.compiled)"


@pytest.fixture(scope="module")
def released(for_all_workers: Path) -> Path:
    """A directory with what `make wheel` makes, by whoever comes first."""
    copy = for_all_workers / "released"
    with (for_all_workers / "released.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not copy.exists():
            _release(copy)
    return copy / "dist"


def _release(copy: Path) -> None:
    """Build from a copy, as building leaves files beside the sources."""
    copy.mkdir()
    for name in ("src", "native", "requirements", "release"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info"))
    for name in ("setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    project = (ROOT / "pyproject.toml").read_text()
    assert '"-O3"' in project
    (copy / "pyproject.toml").write_text(project.replace('"-O3"', '"-O1"'))  # how fast it is is not looked at here
    _run([sys.executable, "-m", "release", "dist"], cwd=copy)


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


def _workflow() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())
    return read


def test_the_workflow_runs_what_ci_and_people_run_and_takes_actions_by_their_hash() -> None:
    jobs = _workflow()["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert [jobs[name].get("needs") for name in ("prove", "build", "draft")] == [None, "prove", "build"]
    assert {".ci/run", "make wheel"} <= {step["run"] for step in steps if "run" in step}
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action)] == []
    assert _workflow()["permissions"] == {"contents": "read"}
    assert [name for name, job in jobs.items() if "permissions" in job] == ["draft"]


def test_the_draft_has_every_file_its_hash_and_the_notes(released: Path, tmp_path: Path) -> None:
    shutil.copytree(released, tmp_path / "dist")
    shutil.copytree(ROOT / "release", tmp_path / "release")
    (tmp_path / "src" / "tillroll").mkdir(parents=True)
    shutil.copy(ROOT / "src" / "tillroll" / "__init__.py", tmp_path / "src" / "tillroll")
    version = tillroll.__version__
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {version}\n\n- News.\n\n## 0.0.1\n\n- Old.\n")
    recorder = tmp_path / "bin" / "gh"
    recorder.parent.mkdir()
    recorder.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    recorder.chmod(0o755)
    world = {"PATH": f"{recorder.parent}:{os.environ['PATH']}", "GITHUB_REF_NAME": f"v{version}"}
    commands = [step["run"] for step in _workflow()["jobs"]["draft"]["steps"] if "run" in step]
    asked = "".join(_run(["bash", "-e", "-c", command], tmp_path, **world) for command in commands).splitlines()
    assert asked[:3] == ["release", "create", f"v{version}"]
    assert "--draft" in asked
    built = {path.name for path in released.iterdir() if not path.name.startswith(".")}
    assert {Path(word).name for word in asked if word.startswith("dist/")} == built | {"SHA256SUMS"}
    assert (tmp_path / "notes.md").read_text() == "- News.\n"
    _run(["sha256sum", "--check", "--strict", "SHA256SUMS"], tmp_path / "dist")
    assert {line.split()[-1] for line in (tmp_path / "dist" / "SHA256SUMS").read_text().splitlines()} == built


@pytest.mark.parametrize(
    ("tag", "changelog", "told"),
    [
        ("v1.2.4", "## 1.2.3\n\n- News.\n", "the tag is v1.2.4, and tillroll.__version__ is 1.2.3"),
        ("1.2.3", "## 1.2.3\n\n- News.\n", "the tag is 1.2.3"),
        ("v1.2.3", "## Unreleased\n\n- News.\n", "no section `## 1.2.3`"),
        ("v1.2.3", "## 1.2.3\n\n## 1.2.2\n\n- News.\n", "no section `## 1.2.3` with text"),
        ("v1.2.3", "## 1.2.30\n\n- News.\n", "no section `## 1.2.3`"),
    ],
)
def test_a_release_whose_tag_version_and_changelog_disagree_is_refused(tag: str, changelog: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        notes(tag, "1.2.3", changelog)


def test_the_notes_are_the_section_of_the_release() -> None:
    changelog = "# Changelog\n\n## 1.2.3 (2026-12-01)\n\n- News.\n- More.\n\n## 1.2.2\n\n- Old.\n"
    assert notes("v1.2.3", "1.2.3", changelog) == "- News.\n- More.\n"
