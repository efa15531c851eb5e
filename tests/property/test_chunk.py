"""Journal chunks: any batch comes back, and no damage goes unnoticed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.checks import check_chunk_bytes, check_chunk_columns, check_damage, check_round_trip

from tillroll.core import chunk
from tillroll.core.batch import UNNAMED, Batch, BatchBuilder, Event, NameKind, Source
from tillroll.core.kept import ABSENT, UNKEPT

_names = st.one_of(st.sampled_from(["m", "x"]), st.uuids().map(str), st.text(min_size=1, max_size=20))
_events = st.builds(
    Event,
    st.one_of(st.integers(1_322_900_000, 1_322_990_000), st.integers(-62_135_596_800, 253_402_300_799)),
    st.one_of(st.just(0), st.integers(0, 10**9 - 1)),
    st.one_of(st.integers(0, 10**5), st.integers(0, 10**12)),
    st.integers(0, 2),
    _names,
    st.one_of(st.just(""), _names),
)
_sources = st.one_of(
    st.just(UNNAMED),
    st.builds(
        Source, st.sampled_from([NameKind.KEY, NameKind.MESSAGE, NameKind.FILE]), st.sampled_from(["a", "b", "é"])
    ),
)


_FIELDS = ("country", "n", '"a.b"')
_values = st.one_of(st.sampled_from([ABSENT, UNKEPT, "SE", "1", '"1"', "null"]), st.text(min_size=1, max_size=9))
_kept = st.tuples(_values, st.sampled_from([ABSENT, UNKEPT]), st.just(ABSENT))


def _build(fields: int, rows: list[tuple[Event, Source, int, tuple[str, ...]]]) -> Batch:
    builder = BatchBuilder(_FIELDS[:fields])
    for event, source, position, kept in rows:
        builder.add(event, source, position, kept)
    return builder.build()


batches = st.builds(
    _build,
    st.integers(0, 3),
    st.lists(
        st.tuples(_events, _sources, st.one_of(st.integers(0, 9), st.integers(0, 2**64 - 1)), _kept),
        min_size=1,
        max_size=30,
    ),
)


@given(batches)
def test_any_batch_comes_back(batch: Batch) -> None:
    check_round_trip(batch)


@given(batches, st.integers(0, 10**6), st.integers(1, 255))
def test_damage_is_noticed(batch: Batch, at: int, change: int) -> None:
    check_damage(chunk.encode(batch), at, change)


@given(batches, st.integers(0, 10**6), st.binary(max_size=4))
def test_columns_with_a_right_checksum_are_a_batch_or_refused(batch: Batch, at: int, change: bytes) -> None:
    raw = bytearray(chunk._encode_columns(batch) + (chunk._encode_kept(batch) if batch.kept else b""))
    at %= len(raw)
    raw[at : at + len(change)] = change
    check_chunk_columns(len(batch), bytes(raw))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_batch_or_refused(data: bytes) -> None:
    check_chunk_bytes(data)
    check_chunk_bytes(b"TRC1" + data)
    check_chunk_bytes(b"TRC2" + data)
    check_chunk_bytes(b"TRC3" + data)


@given(batches, st.data())
def test_any_slice_has_the_events_and_names_of_its_batch(batch: Batch, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(batch)))
    stop = data.draw(st.integers(start, len(batch)))
    part = batch.slice(start, stop)
    assert list(part.events()) == list(batch.events())[start:stop]
    assert list(part.identities()) == list(batch.identities())[start:stop]
    assert [part.kept_of(index) for index in range(len(part))] == [batch.kept_of(index) for index in range(start, stop)]
    for name in batch.kept:
        before = [index - start for index in batch.unkept.get(name, ()) if start <= index < stop]
        assert list(part.unkept.get(name, ())) == before
