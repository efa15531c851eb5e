"""Export: events of the journal as rows of NDJSON or CSV, each with its name, so that an import knows every repeat.

The name stands in the field `_name`: `id:ID`, or `key:`, `message:` or `file:`, a position, `:` and the value, as the
event's source is a key, a queue's message or an import. An event that nothing names is named by where it stands in the
journal, under a token that the store drew for that commit: `file:POSITION:journal:TOKEN`.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

from tillroll.core import kernel
from tillroll.core.batch import NameKind, Run, Source
from tillroll.core.limits import METHODS
from tillroll.core.rows import Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from tillroll.core.batch import Batch
    from tillroll.core.rows import RowPart

Format = Literal["ndjson", "csv"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
NAME: Final = "_name"
COLUMNS: Final = ("date", "amount", "paymentMethod", "merchantId", "id", NAME)
JOURNAL: Final = "journal:"  # what the source begins with of an event that was named by its journal
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
    return kernel.name_texts(
        batch.id_ends,
        batch.id_bytes,
        batch.positions,
        array("Q", [run.events for run in batch.runs]),
        bytes(run.source.kind for run in batch.runs),
        *kernel.join_strings([run.source.value for run in batch.runs]),
    )


def ndjson(batch: Batch) -> bytes:
    """Return a line of JSON for each event, which `tillroll import` takes."""
    parts: list[RowPart] = [
        (b'{"date":"', Part.INSTANT, batch.seconds, batch.nanos),
        (b'","amount":', Part.NUMBER, batch.amounts),
        (b',"paymentMethod":', Part.CHOICE, batch.methods, *_METHODS_JSON),
        (b',"merchantId":', Part.CHOICE, batch.merchants, *kernel.quote(batch.name_ends, batch.name_bytes, False)),
    ]
    if batch.id_ends:
        parts.append((b',"id":', Part.TEXT, *kernel.quote(batch.id_ends, batch.id_bytes, False)))
    parts += [(b',"_name":', Part.TEXT, *kernel.quote(*names_of(batch), False)), (b"}\n", Part.LITERAL)]
    return kernel.format_rows(parts, len(batch))


def csv_head() -> bytes:
    """Return the first line of CSV."""
    return ",".join(COLUMNS).encode() + b"\r\n"


def csv(batch: Batch) -> bytes:
    """Return a record of CSV for each event (RFC 4180)."""
    merchants = kernel.quote(batch.name_ends, batch.name_bytes, True)
    parts: list[RowPart] = [
        (b"", Part.INSTANT, batch.seconds, batch.nanos),
        (b",", Part.NUMBER, batch.amounts),
        (b",", Part.CHOICE, batch.methods, *_METHODS),
        (b",", Part.CHOICE, batch.merchants, *merchants),
        (b",", Part.LITERAL),
    ]
    if batch.id_ends:
        parts.append((b"", Part.TEXT, *kernel.quote(batch.id_ends, batch.id_bytes, True)))
    parts += [(b",", Part.LITERAL), (b"", Part.TEXT, *kernel.quote(*names_of(batch), True)), (b"\r\n", Part.LITERAL)]
    return kernel.format_rows(parts, len(batch))


ROWS: Final[dict[Format, Callable[[Batch], bytes]]] = {"ndjson": ndjson, "csv": csv}
