"""Gets the real programs that tests of deploy/ run: Debian's nginx, Caddy and Prometheus, into .tools.

They are unpacked and not installed: an installation would start them on this machine. Where there is no apt-get, what
is on PATH is taken, and tests of what is not there are skipped.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
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
        try:
            _unpack(wanted)
        except subprocess.CalledProcessError as error:
            print(f"{error}: tests of deploy/ that need {', '.join(wanted)} are skipped", file=sys.stderr)


def install_buildah() -> None:
    """Install buildah, which runs from where its package puts it alone."""
    if find("buildah") is None:
        sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
        _apt([*sudo, "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "buildah"], Path.cwd())


def _unpack(packages: list[str]) -> None:
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME) as temporary:
        folder = Path(temporary)
        # As root, apt would fetch as a user who may not write here, and warn.
        _apt(["apt-get", "download", "--quiet", "-o", "APT::Sandbox::User=root", *packages], folder)
        for name in packages:
            (archive,) = folder.glob(f"{name}_*.deb")
            held = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(archive)], check=True, capture_output=True).stdout
            with tarfile.open(fileobj=io.BytesIO(held)) as files:
                for file in PACKAGES[name]:
                    files.extract(f"./{file}", folder / name, filter="data")
                    (folder / name / file).replace(HOME / Path(file).name)


def _apt(command: list[str], folder: Path) -> None:
    """Run apt-get, and again with a new list of packages where it fails."""
    if subprocess.run(command, cwd=folder, check=False, stdout=subprocess.DEVNULL).returncode:
        sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
        subprocess.run([*sudo, "apt-get", "update", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    fetch()
