"""Sparse segments: the counters above 0 of many windows and parts, one after another.

As bytes: the widths of a window, a code, a count, and the low and the high word of a sum, then all windows, all codes,
and so on, narrowed as `core.columns.narrow` does it. Windows and codes count from the segment's first. Sorted by both.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from itertools import compress
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import kernel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tillroll.core.fold import Counts
    from tillroll.stores.sqlite.layout import Layout

PARTS: Final = 64
_CODE_BITS: Final = 32  # a key is the window in the segment, then the code in it
_CODE: Final = (1 << _CODE_BITS) - 1
_WORD: Final = (1 << 64) - 1
_HEAD: Final = 5


class Few(NamedTuple):
    """Events by window (q) and code (Q), sorted by both.

    Counts are above zero; the sums of amounts have 128 bits, in a low and a high word. All Q.
    """

    windows: array[int]
    codes: array[int]
    counts: array[int]
    lows: array[int]
    highs: array[int]


class Counters(NamedTuple):
    """The counters of one segment by key, with their sums as in `Few`. All Q."""

    keys: array[int]
    counts: array[int]
    lows: array[int]
    highs: array[int]


def few_of(counts: Counts) -> Few:
    """Return what a fold counted."""
    return Few(*counts[:3], counts.sums, array("Q", bytes(8 * len(counts.sums))))


def place_of(layout: Layout, window: int, part: int) -> tuple[int, int]:
    """Return the key of the segment that a window and a part belong to."""
    return window // layout.windows, part // PARTS


def gather(
    few: dict[tuple[int, int], Counters], layout: Layout, block: int, counts: Few, start: int, stop: int
) -> None:
    """Append a stretch of counts, all of one block of windows, to the segments that they belong to."""
    windows, codes, *totals = (column[start:stop] for column in counts)
    first, group_size = block * layout.windows, layout.size * PARTS
    group = codes[0] // group_size
    low = group * group_size
    if min(codes) >= low and max(codes) < low + group_size:
        keys = array(
            "Q", [(window - first) << _CODE_BITS | (code - low) for window, code in zip(windows, codes, strict=True)]
        )
        _append(few, (block, group), keys, *totals)
        return
    for window, code, *one in zip(windows, codes, *totals, strict=True):
        key = (window - first) << _CODE_BITS | code % group_size
        _append(few, (block, code // group_size), *(array("Q", [item]) for item in (key, *one)))


def _append(few: dict[tuple[int, int], Counters], place: tuple[int, int], *columns: array[int]) -> None:
    held = few.get(place)
    if held is None:
        few[place] = Counters(*columns)
    else:
        for column, more in zip(held, columns, strict=True):
            column.extend(more)


def added(one: Counters, other: Counters) -> Counters:
    """Return the sums of two segments.

    Raises:
        ValueError: a counter is out of range.
    """
    counts = _united(one.keys, one.counts, other.keys, other.counts)
    amounts = _united(one.keys, _amounts(one), other.keys, _amounts(other))
    keys = sorted(counts)
    try:
        return Counters(
            array("Q", keys),
            array("Q", map(counts.__getitem__, keys)),
            array("Q", [amounts[key] & _WORD for key in keys]),
            array("Q", [amounts[key] >> 64 for key in keys]),
        )
    except OverflowError as error:
        raise ValueError("a counter is out of range") from error


def _amounts(counters: Counters) -> Iterable[int]:
    if not any(counters.highs):
        return counters.lows
    return [high << 64 | low for low, high in zip(counters.lows, counters.highs, strict=True)]


def _united(keys: array[int], values: Iterable[int], others: array[int], other_values: Iterable[int]) -> dict[int, int]:
    united = dict(zip(keys, values, strict=True))
    for key, value in zip(others, other_values, strict=True):
        united[key] = united.get(key, 0) + value
    return united


def thinned(counters: Counters, layout: Layout, most: int) -> tuple[Counters, Counters]:
    """Return at most so many counters, and the others: all of the windows and parts that have most."""
    places = [(key >> _CODE_BITS, (key & _CODE) // layout.size) for key in counters.keys]
    left, taken = len(places), set()
    for place, count in Counter(places).most_common():
        if left <= most:
            break
        taken.add(place)
        left -= count
    goes = [place in taken for place in places]
    return _kept(counters, [not it for it in goes]), _kept(counters, goes)


def _kept(counters: Counters, mask: Iterable[bool]) -> Counters:
    kept = [*mask]
    return Counters(*(array("Q", compress(column, kept)) for column in counters))


def without(cells: bytes, layout: Layout, window: int, part: int) -> bytes:
    """Return a segment's bytes without the counters of one window and part."""
    if not cells:
        return cells
    counters, place = decode(cells), (window % layout.windows, part % PARTS)
    places = ((key >> _CODE_BITS, (key & _CODE) // layout.size) for key in counters.keys)
    return encode(_kept(counters, (other != place for other in places)))


def encode(counters: Counters) -> bytes:
    """Return counters, sorted by key, as bytes."""
    if not counters.keys:
        return b""
    keys, *totals = counters
    columns = ([key >> _CODE_BITS for key in keys], [key & _CODE for key in keys], *totals)
    widths, data = zip(*(kernel.narrow(array("Q", column), 0) for column in columns), strict=True)
    return bytes(widths) + b"".join(data)


def decode(cells: bytes) -> Counters:
    """Return the counters of a segment: the inverse of `encode`.

    Raises:
        ValueError: the bytes are no sparse segment.
    """
    widths = cells[:_HEAD]
    total, rest = divmod(len(cells) - _HEAD, sum(widths) or 1)
    if len(widths) < _HEAD or rest:
        raise ValueError(f"{len(cells)} bytes are no sparse segment")
    columns, at = [], _HEAD
    for width in widths:
        columns.append(kernel.widen(cells[at : at + total * width], width, 0, total, "Q"))
        at += total * width
    windows, codes, *totals = columns
    keys = [window << _CODE_BITS | code for window, code in zip(windows, codes, strict=True)]
    return Counters(array("Q", keys), *totals)


def counts_of(layout: Layout, place: tuple[int, int], counters: Counters) -> Few:
    """Return the counters of the segment at a place as counts of the report."""
    first, low = place[0] * layout.windows, place[1] * PARTS * layout.size
    return Few(
        array("q", [first + (key >> _CODE_BITS) for key in counters.keys]),
        array("Q", [low + (key & _CODE) for key in counters.keys]),
        *counters[1:],
    )


def by_window(counts: Few) -> Iterator[Few]:
    """Yield the counts of each window."""
    start = 0
    while start < len(counts.windows):
        stop = bisect_right(counts.windows, counts.windows[start], start)
        yield Few(*(column[start:stop] for column in counts))
        start = stop


def of_part(counts: Few, window: int, part: int, size: int) -> Few:
    """Return the counts of one window and part."""
    start, stop = bisect_left(counts.windows, window), bisect_right(counts.windows, window)
    start, stop = (bisect_left(counts.codes, code, start, stop) for code in (part * size, (part + 1) * size))
    return Few(*(column[start:stop] for column in counts))
