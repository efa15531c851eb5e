"""The column operations, in plain Python: the reference for the compiled kernel, and what runs where there is none.

Each function here has a twin of the same name and results in `tillroll._kernel`; `core.kernel` picks. All integers are
little-endian in bytes that are stored.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from tillroll.core.report import BRACKETS, METHODS, bracket_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WIDTH_CODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
_UUID_LENGTH: Final = 0xFFFF  # the length that marks a canonical UUID, packed into 16 bytes
_UUID_TEXT: Final = 36
_WORD: Final = (1 << 64) - 1
_HASH_MULTIPLIER: Final = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio (Knuth, TAOCP 3, 6.4)


def _little(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()


def _array(code: str, data: bytes) -> array[int]:
    values = array(code)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def narrow(values: array[int], base: int) -> tuple[int, bytes]:
    """Return (width, bytes): each value less `base`, in as few of 0, 1, 2, 4 or 8 bytes as hold the largest.

    A width of 0 says that every value equals the base. No value may be below the base.
    """
    if not values:
        return 0, b""
    largest = max(values) - base
    if largest == 0:
        return 0, b""
    width = 1 if largest < 1 << 8 else 2 if largest < 1 << 16 else 4 if largest < 1 << 32 else 8
    return width, _little(array(_WIDTH_CODES[width], [value - base for value in values]))


def widen(data: bytes, width: int, base: int, count: int, code: str) -> array[int]:
    """Return `count` values as an array of the code (q, Q, I or B): the inverse of `narrow`.

    Raises:
        ValueError: the data is not `count` times `width` bytes, or a value does not fit the code.
    """
    if width == 0:
        if data:
            raise ValueError("a column of width 0 has bytes")
        return array(code, [base]) * count
    if width not in _WIDTH_CODES or len(data) != width * count:
        raise ValueError(f"a column of width {width} has {len(data)} bytes for {count} values")
    try:
        return array(code, [value + base for value in _array(_WIDTH_CODES[width], data)])
    except OverflowError as error:
        raise ValueError(f"a value does not fit the column: {error}") from error


def pack_strings(strings: Iterable[bytes]) -> bytes:
    """Return UTF-8 strings packed: all lengths (2 bytes each), then all bytes. A canonical UUID takes 16 bytes."""
    lengths: array[int] = array("H")
    heap: list[bytes] = []
    for text in strings:
        packed = _pack_uuid(text)
        lengths.append(len(text) if packed is None else _UUID_LENGTH)
        heap.append(text if packed is None else packed)
    return _little(lengths) + b"".join(heap)


def _pack_uuid(text: bytes) -> bytes | None:
    if len(text) != _UUID_TEXT or text[8:24:5] != b"----":
        return None
    digits = text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
    try:
        packed = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return None
    return packed if packed.hex().encode() == digits else None


def _unpack_uuid(packed: bytes) -> bytes:
    digits = packed.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode()


def unpack_strings(data: bytes | memoryview, count: int) -> tuple[list[bytes], int]:
    """Return (`count` strings, bytes read): the inverse of `pack_strings`.

    Raises:
        ValueError: the data ends early.
    """
    data = bytes(data)
    end = 2 * count
    if len(data) < end:
        raise ValueError(f"{count} string lengths do not fit {len(data)} bytes")
    strings: list[bytes] = []
    for length in _array("H", data[:end]):
        start = end
        end += 16 if length == _UUID_LENGTH else length
        strings.append(_unpack_uuid(data[start:end]) if length == _UUID_LENGTH else data[start:end])
    if end > len(data):
        raise ValueError(f"strings of {end} bytes do not fit {len(data)} bytes")
    return strings, end


def group(
    seconds: Sequence[int],
    amounts: Sequence[int],
    methods: Sequence[int],
    merchants: Sequence[int],
    merchant_ids: Sequence[int],
    window_s: int,
    keys: Sequence[str],
) -> tuple[array[int], array[int], array[int]]:
    """Count events by window and key code; return (windows q, codes Q, counts Q), sorted by window, then code.

    `merchants` are indexes into `merchant_ids`. The window is seconds // window_s, or 0 when window_s is 0. The code is
    the keys in mixed radix, in their order: bracket (5 values), method (3), merchant (its id; always first if there).

    Raises:
        ValueError: a method or a merchant is out of range.
    """
    size = len(seconds)
    if not len(amounts) == len(methods) == len(merchants) == size:
        raise ValueError("columns differ in length")
    windows: Iterable[int] = (value // window_s for value in seconds) if window_s else (0 for _ in range(size))
    codes: list[int] = [0] * size
    try:
        for key in keys:
            match key:
                case "bracket":
                    codes = [code * len(BRACKETS) + bracket_of(x) for code, x in zip(codes, amounts, strict=True)]
                case "method":
                    if size and max(methods) >= len(METHODS):
                        raise ValueError("a method is out of range")
                    codes = [code * len(METHODS) + x for code, x in zip(codes, methods, strict=True)]
                case _:
                    codes = [merchant_ids[x] for x in merchants]
    except IndexError as error:
        raise ValueError("a merchant is out of range") from error
    counted = sorted(Counter(zip(windows, codes, strict=True)).items())
    return (
        array("q", [window for (window, _), _ in counted]),
        array("Q", [code for (_, code), _ in counted]),
        array("Q", [count for _, count in counted]),
    )


def hash_name(kind: int, value: bytes, position: int) -> int:
    """Return a signed 64-bit hash of a name. Stored in indexes: it must never change."""
    padded = value + bytes(-len(value) % 8)
    state = (_HASH_MULTIPLIER * (kind + 1) ^ len(value)) & _WORD
    for word in (*struct.unpack(f"<{len(padded) // 8}Q", padded), position):
        state = (state ^ word) * _HASH_MULTIPLIER & _WORD
        state ^= state >> 32
    return state - (1 << 64) if state >> 63 else state


def hash_ids(id_ends: Sequence[int], id_bytes: bytes, kind: int) -> array[int]:
    """Return the hash (q) of each id in a string column, 0 for an empty one."""
    starts = [0, *id_ends[:-1]] if id_ends else []
    return array(
        "q",
        [
            hash_name(kind, id_bytes[start:end], 0) if end > start else 0
            for start, end in zip(starts, id_ends, strict=True)
        ],
    )


def add_counts(cells: bytes, codes: Sequence[int], counts: Sequence[int], first: int, size: int) -> bytes:
    """Return a segment's cells with counts added.

    Cells are `size` counters of one width, 1, 2, 4 or 8 bytes, for the codes from `first` on; empty cells are all 0.

    Raises:
        ValueError: a code is outside the segment, or the cells are no multiple of its size.
    """
    totals = list(read_counts(cells, size))
    for code, count in zip(codes, counts, strict=True):
        if not first <= code < first + size:
            raise ValueError(f"code {code} is outside the segment at {first}")
        totals[code - first] += count
    width, data = narrow(array("Q", totals), 0)
    return data if width else bytes(size)


def read_counts(cells: bytes, size: int) -> array[int]:
    """Return a segment's counters (Q).

    Raises:
        ValueError: the cells are no multiple of the size.
    """
    if not cells:
        return array("Q", bytes(8 * size))
    width, rest = divmod(len(cells), size)
    if rest or width not in _WIDTH_CODES:
        raise ValueError(f"{len(cells)} bytes are not {size} counters")
    return array("Q", _array(_WIDTH_CODES[width], cells))


def ends_of(strings: Iterable[bytes]) -> array[int]:
    """Return where each string ends (I) in the concatenation of all."""
    return array("I", accumulate(len(text) for text in strings))


