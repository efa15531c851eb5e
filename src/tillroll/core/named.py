"""What an import takes from an export: each event's own name, in place of the import's name and the line. Pure."""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias

from tillroll.core import kernel
from tillroll.core.accept import Came, Rejection, Stretch
from tillroll.core.batch import UNNAMED, NameKind, Run, Source
from tillroll.core.columns import column_of
from tillroll.core.decode import Reason
from tillroll.core.export import NAME
from tillroll.core.grammar import members
from tillroll.core.naming import NOT_SAID
from tillroll.core.text import shown

if TYPE_CHECKING:
    from tillroll.core.batch import Batch
    from tillroll.core.csv_events import Column
    from tillroll.core.naming import NamedRuns

_Names: TypeAlias = "tuple[array[int], bytes]"
_REMEDY: Final = "it is what `tillroll events` writes: id:ID of the event's own id, or KIND:POSITION:VALUE"


def with_names(stretch: Stretch, column: Column | None = None) -> Stretch:
    """Return a stretch in which each event is named as its `_name` says; one that says nothing keeps the name it has.

    Of CSV the names are in a column. An event whose `_name` is none becomes a rejection.
    """
    batch = stretch.batch
    if not len(batch) or (column is None and (stretch.plain or not kernel.may_have_names(stretch.text))):
        return stretch
    came = Came(stretch.source, batch.positions)
    names, wrong = _names_in(stretch, column)
    runs = kernel.sources_of_names(*names, batch.id_ends, batch.id_bytes)
    for index in runs[-1]:
        wrong.setdefault(index, _invalid(kernel.split_strings(*kernel.pick_strings(*names, array("I", [index])))[0]))
    if wrong:
        stretch, names = _without(stretch, names, wrong)
        came = Came(came.source, stretch.batch.positions)
        runs = kernel.sources_of_names(*names, stretch.batch.id_ends, stretch.batch.id_bytes)
    _name(stretch.batch, runs, came)
    return stretch._replace(came=came)


def _names_in(stretch: Stretch, column: Column | None) -> tuple[_Names, dict[int, Reason]]:
    """Return the names of a stretch's events, and by their index why those are wrong that are no texts."""
    positions = stretch.batch.positions
    if column is not None:
        records = (record for _, _, record in stretch.find(positions))
        return column_of([column.of(record).encode() for record in records]), {}
    names, doubtful = column_of([b""] * len(positions)), array("I", range(len(positions)))
    if stretch.positions is None:
        ends, heap, doubtful = kernel.names_in_lines(stretch.text, stretch.first, positions)
        names = ends, heap
    if not doubtful:
        return names, {}
    texts = [text.encode() for text in kernel.split_strings(*names)]
    wrong = {}
    events = stretch.find([positions[index] for index in doubtful])
    for index, (_, _, event) in zip(doubtful, events, strict=True):
        found = name_in(event)
        if isinstance(found, Reason):
            wrong[index] = found
        else:
            texts[index] = found.encode()
    return column_of(texts), wrong


def name_in(event: bytes) -> str | Reason:
    """Return the `_name` that an event has, a JSON object; "" where it has none; or why it is no text."""
    values = [value for _, value in members(event.decode(), (NAME,))]
    if len(values) > 1:
        return Reason("duplicate_field", NAME, f"{NAME} is given {len(values)} times")
    if not values or values[0] is None:
        return ""
    (value,) = values
    try:
        if type(value) is str and value.encode():
            return value
    except UnicodeEncodeError:  # half a surrogate pair
        pass
    return _invalid(str(value))


def source_of(name: str, own: str) -> tuple[Source, int] | None:
    """Return what a name says of an event with this id, or with "" for none: source and position, or None."""
    ids = column_of([own.encode()]) if own else (array("I"), b"")
    _, kinds, ends, heap, positions, invalid = kernel.sources_of_names(*column_of([name.encode()]), *ids)
    if invalid:
        return None
    return _source(kinds[0], kernel.split_strings(ends, heap)[0]), positions[0]


def _invalid(name: str) -> Reason:
    return Reason("invalid_name", NAME, f"{shown(name)} is not a valid event name: {_REMEDY}")


def _without(stretch: Stretch, names: _Names, wrong: dict[int, Reason]) -> tuple[Stretch, _Names]:
    """Return a stretch with some events as rejections, and the names of those that are left."""
    batch, source = stretch.batch, stretch.source
    refused = dict(sorted(wrong.items()))
    places = stretch.find([batch.positions[index] for index in refused])
    found = [
        Rejection(source, position, event, reason, byte)
        for (position, byte, event), reason in zip(places, refused.values(), strict=True)
    ]
    mask = bytearray(b"\1" * len(batch))
    for index in refused:
        mask[index] = 0
    rejections = sorted([*stretch.rejections, *found], key=lambda rejection: rejection.position)
    left = kernel.pick_strings(*names, kernel.indexes_of(mask))
    return stretch._replace(batch=batch.masked(mask), rejections=rejections), left


def _name(batch: Batch, runs: NamedRuns, came: Came) -> None:
    """Give events the sources and positions that their names say, and those without a name what they came with."""
    events, kinds, ends, heap, positions, _ = runs
    values = kernel.split_strings(ends, heap)
    stops = accumulate(events)
    batch.runs = []
    for kind, value, count, stop in zip(kinds, values, events, stops, strict=True):
        if kind == NOT_SAID:
            positions[stop - count : stop] = came.positions[stop - count : stop]
        batch.runs.append(Run(came.source if kind == NOT_SAID else _source(kind, value), count))
    batch.positions = positions


def _source(kind: int, value: str) -> Source:
    return Source(NameKind(kind), value) if kind else UNNAMED
