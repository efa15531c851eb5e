"""docs/format.md is enough: a reader written from that page alone reads every chunk that a store has.

The reader shares nothing with the product; whoever ports it to another language finds all that it needs in these lines.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
import sys
import uuid
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tillroll.core.accept import Body, accept
from tillroll.core.batch import UNNAMED, Batch, NameKind, Source
from tillroll.core.chunk import encode
from tillroll.core.kept import Keep
from tillroll.stores.sqlite.head import FILE_NAME as HEAD_FILE
from tillroll.stores.sqlite.schema import FILE_NAME
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# ---- the reader -----------------------------------------------------------------------------------------------------


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def column(self, width: int, count: int) -> list[int]:
        data = self.take(width * count)
        return [int.from_bytes(data[index :: count or 1][:width], "little") for index in range(count)]

    def items(self, width: int, count: int) -> list[int]:
        return [self.number(width) for _ in range(count)]

    def strings(self, count: int) -> list[str]:
        lengths = [self.number(2) for _ in range(count)]
        return [str(uuid.UUID(bytes=self.take(16))) if n == 0xFFFF else self.take(n).decode() for n in lengths]


def read_chunk(chunk: bytes) -> Iterator[dict[str, Any]]:
    magic, crc, events, size = struct.unpack_from("<4sIII", chunk)
    assert magic in {b"TRC2", b"TRC3"}
    assert zlib.crc32(magic + chunk[8:]) == crc
    data = Bytes(zstd.decompress(chunk[16:]))
    assert len(data.data) == size
    least = data.number(8, signed=True)
    widths = [data.number(1) for _ in range(5)]
    has_ids, _, merchant_count, run_count = data.number(1), data.number(2), data.number(4), data.number(4)
    seconds, nanos, amounts = (data.column(width, events) for width in widths[:3])
    methods = data.column(1, events)
    merchants, gaps = (data.column(width, events) for width in widths[3:])
    names = data.strings(merchant_count)
    runs = [(data.number(1), data.number(8), data.number(4)) for _ in range(run_count)]
    sources = data.strings(run_count)
    ids = data.strings(events) if has_ids else [""] * events
    kept = list(read_kept(data, events)) if magic == b"TRC3" else []
    places: list[tuple[int, str, int]] = []
    for (kind, position, count), source in zip(runs, sources, strict=True):
        for _ in range(count):
            skipped = gaps[len(places)]
            places.append((kind, source, position + skipped))
            position += skipped + 1  # noqa: PLW2901
    for at in range(events):
        yield {
            "second": least + seconds[at],
            "nanos": nanos[at],
            "amount": amounts[at],
            "method": ("PAY_NOW", "PAY_LATER", "SLICE_IT")[methods[at]],
            "merchant": names[merchants[at]],
            "id": ids[at],
            "place": places[at],
            "kept": {name: values[at] for name, values in kept},
        }


def read_kept(data: Bytes, events: int) -> Iterator[tuple[str, list[str]]]:
    fields, values = data.number(2), data.number(4)
    heads = [(data.number(4), data.number(1), data.number(4), data.number(1)) for _ in range(fields)]
    names, texts = data.strings(fields), iter(data.strings(values))
    own = [[next(texts) for _ in range(distinct)] for distinct, *_ in heads]
    for name, known, (_, width, _, _) in zip(names, own, heads, strict=True):
        yield name, [known[index] for index in data.column(width, events)]


def read_counters(
    connection: sqlite3.Connection, report: str, codes_of_block: int, together: int
) -> dict[tuple[int, int], tuple[int, int]]:
    """Return (events, amount) by window and code of a report of one open dimension, or of none."""
    found: dict[tuple[int, int], tuple[int, int]] = {}

    def add(window: int, code: int, events: int, low: int, high: int) -> None:
        before = found.get((window, code), (0, 0))
        found[window, code] = (before[0] + events, before[1] + low + (high << 64))

    query = "SELECT report, window, part, cells FROM aggregate WHERE report IN (?, ?) AND cells != x''"
    for name, window, part, stored in connection.execute(query, (report, f"{report}/sparse")):
        sparse = name.endswith("/sparse")
        cells = zlib.decompress(stored) if stored.startswith(b"x") else stored
        head = 5 if sparse else 3
        data, widths = Bytes(cells[head:]), list(cells[:head])
        size = len(data.data) // sum(widths)
        columns = [data.items(width, size) for width in widths]
        if sparse:
            for in_window, code, *few in zip(*columns, strict=True):
                add(window * together + in_window, part * 64 * codes_of_block + code, *few)
        else:
            for code, counter in enumerate(zip(*columns, strict=True)):
                if counter[0]:
                    add(window, part * codes_of_block + code, *counter)
    return found


# ---- what it reads --------------------------------------------------------------------------------------------------


def event(number: int, **more: object) -> bytes:
    given = {
        "date": f"2011-12-03T10:{number % 60:02}:30.{number:09}Z",
        "amount": 7 * number**3,
        "merchantId": f"m{number}",
    }
    method = ("PAY_NOW", "PAY_LATER", "SLICE_IT")[number % 3]
    return json.dumps(given | {"paymentMethod": method, **more}).encode()


def batch_of(bodies: list[Body], keep: Keep) -> Batch:
    found = accept(bodies, 1_700_000_000.0, keep=keep)
    assert not any(found.rejections)
    return found.batch


NAMED = uuid.UUID("1bb53ed1-787b-4543-9def-ea18eef7902e")
BODIES = [
    Body(b"\n".join(event(number) for number in range(5)), Source(NameKind.KEY, "the key")),
    Body(b"\n\n".join(event(number, id=f"ид{number}") for number in range(3)), UNNAMED),
    Body(event(9, merchantId=str(NAMED), customer={"country": "SE"}, channel=None), Source(NameKind.FILE, "f"), 41),
    Body(b"[" + event(0, channel="shop") + b", " + event(1, channel=15) + b"]", UNNAMED),
]


@pytest.mark.parametrize("names", [(), ("channel", "customer.country")])
def test_the_page_is_enough_to_read_a_chunk(names: tuple[str, ...]) -> None:
    batch = batch_of(BODIES, Keep(names))
    found = list(read_chunk(encode(batch)))
    assert [each["amount"] for each in found] == [7 * n**3 for n in (0, 1, 2, 3, 4, 0, 1, 2, 9, 0, 1)]
    assert [each["nanos"] for each in found] == [0, 1, 2, 3, 4, 0, 1, 2, 9, 0, 1]
    assert [each["second"] % 3600 // 60 for each in found] == [0, 1, 2, 3, 4, 0, 1, 2, 9, 0, 1]
    assert [each["method"] for each in found] == [
        ("PAY_NOW", "PAY_LATER", "SLICE_IT")[n % 3] for n in (0, 1, 2, 3, 4, 0, 1, 2, 9, 0, 1)
    ]
    assert [each["id"] for each in found[:9]] == [*[""] * 5, "ид0", "ид1", "ид2", ""]
    assert [each["place"] for each in found[:5]] == [(2, "the key", position) for position in range(5)]
    assert found[8]["place"] == (4, "f", 41)
    assert found[8]["merchant"] == str(NAMED)
    if names:
        assert [each["kept"]["customer.country"] for each in found] == [*["(absent)"] * 8, "SE", *["(absent)"] * 2]
        assert [each["kept"]["channel"] for each in found[8:]] == ["null", "shop", "15"]
    else:
        assert not any(each["kept"] for each in found)


def test_the_page_is_enough_to_follow_the_chain_and_the_head(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path)) as store:
        for body in BODIES:
            store.journal(batch_of([body], Keep()))
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    chain, total = bytes(32), 0
    query = "SELECT first, events, low, high, committed_at, payload, chain FROM chunk ORDER BY first"
    for first, events, low, high, committed_at, payload, linked in connection.execute(query):
        assert first == total + 1
        seconds = [each["second"] for each in read_chunk(payload)]
        assert (len(seconds), min(seconds), max(seconds)) == (events, low, high)
        head = chain + struct.pack("<qqqqd", first, events, low, high, committed_at)
        chain = hashlib.sha256(head + hashlib.sha256(payload).digest()).digest()
        assert chain == linked
        total += events
    connection.close()
    copies = (tmp_path / HEAD_FILE).read_bytes()
    assert copies[:52] == copies[52:]
    magic, events, hashed, crc = struct.unpack("<8sq32sI", copies[:52])
    assert (magic, events, hashed) == (b"TRLHEAD1", total, chain)
    assert crc == zlib.crc32(copies[:48])


BRACKET_BOUNDS = (1_000, 5_000, 10_000, 50_001)
REPORTS = [
    ("hour-bracket-method.1", 15, 512, lambda e, _: (e["second"] // 3600, bracket(e) * 3 + method(e))),
    ("day-merchant.1", 1024, 64, lambda e, merchants: (e["second"] // 86400, merchants[e["merchant"]])),
    ("merchant-method.1", 3 * 1024, 0, lambda e, merchants: (0, merchants[e["merchant"]] * 3 + method(e))),
]


def bracket(found: dict[str, Any]) -> int:
    return sum(found["amount"] >= bound for bound in BRACKET_BOUNDS)


def method(found: dict[str, Any]) -> int:
    return ("PAY_NOW", "PAY_LATER", "SLICE_IT").index(found["method"])


@pytest.mark.parametrize(("report", "codes", "together", "place"), REPORTS)
def test_the_page_is_enough_to_read_the_counters(
    tmp_path: Path, report: str, codes: int, together: int, place: Callable[..., tuple[int, int]]
) -> None:
    with closing(SqliteStore(tmp_path)) as store:
        for body in [*BODIES, *(Body(event(n % 97), UNNAMED) for n in range(300))]:
            store.journal(batch_of([body], Keep()))
        store.fold()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    merchants = {name: number for number, name in connection.execute("SELECT id, name FROM merchant")}
    counted: dict[tuple[int, int], tuple[int, int]] = {}
    for (payload,) in connection.execute("SELECT payload FROM chunk"):
        for found in read_chunk(payload):
            events, amount = counted.get(place(found, merchants), (0, 0))
            counted[place(found, merchants)] = (events + 1, amount + found["amount"])
    assert counted
    assert read_counters(connection, report, codes, together) == counted
    connection.close()
