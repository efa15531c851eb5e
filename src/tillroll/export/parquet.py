"""Parquet, by pyarrow, which is only imported when it is used: events of the journal, and aggregates, as columns."""

from __future__ import annotations

from array import array
from decimal import Decimal
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from tillroll.core import export
from tillroll.core.limits import METHODS
from tillroll.core.query import dimensions_of, measured
from tillroll.core.report import SEPARATOR
from tillroll.errors import ConfigError, ParquetMissingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO

    from tillroll.core.batch import Batch
    from tillroll.core.query import Aggregate, Query

NANOS: Final = "date_nanos"
AGGREGATE_MEASURES: Final = ("events", "amount")  # unless others are asked for
_ROWS_AT_ONCE: Final = 1 << 17  # of a row group: what a reader takes at once, and what is held here
_MICROS: Final = 1_000_000


def pyarrow() -> Any:
    """Return pyarrow.

    Raises:
        ParquetMissingError: it is not installed.
    """
    try:
        import pyarrow as found  # noqa: PLC0415 only when it is used
        import pyarrow.parquet  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ParquetMissingError(error.name or "pyarrow") from error
    return found


class EventTables:
    """Events as tables of Arrow, all of one schema: the contract's fields, kept fields as they are spelled, `_name`.

    `date` is in microseconds, `date_nanos` the whole fraction of the second.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        """`fields` are the kept ones.

        Raises:
            ParquetMissingError: pyarrow is not installed.
            ConfigError: a field has the name of another column.
        """
        if NANOS in fields:
            raise ConfigError("--keep", f"{NANOS} is a column of its own", "Write NDJSON or CSV")
        self._arrow = pa = pyarrow()
        self._fields = fields
        self._text = pa.dictionary(pa.int32(), pa.string())
        self.schema = pa.schema(
            [
                pa.field("date", pa.timestamp("us", tz="UTC"), nullable=False),
                pa.field(NANOS, pa.int32(), nullable=False),
                pa.field("amount", pa.int64(), nullable=False),
                pa.field("paymentMethod", self._text, nullable=False),
                pa.field("merchantId", self._text, nullable=False),
                pa.field("id", pa.string()),
                *(pa.field(name, self._text) for name in fields),
                pa.field(export.NAME, pa.string(), nullable=False),
            ]
        )

    def of(self, batch: Batch) -> Any:
        """Return the table of a batch.

        Raises:
            FieldsError: a field was kept with an event and has no column.
        """
        pa = self._arrow
        kept = [
            pa.array(values, pa.string()).take(self._numbers(pa.uint32(), codes)).dictionary_encode()
            for codes, values in export.kept_values(batch, self._fields)
        ]
        columns = [
            self._dates(batch),
            self._numbers(pa.int32(), batch.nanos),
            self._numbers(pa.int64(), batch.amounts),
            self._chosen(array("I", batch.methods), pa.array(METHODS, pa.string())),
            self._chosen(batch.merchants, self._strings(batch.name_ends, batch.name_bytes)),
            self._ids(batch),
            *kept,
            self._strings(*export.names_of(batch)),
        ]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def _numbers(self, kind: Any, values: array[int]) -> Any:
        return self._arrow.Array.from_buffers(kind, len(values), [None, self._arrow.py_buffer(values)])

    def _dates(self, batch: Batch) -> Any:
        from pyarrow import compute  # noqa: PLC0415

        whole = compute.multiply(self._numbers(self._arrow.int64(), batch.seconds), _MICROS)
        fraction = compute.divide(self._numbers(self._arrow.int32(), batch.nanos), 1_000)
        return compute.add(whole, fraction).cast(self._arrow.timestamp("us")).cast(self.schema.field("date").type)

    def _strings(self, ends: array[int], heap: bytes) -> Any:
        pa = self._arrow
        if len(heap) >= 1 << 31:
            raise ValueError("the texts of a batch are longer than 2 GiB")
        offsets = array("I", [0])
        offsets.extend(ends)
        return pa.Array.from_buffers(pa.string(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(heap)])

    def _chosen(self, codes: array[int], values: Any) -> Any:
        return self._arrow.DictionaryArray.from_arrays(self._numbers(self._arrow.int32(), codes), values)

    def _ids(self, batch: Batch) -> Any:
        from pyarrow import compute  # noqa: PLC0415

        pa = self._arrow
        if not batch.id_ends:
            return pa.nulls(len(batch), pa.string())
        ids = self._strings(batch.id_ends, batch.id_bytes)
        return compute.if_else(compute.equal(compute.binary_length(ids), 0), pa.scalar(None, pa.string()), ids)


class EventWriter:
    """Writes events to one file, in large row groups."""

    def __init__(self, file: BinaryIO, tables: EventTables) -> None:
        self._tables = tables
        self._file = file
        self._writer = pyarrow().parquet.ParquetWriter(
            _Counted(file), tables.schema, compression="zstd", compression_level=1
        )
        self._waiting: list[Any] = []
        self._rows = 0

    def write(self, batch: Batch) -> None:
        """Write a batch's events."""
        if len(batch):
            self._waiting.append(self._tables.of(batch))
            self._rows += len(batch)
        if self._rows >= _ROWS_AT_ONCE:
            self._flush()

    def close(self) -> None:
        """Write what is left, and end the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            whole = pyarrow().concat_tables(self._waiting).unify_dictionaries().combine_chunks()
            self._writer.write_table(whole, row_group_size=_ROWS_AT_ONCE)
        self._waiting, self._rows = [], 0


def has_parquet() -> bool:
    """Tell whether pyarrow is installed, without importing it."""
    return find_spec("pyarrow") is not None


def write_aggregates(
    file: BinaryIO,
    pages: Iterable[Sequence[Aggregate]],
    measures: Sequence[str] = AGGREGATE_MEASURES,
    split: Query | None = None,
) -> None:
    """Write aggregates to a file: datapoints and measures; amounts in cents, in a column as wide as they may be.

    With the query that they answer as `split` there is a column for each dimension in place of the datapoint.

    Raises:
        ParquetMissingError: pyarrow is not installed.
    """
    pa = pyarrow()
    kinds = {"events": pa.int64(), "amount": pa.decimal128(38), "average": pa.int64()}
    names = ("datapoint",) if split is None else dimensions_of(split)
    prefix = split.report.prefix if split is not None and split.is_whole else ""
    columns = [*((name, pa.string()) for name in names), *((name, kinds[name]) for name in measures)]
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns])
    with pa.parquet.ParquetWriter(_Counted(file), schema, compression="zstd") as writer:
        for page in pages:
            texts = [each.text or each.datapoint for each in page]
            keys = [[text] if split is None else text.removeprefix(prefix).split(SEPARATOR) for text in texts]
            rows = [(*key, *measured(each, measures)) for key, each in zip(keys, page, strict=True)]
            some = zip(*rows, strict=True) if rows else [()] * len(columns)
            arrays = [_cells(pa, each, kind) for each, (_, kind) in zip(some, columns, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _cells(arrow: Any, values: Sequence[Any], kind: Any) -> Any:
    return arrow.array([Decimal(value) for value in values] if arrow.types.is_decimal(kind) else values, kind)


class _Counted:
    """A file to write to that says how far it is: a pipe does not."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = 0

    def write(self, data: Any) -> int:
        self._file.write(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False
