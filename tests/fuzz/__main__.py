"""Fuzz every decoder for so many minutes each: `python -m tests.fuzz --minutes 30`.

First the bare kernel in C under sanitizers, then what reads untrusted bytes in Python. What is found is printed and
kept in the directory that is named; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz import native


def fuzz_native(work: Path, seconds: int, seed: int) -> bool:
    corpus = work / "corpus"
    shutil.copytree(native.CORPUS, corpus)
    print(f"the bare kernel, {seconds} s", flush=True)
    try:
        print(native.fuzz(native.build(work), corpus, seconds, seed).strip()[-2000:])
    except subprocess.CalledProcessError as error:
        print(f"{error.stdout}{error.stderr}\nfound something; the input is in {work}", file=sys.stderr)
        return False
    return True


def fuzz_python(work: Path, seconds: int, seed: int) -> bool:
    if importlib.util.find_spec("atheris") is None:
        print("the decoders in Python are left out: install atheris to fuzz them", file=sys.stderr)
        return True
    corpus = work / "python"
    shutil.copytree(native.HERE / "seeds", corpus)
    print(f"the decoders in Python, {seconds} s", flush=True)
    options = [
        f"-max_total_time={seconds}",
        f"-dict={native.HERE / 'words.txt'}",
        f"-artifact_prefix={work}/",
        f"-seed={seed + 1}",
        "-timeout=30",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
    ]
    done = subprocess.run([sys.executable, "-m", "tests.fuzz.decoders", str(corpus), *options], check=False)
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="tillroll-fuzz-"))
    seconds = round(options.minutes * 60)
    passed = [fuzz_native(work, seconds, options.seed), fuzz_python(work, seconds, options.seed)]
    if all(passed):
        shutil.rmtree(work)
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
