"""Measure the kernel alone: lines to columns, grouping, journal chunks; beside msgspec, which makes an object a line.

Each figure is the best of some rounds on one core.
"""

from __future__ import annotations

import json
import random
import sys
import time
import uuid
import zlib
from array import array
from typing import TYPE_CHECKING

import msgspec

from tillroll.core import chunk, kernel
from tillroll.core.accept import Body, accept
from tillroll.core.batch import UNNAMED, Batch, NameKind, Source
from tillroll.core.fold import codes_of, fold
from tillroll.core.limits import METHODS
from tillroll.core.parse import parse_some
from tillroll.core.recount import Recount
from tillroll.core.report import FIVE

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS = 130_000
ROUNDS = 50
_NOW_S = 2e9
_SPAN_S = 365 * 86_400


class Purchase(msgspec.Struct):
    """What msgspec makes of a line, without the checks that the product owes."""

    date: str
    amount: int
    paymentMethod: str  # noqa: N815 the contract's own spelling
    merchantId: str  # noqa: N815


def best_s(rounds: int, work: Callable[..., object], *arguments: object) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work(*arguments)
        times.append(time.perf_counter() - start)
    return min(times)


def make_lines(events: int, shape: str) -> bytes:
    """Return lines by rising date over a year, of 10,000 merchants with a Zipf share."""
    rng = random.Random(7)
    merchants = [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(10_000)]
    chosen = rng.choices(merchants, weights=[1 / (rank + 1) for rank in range(len(merchants))], k=events)
    lines = []
    for index, merchant in enumerate(chosen):
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1.6e9 + index * _SPAN_S / events))
        fields = {
            "date": when,
            "amount": int(rng.lognormvariate(8.2, 1.15)),
            "paymentMethod": rng.choice(METHODS),
            "merchantId": merchant,
        }
        if shape == "canonical":
            lines.append(json.dumps(fields, separators=(",", ":")))
        elif shape == "spaced":
            lines.append(json.dumps(fields))
        elif shape == "with ids":
            lines.append(json.dumps(fields | {"id": str(uuid.UUID(int=rng.getrandbits(128)))}, separators=(",", ":")))
        else:
            shuffled = list((fields | {"id": str(uuid.UUID(int=rng.getrandbits(128)))}).items())
            rng.shuffle(shuffled)
            lines.append(json.dumps(dict(shuffled)))
    return "\n".join(lines).encode() + b"\n"


def show(name: str, seconds: float, events: int, size: int) -> None:
    rates = f"{size / seconds / 1e9:6.2f} GB/s" if size else " " * 11
    print(f"{name:44} {seconds * 1e3:9.2f} ms {events / seconds / 1e6:8.2f} M/s {rates}")


def measure_lines(events: int, rounds: int) -> None:
    for shape in ("canonical", "spaced", "with ids", "ids, shuffled, spaced"):
        lines = make_lines(events, shape)
        show(f"parse {shape}", best_s(rounds, parse_some, lines, 0, _NOW_S, len(lines)), events, len(lines))
    lines = make_lines(events, "canonical")
    show("read every byte (crc32)", best_s(rounds, zlib.crc32, lines), events, len(lines))
    decoder = msgspec.json.Decoder(Purchase)
    show("msgspec decode_lines", best_s(3, decoder.decode_lines, lines), events, len(lines))


def measure_columns(events: int, rounds: int) -> None:
    batch = accept([Body(make_lines(events, "canonical"), Source(NameKind.FILE, "x"))], _NOW_S).batch
    ids = array("I", range(len(batch.merchant_names)))
    for report in FIVE:
        seconds = best_s(rounds, lambda report=report: fold([report], codes_of(batch, ids)))
        show(f"group {report.name}", seconds, events, 0)
    fold_s = best_s(rounds, lambda: fold(FIVE, codes_of(batch, ids)))
    show("group into all five at once", fold_s, events, 0)
    recount_s = best_s(max(1, rounds // 10), lambda: Recount(FIVE).count(batch, b"\1" * len(FIVE)))
    show(f"recount of all five, as texts ({recount_s / fold_s:.0f} times)", recount_s, events, 0)
    for size in (1, 64, 65_536, 262_144):
        for shape in ("canonical", "with ids"):
            part = accept([Body(make_lines(size, shape), Source(NameKind.FILE, "x"))], _NOW_S).batch
            measure_chunk(f"{size} {shape}", part, rounds * 10 if size < 100 else rounds)


def measure_chunk(name: str, batch: Batch, rounds: int) -> None:
    data = chunk.encode(batch)
    raw = zstd.decompress(data[16:])
    encode_s, decode_s = best_s(rounds, chunk.encode, batch), best_s(rounds, chunk.decode, data)
    pack_s, unpack_s = best_s(rounds, zstd.compress, raw, 1), best_s(rounds, zstd.decompress, data[16:])
    show(f"chunk encode {name}", encode_s, len(batch), len(raw))
    show("  of it zstd", pack_s, len(batch), len(raw))
    show(f"chunk decode {name}", decode_s, len(batch), len(raw))
    show("  of it zstd", unpack_s, len(batch), len(raw))
    print(f"  {len(data) / len(batch):.1f} bytes an event")


def measure_bodies(rounds: int) -> None:
    bodies = [Body(line, UNNAMED) for line in make_lines(64, "canonical").splitlines()]
    show("accept 64 single bodies", best_s(rounds * 20, accept, bodies, _NOW_S), 64, 0)
    body = Body(make_lines(1_000, "canonical"), UNNAMED)
    show("accept a body of 1,000 lines", best_s(rounds * 5, accept, [body], _NOW_S), 1_000, len(body.data))
    array_body = Body(b"[" + b",".join(body.data.splitlines()) + b"]", UNNAMED)
    show("accept an array of 1,000", best_s(rounds * 5, accept, [array_body], _NOW_S), 1_000, len(body.data))


def run() -> None:
    """Print what each part of the kernel does in a second on one core."""
    print(f"compiled kernel: {kernel.compiled}")
    kernel.keep_memory()  # as an import does
    measure_lines(EVENTS, ROUNDS)
    measure_bodies(ROUNDS)
    measure_columns(EVENTS, ROUNDS)
