"""Mutation testing: `python -m tests.mutation [PATTERN...]` changes the core and the protocols a little at a time.

Works on a copy, so that the sources stay what they are. mutmut is not among the locked tools; install it for this.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
MUTATED: Final = ("core/fold.py", "core/report.py", "core/query.py", "ingest/take.py", "stores/dynamodb/commit.py")
KILLERS: Final = (
    "tests/mutation/test_small_worlds.py",
    "tests/unit/test_accept.py",
    "tests/unit/test_ask.py",
    "tests/property/test_report.py",
    "tests/property/test_counts.py",
)
_CONFIG: Final = """
[mutmut]
source_paths = src
only_mutate =
    {mutated}
pytest_add_cli_args_test_selection =
    {killers}
pytest_add_cli_args =
    -p
    no:randomly
    -q
also_copy =
    native
    tests
    pyproject.toml
track_dependencies = False
use_git_change_detection = False
timeout_constant = 30
"""


def main(patterns: list[str]) -> int:
    """Run mutmut on a copy and print the mutants that survived."""
    with tempfile.TemporaryDirectory(prefix="tillroll-mutants-") as directory:
        copy = Path(directory)
        for name in ("src", "native", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        mutated = "\n    ".join(f"src/tillroll/{name}" for name in MUTATED)
        (copy / "setup.cfg").write_text(_CONFIG.format(mutated=mutated, killers="\n    ".join(KILLERS)))
        done = subprocess.run(
            [sys.executable, "-m", "mutmut", "run", "--max-children", "2", *patterns], cwd=copy, check=False
        )
        results = subprocess.run(
            [sys.executable, "-m", "mutmut", "results"], cwd=copy, check=False, capture_output=True, text=True
        )
        for line in results.stdout.splitlines():
            print(line)
            if "survived" in line:
                subprocess.run(
                    [sys.executable, "-m", "mutmut", "show", line.partition(":")[0].strip()], cwd=copy, check=False
                )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
