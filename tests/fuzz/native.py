"""Build the bare kernel with sanitizers, and fuzz it: by libFuzzer where there is clang, else by engine.c."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
CORPUS: Final = HERE / "corpus"
NATIVE: Final = HERE.parents[1] / "native"
_SANITIZERS: Final = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_FLAGS: Final = ("-std=gnu11", "-g", "-Wall", "-Wextra")


def compiler() -> str | None:
    """Return the C compiler there is, None where there is none."""
    return shutil.which("clang") or shutil.which("gcc")


def build(directory: Path, optimization: str = "-O1") -> Path:
    """Build the fuzzer in a directory and return its path."""
    found = compiler()
    if found is None:
        raise FileNotFoundError("no C compiler: install gcc or clang")
    fuzzer, flags = directory / "fuzzer", (*_FLAGS, optimization)
    sources = [*sorted(NATIVE.glob("*.c")), HERE / "harness.c"]
    if found.endswith("clang"):
        _run(found, *flags, *_SANITIZERS, "-fsanitize=fuzzer", *map(str, sources), "-o", str(fuzzer))
        return fuzzer
    objects = []
    for source in sources:
        objects.append(str(directory / f"{source.stem}.o"))
        coverage = "-fsanitize-coverage=trace-pc"
        _run(found, *flags, *_SANITIZERS, coverage, "-c", str(source), "-o", objects[-1])
    _run(found, *flags, _SANITIZERS[0], *objects, str(HERE / "engine.c"), "-o", str(fuzzer))
    return fuzzer


def fuzz(fuzzer: Path, corpus: Path, seconds: int, seed: int) -> str:
    """Fuzz for some seconds, or, with 0, only run what the corpus holds. Return the summary.

    Raises:
        subprocess.CalledProcessError: something was found; its output says what.
    """
    if str(compiler()).endswith("clang"):
        limit = [f"-max_total_time={seconds}"] if seconds else ["-runs=0"]
        return _run(str(fuzzer), str(corpus), "-print_final_stats=1", f"-seed={seed + 1}", *limit)
    return _run(str(fuzzer), str(corpus), str(seconds), str(seed))


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout + done.stderr
