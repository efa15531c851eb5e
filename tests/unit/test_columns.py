"""The column operations, compiled and in plain Python: both must pass."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from array import array
from typing import TYPE_CHECKING, Any

import pytest
from tests.batches import batch_of

from tillroll.core import columns, kernel
from tillroll.core.batch import UNNAMED, BatchBuilder, Event, NameKind, Source, joined
from tillroll.core.chunk import decode, encode
from tillroll.core.kept import ABSENT, UNKEPT

if TYPE_CHECKING:
    from types import ModuleType

    from tillroll.core.batch import Batch

UUID = b"1bb53ed1-787b-4543-9def-ea18eef7902e"


@pytest.fixture(params=[columns, kernel], ids=["reference", "in use"])
def operations(request: pytest.FixtureRequest) -> Any:
    module: ModuleType = request.param
    return module


@pytest.mark.parametrize(
    ("values", "base", "width"),
    [
        ([5, 5, 5], 5, 0),
        ([0, 255], 0, 1),
        ([0, 256], 0, 2),
        ([0, 65_535], 0, 2),
        ([0, 65_536], 0, 4),
        ([0, 2**32], 0, 8),
        ([-(2**63), 2**63 - 1], -(2**63), 8),
        ([1_600_000_000, 1_600_000_100], 1_600_000_000, 1),
    ],
)
def test_a_column_takes_as_few_bytes_as_its_range_needs(
    operations: Any, values: list[int], base: int, width: int
) -> None:
    column = array("q", values)
    found, data = operations.narrow(column, base)
    assert (found, len(data)) == (width, width * len(values))
    assert operations.widen(data, width, base, len(values), "q") == column


def test_strings_are_numbered_in_the_order_they_were_added(operations: Any) -> None:
    numbers = operations.Dictionary()
    strings = [b"", b"m", "h\u00e9".encode(), b"x" * 200_000, UUID, b"y" * 70_000]
    numbers.add(*columns.column_of(strings))
    asked = [b"z" * 200_000, *reversed(strings), b"M"]
    assert list(numbers.find(*columns.column_of(asked))) == [columns.MISSING, 5, 4, 3, 2, 1, 0, columns.MISSING]
    with pytest.raises(ValueError, match="already"):
        numbers.add(*columns.column_of([b"new", b"m"]))
    assert list(numbers.find(*columns.column_of([b"new"]))) == [6]


def test_an_empty_column_takes_nothing(operations: Any) -> None:
    assert operations.narrow(array("q"), 7) == (0, b"")
    assert operations.widen(b"", 0, 7, 0, "q") == array("q")


def test_a_value_below_the_base_is_refused(operations: Any) -> None:
    with pytest.raises(ValueError, match="below the base"):
        operations.narrow(array("q", [1, 2]), 2)


@pytest.mark.parametrize(
    ("data", "width", "base", "count", "code"),
    [
        (b"\x01", 0, 0, 1, "I"),
        (b"\x01\x02\x03", 2, 0, 2, "I"),
        (b"\x01\x02\x03", 3, 0, 1, "I"),
        (b"\xff\xff", 2, 0, 1, "B"),
        (b"\x01", 1, 2**63 - 1, 1, "q"),
        (b"\x01", 1, -2, 1, "Q"),
        (b"\xff" * 8, 8, 0, 1, "q"),
    ],
)
def test_bytes_that_are_no_column_are_refused(
    operations: Any, data: bytes, width: int, base: int, count: int, code: str
) -> None:
    with pytest.raises(ValueError, match="column"):
        operations.widen(data, width, base, count, code)


def test_a_uuid_takes_sixteen_bytes_and_comes_back_as_it_was_written(operations: Any) -> None:
    strings = [UUID, UUID.upper(), b"", b"shop 7", UUID[:-1] + b"g"]
    ends, heap = columns.column_of(strings)
    packed = operations.pack_strings(ends, heap)
    assert len(packed) == 2 * len(strings) + 16 + 36 + 0 + 6 + 36
    assert operations.unpack_strings(packed + b"rest", len(strings)) == (ends, heap, len(packed))


def test_strings_that_end_early_are_refused(operations: Any) -> None:
    packed = operations.pack_strings(*columns.column_of([UUID, b"abc"]))
    for size in range(len(packed)):
        with pytest.raises(ValueError, match="do not fit"):
            operations.unpack_strings(packed[:size], 2)
    with pytest.raises(ValueError, match="do not fit"):
        operations.unpack_strings(b"", 2**60)


def test_a_string_as_long_as_the_mark_of_a_uuid_is_refused(operations: Any) -> None:
    longest = b"x" * 65_534
    packed = operations.pack_strings(*columns.column_of([longest]))
    assert operations.unpack_strings(packed, 1)[1] == longest
    with pytest.raises(ValueError, match="longer than 65534 bytes"):
        operations.pack_strings(*columns.column_of([longest + b"x"]))


@pytest.mark.parametrize("ends", [[2, 1, 3], [1, 2], [3, 4]])
def test_ends_that_are_not_those_of_the_bytes_are_refused(operations: Any, ends: list[int]) -> None:
    with pytest.raises(ValueError, match="do not rise to the end"):
        operations.pack_strings(array("I", ends), b"abc")


def test_a_string_that_is_not_utf_8_is_refused(operations: Any) -> None:
    with pytest.raises(ValueError, match="utf-8"):
        operations.split_strings(array("I", [1]), b"\xff")


def test_a_hash_of_a_name_never_changes(operations: Any) -> None:
    key = bytes(range(16))
    assert operations.hash_name(key, 0, 0, 1, b"", 0) == -8_455_240_617_696_331_150
    assert operations.hash_name(key, -1, 999_999_999, 2, b"order-1", 7) == 8_197_519_450_881_549_871
    assert operations.hash_name(key, 2**40, 5, 4, UUID, 2**64 - 1) == -5_489_725_068_596_529_244
    with pytest.raises(ValueError, match="16 bytes"):
        operations.hash_name(b"short", 0, 0, 1, b"", 0)


@pytest.mark.skipif(sys.hash_info.algorithm != "siphash13", reason="this Python hashes text otherwise")
def test_a_hash_of_a_name_is_the_siphash_that_python_has(operations: Any) -> None:
    """Python's own key is 0 where PYTHONHASHSEED is."""
    text = bytes([2, 1, 2, 3, 4, 0, 0, 0, *range(8, 90)])
    code = f"print(*[hash({text!r}[:size]) for size in range(24, 90)])"
    python = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True
    )
    for size, hashed in enumerate(python.stdout.split(), 24):
        first, second, position = struct.unpack("<QqQ", text[:24])
        found = operations.hash_name(bytes(16), second, first >> 8, first & 255, text[24:size], position)
        assert found == int(hashed)


def rows_of(operations: Any, key: bytes, batch: Batch) -> list[tuple[int, int, int]]:
    rows = operations.name_rows(
        key,
        batch.seconds,
        batch.nanos,
        batch.id_ends,
        batch.id_bytes,
        batch.positions,
        array("Q", [run.events for run in batch.runs]),
        bytes(run.source.kind for run in batch.runs),
        *columns.column_of([run.source.value.encode() for run in batch.runs]),
    )
    return list(zip(rows[::3], rows[1::3], rows[2::3], strict=True))


def test_rows_of_names_are_those_of_the_identities_in_the_order_of_an_index(operations: Any) -> None:
    chance, key = random.Random(4), b"0123456789abcdef"
    builder = BatchBuilder()
    for position in range(700):
        source = chance.choice([UNNAMED, *(Source(kind, chance.choice("kl")) for kind in list(NameKind)[1:])])
        own = chance.choice(["", "", "a", f"order {position}", "e" * 40])
        builder.add(Event(chance.randrange(-500, 500) * 10_000, position % 2, 5, 0, "m", own), source, position)
    batch = builder.build()
    expected = []
    for index, identity in enumerate(batch.identities()):
        if identity is not None and identity.kind is not NameKind.FILE:
            value = identity.value.encode()
            at = (identity.seconds, identity.nanos, identity.kind, value, identity.position)
            expected.append((identity.minute, operations.hash_name(key, *at), index))
    assert rows_of(operations, key, batch) == [(index, *slot) for *slot, index in sorted(expected)]


def test_one_id_at_many_instants_of_a_minute_is_many_slots(operations: Any) -> None:
    batch = batch_of([Event(60 + nano % 60, nano, 5, 0, "m", "the same id") for nano in range(1_000)])
    slots = {(minute, hashed) for _, minute, hashed in rows_of(operations, bytes(16), batch)}
    assert len(slots) == 1_000


def test_slots_that_are_shared_are_found(operations: Any) -> None:
    rows = array("q", [4, 1, 7, 9, 1, 7, 2, 1, 8, 3, 2, 8, 5, 2, 8, 6, 2, 8])
    assert operations.same_slots(rows) == (array("I", [9, 5, 6]), array("I", [4, 3, 3]))
    assert operations.same_slots(array("q")) == (array("I"), array("I"))
    with pytest.raises(ValueError, match="three"):
        operations.same_slots(rows[1:])


def test_events_are_counted_and_their_weights_added_up_by_codes_in_order(operations: Any) -> None:
    hours, methods, listed = array("I", [2, 0, 1, 2, 2]), array("B", [2, 0, 1, 2, 2]), array("I", [0, 1, 0, 0, 1])
    made = [(hours, 3), (methods, 3), (listed, 2), (2, array("I", [70, 5]), 1_000), (0, array("I", [0, 0, 1]), 2)]
    weights = array("q", [1, 10, 100, 1_000, 10_000])

    def group(*digits: list[int]) -> list[tuple[int, ...]]:
        ((found, counts, sums),) = operations.group(made, weights, [digits])
        return list(zip(*found, counts, sums, strict=True))

    assert group() == [(5, 11_111)]
    assert group([]) == [(0, 5, 11_111)]
    assert group([0], [1]) == [(0, 0, 1, 10), (1, 1, 1, 100), (2, 2, 3, 11_001)]
    assert group([1, 0]) == [(0, 1, 10), (4, 1, 100), (8, 3, 11_001)]
    assert group([4], [3, 1]) == [(0, 15, 1, 10), (0, 211, 1, 100), (1, 17, 1, 10_000), (1, 212, 2, 1_001)]


@pytest.mark.parametrize(
    ("made", "weight", "problem"),
    [
        ([(array("B", [3]), 3)], 0, "a code is out of range"),
        ([(array("B", [0, 1]), 3)], 0, "columns differ in length"),
        ([(array("B", [0]), 2), (0, array("I", [1]), 3)], 0, "has not an entry for each code"),
        ([(0, array("I", [1]), 3)], 0, "a table of none before it"),
        ([(array("B", [0]), 0)], 0, "a column's radix is out of range"),
        ([(array("I", [0]), 2**31), (array("I", [0]), 2**31), (array("I", [0]), 2)], 0, "of a digit are too many"),
        ([], -1, "a weight is below 0"),
    ],
)
def test_what_cannot_be_grouped_is_refused(operations: Any, made: list[Any], weight: int, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        operations.group(made, array("q", [weight]), [[list(range(len(made)))]])


def test_weights_whose_sum_might_pass_64_bits_are_refused(operations: Any) -> None:
    most = 2**63 - 1
    assert operations.group([], array("q", [most, most]), [[]]) == [((), array("Q", [2]), array("Q", [2 * most]))]
    with pytest.raises(ValueError, match="more than 64 bits"):
        operations.group([], array("q", [most, 0, 0]), [[]])


def test_keys_of_more_than_64_bits_are_told_apart(operations: Any) -> None:
    values = [2**31 - 1 - event % 7 for event in range(100)]
    made = [(array("I", [value - event % 3 for event in range(100) for value in values[event : event + 1]]), 2**31)] * 4
    ((found, counts, _),) = operations.group(made, array("q", bytes(800)), [[[0], [1], [2], [3]]])
    assert found[0] == found[3] == array("Q", sorted(set(made[0][0])))
    assert sum(counts) == 100


def test_windows_count_from_the_first(operations: Any) -> None:
    assert operations.windows(array("q", [7_200, -1, 0]), 3_600) == (-1, array("I", [3, 0, 1]), 4)
    assert operations.windows(array("q"), 3_600) == (0, array("I"), 1)
    with pytest.raises(ValueError, match="a second is out of range"):
        operations.windows(array("q", [2**41]), 3_600)
    with pytest.raises(ValueError, match="too many"):
        operations.windows(array("q", [0, 2**33]), 1)


def test_a_bound_belongs_to_the_bucket_above(operations: Any) -> None:
    values = array("q", [-(2**63), 999, 1_000, 2**40, 2**63 - 1])
    assert list(operations.bucketize(values, array("q", [1_000, 2**40]))) == [0, 0, 1, 2, 2]
    assert list(operations.bucketize(values, array("q", range(990, 1_010)))) == [0, 10, 11, 20, 20]


def counted(operations: Any, cells: bytes, totals: dict[int, tuple[int, int]]) -> bytes:
    counts, sums = (array("Q", column) for column in zip(*totals.values(), strict=True))
    return bytes(operations.add_counts(cells, 10, 3, array("Q", totals), counts, sums, array("Q")))


def test_counters_grow_wider_as_they_must(operations: Any) -> None:
    cells = counted(operations, b"", {10: (255, 0), 12: (1, 70_000)})
    assert cells == bytes([1, 4, 0, 255, 0, 1]) + bytes(8) + (70_000).to_bytes(4, "little")
    cells = counted(operations, cells, {10: (1, 2**63)})
    assert cells[:3] == bytes([2, 8, 0])
    cells = counted(operations, cells, {10: (2**40, 2**63), 11: (1, 0)})
    counts, lows, highs = operations.read_counts(cells, 3)
    assert list(counts) == [256 + 2**40, 1, 1]
    assert (list(lows), list(highs)) == ([0, 0, 70_000], [1, 0, 0])


def test_a_code_outside_its_segment_is_refused(operations: Any) -> None:
    with pytest.raises(ValueError, match="code 13 is outside the segment at 10"):
        counted(operations, b"", {13: (1, 1)})


def test_cells_that_are_no_counters_are_refused(operations: Any) -> None:
    with pytest.raises(ValueError, match="7 bytes are not 3 counters"):
        operations.read_counts(bytes(7), 3)


def test_rows_are_put_before_the_rows_named_for_them(operations: Any) -> None:
    assert list(operations.interleave(3, array("Q", [0, 2, 2, 3]))) == [3, 0, 1, 4, 5, 2, 6]
    with pytest.raises(ValueError, match="places"):
        operations.interleave(3, array("Q", [2, 1]))


def test_indexes_are_numbered_by_first_appearance(operations: Any) -> None:
    assert operations.renumber(array("I", [7, 2, 7, 0]), 8) == (array("I", [0, 1, 0, 2]), array("I", [7, 2, 0]))
    with pytest.raises(ValueError, match="out of range"):
        operations.renumber(array("I", [8]), 8)


def test_skipped_positions_come_back(operations: Any) -> None:
    positions = array("Q", [5, 6, 9, 0, 2**64 - 1])
    counts = array("Q", [3, 2])
    gaps = operations.gaps_of(positions, counts)
    assert list(gaps) == [0, 0, 2, 0, 2**64 - 2]
    assert operations.positions_of(array("Q", [5, 0]), counts, gaps) == positions


@pytest.mark.parametrize(("positions", "counts"), [([1, 1], [2]), ([2, 1], [2]), ([1, 2], [1]), ([1], [1, 0])])
def test_positions_that_do_not_rise_in_their_runs_are_refused(
    operations: Any, positions: list[int], counts: list[int]
) -> None:
    with pytest.raises(ValueError, match=r"runs do not add up|do not rise"):
        operations.gaps_of(array("Q", positions), array("Q", counts))


def test_joined_batches_have_the_same_events_with_the_same_names_and_kept_fields() -> None:
    first = BatchBuilder(["country"])
    first.add(Event(1, 2, 3, 0, "m", "own"), Source(NameKind.MESSAGE, "x"), 4, ['"SE"'])
    second = BatchBuilder(["channel", "country"])
    second.add(Event(5, 0, 6, 1, "n", ""), Source(NameKind.KEY, "y"), 0, ["7", UNKEPT])
    second.add(Event(5, 0, 6, 2, "m", ""), Source(NameKind.KEY, "y"), 1, ["8", "null"])
    batches = [first.build(), second.build(), batch_of([Event(9, 9, 9, 0, "o")])]
    whole = decode(encode(joined(batches)))
    assert list(whole.events()) == [event for batch in batches for event in batch.events()]
    assert list(whole.identities()) == [identity for batch in batches for identity in batch.identities()]
    absent = {"country": ABSENT, "channel": ABSENT}
    assert [whole.kept_of(index) for index in range(4)] == [
        absent | {"country": '"SE"'},
        absent | {"channel": "7"},
        absent | {"channel": "8", "country": "null"},
        absent,
    ]
    assert list(whole.unkept["country"]) == [1]
    assert joined([batches[2]]).id_ends == array("I")
