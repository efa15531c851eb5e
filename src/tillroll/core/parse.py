"""Parse: texts of events to one batch of columns, by the compiled kernel where there is one.

The kernel takes the ordinary text and names every other; those, and only those, go to the reference decoder. So the
results are the reference's own, whatever the kernel does not know.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import kernel, limits
from tillroll.core.batch import Batch, BatchBuilder, Event, KeptColumn, joined
from tillroll.core.decode import YEAR_10000_S, Reason, decode_event
from tillroll.core.kept import Keep
from tillroll.core.pattern import pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tillroll import _kernel

Text = bytes | memoryview
_Judged = tuple[Event, list[str]]  # with the values of the fields to be kept
BOM: Final = b"\xef\xbb\xbf"  # at the beginning of a line it says nothing: files are joined as they are
_SPACE: Final = b" \t\r\n"
_before: Final = pattern(rb"(?:[ \t\r]|\xef\xbb\xbf)*+(?:,[ \t\r]*+(?=\{))?")  # an event in its line
_FALLBACK: Final = 5  # numbers for each fallback text; see _kernel.pyi
KEEP_NOTHING: Final = Keep()
_LISTS_MAX: Final = 4
_idle: Final[
    dict[Keep, list[_kernel.Parser]]
] = {}  # a parser serves one thread at a time, and keeps its memory for the next


class InvalidText(NamedTuple):
    """A JSON text that is no valid event: in which text it stood, its position, where it begins, its bytes, and why."""

    text: int
    position: int
    start: int
    line: bytes
    reason: Reason


class Parsed(NamedTuple):
    """The valid events in order, without runs; how many (Q) each text had; and what was wrong, in order."""

    batch: Batch
    events: array[int]
    wrong: list[InvalidText]


class FallbackError(Exception):
    """Some texts have more events for the reference decoder than it was to judge; nothing was judged."""

    def __init__(self, texts: frozenset[int]) -> None:
        super().__init__(f"{len(texts)} texts are for who has time")
        self.texts = texts


class SomeLines(NamedTuple):
    """The first lines of a text: their events, without runs; what was wrong; how many bytes and lines were read."""

    batch: Batch
    wrong: list[InvalidText]
    size: int
    lines: int
    plain: bool  # it is certain that no event has a member but those of the contract


class Places:
    """Where in some texts the events are: in order, each place in one text, as one event or as lines of one each."""

    __slots__ = ("ends", "firsts", "owners", "single", "starts")

    def __init__(self) -> None:
        self.owners = array("Q")  # in which text
        self.firsts = array("Q")  # the position of the first event; lines count on from there
        self.starts = array("Q")
        self.ends = array("Q")
        self.single = bytearray()  # 1 for one event, 0 for lines, some of them blank

    def add(self, owner: int, first: int, start: int, end: int, *, single: bool) -> None:
        """Add a place."""
        self.owners.append(owner)
        self.firsts.append(first)
        self.starts.append(start)
        self.ends.append(end)
        self.single.append(single)

    def add_events(self, owner: int, positions: array[int], starts: array[int], ends: array[int]) -> None:
        """Add places of one event each, in one text."""
        self.owners.extend(array("Q", [owner]) * len(positions))
        self.firsts.extend(positions)
        self.starts.extend(starts)
        self.ends.extend(ends)
        self.single.extend(b"\1" * len(positions))


def parse(
    texts: Sequence[Text],
    places: Places,
    now_s: float,
    fallback_max: int = sys.maxsize,
    keep: Keep = KEEP_NOTHING,
) -> Parsed:
    """Parse what is at some places of texts.

    Raises:
        FallbackError: a text has more than `fallback_max` events for the reference decoder.
    """
    if kernel.compiled:
        return _call_kernel(texts, places, now_s, keep, sys.maxsize, fallback_max)[0]
    if fallback_max < sys.maxsize:
        _check_fallback(_events_at_most(texts, places), fallback_max)
    return parse_by_reference(texts, places, now_s, keep)


def _check_fallback(events: Mapping[int, int], fallback_max: int) -> None:
    """Find no text with more than so many events for the reference decoder."""
    texts = frozenset(text for text, count in events.items() if count > fallback_max)
    if texts:
        raise FallbackError(texts)


def _events_at_most(texts: Sequence[Text], places: Places) -> Counter[int]:
    counts: Counter[int] = Counter()
    for index, start, end, single in zip(places.owners, places.starts, places.ends, places.single, strict=True):
        counts[index] += 1 if single else bytes(memoryview(texts[index])[start:end]).count(b"\n") + 1
    return counts


def parse_some(text: Text, first: int, now_s: float, fallback_stop: int, keep: Keep = KEEP_NOTHING) -> SomeLines:
    """Parse lines of one event each, the first at position `first`, until so many went to the reference decoder.

    So what is wrong in lines that come in any number stays in bounds.
    """
    places = Places()
    if kernel.compiled:
        places.add(0, first, 0, len(text), single=False)
        parsed, size, position, plain = _call_kernel([text], places, now_s, keep, fallback_stop)
        return SomeLines(parsed.batch, parsed.wrong, size, position - first, plain)
    lines = bytes(text).split(b"\n", fallback_stop)
    rest = lines.pop() if len(lines) > fallback_stop or not lines[-1] else b""
    read = b"\n".join(lines)
    places.add(0, first, 0, len(read), single=False)
    parsed = parse_by_reference([read], places, now_s, keep)
    return SomeLines(parsed.batch, parsed.wrong, len(text) - len(rest), len(lines), plain=False)


def parse_by_reference(texts: Sequence[Text], places: Places, now_s: float, keep: Keep = KEEP_NOTHING) -> Parsed:
    """Do the same by the reference decoder alone."""
    builder = BatchBuilder(keep.names)
    events = array("Q", bytes(8 * len(texts)))
    wrong = []
    columns = (places.owners, places.firsts, places.starts, places.ends, places.single)
    for index, first, begin, end, single in zip(*columns, strict=True):
        text = bytes(memoryview(texts[index])[begin:end])
        for position, start, line in _events_in(text, first, single):
            found = decode_event(line, now_s)
            if isinstance(found, Event):
                builder.add(found, position=position, kept=keep.values(line.decode()))
                events[index] += 1
            else:
                wrong.append(InvalidText(index, position, begin + start, line, found))
    batch = builder.build()
    batch.runs = []
    return Parsed(batch, events, wrong)


def _events_in(text: bytes, first: int, single: int) -> Iterator[tuple[int, int, bytes]]:
    if single:
        stripped = text.lstrip(_SPACE)
        yield first, len(text) - len(stripped), stripped.rstrip(_SPACE)
        return
    yield from lines_of(text, first)


def lines_of(text: bytes, first: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield the position of each line that is not blank, where its event begins, and the event."""
    end = -1
    for position, line in enumerate(text.split(b"\n"), first):
        end += len(line) + 1
        event = line[_before.match(line).end() :]  # type: ignore[union-attr]
        if event:
            yield position, end - len(event), _strip_end(event)


def _strip_end(event: bytes) -> bytes:
    """Return a text without the spaces at its end, nor the comma that an object has there in some lists of them."""
    event = event.rstrip(_SPACE)
    inner = event[:-1].rstrip(_SPACE) if event.endswith(b",") else b""
    return inner if inner.endswith(b"}") else event


def _call_kernel(
    texts: Sequence[Text],
    places: Places,
    now_s: float,
    keep: Keep,
    fallback_stop: int,
    fallback_max: int = sys.maxsize,
) -> tuple[Parsed, int, int, bool]:
    """Return what was parsed; how many bytes were read at the last place, and the position after; see SomeLines."""
    idle = _idle.setdefault(keep, [])
    if len(_idle) > _LISTS_MAX:  # a process has one list, but in a test
        _idle.clear()
    try:
        parser = idle.pop()
    except IndexError:
        parser = kernel.Parser()
        if keep:
            parser.keep(keep.nodes(), len(keep.names))
    latest = math.floor(min(now_s + limits.FUTURE_S_MAX, YEAR_10000_S - 1))
    batch = Batch()
    (
        batch.seconds,
        batch.nanos,
        batch.amounts,
        batch.methods,
        batch.merchants,
        batch.name_ends,
        batch.name_bytes,
        batch.positions,
        batch.id_ends,
        batch.id_bytes,
        events,
        fallback,
        size,
        position,
        kept,
        plain,
    ) = parser.parse(
        texts, places.owners, places.firsts, places.starts, places.ends, places.single, latest, fallback_stop
    )
    idle.append(parser)
    if keep:
        _put_kept(batch, keep, kept)
    if len(fallback) > _FALLBACK * fallback_max:
        _check_fallback(Counter(fallback[::_FALLBACK]), fallback_max)
    parsed = _with_fallback(texts, batch, events, fallback, now_s, keep) if fallback else Parsed(batch, events, [])
    return parsed, size, position, plain


def _put_kept(
    batch: Batch, keep: Keep, kept: tuple[tuple[array[int], array[int], bytes, array[int]] | None, ...]
) -> None:
    absent: KeptColumn | None = None
    for name, found in zip(keep.names, kept, strict=True):
        if found is None:
            absent = batch.kept_column(name) if absent is None else absent  # one for all: they may be many
            batch.kept[name] = absent
            continue
        indexes, ends, heap, unkept = found
        batch.kept[name] = KeptColumn(indexes, ends, heap)
        if unkept:
            batch.unkept[name] = unkept


def _with_fallback(
    texts: Sequence[Text], batch: Batch, events: array[int], fallback: array[int], now_s: float, keep: Keep
) -> Parsed:
    """Return the batch with what the reference decoder accepts of the rest in its place."""
    found: list[tuple[_Judged, int]] = []
    places = array("Q")
    wrong = []
    judged: dict[bytes, _Judged | Reason] = {}  # what compresses to little is the same over and over: once is enough
    for at in range(0, len(fallback), _FALLBACK):
        index, before, position, start, end = fallback[at : at + _FALLBACK]
        line = bytes(memoryview(texts[index])[start:end])
        event = judged.get(line)
        if event is None:
            event = judged[line] = _judge(line, now_s, keep)
        if isinstance(event, Reason):
            wrong.append(InvalidText(index, position, start, line, event))
        else:
            found.append((event, position))
            places.append(before)
            events[index] += 1
    if found:
        builder = BatchBuilder(keep.names)
        for (judged_event, values), position in found:
            builder.add(judged_event, position=position, kept=values)
        batch = joined([batch, builder.build()]).pick(kernel.interleave(len(batch), places))
    return Parsed(batch, events, wrong)


def _judge(line: bytes, now_s: float, keep: Keep) -> _Judged | Reason:
    event = decode_event(line, now_s)
    return event if isinstance(event, Reason) else (event, keep.values(line.decode()))
