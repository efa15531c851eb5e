"""The journal's chunk."""

from __future__ import annotations

import struct
import zlib
from array import array

import pytest
from tests.batches import batch_of
from tests.fuzz.checks import check_chunk_columns, check_round_trip, columns_in

from tillroll.core import chunk, limits
from tillroll.core.batch import UNNAMED, Batch, BatchBuilder, Event, NameKind, Source
from tillroll.core.kept import ABSENT, UNKEPT

UUID = "1bb53ed1-787b-4543-9def-ea18eef7902e"
EVENTS = [
    Event(1_322_907_330, 0, 4_285, 2, UUID),
    Event(-62_135_596_800, 999_999_999, 10**12, 0, "Café", "own id"),
    Event(253_402_300_799, 1, 0, 1, UUID, UUID),
]


def mixed() -> Batch:
    builder = BatchBuilder()
    for position, event in enumerate(EVENTS):
        builder.add(event, Source(NameKind.KEY, "key é"), 3 * position)
        builder.add(event, UNNAMED, 0)
        builder.add(event, Source(NameKind.FILE, "/data/" + "x" * 60), 2**40 + position)
    return builder.build()


@pytest.mark.parametrize("size", [1, 2, 64, 5_000])
def test_a_batch_comes_back_as_it_was(size: int) -> None:
    events = [
        Event(1_600_000_000 + index, index % 7, index * 13 % 100_000, index % 3, f"shop {index % 97}")
        for index in range(size)
    ]
    check_round_trip(batch_of(events, Source(NameKind.FILE, "a.ndjson"), 10))


def test_every_kind_of_name_comes_back() -> None:
    check_round_trip(mixed())


def test_positions_with_gaps_come_back() -> None:
    builder = BatchBuilder()
    for position in (0, 1, 5, 6, 2**63):
        builder.add(EVENTS[0], Source(NameKind.FILE, "x"), position)
    check_round_trip(builder.build())


def test_a_chunk_tells_how_many_events_it_holds() -> None:
    assert chunk.events_in(chunk.encode(mixed())) == 9


def test_a_purchase_takes_forty_bytes_or_less_however_it_is_named() -> None:
    ids = [f"{index:08x}-787b-4543-9def-{index * 7919 % 2**48:012x}" for index in range(20_000)]
    events = [Event(1_600_000_000 + i, 0, i * 7919 % 20_000, i % 3, UUID, own) for i, own in enumerate(ids)]
    assert len(chunk.encode(batch_of(events))) < 40 * len(events)


def test_no_bit_of_a_chunk_can_differ_unnoticed() -> None:
    data = chunk.encode(mixed())
    for at in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            with pytest.raises(chunk.ChunkError):
                chunk.decode(bytes(damaged))


def test_a_chunk_cut_short_or_with_more_behind_is_refused() -> None:
    data = chunk.encode(mixed())
    for size in range(len(data)):
        with pytest.raises(chunk.ChunkError):
            chunk.decode(data[:size])
    with pytest.raises(chunk.ChunkError):
        chunk.decode(data + b"\0")


def test_a_claim_of_more_than_a_chunk_holds_is_refused_before_anything_is_allocated() -> None:
    for events, size in [(0, 100), (limits.CHUNK_EVENTS_MAX + 1, 100), (1, 1 << 19), (2**32 - 1, 2**32 - 1)]:
        rest = struct.pack("<II", events, size) + b"frame"
        with pytest.raises(chunk.ChunkError, match="claims"):
            chunk.decode(b"TRC2" + struct.pack("<I", zlib.crc32(b"TRC2" + rest)) + rest)


def test_columns_that_contradict_themselves_are_refused_though_their_checksum_is_right() -> None:
    raw = chunk._encode_columns(mixed())
    for at in range(len(raw)):
        for value in (0, 1, 0x7F, 0xFF):
            check_chunk_columns(9, raw[:at] + bytes([value]) + raw[at + 1 :])
    for events in (1, 8, 10, 10_000):
        check_chunk_columns(events, raw)


def test_a_batch_whose_runs_do_not_name_every_event_is_refused() -> None:
    batch = mixed()
    batch.runs.pop()
    with pytest.raises(ValueError, match="the runs do not add up"):
        chunk.encode(batch)


def test_an_empty_batch_is_no_chunk() -> None:
    with pytest.raises(ValueError, match="a chunk holds 1 to"):
        chunk.encode(Batch())


def test_the_format_is_the_one_that_was_stored_before() -> None:
    batch = batch_of(EVENTS[:1], Source(NameKind.KEY, "k"), 5)
    raw = chunk._encode_columns(batch)
    assert raw == (
        struct.pack("<qBBBBBBHII", 1_322_907_330, 0, 0, 2, 0, 0, 0, 0, 1, 1)
        + struct.pack("<H", 4_285)
        + b"\x02"
        + b"\xff\xff"
        + bytes.fromhex(UUID.replace("-", ""))
        + struct.pack("<BQI", NameKind.KEY, 5, 1)
        + struct.pack("<H", 1)
        + b"k"
    )


def test_a_chunk_of_the_first_format_is_still_read() -> None:
    stored = bytes.fromhex(
        "54524331873a3c41030000007200000028b52ffd20720d030062c61522a029ad01c39e672724b6b8fe5b55c3ee88cc688f7570f017a2"
        "030599ff48f6de32058f334585493ae04564c8ceb2a5a004088946e2a02069d08044188f73a8aaecbdf5cc6b10b7c767f9092abff7f5"
        "bdb6da43930b1502000a06348026"
    )
    events = [
        Event(1_322_907_330, 0, 1_234, 0, "m-1"),
        Event(1_322_907_331, 500, 70_000, 2, "7bd5d47e-446f-4ec2-a3d8-11736110e578", "order-1"),
        Event(1_322_990_000, 0, 5, 1, "m-1"),
    ]
    expected = batch_of(events, Source(NameKind.KEY, "key"), 3)
    assert columns_in(chunk.decode(stored)) == columns_in(expected)
    now = chunk.encode(expected)
    assert columns_in(chunk.decode(now)) == columns_in(expected)
    for data, magic in ((stored, b"TRC2"), (now, b"TRC1")):
        with pytest.raises(chunk.ChunkError, match="checksum"):
            chunk.decode(magic + data[4:])


def test_columns_are_stored_byte_by_byte() -> None:
    batch = batch_of([Event(0, 0, amount, 0, "m") for amount in (0x0102, 0x0304, 0x0506)])
    assert bytes([2, 4, 6, 1, 3, 5]) in chunk._encode_columns(batch)


def test_a_slice_is_the_events_of_a_batch_from_one_to_another() -> None:
    batch = mixed()
    for start in range(10):
        for stop in range(start, 11):
            part = batch.slice(start, stop)
            assert list(part.events()) == list(batch.events())[start:stop]
            assert list(part.identities()) == list(batch.identities())[start:stop]
            if len(part):
                check_round_trip(part)


def test_selecting_keeps_events_names_and_order() -> None:
    batch = mixed()
    chosen = batch.select([0, 3, 4, 8])
    assert list(chosen.events()) == [list(batch.events())[index] for index in (0, 3, 4, 8)]
    assert list(chosen.identities()) == [list(batch.identities())[index] for index in (0, 3, 4, 8)]
    assert columns_in(batch.masked(bytes([1] * 9))) == columns_in(batch)
    assert batch.select([]).seconds == array("q")


def kept() -> Batch:
    builder = BatchBuilder(["country", '"a.b"', "n"])
    for position, values in enumerate([("SE", ABSENT, "1"), ("NO", ABSENT, UNKEPT), ("SE", ABSENT, '"1"')]):
        builder.add(EVENTS[position], UNNAMED, position, values)
    return builder.build()


def test_kept_fields_come_back_and_only_they_make_another_format() -> None:
    data = check_round_trip(kept())
    assert data[:4] == b"TRC3"
    assert chunk.events_in(data) == 3
    assert [chunk.decode(data).kept_of(index) for index in range(3)] == [
        {"country": "SE", '"a.b"': "(absent)", "n": "1"},
        {"country": "NO", '"a.b"': "(absent)", "n": "(absent)"},
        {"country": "SE", '"a.b"': "(absent)", "n": '"1"'},
    ]
    assert chunk.decode(data).unkept == {"n": array("I", [1])}
    assert chunk.encode(mixed())[:4] == b"TRC2"


def test_the_kept_fields_are_stored_as_the_format_says() -> None:
    stored = (
        struct.pack("<HI", 3, 6)
        + struct.pack("<IBIB", 2, 1, 0, 0)
        + struct.pack("<IBIB", 1, 0, 0, 0)
        + struct.pack("<IBIB", 3, 1, 1, 1)
        + struct.pack("<HHH", 7, 5, 1)
        + b'country"a.b"n'
        + struct.pack("<HHHHHH", 2, 2, 8, 1, 8, 3)
        + b'SENO(absent)1(absent)"1"'
        + bytes([0, 1, 0])
        + bytes([0, 1, 2])
        + bytes([1])
    )
    assert chunk._encode_kept(kept()) == stored + struct.pack("<I", len(stored) + 4)


def test_kept_fields_that_contradict_themselves_are_refused_though_their_checksum_is_right() -> None:
    columns, raw = chunk._encode_columns(kept()), chunk._encode_kept(kept())
    for at in range(len(raw)):
        for value in (0, 1, 0x7F, 0xFF):
            check_chunk_columns(3, columns + raw[:at] + bytes([value]) + raw[at + 1 :])


def test_a_batch_of_before_a_field_was_kept_has_it_absent() -> None:
    column = mixed().kept_column("country")
    assert (column.values, list(column.indexes)) == (["(absent)"], [0] * 9)


def test_three_fields_of_few_values_take_three_bytes_an_event_at_most() -> None:
    plain, builder = BatchBuilder(), BatchBuilder(["country", "currency", "channel"])
    for index in range(20_000):
        event = Event(1_600_000_000 + index // 3, 0, index * 7919 % 20_000, index % 3, f"m{index * 31 % 500}")
        hashed = zlib.crc32(str(index).encode())
        values = (f"C{hashed % 40}", ["EUR", "SEK", "NOK"][hashed % 3], ["web", "app", "store"][hashed // 7 % 3])
        plain.add(event, UNNAMED, index)
        builder.add(event, UNNAMED, index, values)
    assert len(chunk.encode(builder.build())) - len(chunk.encode(plain.build())) < 3 * 20_000


def test_a_chunk_of_a_later_format_is_not_called_damaged_and_a_damaged_one_not_later() -> None:
    for magic in (b"TRC4", b"TRCA"):
        with pytest.raises(chunk.LaterChunkError, match=f"{magic.decode()} was written by a later tillroll"):
            chunk.decode(magic + chunk.encode(kept())[4:-1])
    for data in (chunk.encode(kept()), chunk.encode(mixed())):
        with pytest.raises(chunk.ChunkError, match="does not begin with") as raised:
            chunk.decode(b"TRC6" + data[4:])
        assert not isinstance(raised.value, chunk.LaterChunkError)
