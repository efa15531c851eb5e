"""What the page's scripts reckon is tested without a browser: time, grain, comparison, formats, addresses, pictures."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import tillroll

SCRIPTS = Path(tillroll.__file__).parent / "web" / "static" / "js"
TESTS = Path(__file__).parents[1] / "page"


@pytest.mark.parametrize("clock", ["UTC", "Pacific/Apia"])
def test_scripts_reckon_the_same_wherever_the_browser_is(tmp_path: Path, clock: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.fail("No node on PATH: install Node.js, which comes with npm")
    shutil.copytree(SCRIPTS, tmp_path / "js")
    for test in TESTS.glob("*.test.js"):
        shutil.copy(test, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    ran = subprocess.run(
        [node, "--test", "--test-reporter=tap"],
        cwd=tmp_path,
        env=os.environ | {"TZ": clock},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = [line for line in ran.stdout.splitlines() if "not ok" in line]
    assert ran.returncode == 0, "\n".join([*failed, ran.stdout[-3_000:], ran.stderr[-2_000:]])
    assert "# fail 0" in ran.stdout
    assert "# tests 0" not in ran.stdout
