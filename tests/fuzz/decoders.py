"""Fuzz what reads untrusted bytes in Python: bodies, lines by the kernel against the reference, and journal chunks.

`python -m tests.fuzz.decoders CORPUS -max_total_time=600` and whatever else libFuzzer takes.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

atheris: Any = importlib.import_module("atheris")

with atheris.instrument_imports(include=["tillroll.core"]):
    from tests.fuzz import checks

    from tillroll.core import chunk
    from tillroll.core.accept import Body, accept
    from tillroll.core.batch import UNNAMED

_CHUNK = chunk.encode(
    accept(
        [
            Body(
                b'{"date":"2011-12-03T10:15:30Z","amount":4285,"paymentMethod":"SLICE_IT","merchantId":"m","id":"i"}\n'
                * 3,
                UNNAMED,
            )
        ],
        checks.NOW_S,
    ).batch
)


def check(data: bytes) -> None:
    """Check one input; its first byte chooses what it is."""
    if not data:
        return
    kind, rest = data[:1], data[1:]
    match kind:
        case b"c":
            checks.check_chunk_bytes(rest)
        case b"r":
            checks.check_chunk_columns(int.from_bytes(rest[:2], "little"), rest[2:])
        case b"d":
            checks.check_damage(_CHUNK, int.from_bytes(rest[:2], "little"), rest[2] if len(rest) > 2 else 1)
        case b"b":
            checks.check_bodies(rest.split(b"\x00"))
        case b"p":
            checks.check_parts(rest[2:], list(rest[:1]), 1 + sum(rest[1:2]))
        case b"w":
            checks.check_texts([rest], [True], 0)
        case _:
            checks.check_texts([rest], [False], 7)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
