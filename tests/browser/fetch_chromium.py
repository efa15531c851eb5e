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
PACKAGES = ("chromium", "fonts-liberation")
NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """Return the path of a Chromium, or None when there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def install_chromium() -> None:
    """Install Debian's package, as root or through sudo."""
    if not shutil.which("apt-get"):
        sys.exit("No chromium on PATH, and no apt-get to install it: install Chromium, then run this again.")
    prefix = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    command = [*prefix, "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *PACKAGES]
    print("Installing", *PACKAGES)
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        subprocess.run([*prefix, "apt-get", "update", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


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
    if find_chromium() is None:
        install_chromium()
    if not AXE_FILE.exists():
        fetch_axe()


if __name__ == "__main__":
    fetch()
