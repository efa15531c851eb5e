"""CSV files of events (RFC 4180): a header that names the contract's fields in any order, then a record a purchase.

Pure. A record is handed to the decoder as the JSON that it would have been, so that what is valid is said in one place.
What is kept of a record that is not valid are its own bytes. A record is known by the line that it begins on.

A kept field is the column of its name. A cell has a value as `core.kept` spells it, so `7` is a number and `"7"`,
quotes and all, text; an empty one has none. A number may have a fraction; what has an exponent is text.
"""

from __future__ import annotations

import csv
import re
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tillroll.core import limits
from tillroll.core.accept import Rejection, Stretch
from tillroll.core.batch import KeptBuilder, Run
from tillroll.core.decode import Reason
from tillroll.core.grammar import whole_number
from tillroll.core.kept import ABSENT, UNKEPT, Keep, spell
from tillroll.core.parse import KEEP_NOTHING, Places, parse
from tillroll.core.pattern import pattern
from tillroll.core.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tillroll.core.batch import Batch, Source
    from tillroll.core.parse import Text

FIELDS: Final = ("date", "amount", "paymentMethod", "merchantId")
_ID: Final = "id"
_DELIMITERS: Final = ",;\t"
_BOM: Final = b"\xef\xbb\xbf"
_number: Final = pattern(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_cell_number: Final = pattern(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_open: Final = pattern(rb'"(?:[^"]++|"")*+\Z')
_SAMPLE_BYTES: Final = 64 * 2**10
_QUOTE: Final = ord('"')
_decode_text: Final = msgspec.json.Decoder(str).decode
_encode: Final = msgspec.json.Encoder().encode


class Header(NamedTuple):
    """Where a file's fields are: the delimiter, the names of the columns, and the place of each that is read."""

    delimiter: str
    names: tuple[str, ...]
    places: tuple[int, ...]  # of FIELDS
    id_place: int | None

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return len(self.names)

    def kept_places(self, keep: Keep) -> list[int | None]:
        """Return the place of each field to be kept: of the one column that has its name, None where none has."""
        places = []
        for name, path in zip(keep.names, keep.paths, strict=True):
            called = {name, path[0]} if len(path) == 1 else {name}
            found = [place for place, column in enumerate(self.names) if column in called]
            places.append(found[0] if len(found) == 1 else None)
        return places


def names_of(head: bytes, delimiter: str) -> list[str]:
    """Return the names in the first line of a file, empty where they are none."""
    line = head.removeprefix(_BOM).partition(b"\n")[0].rstrip(b"\r")
    try:
        return [name.strip() for name in _row(line.decode(), delimiter)]
    except (UnicodeDecodeError, csv.Error):
        return []


def header_of(head: bytes) -> Header | None:
    """Return the header of a CSV file of events by how its content begins, None where it has none."""
    for delimiter in _DELIMITERS:
        names = names_of(head, delimiter)
        if all(names.count(name) == 1 for name in FIELDS) and names.count(_ID) <= 1:
            place = names.index(_ID) if _ID in names else None
            return Header(delimiter, tuple(names), tuple(names.index(name) for name in FIELDS), place)
    return None


class Column(NamedTuple):
    """A column of a CSV file of events that is no field of an event."""

    delimiter: str
    place: int

    def of(self, record: bytes) -> str:
        """Return what it has in a record of the file."""
        return _row(record.decode(), self.delimiter)[self.place]


def column_of(head: bytes, header: Header, name: str) -> Column | None:
    """Return a column of the file by how its content begins, None where it has none of that name, or two."""
    names = names_of(head, header.delimiter)
    return Column(header.delimiter, names.index(name)) if names.count(name) == 1 else None


def sample_of(text: Text, header: Header) -> Iterator[bytes]:
    """Yield some of the records at the beginning of a text as JSON of all their columns but the empty ones."""
    lines = bytes(text[:_SAMPLE_BYTES]).split(b"\n")
    for line in lines[: -1 if len(text) > _SAMPLE_BYTES else None]:
        try:
            row = _row(line.rstrip(b"\r").decode(), header.delimiter)
        except (UnicodeDecodeError, csv.Error):
            continue
        if len(row) == header.columns and row[header.places[0]] != FIELDS[0]:
            yield _encode({name: cell for name, cell in zip(header.names, row, strict=True) if cell})


def _row(text: str, delimiter: str) -> list[str]:
    csv.field_size_limit(limits.LINE_BYTES_MAX)
    return next(csv.reader([text], delimiter=delimiter, strict=True), [])


class CsvReader:
    """Reads the events of one source from a CSV file that comes in pieces of whole lines."""

    def __init__(self, source: Source, header: Header, keep: Keep = KEEP_NOTHING) -> None:
        self._source = source
        self._header = header
        self._keep = dict(zip(keep.names, header.kept_places(keep), strict=True))
        self._line = 0
        self._byte = 0
        self._rest = b""  # the lines of a record that the piece before did not end
        delimiter = re.escape(header.delimiter)
        self._quoted = re.compile(rf'"(?:[^"]++|"")*+"(?=[{delimiter}\r\n]|\Z)'.encode()).match
        self._plain = re.compile(rf"[^{delimiter}\n]*+".encode()).match

    def read(self, text: Text, clock: Callable[[], float], most: int) -> Iterator[Stretch]:
        """Yield the events of a piece, in stretches of at most so many records."""
        yield from self._read(self._rest + bytes(text), clock, most, final=False)

    def finish(self, clock: Callable[[], float], most: int) -> Iterator[Stretch]:
        """Yield what is left when no more comes."""
        yield from self._read(self._rest, clock, most, final=True)

    def _read(self, data: bytes, clock: Callable[[], float], most: int, *, final: bool) -> Iterator[Stretch]:
        at = 0
        while at < len(data):
            records = _Records(self._source, data, self._byte, self._keep)
            before = at
            first = self._line
            while at < len(data) and len(records.starts) < most:
                end = self._end(data, at, final=final)
                if end is None:
                    break
                if self._line:  # the first is the header
                    records.add(at, end, self._line, self._header)
                self._line += data.count(b"\n", at, end) + 1
                at = end + 1
            if at == before:
                break
            yield records.parsed(clock(), self._line - first)
        self._rest = data[at:]
        self._byte += min(at, len(data))

    def _end(self, data: bytes, start: int, *, final: bool) -> int | None:
        """Return where the record that begins somewhere ends; None when more of the file is needed to tell.

        One that reaches over lines must be a record as the header has it. Else its first line is one by itself, so that
        a quote that is not closed costs no other.
        """
        line_end = data.find(b"\n", start)
        line_end = len(data) if line_end < 0 else line_end
        if data.find(b'"', start, line_end) < 0:
            return line_end
        at, columns = start, 1
        stop = min(len(data), start + limits.LINE_BYTES_MAX)
        while at < stop:
            field = (self._quoted if data[at] == _QUOTE else self._plain)(data, at, stop)
            if field is None:
                is_open = not final and stop == len(data) and _open.match(data, at, stop) is not None
                return None if is_open else line_end
            at = field.end()
            if data[at : at + 1] == self._header.delimiter.encode():
                columns += 1
                at += 1
                if columns > self._header.columns and at > line_end:
                    return line_end
                continue
            at += data[at : at + 1] == b"\r"
            if data[at : at + 1] in {b"", b"\n"} and (at <= line_end or columns == self._header.columns):
                return at
            return line_end
        return at if at == len(data) else line_end


class _Records:
    """Some records of a CSV file, and the JSON that they would have been."""

    def __init__(self, source: Source, data: bytes, byte: int, keep: dict[str, int | None]) -> None:
        self._keep = keep  # the columns of the fields to be kept
        self._source = source
        self._data = data
        self._byte = byte  # of the file, where the data begins
        self.starts, self.ends, self.positions = array("Q"), array("Q"), array("Q")
        self._texts: list[Text] = []
        self._kept: list[list[str]] = []  # the values of each text's fields
        self._of: list[int] = []  # the record of each text
        self._wrong: list[tuple[int, Reason]] = []

    def add(self, start: int, end: int, line: int, header: Header) -> None:
        """Add the record between two places of the data, which begins on a line of the file, unless it is blank."""
        record = self._data[start:end].rstrip(b"\r")
        if not record.strip():
            return
        index = len(self.starts)
        self.starts.append(start)
        self.ends.append(start + len(record))
        self.positions.append(line)
        row = _row_of(record, header)
        if isinstance(row, Reason):
            self._wrong.append((index, row))
            return
        found = _json_of(row, header)
        if isinstance(found, Reason):
            self._wrong.append((index, found))
            return
        self._texts.append(found)
        self._kept.append([ABSENT if place is None else _spelled(row[place]) for place in self._keep.values()])
        self._of.append(index)

    def parsed(self, now_s: float, lines: int) -> Stretch:
        """Return what the records are: so many lines of the file."""
        events = Places()
        for text, (json, index) in enumerate(zip(self._texts, self._of, strict=True)):
            events.add(text, self.positions[index], 0, len(json), single=True)
        batch, _, wrong = parse(self._texts, events, now_s)
        if len(batch):
            batch.runs = [Run(self._source, len(batch))]
        self._add_kept(batch, {each.text for each in wrong})
        refused = sorted(
            [*self._wrong, *((self._of[each.text], each.reason) for each in wrong)], key=lambda one: one[0]
        )
        rejections = [
            Rejection(
                self._source,
                self.positions[index],
                self._data[self.starts[index] : self.ends[index]],
                reason,
                self._byte + self.starts[index],
            )
            for index, reason in refused
        ]
        places = (self.positions, self.starts, self.ends)
        return Stretch(batch, rejections, lines, self._data, self._byte, *places, 0, is_lines=True)

    def _add_kept(self, batch: Batch, wrong: set[int]) -> None:
        rows = [row for text, row in enumerate(self._kept) if text not in wrong]
        for field, name in enumerate(self._keep):
            builder = KeptBuilder()
            for row in rows:
                builder.add(row[field])
            builder.put_into(batch, name)


def _spelled(cell: str) -> str:
    """Return the spelling of the value that a cell has; ABSENT, or UNKEPT."""
    if cell in {"", ABSENT}:
        return ABSENT
    if cell in {"true", "false", "null"}:
        return cell
    if _cell_number.fullmatch(cell):
        number = whole_number(cell, limits.KEPT_NUMBER_MAX)
        return UNKEPT if number is None else spell(number) or UNKEPT
    text = cell
    if cell.startswith('"'):
        try:
            text = _decode_text(cell)
        except msgspec.DecodeError:
            text = cell
    return spell(text) or UNKEPT


def _row_of(record: bytes, header: Header) -> list[str] | Reason:
    """Return the fields of a record, or why it has none."""
    try:
        row = _row(record.decode(), header.delimiter)
    except UnicodeDecodeError as error:
        return Reason("not_utf8", None, f"byte {error.start} is not UTF-8")
    except csv.Error as error:
        return Reason(
            "not_csv",
            None,
            f"the record is not valid CSV ({error}): a field with quotes, commas or line ends is quoted",
        )
    if len(row) != header.columns:
        return Reason("not_csv", None, f"the record has {len(row)} fields, and the header {header.columns}")
    return row


def _json_of(row: list[str], header: Header) -> bytes | Reason:
    """Return the fields of a record as the JSON of an event, or why they cannot be one."""
    date, amount, method, merchant = (row[place] for place in header.places)
    if _number.fullmatch(amount) is None:
        return Reason("invalid_amount", "amount", f'"{shown(amount)}" is not a whole number of cents')
    name = "" if header.id_place is None else row[header.id_place]
    tail = b',"id":' + _encode(name) if name else b""
    return b'{"date":%b,"amount":%b,"paymentMethod":%b,"merchantId":%b%b}' % (
        _encode(date),
        amount.encode(),
        _encode(method),
        _encode(merchant),
        tail,
    )
