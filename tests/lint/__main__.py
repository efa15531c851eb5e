"""Lint and types of what is not Python: `python -m tests.lint [fetch]`. The page's scripts, and the kernel in C.

`fetch` puts biome and TypeScript, as the lock beside this has them, under .tools, and installs cppcheck and gcc where
there are none.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
HOME: Final = ROOT / ".tools" / "lint"
PROGRAMS: Final = HOME / "node_modules" / ".bin"
SCRIPTS: Final = ("src/tillroll/web/static/js", "src/tillroll/web/static/docs")
WARNINGS: Final = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wvla", "-Werror")


def fetch() -> None:
    """Install what is missing."""
    for program, package in (("npm", "npm"), ("gcc", "gcc"), ("cppcheck", "cppcheck")):
        if shutil.which(program) is None:
            _install(package)
    lock = (HERE / "package-lock.json").read_bytes()
    stamp, wanted = HOME / "installed.txt", hashlib.sha256(lock).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    HOME.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, HOME / name)
    subprocess.run(["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HOME, check=True)
    stamp.write_text(wanted)


def _install(package: str) -> None:
    sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    command = [*sudo, "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", package]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        subprocess.run([*sudo, "apt-get", "update", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def check() -> int:
    """Run every linter, whatever the others say; return how many found something."""
    sources = sorted([*ROOT.glob("native/**/*.c"), ROOT / "src" / "tillroll" / "_kernel.c"])
    own = ["-I", str(ROOT / "native")]
    python = ["-isystem", sysconfig.get_path("include"), "-DPy_LIMITED_API=0x030B0000"]
    commands = [
        ["gcc", "-std=c11", "-O2", *WARNINGS, *own, *python, "-c", str(path), "-o", os.devnull] for path in sources
    ]
    checks = [
        "--enable=warning,performance,portability",
        "--inline-suppr",
        "--std=c11",
        "--quiet",
        "--error-exitcode=1",
    ]
    commands.append(["cppcheck", *checks, *own, *map(str, sources)])
    commands.append([str(PROGRAMS / "biome"), "lint", "--error-on-warnings", f"--config-path={HERE}", *SCRIPTS])
    commands.append([str(PROGRAMS / "tsc"), "--project", str(HERE / "tsconfig.json")])
    return sum(subprocess.run(command, cwd=ROOT, check=False).returncode != 0 for command in commands)


if __name__ == "__main__":
    if sys.argv[1:] == ["fetch"]:
        fetch()
    else:
        sys.exit(1 if check() else 0)
