"""Gets the wheels that an installation runs, as they are locked, into .tools/wheels, to build a container offline."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "run.txt"
HOME = ROOT / ".tools" / "wheels"


def fetch() -> Path:
    """Download what the lock has, unless it is there, and return the directory."""
    stamp, wanted = HOME / "lock.txt", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(HOME, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*pip, "--only-binary", ":all:", "--dest", str(HOME), "--requirement", str(LOCK)], check=True)
        stamp.write_text(wanted)
    return HOME


if __name__ == "__main__":
    print(fetch())
