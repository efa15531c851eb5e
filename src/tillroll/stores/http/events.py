"""Lines of `GET /events` as batches, from which the same lines can be made again."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from tillroll.core import limits
from tillroll.core.accept import Reader
from tillroll.core.batch import NameKind, Source
from tillroll.core.body import Parts
from tillroll.core.kept import OWN_FIELDS, Keep, path_text
from tillroll.core.named import with_names
from tillroll.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tillroll.core.batch import Batch

_SOURCE: Final = Source(NameKind.FILE, "of a server")  # every line has a name of its own
_LATEST_S: Final = 4e11  # what is journaled is right, whatever this machine's clock says
_Path = tuple[str, ...]
_T = TypeVar("_T")


def batches(text: bytes) -> Iterator[Batch]:
    """Yield the events of some whole lines, in their order: a batch for lines whose kept fields have one order.

    Raises:
        ServerError: a line is no event.
    """
    start = 0
    for end, fields in _stretches(text):
        yield _batch(text[start:end], Keep(fields))
        start = end


def _batch(lines: bytes, keep: Keep) -> Batch:
    nothing = array("Q")
    parts = Parts(nothing, nothing, nothing, 0, 0, len(lines), 0)
    (stretch,) = map(with_names, Reader(_SOURCE, keep).read(lines, parts, lambda: _LATEST_S))
    if stretch.rejections:
        wrong = stretch.rejections[0]
        raise ServerError(f"the server sent an invalid event: {wrong.reason.message}", 4)
    return stretch.batch


def _stretches(text: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield where lines end that can be one batch, and the names of their kept fields in order."""
    order = _FieldOrder()
    start = at = 0
    for line in text.splitlines(keepends=True):
        found = list(_leaves(_decode(line)))
        if found and not order.take(found):
            if at > start:
                yield at, order.names
            order, start = _FieldOrder(), at
            order.take(found)
        at += len(line)
    if at > start:
        yield at, order.names


def _decode(line: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServerError(f"the server sent an invalid event: {error}", 4) from error


def _leaves(event: dict[str, Any]) -> Iterator[_Path]:
    if event.keys() <= OWN_FIELDS:
        return
    for name, value in event.items():
        if name not in OWN_FIELDS:
            yield from _below((name,), value)


def _below(path: _Path, value: Any) -> Iterator[_Path]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _below((*path, name), inner)
    else:
        yield path


class _FieldOrder:
    """The order of kept fields in lines: of the members of events, and of the fields within each member."""

    def __init__(self) -> None:
        self._members: list[str] = []
        self._fields: dict[str, list[_Path]] = {}

    @property
    def names(self) -> list[str]:
        """The fields' names, in order."""
        return [path_text(path) for member in self._members for path in self._fields[member]]

    def take(self, found: list[_Path]) -> bool:
        """Put the fields of a line in; return False, and do nothing, when it has them in another order."""
        members = _merged(self._members, list(dict.fromkeys(path[0] for path in found)))
        if members is None:
            return False
        fields = dict(self._fields)
        for member in members:
            merged = _merged(fields.get(member, []), [path for path in found if path[0] == member])
            if merged is None:
                return False
            fields[member] = merged
        if sum(map(len, fields.values())) > limits.KEPT_FIELDS_MAX:
            return False
        self._members, self._fields = members, fields
        return True


def _merged(known: list[_T], found: list[_T]) -> list[_T] | None:
    """Return a list in which both have their order, None when they contradict each other."""
    merged = known[:]
    bound = len(merged)
    for each in reversed(found):
        at = merged.index(each) if each in merged else None
        if at is None:
            merged.insert(bound, each)
        elif at < bound:
            bound = at
        else:
            return None
    return merged
