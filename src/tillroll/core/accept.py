"""Accept: turn bodies of bytes into events and rejections. Pure.

What a body is, `core.body` says; what a valid event is, `core.decode`.
"""

from __future__ import annotations

import sys
from array import array
from operator import methodcaller
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tillroll.core import kernel
from tillroll.core.batch import UNNAMED, Batch, NameKind, Run, Source
from tillroll.core.body import Parting, is_line, places_in
from tillroll.core.parse import KEEP_NOTHING, Places, lines_of, parse, parse_some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tillroll.core.body import Parts
    from tillroll.core.decode import Reason
    from tillroll.core.kept import Keep
    from tillroll.core.parse import InvalidText, Text

    Clock = Callable[[], float]

_begins: Final = methodcaller("startswith", b"{")
_ends: Final = methodcaller("endswith", b"}")


class Rejection(msgspec.Struct, frozen=True):
    """An event that was not accepted, byte for byte, with where it stood and why."""

    source: Source
    position: int
    body: bytes
    reason: Reason
    byte: int | None = None  # where it began in what it came in; None where nobody noted it


class Body(msgspec.Struct, frozen=True):
    """One body of events and what it came with. `core.body` says what is in it."""

    data: bytes
    source: Source
    first_position: int = 0  # of this body in the one it was cut from: what each position here counts from

    def events(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield the position of each event by rising position, the byte where it begins, and its JSON text."""
        for position, start, end in places_in(self.data):
            yield self.first_position + position, start, self.data[start:end]


class Accepted(NamedTuple):
    """What some bodies held: all their valid events in order; for each body how many, and its rejections in order."""

    batch: Batch
    events: list[int]
    rejections: list[list[Rejection]]


def _places_of(bodies: Sequence[Body], texts: Sequence[bytes]) -> Places:
    places = Places()
    if _are_single(texts):
        places.owners = array("Q", range(len(bodies)))
        places.firsts = array("Q", [body.first_position for body in bodies])
        places.starts = array("Q", bytes(8 * len(bodies)))
        places.ends = array("Q", map(len, texts))
        places.single = bytearray(b"\1" * len(bodies))
        return places
    for owner, body in enumerate(bodies):
        data = body.data
        if is_line(data):
            single = data.endswith(b"}") and b"\n" not in data  # else a comma may follow, as in other lines
            places.add(owner, body.first_position, 0, len(data), single=single)
            continue
        parts = Parting().part(data, final=True)
        first = body.first_position
        positions = array("Q", [first + each for each in parts.positions]) if first else parts.positions
        places.add_events(owner, positions, parts.starts, parts.ends)
        if parts.line is not None:
            places.add(owner, first + parts.line, parts.lines, len(data), single=False)
    return places


def _are_single(texts: Sequence[bytes]) -> bool:
    """Tell, soon, that each text is one object, as most are; False says nothing."""
    whole = b"".join(texts)
    if b"\n" in whole or whole.count(b"{") != len(texts):
        return False
    return all(map(_begins, texts)) and all(map(_ends, texts))


def accept(
    bodies: Sequence[Body], now_s: float, fallback_max: int = sys.maxsize, keep: Keep = KEEP_NOTHING
) -> Accepted:
    """Return the events of some bodies, with the fields to be kept, and those that are not valid with their reasons.

    `now_s` is seconds since 1970: a purchase dated more than a day later is refused.

    Raises:
        FallbackError: a body has more than `fallback_max` events that take long to judge.
    """
    texts = [body.data for body in bodies]
    batch, counts, wrong = parse(texts, _places_of(bodies, texts), now_s, fallback_max, keep)
    events = counts.tolist()
    rejections: list[list[Rejection]] = [[] for _ in bodies]
    for owner, position, start, line, reason in wrong:
        rejections[owner].append(Rejection(bodies[owner].source, position, line, reason, start))
    batch.runs = _runs(batch.positions, bodies, events)
    return Accepted(batch, events, rejections)


def _runs(positions: array[int], bodies: Sequence[Body], events: list[int]) -> list[Run]:
    """Return the runs of events that so many of each body make: of one source, at rising positions.

    Where nothing names an event its position says nothing either: such events are numbered anew, and make one run.
    """
    if not [body for body in bodies if body.source is not UNNAMED]:  # as most are
        if not positions:
            return []
        _number(positions, 0, len(positions), 0)
        return [Run(UNNAMED, len(positions))]
    runs: list[Run] = []
    start = 0
    for body, count in zip(bodies, events, strict=True):
        if count:
            if body.source.kind is NameKind.NONE:
                before = runs[-1].events if runs and runs[-1].source.kind is NameKind.NONE else 0
                _number(positions, start, count, before)
            if start and positions[start - 1] < positions[start] and runs[-1].source == body.source:
                runs[-1].events += count
            else:
                runs.append(Run(body.source, count))
            start += count
    return runs


def _number(positions: array[int], start: int, count: int, first: int) -> None:
    if count == 1:
        positions[start] = first
    else:
        numbers = (array("Q", [first]), array("Q", [count]), array("Q", bytes(8 * count)))
        positions[start : start + count] = kernel.positions_of(*numbers)


class Came(NamedTuple):
    """Where events came: from a source, at rising positions (Q) of it."""

    source: Source
    positions: array[int]


class Stretch(NamedTuple):
    """A stretch of a long body: its valid events, what is wrong with the rest, and how many places of events."""

    batch: Batch
    rejections: list[Rejection]
    places: int  # lines, blank ones too, or elements
    text: Text
    byte: int  # where the text begins in the body
    positions: array[int] | None  # of its events (Q), with where each begins and ends; None: they are lines
    starts: array[int]
    ends: array[int]
    first: int  # the position of the first line
    is_lines: bool  # the positions are numbers of lines
    plain: bool = False  # see parse.SomeLines
    came: Came | None = None  # where its events did, when their names say otherwise

    @property
    def source(self) -> Source:
        """What its events came with. There must be one."""
        return self.batch.runs[0].source if self.came is None else self.came.source

    @property
    def event_positions(self) -> array[int]:
        """The position (Q) of each of its events."""
        return self.batch.positions if self.came is None else self.came.positions

    def find(self, positions: Iterable[int]) -> Iterator[tuple[int, int, bytes]]:
        """Yield each of some positions, rising, with the byte where its event begins, and the event."""
        wanted = iter(positions)
        position = next(wanted, None)
        for place, start, event in self._events():
            if place == position:
                yield position, self.byte + start, event
                position = next(wanted, None)

    def _events(self) -> Iterator[tuple[int, int, bytes]]:
        if self.positions is None:
            yield from lines_of(bytes(self.text), self.first)
            return
        view = memoryview(self.text)
        for position, start, end in zip(self.positions, self.starts, self.ends, strict=True):
            yield position, start, bytes(view[start:end])


class Reader:
    """Reads the events of one source from a long body, a piece after the other, as `Parting` parts it."""

    def __init__(self, source: Source, keep: Keep = KEEP_NOTHING) -> None:
        self._source = source
        self._keep = keep
        self._line = 0

    def read(self, text: Text, parts: Parts, clock: Clock, fallback_stop: int = sys.maxsize) -> Iterator[Stretch]:
        """Yield the events of a piece that was parted, in stretches of at most so many rejections."""
        for at in range(0, len(parts.starts), fallback_stop):
            until = at + fallback_stop
            some = parts.positions[at:until], parts.starts[at:until], parts.ends[at:until]
            yield self._read_events(text, parts.byte, some, clock())
        view = memoryview(text)
        if parts.line is not None:
            self._line = parts.line
        at = parts.lines
        while at < parts.size:
            byte = parts.byte + at
            lines = view[at : parts.size]
            batch, wrong, size, count, plain = parse_some(lines, self._line, clock(), fallback_stop, self._keep)
            rejections = self._told(batch, wrong, byte)
            nothing = array("Q")
            yield Stretch(
                batch, rejections, count, lines[:size], byte, None, nothing, nothing, self._line, True, plain=plain
            )
            self._line += count
            at += size

    def _read_events(
        self, text: Text, byte: int, some: tuple[array[int], array[int], array[int]], now_s: float
    ) -> Stretch:
        places = Places()
        places.add_events(0, *some)
        batch, _, wrong = parse([text], places, now_s, keep=self._keep)
        rejections = self._told(batch, wrong, byte)
        positions, starts, ends = some
        return Stretch(batch, rejections, len(positions), text, byte, positions, starts, ends, 0, is_lines=False)

    def _told(self, batch: Batch, wrong: list[InvalidText], byte: int) -> list[Rejection]:
        """Say where the events of a text came from, which begins at a byte; return what is wrong as rejections."""
        if len(batch):
            batch.runs = [Run(self._source, len(batch))]
        return [Rejection(self._source, each.position, each.line, each.reason, byte + each.start) for each in wrong]
