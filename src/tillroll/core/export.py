"""Export: events of the journal as rows of NDJSON or CSV, each with its name, so that an import knows every repeat.

The name stands in the field `_name`: `id:ID`, or `key:`, `message:` or `file:`, a position, `:` and the value, as the
event's source is a key, a queue's message or an import. An event that nothing names is named by where it stands in the
journal, under a token that the store drew for that commit: `file:POSITION:journal:TOKEN`.
"""

from __future__ import annotations

from array import array
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tillroll.core import kernel
from tillroll.core.batch import NameKind, Run, Source
from tillroll.core.columns import column_of
from tillroll.core.kept import ABSENT, Keep
from tillroll.core.limits import METHODS
from tillroll.core.rows import Part
from tillroll.errors import FieldsError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tillroll.core.batch import Batch
    from tillroll.core.rows import RowPart

NAME: Final = "_name"
COLUMNS: Final = ("date", "amount", "paymentMethod", "merchantId", "id")
JOURNAL: Final = "journal:"  # what the source begins with of an event that was named by its journal
_DAY_S: Final = 86_400
_METHODS: Final = kernel.join_strings(METHODS)
_METHODS_JSON: Final = kernel.quote(*_METHODS, False)


class Chosen(NamedTuple):
    """Which events are exported: of a half-open range of seconds since 1970, and of some merchants; None for all."""

    start: int | None = None
    stop: int | None = None
    merchants: frozenset[str] | None = None

    def may_hold(self, low: int, high: int) -> bool:
        """Tell whether any event from one second to another can be meant."""
        return (self.start is None or high >= self.start) and (self.stop is None or low < self.stop)

    def of(self, batch: Batch) -> Batch:
        """Return the events of a batch that are meant."""
        mask = b"\1" * len(batch)
        if self.start is not None or self.stop is not None:
            low, high = kernel.bounds(batch.seconds) if len(batch) else (0, 0)
            start = low if self.start is None else self.start
            stop = high + 1 if self.stop is None else self.stop
            if low < start or high >= stop:
                mask = bytes(start <= second < stop for second in batch.seconds)
        if self.merchants is not None:
            wanted = bytes(name in self.merchants for name in batch.merchant_names)
            mask = bytes(one and wanted[merchant] for one, merchant in zip(mask, batch.merchants, strict=True))
        return batch if 0 not in mask else batch.masked(mask)


ALL_EVENTS: Final = Chosen()


def end_of(end: int, after: int, upto: int | None) -> int:
    """Return up to which position a journal is read that ends at one, after another.

    Raises:
        StoreError: it does not go so far.
    """
    upto = end if upto is None else upto
    if max(after, upto) > end:
        problem = f"the journal ends at position {end:,}: there is no position {max(after, upto):,}"
        raise StoreError(problem, "Use a position from this store; after a restore start again from 0")
    return upto


def named(batch: Batch, token: str, first: int) -> Batch:
    """Return a batch in which the journal names what nothing else does, by numbers from `first` on."""
    if all(run.source.kind is not NameKind.NONE for run in batch.runs):
        return batch
    source = Source(NameKind.FILE, JOURNAL + token)
    runs, start = [], 0
    positions = batch.positions[:]
    for run in batch.runs:
        stop = start + run.events
        if run.source.kind is NameKind.NONE:
            positions[start:stop] = array("Q", range(first + start, first + stop))
            run = Run(source, run.events)  # noqa: PLW2901
        runs.append(run)
        start = stop
    batch.runs, batch.positions = runs, positions
    return batch


def names_of(batch: Batch) -> tuple[array[int], bytes]:
    """Return each event's name as a string column."""
    return kernel.name_texts(*batch.name_columns())


def ndjson(batch: Batch) -> Iterator[bytes]:
    """Return a line of JSON for each event, some at a time, with its kept fields, which `tillroll import` takes."""
    ids, name = _names(batch, csv=False)
    parts: list[RowPart] = [
        (b'{"date":"', Part.INSTANT, batch.seconds, batch.nanos),
        (b'","amount":', Part.NUMBER, batch.amounts),
        (b',"paymentMethod":', Part.CHOICE, batch.methods, *_METHODS_JSON),
        (b',"merchantId":', Part.CHOICE, batch.merchants, *kernel.quote(batch.name_ends, batch.name_bytes, False)),
    ]
    if batch.id_ends:
        parts.append((b',"id":', Part.TEXT, *ids))
    if batch.kept:
        parts += _kept_members(batch)
    parts += [(b',"_name":', Part.NAME, *name), (b"}\n", Part.LITERAL)]
    return kernel.Rows(parts, len(batch))


def _names(batch: Batch, *, csv: bool) -> tuple[tuple[array[int], bytes], tuple[Any, ...]]:
    """Return the ids and what a NAME takes, both quoted."""
    id_ends, id_bytes, positions, events, kinds, ends, heap = batch.name_columns()
    ids = kernel.quote(id_ends, id_bytes, csv)
    return ids, (*ids, positions, events, kinds, *kernel.quote(ends, heap, csv))


def _kept_members(batch: Batch) -> list[RowPart]:
    """Return the parts of the kept fields: one for each member of the event, which may be an object of several."""
    members: dict[str, list[str]] = {}
    for name, path in zip(batch.kept, Keep(batch.kept).paths, strict=True):
        members.setdefault(path[0], []).append(name)
    return [_member(batch, fields) for fields in members.values()]


def _member(batch: Batch, fields: list[str]) -> RowPart:
    columns = [batch.kept[name] for name in fields]
    values = [column.values for column in columns]
    numbers: dict[tuple[int, ...], int] = {}  # of the combinations of values that there are
    if len(columns) == 1:
        codes = columns[0].indexes
        numbers = {(index,): index for index in range(len(values[0]))}
    else:
        each = zip(*(column.indexes for column in columns), strict=True)
        codes = array("I", [numbers.setdefault(combination, len(numbers)) for combination in each])
    keep = Keep(fields)
    texts = [
        keep.add_to(b"{}", [one[index] for one, index in zip(values, combination, strict=True)])[1:-1]
        for combination in numbers
    ]
    return b"", Part.CHOICE, codes, *column_of(texts)


def kept_values(batch: Batch, fields: Sequence[str]) -> list[tuple[array[int], list[str | None]]]:
    """Return for each field the events' codes (I) and the values they stand for, as spelled; None is absent.

    Raises:
        FieldsError: a field was kept with an event and is none of these.
    """
    left = next((name for name in batch.kept if name not in fields and set(batch.kept[name].values) - {ABSENT}), None)
    if left is not None:
        raise FieldsError(left)
    columns = [batch.kept_column(name) for name in fields]
    return [(each.indexes, [None if value == ABSENT else value for value in each.values]) for each in columns]


def columns_of(fields: Sequence[str]) -> list[str]:
    """Return the names of all columns, with those of kept fields."""
    return [*COLUMNS, *fields, NAME]


def csv_head(fields: Sequence[str] = ()) -> bytes:
    """Return the first line of CSV."""
    names = kernel.split_strings(*kernel.quote(*kernel.join_strings(columns_of(fields)), True))
    return ",".join(names).encode() + b"\r\n"


def csv(batch: Batch, fields: Sequence[str] = ()) -> Iterator[bytes]:
    """Return a record of CSV for each event (RFC 4180), some at a time, kept fields as they are spelled.

    Raises:
        FieldsError: a field was kept with an event and has no column.
    """
    merchants = kernel.quote(batch.name_ends, batch.name_bytes, True)
    ids, name = _names(batch, csv=True)
    parts: list[RowPart] = [
        (b"", Part.INSTANT, batch.seconds, batch.nanos),
        (b",", Part.NUMBER, batch.amounts),
        (b",", Part.CHOICE, batch.methods, *_METHODS),
        (b",", Part.CHOICE, batch.merchants, *merchants),
        (b",", Part.LITERAL),
    ]
    if batch.id_ends:
        parts.append((b"", Part.TEXT, *ids))
    for codes, values in kept_values(batch, fields):
        texts = kernel.quote(*kernel.join_strings([value or "" for value in values]), True)
        parts += [(b",", Part.LITERAL), (b"", Part.CHOICE, codes, *texts)]
    parts += [(b",", Part.LITERAL), (b"", Part.NAME, *name), (b"\r\n", Part.LITERAL)]
    return kernel.Rows(parts, len(batch))


def by_day(batch: Batch) -> dict[int, Batch]:
    """Return the events of each day, counted from 1970, in their order."""
    if not len(batch):
        return {}
    first, windows, _ = kernel.windows(batch.seconds, _DAY_S)
    places: dict[int, array[int]] = {}
    start = 0
    for window, some in groupby(windows):
        stop = start + sum(1 for _ in some)
        places.setdefault(first + window, array("I")).extend(range(start, stop))
        start = stop
    if len(places) == 1:
        return dict.fromkeys(places, batch)
    return {day: batch.select(indexes) for day, indexes in places.items()}
