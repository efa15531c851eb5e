"""Measures tillroll beside the alternatives, in one run: `make bench`, or `python -m bench NAME...` for some of it.

`--full` measures the page over a hundred million purchases, which take minutes to make, and not over ten.

Figures of one run are comparable with each other; the machine is noisy, so between runs only ratios are. Each section
prints how to repeat it.
"""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
import sys
import time

# Each module has run(); in the order of printing.
SECTIONS = (
    "kernel",
    "imports",
    "exports",
    "posts",
    "repeats",
    "queries",
    "reports",
    "merchants",
    "dynamodb",
    "write_units",
    "scale",
    "page",
)


def main() -> None:
    """Run the sections named, or all."""
    if sys.argv[1:2] == ["scale"]:  # the one that has options
        importlib.import_module("bench.scale").run(sys.argv[2:])
        return
    if "--full" in sys.argv:
        sys.argv.remove("--full")
        os.environ["BENCH_FULL"] = "1"
    wanted = sys.argv[1:] or SECTIONS
    unknown = [name for name in wanted if name not in SECTIONS]
    if unknown:
        sys.exit(f"no such section: {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    print(
        f"{time.strftime('%Y-%m-%d')}  {platform.processor() or platform.machine()}  Python {platform.python_version()}"
    )
    for name in wanted:
        print(f"\n== {name}   (python -m bench {name})", flush=True)
        if len(wanted) == 1:
            importlib.import_module(f"bench.{name}").run()
        else:  # in a process of its own: one's memory would be counted as that of the commands it starts
            subprocess.run([sys.executable, "-c", f"import bench.{name} as its; its.run()"], check=True)


if __name__ == "__main__":
    main()
