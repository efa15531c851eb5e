"""The kernel reads what other threads may write to: it must not be led outside of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tillroll.core import kernel

CODE = """
import sys, threading, time
from array import array
from tillroll import _kernel
COUNT, FAR = 400_000, 0xFFFFFFF0
places, ends, heap = array("I", bytes(4 * COUNT)), array("I", range(1, COUNT + 1)), b"x" * COUNT
codes, weights = array("I", bytes(4 * COUNT)), array("q", bytes(8 * COUNT))
written = {"places": places, "ends": ends, "codes": codes}[sys.argv[2]]
right = written[COUNT // 2]
stop = time.monotonic() + 0.6

def write():
    while time.monotonic() < stop:
        written[COUNT // 2] = FAR
        written[COUNT // 2] = right

calls = {
    "pick": lambda: _kernel.pick(array("Q", [1]), places),
    "equal_at": lambda: _kernel.equal_at(array("Q", [1]), places, array("Q", [1]), places),
    "equal_strings_at": lambda: _kernel.equal_strings_at(array("I", [1]), b"x", places, array("I", [1]), b"x", places),
    "pack_strings": lambda: _kernel.pack_strings(ends, heap),
    "group": lambda: _kernel.group([(codes, 1)], weights, [[[0]]]),
}
call = calls[sys.argv[1]]
threads = [threading.Thread(target=write) for _ in range(2)]
for thread in threads:
    thread.start()
while time.monotonic() < stop:
    try:
        call()
    except ValueError:
        pass
for thread in threads:
    thread.join()
"""


@pytest.mark.skipif(not kernel.compiled, reason="the kernel was not built")
@pytest.mark.parametrize(
    ("operation", "column"),
    [
        ("pick", "places"),
        ("equal_at", "places"),
        ("equal_strings_at", "places"),
        ("pack_strings", "ends"),
        ("group", "codes"),
    ],
)
def test_a_column_that_another_thread_writes_to_leads_nowhere(operation: str, column: str) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, operation, column], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
