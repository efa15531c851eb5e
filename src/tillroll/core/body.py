"""What a body is, and where each event of it begins: the same for a request, a file and a queue's message. Pure.

A body is told by its bytes alone:

- **an array**, when the first thing in it is `[`: each element is an event;
- **lines** of one event each, from the first line on that is an object for itself;
- **texts**, when objects reach over several lines, or the first line has more than one: each is an event;
- **a sequence**, when it begins with the record separator of RFC 7464: texts, of which none reaches over a separator.

What is neither object nor array at its top is an event (a bad one) as long as its line. A byte order mark may stand at
the beginning of any line. A comma between two objects parts them, and is no event, also at the end of a line or at its
beginning. A line is one event whatever stands in it, for it has one number by which a repeat is known.

Text is parted by what can be told for certain without knowing whether it is JSON: strings, brackets, commas, and where
lines begin. So one bad event costs no other: `NaN`, `01`, a raw tab, a comma too many stay in their own.
Where an event is broken off, the next object that begins a line where no value may stand is the next event. Only where
nothing of that kind follows is the rest of the body one event, from that place on.

The scanner reads forward, and back only over what it has paid for by going forward: it is linear in the text. It needs
memory for one byte a level of nesting, and for what it gives.
"""

from __future__ import annotations

import re
import sys
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import kernel, limits
from tillroll.core.parse import BOM, lines_of
from tillroll.core.pattern import pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tillroll.core.parse import Text

_SPACE: Final = b" \t\r\n"
_MARKS: Final = tuple(bytes([space]) + BOM for space in _SPACE)
_SEPARATOR: Final = 0x1E  # RFC 7464
_BACK_BYTES: Final = 1 << 16  # that may be read again before anything was read
_TAIL_BYTES: Final = 1 << 16

# Modes of a parting. The kernel has the same numbers.
START: Final = 0
LINES: Final = 1
ELEMENT: Final = 2  # in an array, where an element or its end may come
OWED: Final = 3  # in an array, after a comma
AFTER_ARRAY: Final = 4
TOP: Final = 5  # outside of any array: no line has been an event for itself yet, and no text longer than a line
TEXTS: Final = 6  # the same, after a text longer than a line
SEQUENCE: Final = 7


class PartingState(NamedTuple):
    """How far a body is parted."""

    mode: int = START
    fresh: bool = True  # nothing but spaces since the beginning of a line
    position: int = 0  # that the next event has at least
    line: int = 0
    byte: int = 0
    spent: int = 0  # bytes that were read again


class Parted(NamedTuple):
    """What `part` found: where events begin and end, their positions (Q each), how far it came, and how to go on."""

    starts: array[int]
    ends: array[int]
    positions: array[int]
    size: int
    state: PartingState


class Parts(NamedTuple):
    """A piece of a body, parted: some events, and after them lines of one event each."""

    starts: array[int]
    ends: array[int]
    positions: array[int]  # rising
    lines: int  # where in the text the lines begin; `size` where there are none
    line: int | None  # the position of the first; None: they go on where those of the piece before ended
    size: int  # how many bytes of the text are parted: begin the next one with what follows
    byte: int  # where in the body the text begins


class Parting:
    """Parts a body that comes in pieces of any size. The parts are the same wherever it was cut."""

    def __init__(self, state: PartingState | None = None) -> None:
        self._state = PartingState() if state is None else state
        self._in_lines = False

    def part(self, text: Text, *, final: bool, most: int = sys.maxsize) -> Parts:
        """Part a text that begins where the last one's parts ended. `final`: it ends where the body does.

        At most so many events are given at once, lines not counted. When no byte is taken, there was not enough of the
        body to be certain (at its beginning that may take limits.LINE_BYTES_MAX): come again with more of it.
        """
        before = self._state
        starts, ends, positions, lines, state = part(text, before, final, most)
        size, line = lines, None
        if state.mode == LINES:
            size = len(text) if final else _end_of_lines(text, lines)
            line = None if self._in_lines else max(state.line, state.position)
            self._in_lines |= size > lines
        self._state = state._replace(byte=before.byte + size)
        return Parts(starts, ends, positions, lines, line, size, before.byte)


def _end_of_lines(text: Text, start: int) -> int:
    """Return where the last whole line of a text ends that begins at `start` or after; `start` when none does."""
    view = memoryview(text)
    stop = len(view)
    while stop > start:
        begin = max(start, stop - _TAIL_BYTES)
        feed = bytes(view[begin:stop]).rfind(b"\n")
        if feed >= 0:
            return begin + feed + 1
        stop = begin
    return start


def is_line(body: bytes) -> bool:
    """Tell, soon and of most bodies, that they are lines from their beginning on; False says nothing."""
    if body[:1] != b"{":
        return False
    return _alone.match(body) is not None or (
        b"\n" not in body and body.endswith(b"}") and _joined.search(body) is None
    )


def is_empty(body: bytes) -> bool:
    """Tell whether a body holds nothing at all, not even a wrong event or an array of none."""
    if body[:1] == b"{":  # as most begin
        return False
    nothing = _SPACE + b"\x1e"
    return not body.strip(nothing + BOM) and not body.replace(BOM, b"").strip(nothing)


def may_have_more_than(events_max: int, body: bytes) -> bool:
    """Tell at a glance, by the bytes between which events stand, whether a body could have more than a number."""
    if kernel.compiled:
        return kernel.may_have_more(body, events_max)
    return len(body) > events_max and sum(map(body.count, (b"\n", b",", b"{", b"\x1e"))) + 2 > events_max


def has_more_than(events_max: int, body: bytes) -> bool:
    """Tell whether a body has more events than a number. Blank lines count, for they cost as much."""
    if not may_have_more_than(events_max, body):
        return False
    parts = Parting().part(body, final=True, most=events_max + 1)
    lines = body.count(b"\n", parts.lines) + (parts.size > parts.lines and not body.endswith(b"\n"))
    return len(parts.starts) + lines > events_max


def places_in(body: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the position of each event in a body, and where it begins and ends. Positions rise."""
    parts = Parting().part(body, final=True)
    yield from zip(parts.positions, parts.starts, parts.ends, strict=True)
    if parts.line is not None:
        for position, start, line in lines_of(body[parts.lines :], parts.line):
            yield position, parts.lines + start, parts.lines + start + len(line)


def part(text: Text, state: PartingState, final: bool, most: int) -> Parted:  # noqa: FBT001 as the kernel takes it
    """Find at most so many events from the beginning of a text on, up to where they are lines.

    What `state.mode` says afterwards goes for the text from `size` on: once it is LINES, all the rest is.
    """
    if kernel.compiled:
        starts, ends, positions, size, after = kernel.part(text, state, final, most)
        return Parted(starts, ends, positions, size, PartingState(*after))
    return part_by_reference(text, state, final, most)


def part_by_reference(text: Text, state: PartingState, final: bool, most: int) -> Parted:  # noqa: FBT001
    """Do the same in plain Python."""
    scanner = _Scanner(bytes(text), state, final=final, most=most)
    scanner.run()
    return scanner.parted()


# What ends an event.
_COMMA: Final = 0
_CLOSED: Final = 1  # with its array
_BROKEN_OFF: Final = 2  # where the next begins
_WHOLE: Final = 3
_UNCLOSED: Final = 4  # the body ends, and its array is open
_REST: Final = 5  # the body ends in the midst of it
_UNCERTAIN: Final = 6  # more of the body could tell

_string: Final = pattern(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_plain: Final = rb'(?:[^"\\\[\]{}\n]++|"(?:[^"\\\n]++|\\[^\n])*+")'
_flat: Final = pattern(rb"\{%b*+\}" % _plain)  # the ordinary object, in one step
_alone: Final = pattern(rb"\{%b*+\}(?![ \t\r]*+,?+[ \t\r]*+\{)" % _plain)  # the same, if it is all of a line
_behind: Final = pattern(rb"[ \t\r]*+,?+[ \t\r]*+")
_joined: Final = pattern(rb"\}[ \t\r]*+,?+[ \t\r]*+\{")  # two objects on a line, or what may be two
# In a line. Bounded and not possessive: before Python 3.11.5 that goes wrong where an alternative fails halfway
# (github.com/python/cpython/issues/106052).
_run: Final = pattern(rb"(?:%b|\[%b*+\]|\{%b*+\}){1,4096}" % (_plain, _plain, _plain))
_other: Final = pattern(rb'(?:\\["\\]|[^ \t\r\n"\[\]{},:])++')  # an escaped quote begins no string here either
_spaces: Final = pattern(rb"[ \t\r]++")
_lines: Final = pattern(rb"\n(?:[ \t\r\n]|\xef\xbb\xbf)*+(\{)?")
_CLOSES: Final = {ord("]"): ord("["), ord("}"): ord("{")}


def _after(data: bytes, at: int) -> int | None:
    """Return what stands on a line behind an object and perhaps a comma; None where the text ends before."""
    found = _behind.match(data, at)
    return None if found is None or found.end() == len(data) else data[found.end()]


class _Scanner:
    """One call of `part`."""

    def __init__(self, data: bytes, state: PartingState, *, final: bool, most: int) -> None:
        self.data = data
        self.final = final
        self.most = most
        self.mode, self.fresh, self.position, self.line, self.byte, self.spent = state
        self.at = 0
        self.record: _Scanner | None = None  # of the record of a sequence in which the next text begins
        self.record_start = self.record_end = 0
        self.starts, self.ends, self.positions = array("Q"), array("Q"), array("Q")

    def parted(self) -> Parted:
        state = PartingState(self.mode, self.fresh, self.position, self.line, self.byte + self.at, self.spent)
        return Parted(self.starts, self.ends, self.positions, self.at, state)

    def run(self) -> None:
        """Go on until the text ends, more of it is needed, or enough is found."""
        while self.mode != LINES:
            self._skip_blank()
            if self.at == len(self.data):
                if self.final and self.mode in {ELEMENT, OWED}:
                    self._add(self.at, self.at)  # the end of the array, and perhaps more, is missing
                    self.mode = AFTER_ARRAY
                return
            if self._may_be_mark():
                return
            if self.mode == START:
                if not self._start():
                    return
            elif len(self.starts) >= self.most or not self._next():
                return

    def _skip_blank(self) -> None:
        """Pass over spaces, and marks at the beginning of lines."""
        data = self.data
        while self.at < len(data):
            byte = data[self.at]
            if byte == 0x0A:
                self.line += 1
                self.fresh = True
                self.at += 1
            elif byte in _SPACE:
                self.at += 1
            elif self.fresh and data.startswith(BOM, self.at):
                self.at += len(BOM)
            elif byte == ord(",") and (self.mode == TEXTS or (self.mode == SEQUENCE and not self.fresh)):
                self.at += 1
            else:
                return

    def _may_be_mark(self) -> bool:
        """Tell whether what is left of the text may be the beginning of a mark."""
        left = len(self.data) - self.at
        return not self.final and self.fresh and left < len(BOM) and self.data[self.at] == BOM[0]

    def _add(self, start: int, end: int, *, broken_off: bool = False) -> None:
        if self.mode in {TOP, TEXTS}:  # a line that is no event still has its number
            self.position = max(self.position, self.line)
        end = start + len(self.data[start:end].rstrip(_SPACE))
        while broken_off and self.data[start:end].endswith(_MARKS):  # those of the line that begins the next
            end = start + len(self.data[start : end - len(BOM)].rstrip(_SPACE))
        self.starts.append(start)
        self.ends.append(end)
        self.positions.append(self.position)
        self.position += 1

    def _go_to(self, at: int, *, fresh: bool) -> None:
        self.line += self.data.count(b"\n", self.at, at)
        self.at = at
        self.fresh = fresh

    def _start(self) -> bool:
        """Tell what the body begins as; False when more of it is needed for that."""
        data, at = self.data, self.at
        if not self.final and len(data) - at < limits.LINE_BYTES_MAX:
            return False
        if data[at] == _SEPARATOR:
            self.mode = SEQUENCE
        elif data[at] == ord("["):
            self.mode = LINES if self._is_line() else AFTER_ARRAY
        else:
            self.mode = TOP
        return True

    def _is_line(self) -> bool:
        """Tell whether an array is but the first, bad line of lines: whole, without an object, and no array follows."""
        window = self.data[self.at : self.at + limits.LINE_BYTES_MAX]
        line, _, rest = window.partition(b"\n")
        line = line.rstrip(_SPACE)
        while (stripped := rest.lstrip(_SPACE).removeprefix(BOM)) != rest:
            rest = stripped
        if not rest or rest.startswith(b"[") or b"{" in line:
            return False
        how, end, _, _ = _EventScan(line, 0, in_array=False, final=True, credit=0).run()
        return how == _WHOLE and end == len(line)

    def _next(self) -> bool:
        """Take the next event, or what is between two; False when more of the text is needed for that."""
        if self.mode == SEQUENCE:
            return self._next_in_record()
        if self.mode in {ELEMENT, OWED}:
            return self._next_element()
        if self.mode == AFTER_ARRAY:  # which goes on after a comma: one bracket too many has closed it
            byte = self.data[self.at]
            self.mode = {ord("["): ELEMENT, ord(","): OWED}.get(byte, TOP)
            if self.mode != TOP:
                self._go_to(self.at + 1, fresh=False)
            return True
        return self.next_text()

    def _next_in_record(self) -> bool:
        """Take the next text of a sequence, of which none reaches over a separator."""
        if self.data[self.at] == _SEPARATOR:
            self._go_to(self.at + 1, fresh=True)
            return True
        record, start = self._record(), self.record_start
        record.at, record.fresh, record.position = self.at - start, self.fresh, self.position
        record.line, record.byte, record.spent = self.line, self.byte + start, self.spent
        found = record.next_text()
        self.at, self.fresh, self.position = start + record.at, record.fresh, record.position
        self.line, self.spent = record.line, record.spent
        self.starts.extend(start + each for each in record.starts)
        self.ends.extend(start + each for each in record.ends)
        self.positions.extend(record.positions)
        record.starts, record.ends, record.positions = array("Q"), array("Q"), array("Q")
        return found

    def _record(self) -> _Scanner:
        if self.record is not None and self.at < self.record_end:
            return self.record
        end = self.data.find(b"\x1e", self.at)
        final = self.final or end >= 0
        self.record_start, self.record_end = self.at, len(self.data) if end < 0 else end
        text = self.data[self.record_start : self.record_end]
        self.record = _Scanner(text, PartingState(SEQUENCE), final=final, most=self.most)
        return self.record

    def _next_element(self) -> bool:
        byte = self.data[self.at]
        if byte == ord(",") or (byte == ord("]") and self.mode == OWED):
            self._add(self.at, self.at)
        if byte in b",]":
            self.mode = OWED if byte == ord(",") else AFTER_ARRAY
            self._go_to(self.at + 1, fresh=False)
            return True
        how, end, then = self._scan(in_array=True)
        if how == _UNCERTAIN:
            return False
        self._add(self.at, end, broken_off=how == _BROKEN_OFF)
        self._go_to(then, fresh=how == _BROKEN_OFF)
        if how in {_CLOSED, _REST} or (how == _UNCLOSED and self.data[self.ends[-1] - 1] != ord("}")):
            self.mode = AFTER_ARRAY
        else:
            self.mode = OWED if how == _COMMA else ELEMENT
        return True

    def next_text(self) -> bool:
        """Take the next event where none is in an array; False when more of the text is needed for that."""
        data, start = self.data, self.at
        if data[start] != ord("{"):
            end = data.find(b"\n", start)
            if end < 0 and not self.final:
                return False
            end = len(data) if end < 0 else end
            self._add(start, end)
            self._go_to(end, fresh=False)
            return True
        spent = self.spent
        how, end, then = self._scan(in_array=False)
        in_line = data.find(b"\n", start, end) < 0
        if how == _BROKEN_OFF and self.mode == TOP and not in_line:
            what, until, _, _ = _EventScan(data, then, in_array=False, final=self.final, credit=self._credit).run()
            how = _UNCERTAIN if what == _UNCERTAIN else how
            is_line = what == _WHOLE and data.find(b"\n", then, until) < 0
            if is_line or what == _BROKEN_OFF:  # then these are lines, each a bad one
                self._add_lines(then)
                return True
        if how == _WHOLE and self.mode == TOP and in_line and self.fresh:
            after = _after(data, end)
            if after is None and not self.final:
                how = _UNCERTAIN
            elif after != ord("{"):
                self.mode = LINES
                return True
        if how == _UNCERTAIN:
            self.spent = spent
            return False
        if how == _WHOLE and self.mode == TOP and (self.fresh or not in_line):
            self.mode = TEXTS
        self._add(start, end, broken_off=how == _BROKEN_OFF)
        self._go_to(then, fresh=how == _BROKEN_OFF)
        return True

    def _add_lines(self, until: int) -> None:
        self._skip_blank()
        while self.at < until:
            feed = self.data.find(b"\n", self.at, until)
            end = until if feed < 0 else feed
            self._add(self.at, end)
            self._go_to(end, fresh=False)
            self._skip_blank()

    @property
    def _credit(self) -> int:
        """How many bytes may be read again, less the place in the text where they begin."""
        return _BACK_BYTES + self.byte - self.spent

    def _scan(self, *, in_array: bool) -> tuple[int, int, int]:
        """Scan the event that begins here, and see that going back in it is paid for."""
        scan = _EventScan(self.data, self.at, in_array=in_array, final=self.final, credit=self._credit)
        how, end, then, again = scan.run()
        self.spent += again
        return how, end, then


class _EventScan:
    """The scan of one event, an element of an array or a text at the top, over strings and brackets.

    `run` returns how it ends, where, where what follows begins, and how many bytes of it are read again then.
    """

    def __init__(self, data: bytes, start: int, *, in_array: bool, final: bool, credit: int) -> None:
        self.data = data
        self.start = start
        self.in_array = in_array
        self.final = final
        self.credit = credit
        self.at = start
        self.open = bytearray()
        self.due = True  # a value may stand here
        self.fresh = False  # nothing but spaces since the beginning of a line
        self.object_end = -1  # of an object that is all of an element, so far
        self.inner = -1  # the first object in it that begins a line: the next event, if this one is broken off

    def run(self) -> tuple[int, int, int, int]:
        data = self.data
        while self.at < len(data):
            byte = data[self.at]
            if byte == 0x0A:
                self.fresh = True
                self.at += 1
            elif byte in _SPACE:
                self.at = _spaces.match(data, self.at).end()  # type: ignore[union-attr]
            elif byte == 0xEF and self.fresh and not self.final and len(data) - self.at < len(BOM):
                break
            elif self.fresh and data.startswith(BOM, self.at):
                self.at += len(BOM)
            else:
                found = self._take(byte)
                if found is not None:
                    return found
        size = len(data)
        if not self.final:
            return _UNCERTAIN, size, size, 0
        how = _UNCLOSED if self.in_array and not self.open else _REST
        if how == _UNCLOSED and self.object_end >= 0:
            return how, size, size, 0
        return self._go_back(size) or (how, size, size, 0)

    def _take(self, byte: int) -> tuple[int, int, int, int] | None:
        run = _run.match(self.data, self.at) if self.open and not (self.fresh and byte == ord("{")) else None
        if run is not None:
            last = run[0].rstrip(_SPACE)[-1]
            self._step(run.end(), due=last == 0x3A or (last == 0x2C and self.open[-1] == ord("[")))
            return None
        if byte == 0x22:
            return self._take_string()
        if byte in b"{[":
            return self._take_open(byte)
        if byte in b"}]":
            return self._take_close(byte)
        if byte == 0x2C and not self.open and self.in_array:
            return _COMMA, self.at, self.at + 1, 0
        if byte == 0x2C:
            self._step(self.at + 1, due=bool(self.open) and self.open[-1] == ord("["))
        elif byte == 0x3A:
            self._step(self.at + 1, due=True)
        else:
            self._step(_other.match(self.data, self.at).end(), due=False)  # type: ignore[union-attr]
        return None

    def _step(self, at: int, *, due: bool) -> None:
        self.at = at
        self.due = due
        self.fresh = False
        self.object_end = -1

    def _take_string(self) -> tuple[int, int, int, int] | None:
        """Pass over a string. One that reaches over a line ends with the line, unless what follows shows its end."""
        data, size = self.data, len(self.data)
        string = _string.match(data, self.at)
        end = size if string is None else string.end()
        feed = data.find(b"\n", self.at + 1, end)
        if (string is None or (feed >= 0 and end == size)) and not self.final:
            return _UNCERTAIN, size, size, 0
        if feed >= 0 and (end == size or data[end] not in b",:}] \t\r\n"):
            self._step(feed, due=False)
        elif string is None:
            return self._go_back(size) or (_REST, size, size, 0)
        else:
            self._step(end, due=False)
        return None

    def _take_open(self, byte: int) -> tuple[int, int, int, int] | None:
        at = self.at
        if byte == ord("{") and at > self.start:
            if self.object_end >= 0 and not self.open:  # a comma is missing
                return _BROKEN_OFF, self.object_end, at, 0
            if self.fresh and not self.due:
                return self._go_back(at) or (_BROKEN_OFF, at, at, 0)
            if self.fresh and self.inner < 0:
                self.inner = at
        flat = _flat.match(self.data, at) if byte == ord("{") else None
        if flat is None:
            self.open.append(byte)
            self._step(at + 1, due=byte == ord("["))
            return None
        return self._end_value(byte, flat.end())

    def _take_close(self, byte: int) -> tuple[int, int, int, int] | None:
        if not self.open and byte == ord("]"):
            return _CLOSED, self.at, self.at + 1, 0
        if not self.open or self.open[-1] != _CLOSES[byte]:
            return self._resume()
        return self._end_value(self.open.pop(), self.at + 1)

    def _end_value(self, opened: int, end: int) -> tuple[int, int, int, int] | None:
        self._step(end, due=False)
        if not self.open:
            if not self.in_array:
                return _WHOLE, end, end, 0
            if opened == ord("{"):
                self.object_end = end
        return None

    def _resume(self) -> tuple[int, int, int, int]:
        """Find where events go on after brackets that do not match: at the next object that begins a line."""
        size = len(self.data)
        for found in _lines.finditer(self.data, self.at):
            if found[1] is not None:
                return self._go_back(found.end() - 1) or (_BROKEN_OFF, found.start(1), found.start(1), 0)
        if not self.final:
            return _UNCERTAIN, size, size, 0
        return self._go_back(size) or (_REST, size, size, 0)

    def _go_back(self, to: int) -> tuple[int, int, int, int] | None:
        """Break off at the first object that began a line, if reading again what was read up to `to` is paid for."""
        if self.inner < 0 or to - self.inner > self.credit + self.inner:
            return None
        return _BROKEN_OFF, self.inner, self.inner, to - self.inner
