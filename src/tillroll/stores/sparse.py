"""Sparse segments: the counters above 0 of many windows and parts, one after another.

As bytes: the widths of a window, a code and a count, then all windows, all codes and all counts, narrowed as
`core.columns.narrow` does it. Windows and codes count from the segment's first. Sorted by both.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tillroll.core.dimension import Window

_HOURS_A_SEGMENT: Final = 512
_DAYS_A_SEGMENT: Final = 64  # and so many weeks or months
PARTS: Final = 64
_CODE_BITS: Final = 32  # a key is the window in the segment, then the code in it
_CODE: Final = (1 << _CODE_BITS) - 1
_HEAD: Final = 3


class Layout(NamedTuple):
    """What a report's sparse segments span."""

    windows: int
    size: int  # codes of a part


class Few(NamedTuple):
    """Events by window (q) and code (Q), sorted by both; counts (Q) are above zero."""

    windows: array[int]
    codes: array[int]
    counts: array[int]


class Counters(NamedTuple):
    """The counters of one segment by key, both Q."""

    keys: array[int]
    counts: array[int]


def layout_of(window: Window, size: int) -> Layout:
    """Return the layout for a report with this kind of window, and so many codes of a part."""
    return Layout(_HOURS_A_SEGMENT if window.unit_hours == 1 else _DAYS_A_SEGMENT, size)


def place_of(layout: Layout, window: int, part: int) -> tuple[int, int]:
    """Return the key of the segment that a window and a part belong to."""
    return window // layout.windows, part // PARTS


def gather(
    few: dict[tuple[int, int], Counters], layout: Layout, block: int, counts: Few, start: int, stop: int
) -> None:
    """Append a stretch of counts, all of one block of windows, to the segments that they belong to."""
    windows, codes, values = counts.windows[start:stop], counts.codes[start:stop], counts.counts[start:stop]
    first, group_size = block * layout.windows, layout.size * PARTS
    group = codes[0] // group_size
    low = group * group_size
    if min(codes) >= low and max(codes) < low + group_size:
        keys = array(
            "Q", [(window - first) << _CODE_BITS | (code - low) for window, code in zip(windows, codes, strict=True)]
        )
        _append(few, (block, group), keys, values)
        return
    for window, code, value in zip(windows, codes, values, strict=True):
        key = (window - first) << _CODE_BITS | code % group_size
        _append(few, (block, code // group_size), array("Q", [key]), array("Q", [value]))


def _append(few: dict[tuple[int, int], Counters], place: tuple[int, int], keys: array[int], counts: array[int]) -> None:
    held = few.get(place)
    if held is None:
        few[place] = Counters(keys, counts)
    else:
        held.keys.extend(keys)
        held.counts.extend(counts)


def added(one: Counters, other: Counters) -> Counters:
    """Return the sums of two segments."""
    totals = dict(zip(*one, strict=True))
    for key, count in zip(*other, strict=True):
        totals[key] = totals.get(key, 0) + count
    keys = sorted(totals)
    try:
        return Counters(array("Q", keys), array("Q", map(totals.__getitem__, keys)))
    except OverflowError as error:
        raise ValueError("a counter is out of range") from error


def thinned(counters: Counters, layout: Layout, most: int) -> tuple[Counters, Counters]:
    """Return at most so many counters, and the others: all of the windows and parts that have most."""
    places = [(key >> _CODE_BITS, (key & _CODE) // layout.size) for key in counters.keys]
    left, taken = len(places), set()
    for place, count in Counter(places).most_common():
        if left <= most:
            break
        taken.add(place)
        left -= count
    halves = (Counters(array("Q"), array("Q")), Counters(array("Q"), array("Q")))
    for place, key, count in zip(places, *counters, strict=True):
        half = halves[place in taken]
        half.keys.append(key)
        half.counts.append(count)
    return halves


def without(cells: bytes, layout: Layout, window: int, part: int) -> bytes:
    """Return a segment's bytes without the counters of one window and part."""
    if not cells:
        return cells
    counters, place = decode(cells), (window % layout.windows, part % PARTS)
    kept = Counters(array("Q"), array("Q"))
    for key, count in zip(*counters, strict=True):
        if (key >> _CODE_BITS, (key & _CODE) // layout.size) != place:
            kept.keys.append(key)
            kept.counts.append(count)
    return encode(kept)


def encode(counters: Counters) -> bytes:
    """Return counters, sorted by key, as bytes."""
    if not counters.keys:
        return b""
    columns = ([key >> _CODE_BITS for key in counters.keys], [key & _CODE for key in counters.keys], counters.counts)
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
    windows, codes, counts = columns
    keys = [window << _CODE_BITS | code for window, code in zip(windows, codes, strict=True)]
    return Counters(array("Q", keys), counts)


def counts_of(layout: Layout, place: tuple[int, int], counters: Counters) -> Few:
    """Return the counters of the segment at a place as counts of the report."""
    first, low = place[0] * layout.windows, place[1] * PARTS * layout.size
    return Few(
        array("q", [first + (key >> _CODE_BITS) for key in counters.keys]),
        array("Q", [low + (key & _CODE) for key in counters.keys]),
        counters.counts,
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
