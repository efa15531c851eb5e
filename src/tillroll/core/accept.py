"""Accept: turn bodies of bytes into events and rejections. Pure.

A body is one JSON object, a JSON array of objects, or NDJSON. What a valid event is, `core.decode` says.
"""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tillroll.core import kernel
from tillroll.core.batch import Batch, NameKind, Run, Source
from tillroll.core.decode import Reason, ReasonCode, decode_event, encode_event, is_json
from tillroll.core.parse import parse, parse_some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tillroll.core.parse import Text

__all__ = [
    "Accepted",
    "Body",
    "Reason",
    "ReasonCode",
    "Rejection",
    "accept",
    "decode_event",
    "encode_event",
    "is_empty",
    "parse_lines",
    "split",
    "whole_lines",
]

_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = b" \t\r\n"


class Rejection(msgspec.Struct, frozen=True):
    """An event that was not accepted, byte for byte, with where it stood and why."""

    source: Source
    position: int
    body: bytes
    reason: Reason


def is_empty(body: bytes) -> bool:
    """Tell whether a body holds nothing at all, not even a wrong event."""
    return not body.removeprefix(_BOM).strip(_SPACE)


def split(body: bytes, *, ndjson: bool = False) -> Iterator[tuple[int, bytes]]:
    """Yield (position, JSON text) of each event in a body.

    A body that begins with `[` and is a JSON array gives its elements. A body whose first line is a whole JSON text, or
    any body with `ndjson`, gives its lines that are not blank, each at its line number from 0. Anything else is one
    event at position 0. A byte order mark is passed over.
    """
    body = body.removeprefix(_BOM)
    elements = None if ndjson else _elements(body)
    if elements is not None:
        for position, element in enumerate(elements):
            yield position, bytes(element)
        return
    if not ndjson and not _is_lines(body):
        yield 0, body.strip(_SPACE)
        return
    for position, line in enumerate(body.split(b"\n")):
        stripped = line.strip(_SPACE)
        if stripped:
            yield position, stripped


def _elements(body: bytes) -> Sequence[Text] | None:
    """Return the elements of a body that is a JSON array, None of any other."""
    text = body.lstrip(_SPACE)
    if not text.startswith(b"["):
        return None
    try:
        return msgspec.json.decode(text, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return None


def _is_lines(body: bytes) -> bool:
    text = body.strip(_SPACE)
    return b"\n" in text and is_json(text.partition(b"\n")[0])


def whole_lines(block: bytes) -> int:
    """Return how many bytes at the start of a block are whole lines: where to cut it, so that the rest can follow."""
    return block.rfind(b"\n") + 1


class Body(msgspec.Struct, frozen=True):
    """One body of events and what it came with."""

    data: bytes
    source: Source
    ndjson: bool = False  # the sender said so; else the body tells
    first_position: int = 0  # of this body in the one it was cut from: what each position here counts from

    def texts(self) -> Iterator[tuple[int, bytes]]:
        """Yield (position, JSON text) of each event, by rising position."""
        for position, text in split(self.data, ndjson=self.ndjson):
            yield self.first_position + position, text


class Accepted(NamedTuple):
    """What some bodies held: all their valid events in order; for each body how many, and its rejections in order."""

    batch: Batch
    events: list[int]
    rejections: list[list[Rejection]]


class _Texts:
    """The texts of some bodies, as `parse` takes them, and which body each is of."""

    def __init__(self, bodies: Sequence[Body]) -> None:
        self.texts: list[Text] = []
        self.firsts = array("Q")
        self.whole = bytearray()
        self.owners: list[int] = []
        for owner, body in enumerate(bodies):
            data = body.data
            if not body.ndjson and data[:1] == b"{" and b"\n" not in data:  # what most bodies are
                self._add(owner, data, body.first_position, whole=True)
            else:
                self._add_body(owner, body)

    def _add(self, owner: int, text: Text, position: int, *, whole: bool) -> None:
        self.texts.append(text)
        self.firsts.append(position)
        self.whole.append(whole)
        self.owners.append(owner)

    def _add_body(self, owner: int, body: Body) -> None:
        data = body.data.removeprefix(_BOM)
        elements = None if body.ndjson else _elements(data)
        if elements is None:
            self._add(owner, data, body.first_position, whole=not body.ndjson and not _is_lines(data))
            return
        for position, element in enumerate(elements, body.first_position):
            self._add(owner, element, position, whole=True)


def accept(bodies: Sequence[Body], now_s: float) -> Accepted:
    """Return the events of some bodies, and those that are not valid with their reasons. `split` says what a body is.

    `now_s` is seconds since 1970: a purchase dated more than a day later is refused.
    """
    texts = _Texts(bodies)
    batch, counts, wrong = parse(texts.texts, texts.firsts, bytes(texts.whole), now_s)
    events = [0] * len(bodies)
    for owner, count in zip(texts.owners, counts, strict=True):
        events[owner] += count
    rejections: list[list[Rejection]] = [[] for _ in bodies]
    for text, position, line, reason in wrong:
        owner = texts.owners[text]
        rejections[owner].append(Rejection(bodies[owner].source, position, line, reason))
    batch.runs = _runs(batch.positions, bodies, events)
    return Accepted(batch, events, rejections)


def _runs(positions: array[int], bodies: Sequence[Body], events: list[int]) -> list[Run]:
    """Return the runs of events that so many of each body make: of one source, at rising positions.

    Where nothing names an event its position says nothing either: such events are numbered anew, and make one run.
    """
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


class Lines(NamedTuple):
    """Some lines of a source: their valid events, what is wrong with the rest, and how far they go."""

    batch: Batch
    rejections: list[Rejection]
    size: int  # in bytes
    lines: int


def parse_lines(text: Text, source: Source, first_position: int, now_s: float, unsure_most: int = sys.maxsize) -> Lines:
    """Read lines of one event each until so many are no ordinary ones. Positions count from that of the first line.

    A byte order mark is for the caller to pass over.
    """
    batch, wrong, size, lines = parse_some(text, first_position, now_s, unsure_most)
    if len(batch):
        batch.runs = [Run(source, len(batch))]
    rejections = [Rejection(source, position, line, reason) for _, position, line, reason in wrong]
    return Lines(batch, rejections, size, lines)
