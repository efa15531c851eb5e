"""Columns to rows of text, in plain Python: the reference for the compiled kernel, and what runs where there is none.

Each function here has a twin of the same name and results in `tillroll._kernel`; `core.kernel` picks. They know nothing
of purchases: what a row is made of, `core.export` says.
"""

from __future__ import annotations

import datetime
from enum import IntEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from tillroll.core.columns import column_of, strings_in
from tillroll.core.pattern import pattern

if TYPE_CHECKING:
    from array import array

_EPOCH_ORDINAL: Final = datetime.date(1970, 1, 1).toordinal()
_KIND_TEXTS: Final = (b"", b"id:", b"key:", b"message:", b"file:")  # by NameKind; this module is below core.batch
_BY_ID: Final = 1
_QUOTED_NAME: Final = pattern(rb'\A(id:|(?:key|message|file):[0-9]+:)"')
_json_special: Final = pattern(rb'["\\\x00-\x1f]')
_JSON_ESCAPES: Final = {
    bytes([code]): msgspec.json.encode(chr(code))[1:-1] for code in (*range(0x20), ord('"'), ord("\\"))
}


class Part(IntEnum):
    """What a part of a row is. A value that is empty leaves out what stands before it."""

    LITERAL = 0
    INSTANT = 1  # seconds (q) and nanos (I), as ISO 8601 in UTC
    NUMBER = 2  # of 0 and more (q)
    CHOICE = 3  # codes (B or I), and the string column that they point into
    TEXT = 4  # a string column
    NAME = 5  # what `name_texts` takes, with ids and the runs' values quoted: the names, quoted


_ROWS_AT_ONCE: Final = 4096


# What stands before the value, the kind, and the columns that the kind takes.
RowPart: TypeAlias = tuple[bytes, Part, *tuple[Any, ...]]


def name_texts(
    id_ends: array[int],
    id_bytes: bytes,
    positions: array[int],
    run_events: array[int],
    run_kinds: bytes,
    run_ends: array[int],
    run_values: bytes,
) -> tuple[array[int], bytes]:
    """Return each event's name as an export has it: `id:ID`, or the kind, position and value of its source.

    Nothing for an event that nothing names.

    Raises:
        ValueError: the columns differ in length, or the runs do not add up, or are of no kind.
    """
    values, ids = strings_in(run_ends, run_values), strings_in(id_ends, id_bytes)
    lengths_fit = len(run_kinds) == len(values) == len(run_events) and len(ids) in {0, len(positions)}
    if not lengths_fit or sum(run_events) != len(positions) or max(run_kinds, default=0) >= len(_KIND_TEXTS):
        raise ValueError("the columns differ in length, or the runs do not add up, or are of no kind")
    names: list[bytes] = []
    for events, kind, value in zip(run_events, run_kinds, values, strict=True):
        for index in range(len(names), len(names) + events):
            if ids and ids[index]:
                names.append(_KIND_TEXTS[_BY_ID] + ids[index])
            elif kind == _BY_ID:
                names.append(_KIND_TEXTS[_BY_ID] + value)
            else:
                names.append(b"%b%d:%b" % (_KIND_TEXTS[kind], positions[index], value) if kind else b"")
    return column_of(names)


def quote(ends: array[int], heap: bytes, csv: bool) -> tuple[array[int], bytes]:  # noqa: FBT001 as the kernel has it
    """Return strings as JSON, or CSV, has them. What is empty stays so: it stands for what is not there.

    Raises:
        ValueError: the ends are not those of the heap's strings.
    """
    quoted = _csv_of if csv else _json_of
    return column_of([quoted(text) if text else b"" for text in strings_in(ends, heap)])


def _json_of(text: bytes) -> bytes:
    return b'"%b"' % _json_special.sub(lambda found: _JSON_ESCAPES[found[0]], text)


def _csv_of(text: bytes) -> bytes:
    if not any(special in text for special in b',"\r\n'):
        return text
    return b'"%b"' % text.replace(b'"', b'""')


class Rows:
    """Rows of text, each made of the same parts: an iterator over pieces of some thousand rows."""

    def __init__(self, parts: list[RowPart], rows: int) -> None:
        """Take the parts of so many rows.

        Raises:
            ValueError: columns differ in length, or a value is not what its part takes.
        """
        cells = [_cells(part, rows) for part in parts]
        self._rows = zip(*cells, strict=True)

    def __iter__(self) -> Rows:
        """Return the iterator itself."""
        return self

    def __next__(self) -> bytes:
        """Return the next rows."""
        some = list(islice(self._rows, _ROWS_AT_ONCE))
        if not some:
            raise StopIteration
        return b"".join(cell for row in some for cell in row)


def _cells(part: RowPart, rows: int) -> list[bytes]:
    before, kind, *columns = part
    match kind, columns:
        case Part.LITERAL, []:
            return [before] * rows
        case Part.INSTANT, [seconds, nanos]:
            values = [instant_text(*each) for each in zip(seconds, nanos, strict=True)]
        case Part.NUMBER, [numbers]:
            if min(numbers, default=0) < 0:
                raise ValueError("a number is negative")
            values = [b"%d" % number for number in numbers]
        case Part.CHOICE, [codes, ends, heap]:
            values = _chosen(codes, strings_in(ends, heap))
        case Part.TEXT, [ends, heap]:
            values = strings_in(ends, heap)
        case Part.NAME, [id_ends, id_bytes, positions, run_events, run_kinds, run_ends, run_values]:
            columns_of_names = name_texts(id_ends, id_bytes, positions, run_events, run_kinds, run_ends, run_values)
            values = [_QUOTED_NAME.sub(rb'"\1', name) for name in strings_in(*columns_of_names)]
        case _:
            raise ValueError("there is no such part of a row")
    if len(values) != rows:
        raise ValueError("columns differ in length")
    return [before + value if value else b"" for value in values]


def _chosen(codes: array[int], strings: list[bytes]) -> list[bytes]:
    try:
        return [strings[code] for code in codes]
    except IndexError as error:
        raise ValueError("a code is out of range") from error


def instant_text(seconds: int, nanos: int) -> bytes:
    """Return an instant in UTC, with as many digits of the fraction as it has.

    Raises:
        ValueError: it is outside the years 0001 to 9999, or the fraction is a second or more.
    """
    day, second = divmod(seconds, 86_400)
    if nanos >= 10**9:
        raise ValueError("the fraction is a second or more")
    fraction = f".{nanos:09}".rstrip("0") if nanos else ""
    date = datetime.date.fromordinal(day + _EPOCH_ORDINAL).isoformat()
    return f"{date}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}{fraction}Z".encode()
