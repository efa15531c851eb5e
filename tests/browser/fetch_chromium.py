"""Get what the browser tests need and pip cannot install: Debian's chromium, and axe-core from npm, into .tools/axe."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

AXE = "axe-core@4.14.1"
AXE_INTEGRITY = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
AXE_FILE = Path(__file__).parents[2] / ".tools" / "axe" / "axe.min.js"
FONTS = "fonts-liberation"
NAMES = ("chromium", "chromium-browser", "google-chrome")
SHELL = "chromium-headless-shell"  # the same engine without all that is around a page: a fifth less of the processor


def find_chromium() -> str | None:
    """Return the path of a Chromium, or None when there is none."""
    return next((path for name in (*NAMES, SHELL) if (path := shutil.which(name))), None)


def find_headless() -> str | None:
    """Return the path of a Chromium that shows nothing: of the one made for that, where there is it."""
    return shutil.which(SHELL) or find_chromium()


def install_chromium() -> None:
    """Install Debian's package, as root or through sudo."""
    if not shutil.which("apt-get"):
        sys.exit("No chromium on PATH, and no apt-get to install it: install Chromium, then run this again.")
    if not _installed(SHELL, FONTS):
        subprocess.run([*_prefix(), "apt-get", "update", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        if not _installed(SHELL, FONTS) and not _installed(NAMES[0], FONTS):
            sys.exit("Chromium could not be installed: what apt-get says is above.")


def install_shell_beside() -> None:
    """Install the shell of the version of the Chromium that there is, where that takes no question to anybody."""
    query = ["dpkg-query", "--show", "--showformat=${Version}", "chromium-common"]
    if os.geteuid() == 0 and shutil.which("apt-get") and shutil.which("dpkg-query"):
        version = subprocess.run(query, check=False, capture_output=True, text=True).stdout
        if version:
            _installed(f"{SHELL}={version}")


def _prefix() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]


def _installed(*packages: str) -> bool:
    command = [*_prefix(), "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    print("Installing", *packages)
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 0


def fetch_axe() -> None:
    """Put axe-core's one file under .tools, checked against the digest that its registry published."""
    npm = shutil.which("npm") or sys.exit(f"No npm on PATH: it fetches {AXE}, which looks for accessibility faults.")
    with tempfile.TemporaryDirectory() as folder:
        told = subprocess.run([npm, "pack", "--json", AXE], cwd=folder, check=True, capture_output=True).stdout
        archive = (Path(folder) / json.loads(told)[0]["filename"]).read_bytes()
    digest = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if digest != AXE_INTEGRITY:
        sys.exit(f"{AXE} has the digest {digest}, not {AXE_INTEGRITY}: it was changed on its way. Nothing was kept.")
    with tarfile.open(fileobj=io.BytesIO(archive)) as package:
        member = package.extractfile("package/axe.min.js") or sys.exit(f"{AXE} has no axe.min.js")
        AXE_FILE.parent.mkdir(parents=True, exist_ok=True)
        AXE_FILE.write_bytes(member.read())


def fetch() -> None:
    """Fetch what is missing."""
    if find_headless() is None:
        install_chromium()
    elif shutil.which(SHELL) is None:
        install_shell_beside()
    if not AXE_FILE.exists():
        fetch_axe()


if __name__ == "__main__":
    fetch()
