"""Names that an export gave to events (`core.export`): out of lines, and from names to sources and positions.

The reference for the compiled kernel, and what runs where there is none; `core.kernel` picks. A name that a line of an
event ends with is taken; every other line that may have one is for `core.named` to look at.
"""

from __future__ import annotations

import re
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from tillroll.core.columns import column_of, strings_in
from tillroll.core.pattern import pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUE_BYTES_MAX: Final = 8_192
NOT_SAID: Final = 255  # the kind of a run of events that have no name
_POSITION_MAX: Final = (1 << 63) - 1  # as SQLite has it
_KEY: Final = b"_name"
_may_have: Final = pattern(rb"_name|\\u00[56]")
_ends_with: Final = pattern(rb'.*,"_name":"([^"]+)"\}[ \t\r]*', re.DOTALL)
_said: Final = pattern(rb"(id:|(?:key|message|file):)(?:(?<!id:)(0|[1-9][0-9]{0,18}):)?(.+)", re.DOTALL)
_KINDS: Final = {b"key:": 2, b"message:": 3, b"file:": 4}  # of NameKind; this module is below core.batch
_NONE: Final = 0

# How many events each run has (Q), the kinds, the values as a string column, the positions (Q) of the events in their
# runs, and which names (I) are none. Events that are named by their own id are in runs of no kind.
NamedRuns: TypeAlias = "tuple[array[int], bytes, array[int], bytes, array[int], array[int]]"


class Said(NamedTuple):
    """What a name says: a kind of NameKind, a position and a value. Of an id, the id."""

    kind: int
    position: int
    value: bytes


def may_have_names(text: bytes | memoryview) -> bool:
    """Tell whether any event of a text may have a name, however its letters are written."""
    return _may_have.search(text) is not None


def names_in_lines(text: bytes | memoryview, first: int, positions: array[int]) -> tuple[array[int], bytes, array[int]]:
    """Return the names of events as a string column, and which of them (I) are doubtful.

    The events are lines of a text at rising positions (Q); its first line is at position `first`. A name is empty where
    there is none, and where it is doubtful.

    Raises:
        ValueError: there are no lines at these positions.
    """
    names, doubtful = [], array("I")
    for index, line in enumerate(_lines_at(bytes(text).split(b"\n"), first, positions)):
        found = _ends_with.fullmatch(line) if line.count(_KEY) == 1 and b"\\" not in line else None
        if found is None and may_have_names(line):
            doubtful.append(index)
        names.append(b"" if found is None else found[1])
    return *column_of(names), doubtful


def _lines_at(lines: list[bytes], first: int, positions: array[int]) -> Iterator[bytes]:
    before = first - 1
    for position in positions:
        if position <= before or position - first >= len(lines):
            raise ValueError("there are no lines at these positions")
        before = position
        yield lines[position - first]


def sources_of_names(ends: array[int], heap: bytes, id_ends: array[int], id_bytes: bytes) -> NamedRuns:
    """Return the runs that events of these names make, empty ones for none, and of these ids of their own.

    Raises:
        ValueError: the columns differ in length.
    """
    names, ids = strings_in(ends, heap), strings_in(id_ends, id_bytes)
    if ids and len(ids) != len(names):
        raise ValueError("columns differ in length")
    events, kinds, values = array("Q"), bytearray(), list[bytes]()
    positions, invalid = array("Q"), array("I")
    for index, name in enumerate(names):
        said = said_by(name) if name else Said(NOT_SAID, 0, b"")
        if said is not None and said.kind == _NONE:
            said = Said(_NONE, 0, b"") if ids and said.value == ids[index] else None
        if said is None:
            invalid.append(index)
            said = Said(NOT_SAID, 0, b"")
        numbered = said.kind in {_NONE, NOT_SAID}
        same = bool(kinds) and said.kind == kinds[-1] and said.value == values[-1]
        if not same or not (numbered or said.position > positions[-1]):
            events.append(0)
            kinds.append(said.kind)
            values.append(said.value)
        positions.append(events[-1] if numbered else said.position)
        events[-1] += 1
    return events, bytes(kinds), *column_of(values), positions, invalid


def said_by(name: bytes) -> Said | None:
    """Return what a name says, of an id with a kind of NONE; None when it is no name of an export."""
    found = _said.fullmatch(name)
    if found is None or len(found[3]) > VALUE_BYTES_MAX:
        return None
    if found[1] == b"id:":
        return Said(_NONE, 0, found[3])
    position = -1 if found[2] is None else int(found[2])
    return Said(_KINDS[found[1]], position, found[3]) if 0 <= position <= _POSITION_MAX else None
