"""Fetches the real parts that tests speak to into .tools, each once: `python -m tests.tools`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

FETCHERS = sorted(path for path in Path(__file__).parents[1].glob("*/fetch_*.py"))


def main() -> None:
    for path in FETCHERS:
        print(f"{path.stem.removeprefix('fetch_')} …", file=sys.stderr, flush=True)
        importlib.import_module(f"tests.{path.parent.name}.{path.stem}").fetch()


if __name__ == "__main__":
    main()
