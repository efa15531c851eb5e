"""Build the functions' package for the Lambda platform, without a container: wheels for it, and our own source.

boto3 is not in it: the Python runtimes of Lambda bring it. Powertools is, so no other account's layer is needed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import tillroll
from tillroll.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

Architecture = Literal["arm64", "x86_64"]

UNPACKED_BYTES_MAX: Final = 30 * 2**20  # ours; Lambda itself takes 250 MiB, but time to start grows with size
_REQUIREMENTS: Final = ("msgspec", "backports.zstd", "aws-lambda-powertools", "jmespath", "typing_extensions")
_LEFT_OUT: Final = ("cli", "web", "__pycache__")
_MACHINES: Final[dict[Architecture, str]] = {"arm64": "aarch64", "x86_64": "x86_64"}
_GLIBC: Final = "2_28"  # Amazon Linux 2023, under every runtime from python3.12, has 2.34; python3.11's has 2.26
_OLD_GLIBC: Final = "2_17"
# A company's own package index is trusted by its machines, but not by uv unless told; the setting has two names.
_SYSTEM_CERTIFICATES: Final = {"UV_SYSTEM_CERTS": "true", "UV_NATIVE_TLS": "true"}
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)  # the same content gives the same package


class Package(NamedTuple):
    """A built package."""

    path: Path
    key: str  # its name in a bucket, by its content
    unpacked_bytes: int
    has_kernel: bool  # compiled for that machine; else Python does its work


def build(target: Path, architecture: Architecture = "arm64", runtime: str = "python3.13") -> Package:
    """Build the package into a directory that exists and return it.

    Raises:
        ConfigError: there is no installer here, or no wheel for that platform.
    """
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        _install(root, architecture, runtime.removeprefix("python"))
        _copy_source(root, architecture)
        for entry in root.rglob("__pycache__"):
            shutil.rmtree(entry)
        unpacked = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        has_kernel = any((root / "tillroll").glob("_kernel*.so"))
        path = target / f"tillroll-{runtime}-{architecture}.zip"
        _zip(root, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return Package(path, f"tillroll/{tillroll.__version__}-{runtime}-{architecture}-{digest}.zip", unpacked, has_kernel)


def _install(root: Path, architecture: Architecture, python: str) -> None:
    machine = _MACHINES[architecture]
    glibcs = (_OLD_GLIBC,) if python == "3.11" else (_OLD_GLIBC, _GLIBC)
    uv = _find_uv()
    if uv:
        command = [uv, "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(root)]
        command += ["--python-version", python, "--python-platform", f"{machine}-manylinux_{glibcs[-1]}"]
    else:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--disable-pip-version-check", "--no-compile", "--target", str(root)]
        command += ["--python-version", python, "--implementation", "cp"]
        command += [f"--platform=manylinux_{glibc}_{machine}" for glibc in glibcs]
    trusting = _SYSTEM_CERTIFICATES | os.environ
    done = subprocess.run([*command, *_pinned()], capture_output=True, text=True, check=False, env=trusting)  # noqa: S603 our own words
    if done.returncode:
        problem = f"the wheels for {architecture} cannot be installed: {done.stderr.strip()[-500:]}"
        raise ConfigError("package", problem, "pip or uv must be here, and able to reach a package index")


def _find_uv() -> str | None:
    beside = Path(sysconfig.get_path("scripts")) / "uv"
    return str(beside) if beside.exists() else shutil.which("uv")


def _pinned() -> Iterator[str]:
    """Yield the requirements at the versions that are installed here, and so were tested."""
    for name in _REQUIREMENTS:
        try:
            yield f"{name}=={version(name)}"
        except PackageNotFoundError:  # one that this Python does without
            yield name


def _copy_source(root: Path, architecture: Architecture) -> None:
    """Copy our own source, and the compiled kernel where it is for that machine; if it will not load, Python does."""
    source = Path(tillroll.__file__).parent
    same = sys.platform == "linux" and platform.machine() == _MACHINES[architecture]
    ignored = _LEFT_OUT if same else (*_LEFT_OUT, "*.so")
    shutil.copytree(source, root / "tillroll", ignore=shutil.ignore_patterns(*ignored, "*.c", "*.pyi"))


def _zip(root: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(found for found in root.rglob("*") if found.is_file()):
            info = zipfile.ZipInfo(str(file.relative_to(root)), _ZIP_TIME)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, file.read_bytes())
