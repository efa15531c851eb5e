"""Build what is released into dist: a source archive, the wheel that comes of it, and what both consist of."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import tillroll

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
GUIDE: Final = "src/tillroll/web/guide"
VENDOR: Final = "src/tillroll/web/static/vendor/README.md"


def main(words: list[str]) -> int:
    """Build into the directory named, and say what was built."""
    target = Path(words[0] if words else ROOT / "dist")
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "build", "--quiet", "--offline", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*command, "--out-dir", str(target), str(ROOT)], check=True)
    version = tillroll.__version__
    wheel = max(target.glob(f"tillroll-{version}-*.whl"), key=lambda path: path.stat().st_mtime)
    source = target / f"tillroll-{version}.tar.gz"
    problems = [*_problems(wheel), *_missing(source)]
    bill = target / f"tillroll-{version}.cdx.json"
    bill.write_text(json.dumps(bill_of_materials(), indent=1) + "\n")
    for path in (source, wheel, bill):
        print(f"{path.name}: {path.stat().st_size:,} bytes")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _problems(wheel: Path) -> Iterator[str]:
    with zipfile.ZipFile(wheel) as archive:
        if not any(name.startswith("tillroll/_kernel.") and name.endswith(".so") for name in archive.namelist()):
            yield f"{wheel.name} has no compiled kernel: a C compiler is needed to build a wheel"
    if "-abi3-" not in wheel.name:
        yield f"{wheel.name} is for one Python only"


def _missing(source: Path) -> Iterator[str]:
    with tarfile.open(source) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    for path in sorted([*ROOT.glob("native/**/*.[ch]"), *ROOT.glob("src/tillroll/**/*"), *ROOT.glob(f"{GUIDE}/*.md")]):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(f"{GUIDE}/") and path.suffix != ".md":
            continue  # pictures, which no guide shows
        if path.is_file() and path.suffix not in {".so", ".pyc"} and name not in held:
            yield f"{source.name} lacks {name}"


def bill_of_materials() -> dict[str, Any]:
    """Return a CycloneDX document of what an installation runs: the locked packages, and what the page brings."""
    locked = (ROOT / "requirements" / "run.txt").read_text()
    pinned = re.findall(r"(?m)^([a-z0-9.-]+)==(\S+)", locked)
    brought = re.findall(r"(?m)^\| `[^`]+` \| `([^`]+)` \| ([\d.]+) \|", (ROOT / VENDOR).read_text())
    components = [_component(name, version, f"pkg:pypi/{name}@{version}") for name, version in pinned]
    components += [
        _component(name, version, f"pkg:npm/{name.replace('@', '%40')}@{version}") for name, version in brought
    ]
    product = _component("tillroll", tillroll.__version__, f"pkg:pypi/tillroll@{tillroll.__version__}")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": product | {"type": "application"}},
        "components": components,
        "dependencies": [{"ref": product["bom-ref"], "dependsOn": [each["bom-ref"] for each in components]}],
    }


def _component(name: str, version: str, address: str) -> dict[str, Any]:
    return {"type": "library", "name": name, "version": version, "purl": address, "bom-ref": address}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
