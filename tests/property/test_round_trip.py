"""Out and in again: an export gives another store the same reports, names, repeats and fields."""

from __future__ import annotations

import csv
import io
import itertools
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.oracle import REPORTS

from tillroll.core import export
from tillroll.core.batch import UNNAMED, BatchBuilder, Event, NameKind, Source
from tillroll.core.kept import ABSENT, Keep, json_of, spell
from tillroll.core.query import Query
from tillroll.export.parquet import EventTables, EventWriter
from tillroll.ingest.field_watch import FieldWatch
from tillroll.ingest.files import Input, Tally, import_events, read_ahead
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from tillroll.core.batch import Batch

KEEP = ("country", "customer.segment", "customer.tier", '"a.b"')
NOON = 1_322_913_600
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6).filter(
    lambda text: text.strip()
)
odd = st.sampled_from(
    ['"', "\\", "a,b", "a\tb", "_name", ',"_name":"key:0:k"', "é", "=1", "\u2028x", "id:x", "1", "null", ""]
)
values = st.none() | st.booleans() | st.integers(-(10**18), 10**18) | texts | odd
spelled = st.just(ABSENT) | values.map(spell).filter(lambda text: text is not None)
ids = st.just("") | texts.filter(lambda text: "\t" not in text)
merchants = st.sampled_from(["m1", 'm "2"', "m,3", "é"])
years = st.sampled_from([NOON, NOON + 40, NOON + 86_400, 1, -62_135_596_800, -1])
events = st.builds(
    Event,
    years,
    st.sampled_from([0, 5 * 10**8, 1]),
    st.integers(0, 3) | st.just(10**12),
    st.integers(0, 2),
    merchants,
    ids,
)
sources = st.one_of(
    st.just(UNNAMED),
    st.builds(Source, st.sampled_from([NameKind.KEY, NameKind.MESSAGE, NameKind.FILE]), texts | odd.filter(bool)),
)
bodies = st.tuples(
    sources,
    st.integers(0, 2**40),
    st.lists(st.tuples(events, st.tuples(*[spelled] * len(KEEP))), min_size=1, max_size=4),
)


def batch_of(some: list[tuple[Source, int, list[tuple[Event, tuple[str, ...]]]]]) -> Batch:
    builder = BatchBuilder(KEEP)
    for source, first, body in some:
        for position, (event, kept) in enumerate(body, first):
            builder.add(event, source, position, kept)
    return builder.build()


def take(store: SqliteStore, content: bytes) -> Tally:
    """Import a file, of a name that is new every time."""
    raw: Any = io.BufferedReader(io.BytesIO(content))
    source = Source(NameKind.FILE, f"import {next(_numbers)}")
    with read_ahead(Input("it", raw), source, lambda: 2e9, FieldWatch(Keep(KEEP))) as stretches:
        return import_events(store, stretches, lambda: 2e9)


_numbers = itertools.count()


def ndjson(store: SqliteStore) -> bytes:
    return b"".join(itertools.chain.from_iterable(export.ndjson(part.batch) for part in store.read()))


def as_csv(store: SqliteStore) -> bytes:
    return export.csv_head(KEEP) + b"".join(
        itertools.chain.from_iterable(export.csv(part.batch, KEEP) for part in store.read())
    )


def reports(store: SqliteStore) -> list[Any]:
    return [store.page(Query(report=report, limit=10_000)).aggregates for report in REPORTS]


def parquet_rows(store: SqliteStore) -> list[dict[str, str]]:
    """The rows of Parquet as those of CSV would be."""
    file = io.BytesIO()
    writer = EventWriter(file, EventTables(KEEP))
    for part in store.read():
        writer.write(part.batch)
    writer.close()
    rows = []
    for row in pyarrow.parquet.read_table(io.BytesIO(file.getvalue())).to_pylist():
        moment, nanos = row.pop("date"), row.pop("date_nanos")
        assert moment.microsecond == nanos // 1_000
        date = (moment - timedelta(microseconds=moment.microsecond)).replace(tzinfo=None).isoformat()
        fraction = f".{nanos:09}".rstrip("0") if nanos else ""
        rows.append(
            {"date": f"{date}{fraction}Z"} | {name: "" if value is None else str(value) for name, value in row.items()}
        )
    return rows


@given(st.lists(st.lists(bodies, min_size=1, max_size=3), min_size=1, max_size=3))
@settings(max_examples=30, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # to shrink takes minutes
def test_an_export_is_what_came_in(groups: list[list[tuple[Source, int, list[tuple[Event, tuple[str, ...]]]]]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        first, second, third = (SqliteStore(Path(directory) / name) for name in "abc")
        for group in groups:
            first.journal(batch_of(group))
        lines, rows = ndjson(first), as_csv(first)
        count = lines.count(b"\n")
        for store, content in ((second, lines), (third, rows)):
            tally = take(store, content)
            assert (tally.counts.accepted, tally.counts.events) == (count, count), tally.listed
            assert ndjson(store) == lines
            assert reports(store) == reports(first)
            assert take(store, content).counts.duplicates == count
            assert take(first, content).counts.duplicates == count
            for group in groups:
                named = batch_of([body for body in group if body[0] is not UNNAMED])
                if len(named):
                    assert store.journal(named) == first.journal(named)
        check_values(lines, rows, parquet_rows(first))
        for store in (first, second, third):
            store.close()


def check_values(lines: bytes, rows: bytes, columns: list[dict[str, str]]) -> None:
    """See that all three forms have the same, by plain readers of each."""
    read = list(csv.DictReader(io.StringIO(rows.decode(), newline=""), strict=True))
    assert read == columns
    for line, row in zip(map(json.loads, lines.splitlines()), read, strict=True):
        assert [row["date"], row["merchantId"], row["_name"]] == [line["date"], line["merchantId"], line["_name"]]
        assert (row["amount"], row["id"]) == (str(line["amount"]), line.get("id", ""))
        customer = line.get("customer", {})
        kept = [line.get("country", ...), customer.get("segment", ...), customer.get("tier", ...), line.get("a.b", ...)]
        for value, name in zip(kept, KEEP, strict=True):
            text = json_of(row[name]) if row[name] else None
            assert (... if text is None else json.loads(text)) == value
