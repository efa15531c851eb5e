"""Gets the real programs that tests of deploy/ run: Debian's nginx, Caddy and Prometheus into .tools, and buildah.

The first three are unpacked and not installed: an installation would start them on this machine. Where there is no
apt-get, what is on PATH is taken, and tests of what is not there are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).parents[2] / ".tools" / "debian"
# The files that are wanted of each package.
PACKAGES = {
    "nginx": ["usr/sbin/nginx"],
    "caddy": ["usr/bin/caddy"],
    "prometheus": ["usr/bin/prometheus", "usr/bin/promtool"],
}


def find(program: str) -> str | None:
    """Return the path of a program, or None when there is none."""
    return shutil.which(program, path=os.pathsep.join([str(HOME), os.environ.get("PATH", ""), "/usr/sbin"]))


def fetch() -> None:
    """Fetch what is missing, if this machine has Debian's packages."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        print("No apt-get: tests of deploy/ run with what is on PATH", file=sys.stderr)
        return
    wanted = [name for name, files in PACKAGES.items() if any(find(Path(file).name) is None for file in files)]
    if wanted:
        _told(lambda: _unpack(wanted))
    if find("buildah") is None:
        sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
        install = [*sudo, "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "buildah"]
        _told(lambda: _apt(install, Path.cwd()))


def _unpack(packages: list[str]) -> None:
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME) as temporary:
        folder = Path(temporary)
        # As root, apt would fetch as a user who may not write here, and warn.
        _apt(["apt-get", "download", "--quiet", "-o", "APT::Sandbox::User=root", *packages], folder)
        for name in packages:
            (archive,) = folder.glob(f"{name}_*.deb")
            subprocess.run(["dpkg-deb", "--extract", str(archive), str(folder / name)], check=True)
            for file in PACKAGES[name]:
                (folder / name / file).replace(HOME / Path(file).name)


def _apt(command: list[str], folder: Path) -> None:
    """Run apt-get, and again with a new list of packages where it fails."""
    if subprocess.run(command, cwd=folder, check=False, stdout=subprocess.DEVNULL).returncode:
        sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
        subprocess.run([*sudo, "apt-get", "update", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def _told(work: object) -> None:
    """Do something; where it cannot be done, say so. Tests that need it are skipped, and say so too."""
    assert callable(work)
    try:
        work()
    except subprocess.CalledProcessError as error:
        print(f"{error}: tests of deploy/ that need it are skipped", file=sys.stderr)


if __name__ == "__main__":
    fetch()
