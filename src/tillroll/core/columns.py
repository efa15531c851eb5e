"""The column operations, in plain Python: the reference for the compiled kernel, and what runs where there is none.

Each function here has a twin of the same name and results in `tillroll._kernel`; `core.kernel` picks. All integers are
little-endian in bytes that are stored.
"""

from __future__ import annotations

import operator
import struct
import sys
from array import array
from bisect import bisect_right
from itertools import accumulate, chain, compress, groupby, repeat
from math import prod
from operator import itemgetter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tillroll.core.codes import CodeColumn

_WIDTH_CODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
_UUID_LENGTH: Final = 0xFFFF  # the length that marks a canonical UUID, packed into 16 bytes
_UUID_TEXT: Final = 36
_WORD: Final = (1 << 64) - 1
MISSING: Final = (1 << 32) - 1  # what a dictionary has for a string without a number
_CODES: Final = ("q", "Q", "I", "B")
_SECONDS_LIMIT: Final = 1 << 40  # far outside the years 1 to 9999
_CODES_MAX: Final = (1 << 32) - 1  # of a column that has a code for each event
_RADIX_MAX: Final = 1 << 40
_SEGMENT_MAX: Final = 1 << 24
_NAME_KEY_BYTES: Final = 16
_SIP: Final = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
_NAMED_BY_ID: Final = 1  # NameKind.ID; this module is below core.batch
_INDEXED: Final = (1, 2, 3)  # of NameKind: ID, KEY, MESSAGE


def _little(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()


def _array(code: str, data: bytes | memoryview) -> array[int]:
    values = array(code)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def narrow(values: array[int], base: int) -> tuple[int, bytes]:
    """Return (width, bytes): each value less `base`, in as few of 0, 1, 2, 4 or 8 bytes as hold the largest.

    A width of 0 says that every value equals the base.

    Raises:
        ValueError: a value is below the base.
    """
    if not values:
        return 0, b""
    if min(values) < base:
        raise ValueError("a value is below the base")
    largest = max(values) - base
    if largest == 0:
        return 0, b""
    width = 1 if largest < 1 << 8 else 2 if largest < 1 << 16 else 4 if largest < 1 << 32 else 8
    return width, _little(array(_WIDTH_CODES[width], [value - base for value in values]))


def widen(data: bytes | memoryview, width: int, base: int, count: int, code: str) -> array[int]:
    """Return `count` values as an array of the code (q, Q, I or B): the inverse of `narrow`.

    Raises:
        ValueError: the data is not `count` times `width` bytes, or a value does not fit the code.
    """
    if count < 0 or code not in _CODES:
        raise ValueError(f"there is no column of {count} values of code {code}")
    if width == 0:
        if data:
            raise ValueError("a column of width 0 has bytes")
        data, width = bytes(count), 1
    if width not in _WIDTH_CODES or len(data) != width * count:
        raise ValueError(f"a column of width {width} has {len(data)} bytes for {count} values")
    try:
        return array(code, [value + base for value in _array(_WIDTH_CODES[width], data)])
    except OverflowError as error:
        raise ValueError(f"a value does not fit the column: {error}") from error


def shuffle(data: bytes, width: int) -> bytes:
    """Return items of 1, 2, 4 or 8 bytes byte by byte: all their first bytes, then all their second ones.

    A column compresses better so, and faster: what its values share stands together, and what they do not
    (Blosc's shuffle, Parquet's BYTE_STREAM_SPLIT).

    Raises:
        ValueError: the data is no whole number of items, or they are of another width.
    """
    _items_in(data, width)
    return b"".join(data[byte::width] for byte in range(width))


def unshuffle(data: bytes | memoryview, width: int) -> bytes:
    """Return items item by item: the inverse of `shuffle`.

    Raises:
        ValueError: the data is no whole number of items, or they are of another width.
    """
    items = _items_in(data, width)
    result = bytearray(len(data))
    for byte in range(width):
        result[byte::width] = data[byte * items : (byte + 1) * items]
    return bytes(result)


def _items_in(data: bytes | memoryview, width: int) -> int:
    if width not in _WIDTH_CODES or len(data) % width:
        raise ValueError(f"{len(data)} bytes are no items of width {width}")
    return len(data) // width


def pack_strings(ends: array[int], heap: bytes) -> bytes:
    """Return a string column packed: all lengths (2 bytes each), then all bytes. A canonical UUID takes 16 bytes.

    Raises:
        ValueError: a string is longer than 65,534 bytes, or the ends are not those of the heap's strings.
    """
    lengths: array[int] = array("H")
    packed: list[bytes] = []
    for text in strings_in(ends, heap):
        if len(text) >= _UUID_LENGTH:
            raise ValueError("a string is longer than 65534 bytes")
        uuid = _pack_uuid(text)
        lengths.append(len(text) if uuid is None else _UUID_LENGTH)
        packed.append(text if uuid is None else uuid)
    return _little(lengths) + b"".join(packed)


def strings_in(ends: array[int], heap: bytes) -> list[bytes]:
    """Return the strings of a string column.

    Raises:
        ValueError: the ends are not those of the heap's strings.
    """
    starts = [0, *ends][: len(ends)]
    if (ends[-1] if ends else 0) != len(heap) or any(map(operator.gt, starts, ends)):
        raise ValueError("the ends of the strings do not rise to the end of their bytes")
    return [heap[start:end] for start, end in zip(starts, ends, strict=True)]


def column_of(strings: Sequence[bytes]) -> tuple[array[int], bytes]:
    """Return strings as a string column: where each ends (I) in the bytes of all."""
    return array("I", accumulate(map(len, strings))), b"".join(strings)


def join_strings(texts: Sequence[str]) -> tuple[array[int], bytes]:
    """Return texts as a string column: where each ends (I) in the bytes of all, in UTF-8."""
    return column_of([text.encode() for text in texts])


def split_strings(ends: array[int], heap: bytes) -> list[str]:
    """Return the texts of a string column: the inverse of `join_strings`.

    Raises:
        ValueError: a string is not UTF-8, or the ends are not those of the heap's strings.
    """
    return [text.decode() for text in strings_in(ends, heap)]


class Dictionary:
    """The numbers of distinct strings, from 0 in the order they were added."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._strings: list[bytes] = []

    def __len__(self) -> int:
        return len(self._strings)

    def add(self, ends: array[int], heap: bytes) -> None:
        """Give the strings of a column the next numbers.

        Raises:
            ValueError: one has a number already, or the ends are not those of the heap's strings.
        """
        for text in strings_in(ends, heap):
            if text in self._numbers:
                raise ValueError("a string has a number already")
            self._numbers[text] = len(self._numbers)
            self._strings.append(text)

    def column(self, start: int, stop: int) -> tuple[array[int], bytes]:
        """Return the strings numbered from `start` up to `stop`, as a string column.

        Raises:
            ValueError: not all of these numbers are given.
        """
        if not 0 <= start <= stop <= len(self._strings):
            raise ValueError("there are no strings of these numbers")
        return column_of(self._strings[start:stop])

    def find(self, ends: array[int], heap: bytes) -> array[int]:
        """Return the numbers (I) of a column's strings, MISSING for those that have none.

        Raises:
            ValueError: the ends are not those of the heap's strings.
        """
        return array("I", [self._numbers.get(text, MISSING) for text in strings_in(ends, heap)])

    def search(self, text: bytes, known: int, limit: int) -> tuple[list[str], array[int]]:
        """Search the first `known` strings for a text in small letters, which stand for both.

        Return the first that are ASCII and contain it, those that begin with it before the others, then by bytes; and
        the numbers (I) of all that are not ASCII, which only Unicode's tables can judge.

        Raises:
            ValueError: there are not so many strings, or the limit is not above 0.
        """
        if not 0 <= known <= len(self._strings) or limit < 1:
            raise ValueError("there are not so many strings, or the limit is out of range")
        strings = self._strings[:known]
        found = [string for string in strings if string.isascii() and text in string.lower()]
        found.sort(key=lambda string: (not string.lower().startswith(text), string))
        others = array("I", [number for number, string in enumerate(strings) if not string.isascii()])
        return [string.decode() for string in found[:limit]], others


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


def unpack_strings(data: bytes | memoryview, count: int) -> tuple[array[int], bytes, int]:
    """Return (ends, heap, bytes read) of a string column: the inverse of `pack_strings`.

    Raises:
        ValueError: the data ends early.
    """
    data = bytes(data)
    end = 2 * count
    if count < 0 or len(data) < end:
        raise ValueError(f"{count} strings do not fit {len(data)} bytes")
    strings: list[bytes] = []
    for length in _array("H", data[:end]):
        start = end
        end += 16 if length == _UUID_LENGTH else length
        if end > len(data):
            raise ValueError(f"{count} strings do not fit {len(data)} bytes")
        strings.append(_unpack_uuid(data[start:end]) if length == _UUID_LENGTH else data[start:end])
    return *column_of(strings), end


def bounds(values: array[int]) -> tuple[int, int]:
    """Return the least and the largest value of a column (q) that is not empty."""
    return min(values), max(values)


def keep_memory() -> None:
    """Have this process keep freed memory for the next batch, rather than give it back and have it made anew.

    Worth a fifth of the time of an import; nothing is done here, nor where the C library is not glibc. Memory comes in
    large pages, where there are such.
    """


def largest(values: array[int]) -> int:
    """Return the largest value of a column that is not empty."""
    return max(values)


def indexes_of(mask: bytes | bytearray) -> array[int]:
    """Return the indexes (I) of the bytes of a mask that are not 0."""
    return array("I", compress(range(len(mask)), mask))


def pick(values: array[int], indexes: array[int]) -> array[int]:
    """Return the values at some indexes (I).

    Raises:
        ValueError: an index is out of range.
    """
    try:
        return array(values.typecode, map(values.__getitem__, indexes))
    except IndexError as error:
        raise ValueError("an index is out of range") from error


def pick_strings(ends: array[int], heap: bytes, indexes: array[int]) -> tuple[array[int], bytes]:
    """Return the strings at some indexes (I), as a string column.

    Raises:
        ValueError: an index is out of range, or the ends are not those of the heap's strings.
    """
    strings = strings_in(ends, heap)
    try:
        return column_of([strings[index] for index in indexes])
    except IndexError as error:
        raise ValueError("an index is out of range") from error


def interleave(count: int, before: array[int]) -> array[int]:
    """Return the order (I) that moves each of some rows after the first `count` before the row named for it (Q).

    Raises:
        ValueError: the places fall, or one is past `count`.
    """
    if any(map(operator.gt, before, before[1:])) or (before and before[-1] > count):
        raise ValueError("the places do not rise, or are out of range")
    order: array[int] = array("I")
    start = 0
    for row, place in enumerate(before, count):
        order.extend(range(start, place))
        order.append(row)
        start = place
    order.extend(range(start, count))
    return order


def renumber(indexes: array[int], size: int) -> tuple[array[int], array[int]]:
    """Number indexes (I) below a size anew, by first appearance; return the new ones and the old of each number.

    Raises:
        ValueError: an index is out of range.
    """
    if indexes and max(indexes) >= size:
        raise ValueError("an index is out of range")
    numbers: dict[int, int] = {}
    return array("I", [numbers.setdefault(index, len(numbers)) for index in indexes]), array("I", numbers)


def gaps_of(positions: array[int], counts: array[int]) -> array[int]:
    """Return (Q) how many positions (Q) of its run were skipped before each event, of runs of so many (Q) events.

    Raises:
        ValueError: the runs do not add up to the events, or positions in a run do not rise.
    """
    if sum(counts) != len(positions) or 0 in counts:
        raise ValueError("the runs do not add up to the events")
    gaps: array[int] = array("Q")
    start = 0
    for count in counts:
        before = 0
        for index, position in enumerate(positions[start : start + count]):
            gap = position - positions[start] - index
            if gap < before:
                raise ValueError("the positions in a run do not rise")
            gaps.append(gap)
            before = gap
        start += count
    return gaps


def positions_of(firsts: array[int], counts: array[int], gaps: array[int]) -> array[int]:
    """Return the positions (Q) of the events of runs: the inverse of `gaps_of`, given each run's first.

    Raises:
        ValueError: the runs do not add up to the events, or positions in a run do not rise, or are out of range.
    """
    if sum(counts) != len(gaps) or 0 in counts or len(firsts) != len(counts):
        raise ValueError("the runs do not add up to the events")
    positions: array[int] = array("Q")
    start = 0
    for first, count in zip(firsts, counts, strict=True):
        before = 0
        for index, gap in enumerate(gaps[start : start + count]):
            if gap < before or first + index + gap > _WORD:
                raise ValueError("the positions in a run do not rise, or are out of range")
            positions.append(first + index + gap)
            before = gap
        start += count
    return positions


def windows(seconds: array[int], window_s: int) -> tuple[int, array[int], int]:
    """Return the window of each second, of so many seconds each and counted from 1970.

    They are given as (the first window, how many after it each one is (I), how many there are from the first to the
    last). Of no seconds there is one window, 0.

    Raises:
        ValueError: a second or the length is out of range, or there are more than 2**32 - 1 windows.
    """
    if not 0 < window_s < 1 << 31:
        raise ValueError("a window's length is out of range")
    if not seconds:
        return 0, array("I"), 1
    if not -_SECONDS_LIMIT <= min(seconds) <= max(seconds) <= _SECONDS_LIMIT:
        raise ValueError("a second is out of range")
    first, last = min(seconds) // window_s, max(seconds) // window_s
    if last - first + 1 >= 1 << 32:
        raise ValueError("the windows are too many")
    return first, array("I", [second // window_s - first for second in seconds]), last - first + 1


def bucketize(values: array[int], bounds: array[int]) -> array[int]:
    """Return for each value (q) how many of at most 255 rising bounds (q) are not above it, in bytes (B)."""
    return array("B", [bisect_right(bounds, value) for value in values])


def shift(values: array[int], starts: array[int], shifts: array[int]) -> array[int]:
    """Return each value (q) and the shift in force at it: that of the last start not above it, or else the first.

    Raises:
        ValueError: there is not a shift for each start, or there is none.
    """
    if not starts or len(starts) != len(shifts):
        raise ValueError("there is not a shift for each start")
    return array("q", [value + shifts[max(0, bisect_right(starts, value) - 1)] for value in values])


def accepts(codes: array[int], table: bytes | bytearray) -> bytes:
    """Return for each code (I or B) what the table has at its place: 1 for those that are accepted, else 0.

    Raises:
        ValueError: a code is not below the table's length, or codes are of another width.
    """
    if codes.typecode not in ("I", "B"):
        raise ValueError("codes are unsigned, of 1 or 4 bytes")
    try:
        return bytes(map(table.__getitem__, codes))
    except IndexError as error:
        raise ValueError("a code is out of range") from error


def group(
    columns: Sequence[CodeColumn], weights: array[int], groupings: Sequence[Sequence[Sequence[int]]]
) -> list[tuple[tuple[array[int], ...], array[int], array[int]]]:
    """Count events, and add up their weights (q), by columns of codes, in several groupings.

    A column is (codes, radix): an unsigned array with a code below the radix for each event; or (parent, table, radix),
    where the code is what the table has for the code in an earlier column. A grouping is a list of digits, and a digit
    a list of the columns' indexes, whose codes it has in mixed radix. For each grouping return (digits, counts, sums),
    all Q and one row for each combination that events have, sorted by the digits.

    Raises:
        ValueError: a code, a column or a weight is out of range, or a digit or the sum of all weights could be.
    """
    size = len(weights)
    if size and (min(weights) < 0 or max(weights) * size > _WORD):
        raise ValueError("a weight is below 0, or all weights might add up to more than 64 bits")
    made: list[Sequence[int]] = []
    for column in columns if size else ():
        made.append(_codes(column, made, columns, size))
    return [_group(made, [column[-1] for column in columns], weights, digits) for digits in groupings]


def _codes(column: CodeColumn, made: list[Sequence[int]], columns: Sequence[CodeColumn], size: int) -> Sequence[int]:
    radix, codes = column[-1], column[-2]
    if not 0 < radix <= (_RADIX_MAX if len(column) == 3 else _CODES_MAX):
        raise ValueError("a column's radix is out of range")
    if codes and max(codes) >= radix:
        raise ValueError("a code is out of range")
    if len(column) == 2:
        if len(codes) != size:
            raise ValueError("columns differ in length")
        return codes
    parent = column[0]
    if not 0 <= parent < len(made):
        raise ValueError("a column is a table of none before it")
    if len(codes) != columns[parent][-1]:
        raise ValueError("a table has not an entry for each code of its column")
    return [codes[code] for code in made[parent]]


def _group(
    made: list[Sequence[int]], radixes: list[int], weights: array[int], digits: Sequence[Sequence[int]]
) -> tuple[tuple[array[int], ...], array[int], array[int]]:
    if weights and any(prod(radixes[index] for index in digit) >> 63 for digit in digits):
        raise ValueError("the codes of a digit are too many")
    found: dict[tuple[int, ...], list[int]] = {}
    for event, weight in enumerate(weights):
        key = []
        for digit in digits:
            code = 0
            for index in digit:
                code = code * radixes[index] + made[index][event]
            key.append(code)
        cell = found.setdefault(tuple(key), [0, 0])
        cell[0] += 1
        cell[1] += weight
    rows = sorted(found.items())
    return (
        tuple(array("Q", [key[digit] for key, _ in rows]) for digit in range(len(digits))),
        array("Q", [count for _, (count, _) in rows]),
        array("Q", [total for _, (_, total) in rows]),
    )


def hash_name(key: bytes, second: int, nanos: int, kind: int, value: bytes, position: int) -> int:
    """Return a signed 64-bit hash of a date and a name under a key of 16 bytes. Stored: it must never change.

    SipHash-1-3 (Aumasson and Bernstein, 2012; one round a word and three at the end, as Python hashes text): whoever
    does not know the key cannot choose names that share a hash. What is hashed is three words and the value: kind and
    nanos, second, position.

    Raises:
        ValueError: the key has not 16 bytes.
    """
    if len(key) != _NAME_KEY_BYTES:
        raise ValueError("a key has 16 bytes")
    low, high = struct.unpack("<QQ", key)
    text = struct.pack("<QqQ", kind | nanos << 8, second, position) + value
    text += bytes(-(len(text) + 1) % 8) + bytes([len(text) & 0xFF])
    state = (low ^ _SIP[0], high ^ _SIP[1], low ^ _SIP[2], high ^ _SIP[3])
    for (word,) in struct.iter_unpack("<Q", text):
        a, b, c, d = _sip_round(*state[:3], state[3] ^ word)
        state = (a ^ word, b, c, d)
    state = (*state[:2], state[2] ^ 0xFF, state[3])
    for _ in range(3):
        state = _sip_round(*state)
    hashed = state[0] ^ state[1] ^ state[2] ^ state[3]
    return hashed - (1 << 64) if hashed >> 63 else hashed


def _sip_round(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    a = (a + b) & _WORD
    c = (c + d) & _WORD
    b = (b << 13 & _WORD | b >> 51) ^ a
    d = (d << 16 & _WORD | d >> 48) ^ c
    a = ((a << 32 & _WORD | a >> 32) + d) & _WORD
    c = (c + b) & _WORD
    d = (d << 21 & _WORD | d >> 43) ^ a
    b = (b << 17 & _WORD | b >> 47) ^ c
    return a, b, c << 32 & _WORD | c >> 32, d


def name_rows(
    key: bytes,
    seconds: array[int],
    nanos: array[int],
    id_ends: array[int],
    id_bytes: bytes,
    positions: array[int],
    run_events: array[int],
    run_kinds: bytes,
    run_ends: array[int],
    run_values: bytes,
) -> array[int]:
    """Return (index, minute, hash) of each event that an id, a key or a message names, one after another (q).

    They are sorted by minute, then hash, then index: as an index of names is. An event's id names it; else its run's
    kind and value do, with its position. `id_ends` is empty when no event has an id.

    Raises:
        ValueError: the key has not 16 bytes, the columns differ in length, or the runs do not add up to the events.
    """
    if len(key) != _NAME_KEY_BYTES:
        raise ValueError("a key has 16 bytes")
    ids, values = strings_in(id_ends, id_bytes), strings_in(run_ends, run_values)
    if not len(nanos) == len(positions) == len(seconds) == sum(run_events) or 0 in run_events:
        raise ValueError("the columns differ in length, or the runs do not add up")
    if not len(run_kinds) == len(values) == len(run_events) or (ids and len(ids) != len(seconds)):
        raise ValueError("the columns differ in length, or the runs do not add up")
    rows = []
    run = chain.from_iterable(map(repeat, zip(run_kinds, values, strict=True), run_events))
    for index, (second, nano, own, position, (kind, value)) in enumerate(
        zip(seconds, nanos, ids or repeat(b"", len(seconds)), positions, run, strict=True)
    ):
        if own:
            rows.append((second // 60, hash_name(key, second, nano, _NAMED_BY_ID, own, 0), index))
        elif kind in _INDEXED:
            rows.append((second // 60, hash_name(key, second, nano, kind, value, position), index))
    return array("q", [item for minute, hashed, index in sorted(rows) for item in (index, minute, hashed)])


def same_slots(rows: array[int]) -> tuple[array[int], array[int]]:
    """Return the pairs of events of sorted rows that share minute and hash: each but the first, and the first (I).

    Raises:
        ValueError: the rows are no rows of three.
    """
    if len(rows) % 3:
        raise ValueError("a row has three items")
    later: array[int] = array("I")
    first: array[int] = array("I")
    for _, members in groupby(zip(rows[::3], rows[1::3], rows[2::3], strict=True), key=itemgetter(1, 2)):
        (head, *_), *rest = members
        later.extend(index for index, _, _ in rest)
        first.extend(repeat(head, len(rest)))
    return later, first


def intersect(rising: array[int], others: array[int]) -> tuple[array[int], array[int]]:
    """Return where two rising columns (Q) have the same value: the places in the one, and in the other (I).

    Raises:
        ValueError: one does not rise.
    """
    if any(map(operator.ge, rising, rising[1:])) or any(map(operator.ge, others, others[1:])):
        raise ValueError("the values do not rise")
    places = {value: place for place, value in enumerate(rising)}
    found = [(places[value], place) for place, value in enumerate(others) if value in places]
    return array("I", [place for place, _ in found]), array("I", [place for _, place in found])


def equal_at(values: array[int], at: array[int], others: array[int], others_at: array[int]) -> bytes:
    """Return a byte for each pair of places (I) in two columns: 1 where the values there are equal, else 0.

    Raises:
        ValueError: the columns are of two codes, there are not as many places in both, or one is out of range.
    """
    if len(at) != len(others_at):
        raise ValueError("columns differ in length")
    one, other = pick(values, at), pick(others, others_at)
    if values.typecode != others.typecode:
        raise ValueError("columns of two codes are not compared")
    return bytes(map(operator.eq, one, other))


def equal_strings_at(
    ends: array[int], heap: bytes, at: array[int], other_ends: array[int], other_heap: bytes, others_at: array[int]
) -> bytes:
    """Return a byte for each pair of places (I) in two string columns: 1 where the strings are equal, else 0.

    Raises:
        ValueError: there are not as many places in both, one is out of range, or ends are not those of strings.
    """
    one, other = strings_in(ends, heap), strings_in(other_ends, other_heap)
    if len(at) != len(others_at):
        raise ValueError("columns differ in length")
    try:
        return bytes(one[place] == other[other_place] for place, other_place in zip(at, others_at, strict=True))
    except IndexError as error:
        raise ValueError("an index is out of range") from error


def place(size: int, at: array[int], values: bytes) -> bytes:
    """Return so many bytes that are 0, but for the values at some places (I).

    Raises:
        ValueError: there are not as many places as values, or one is out of range.
    """
    if size < 0 or len(at) != len(values):
        raise ValueError("columns differ in length")
    if at and max(at) >= size:
        raise ValueError("an index is out of range")
    placed = bytearray(size)
    for where, value in zip(at, values, strict=True):
        placed[where] = value
    return bytes(placed)


def add_counts(
    cells: bytes,
    first: int,
    size: int,
    codes: array[int],
    counts: array[int],
    lows: array[int],
    highs: array[int],
    start: int = 0,
    stop: int = -1,
) -> bytes:
    """Return a segment's cells with counts added, and sums of 128 bits, by their low and their high words.

    Those from `start` up to `stop` are, up to the last one where that is below 0. No high words are zeros. Cells hold
    `size` counters and sums, for the codes from `first` on, as three columns of one width each: counts, low words, high
    words. The three widths stand before them: 0 (for zeros alone), 1, 2, 4 or 8 bytes. Of nothing but zeros cells are
    empty.

    Raises:
        ValueError: a code is outside the segment, the cells are not of its size, or a counter is out of range.
    """
    held, held_lows, held_highs = map(list, read_counts(cells, size))
    if not len(codes) == len(counts) == len(lows) or (highs and len(highs) != len(codes)):
        raise ValueError("columns differ in length")
    stop = len(codes) if stop < 0 else stop
    if not 0 <= start <= stop <= len(codes):
        raise ValueError("there are not so many counts")
    columns = (column[start:stop] for column in (codes, counts, lows, highs or array("Q", bytes(8 * len(codes)))))
    for code, count, low, high in zip(*columns, strict=True):
        if not first <= code < first + size:
            raise ValueError(f"code {code} is outside the segment at {first}")
        at = code - first
        held[at] += count
        carry, held_lows[at] = divmod(held_lows[at] + low, 1 << 64)
        held_highs[at] += high + carry
    return _cells(held, held_lows, held_highs)


def _cells(*totals: list[int]) -> bytes:
    try:
        widths, data = zip(*(narrow(array("Q", column), 0) for column in totals), strict=True)
    except OverflowError as error:
        raise ValueError("a counter is out of range") from error
    return bytes(widths) + b"".join(data) if any(widths) else b""


def read_counts(cells: bytes, size: int) -> tuple[array[int], array[int], array[int]]:
    """Return a segment's counters, and the low and the high words of its sums (Q).

    Raises:
        ValueError: the cells are not of the size.
    """
    if not 0 <= size <= _SEGMENT_MAX:
        raise ValueError("a segment's size is out of range")
    counts, lows, highs = (array("Q", bytes(8 * size)) for _ in range(3))
    if not cells:
        return counts, lows, highs
    widths = cells[:3]
    if len(widths) < 3 or not {0, *_WIDTH_CODES} >= {*widths} or len(cells) != 3 + size * sum(widths):
        raise ValueError(f"{len(cells)} bytes are not {size} counters")
    ends = [3, *accumulate([size * width for width in widths], initial=3)][1:]
    counts, lows, highs = (
        widen(cells[start:end], width, 0, size, "Q") for width, start, end in zip(widths, ends, ends[1:], strict=False)
    )
    return counts, lows, highs


def sum_counts(segments: Sequence[bytes], size: int) -> bytes:
    """Return cells that hold the sums of some segments'.

    Raises:
        ValueError: the cells of one are not of the size, or a counter is out of range.
    """
    total = b""
    codes = array("Q", range(size))
    for cells in segments:
        total = add_counts(total, 0, size, codes, *read_counts(cells, size))
    return total
