"""Get Debian's Firefox where it can be had: one test looks at the page in it, and is skipped without."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PACKAGE = "firefox-esr"
NAMES = (PACKAGE, "firefox")


def find_firefox() -> str | None:
    """Return the path of a Firefox, or None when there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def fetch() -> None:
    """Install it, as root or through sudo; say so where that cannot be."""
    if find_firefox() is not None:
        return
    prefix = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    command = [*prefix, "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", PACKAGE]
    if shutil.which("apt-get") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        print(f"No {PACKAGE} can be installed here: the page is not looked at in it.", file=sys.stderr)


if __name__ == "__main__":
    fetch()
