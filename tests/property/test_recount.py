"""The recount: the compiled kernel and the reference count the same, and it is what the fold counts."""

from __future__ import annotations

import datetime
from array import array
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.property.test_dimension import codes_of, counted, definitions, events

from tillroll.core import kernel
from tillroll.core.batch import Batch, BatchBuilder, Event
from tillroll.core.definition import define
from tillroll.core.recount import RECOUNTED, STORED, Recount, Strings, disagreements
from tillroll.core.report import FIVE, Report
from tillroll.core.spans import SPANS

if TYPE_CHECKING:
    from collections.abc import Sequence

Purchase = tuple[int, int, int, str, str]
BOTH = [pytest.param(plain, id="plain" if plain else "kernel") for plain in (True, False)]
MOST = 100_000


def batch_of(purchases: Sequence[Purchase]) -> Batch:
    builder = BatchBuilder(["country"])
    for seconds, amount, method, merchant, country in purchases:
        builder.add(Event(seconds, 0, amount, method, merchant), kept=[country])
    return builder.build()


def recounted(reports: Sequence[Report], purchases: Sequence[Purchase], *, plain: bool) -> list[tuple[object, ...]]:
    """Return (report, text, events, amount) of everything, for nothing is stored."""
    recount = Recount(reports, plain=plain)
    recount.count(batch_of(purchases), b"\1" * len(reports))
    found = recount.differing(b"\1" * len(reports), MOST)
    assert found.total == found.datapoints == len(found.first)
    return [tuple(one[:4]) for one in found.first]


@given(events, st.lists(definitions(), min_size=1, max_size=3))
def test_the_recount_is_what_the_fold_counts(purchases: list[Purchase], tables: list[dict[str, object]]) -> None:
    reports = [*FIVE, *(define(table).report(1) for table in tables)]
    codes = codes_of(purchases)
    expected = [
        (index, text, *total)
        for index, report in enumerate(reports)
        for text, total in sorted(counted(report, codes).items())
    ]
    assert recounted(reports, purchases, plain=True) == expected
    if kernel.compiled:
        assert recounted(reports, purchases, plain=False) == expected


moments = st.integers(-62_135_596_800, 253_402_300_799) | st.sampled_from(
    [-62_135_596_800, 253_402_300_799, -1, 0, 951_782_400, 951_868_799, -2_203_891_200, 4_107_542_400]
)


@pytest.mark.skipif(not kernel.compiled, reason="the kernel is not compiled")
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati", "Asia/Kathmandu"])
@given(st.lists(moments, max_size=30))
def test_every_moment_of_every_year_is_written_as_the_reference_writes_it(zone: str, seconds: list[int]) -> None:
    reports = [define({"name": name, "by": [name], "zone": zone}).report(1) for name in ("hour", *SPANS)]
    purchases = [(second, 1, 0, "m", "SE") for second in seconds]
    assert recounted(reports, purchases, plain=False) == recounted(reports, purchases, plain=True)


@pytest.mark.skipif(not kernel.compiled, reason="the kernel is not compiled")
def test_the_ends_of_all_kinds_of_years_and_months_are_written_as_the_reference_writes_them() -> None:
    reports = [define({"name": name, "by": [name]}).report(1) for name in SPANS]
    first = datetime.date(1970, 1, 1).toordinal()
    ends = [datetime.date(year, 1, 1).toordinal() - first for year in (*range(1, 420), *range(1890, 2110), 9999)]
    days = {end + day for end in ends for day in (*range(7), 30, 31, 58, 59, 60, 359, 360, 361, 362, 363, 364)}
    purchases = [(day * 86_400, 1, 0, "m", "SE") for day in sorted(days)]
    assert recounted(reports, purchases, plain=False) == recounted(reports, purchases, plain=True)


def pieces_of(texts: Sequence[str]) -> list[Strings]:
    """Return texts as rows of two pieces: their first letters, and what is left."""
    parts = [[text[:1] for text in texts], [text[1:] for text in texts]]
    return [(array("I", range(len(part))), *kernel.join_strings(part)) for part in parts]


words = st.integers(0, 2**64 - 1)
rows = st.lists(
    st.tuples(
        st.sampled_from([RECOUNTED, STORED]),
        st.integers(0, 2),
        st.text(max_size=3) | st.text("ab", max_size=2) | st.just("long" * 300),
        st.integers(0, 3),
        words | st.sampled_from([0, 0, 2**64 - 1]),
        st.integers(0, 3),
    ),
    max_size=30,
)


@pytest.mark.parametrize("plain", BOTH)
@given(rows, st.integers(1, 5), st.integers(0, 2))
def test_what_was_taken_away_and_loaded_is_what_was_held(
    plain: bool,  # noqa: FBT001 a parameter of the test
    stored: list[tuple[int, int, str, int, int, int]],
    parts: int,
    level: int,
) -> None:
    if not plain and not kernel.compiled:
        return
    expected: dict[tuple[int, str], list[int]] = {}
    held, taken = Recount(FIVE, plain=plain), Recount(FIVE, plain=plain)
    for side, report, text, events_, low, high in stored:
        columns = [array("Q", [each]) for each in (events_, low, high)]
        for recount in (held, taken):
            recount.tally.add(side, report, pieces_of([text]), *columns)
        if events_ or low or high:
            sums = expected.setdefault((report, text), [0, 0, 0, 0])
            sums[2 * side] += events_
            sums[2 * side + 1] += high << 64 | low
    loaded = []
    given_away = taken.tally.take(parts, level)
    assert taken.differing(bytes(5), MOST) == (0, 0, [])
    for records in given_away:
        one = Recount(FIVE, plain=plain)
        one.tally.load(records)
        loaded += one.differing(b"\1" * 5, MOST).first
    first = held.differing(b"\1" * 5, MOST).first
    assert sorted(loaded) == first
    assert [tuple(one) for one in first] == [
        (*key, *sums)
        for key, sums in sorted(expected.items(), key=lambda item: (item[0][0], item[0][1].encode()))
        if sums[:2] != sums[2:]
    ]


@pytest.mark.parametrize("plain", BOTH)
def test_amounts_are_compared_only_where_they_are_wanted(plain: bool) -> None:  # noqa: FBT001
    if not plain and not kernel.compiled:
        return
    recount = Recount(FIVE, plain=plain)
    recount.count(batch_of([(0, 10**12, 0, "m", "SE")]), b"\1\0\0\0\0")
    one, nothing = array("Q", [1]), array("Q", [0])
    recount.tally.add(STORED, 0, pieces_of(["1970-01-01:00|>500"]), one, nothing, nothing)
    assert recount.differing(bytes(5), MOST) == (1, 0, [])
    assert recount.differing(b"\1" * 5, MOST) == (1, 1, [(0, "1970-01-01:00|>500", 1, 10**12, 1, 0)])


@pytest.mark.skipif(not kernel.compiled, reason="the kernel is not compiled")
def test_columns_that_do_not_fit_are_refused() -> None:
    recount = Recount(FIVE)
    batch = batch_of([(0, 1, 0, "m", "SE")] * 3)
    for change in (
        {"methods": array("B", [0, 0, 3])},
        {"merchants": array("I", [0, 0, 1])},
        {"amounts": array("q", [1])},
    ):
        broken = batch_of([(0, 1, 0, "m", "SE")] * 3)
        for name, column in change.items():
            setattr(broken, name, column)
        with pytest.raises(ValueError, match=r"no such method|columns|do not|index"):
            recount.count(broken, b"\1" * 5)
    with pytest.raises(ValueError, match="columns"):
        recount.count(batch, b"\1")
    for damaged in (b"x", bytes(70), recount.tally.take(1, 0)[0] + b"\0" * 55):
        with pytest.raises(ValueError, match="no records"):
            recount.tally.load(damaged + b"\1")


def test_two_ways_of_the_recount_agree_and_where_one_is_wrong_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of([(0, 999, 0, "m", "SE"), (1, 50_001, 1, "m", "SE")])
    assert disagreements(FIVE, batch) == (9, 0, [])
    method = FIVE[2].by[1]
    monkeypatch.setattr(type(method), "of", lambda _self, _event, _kept: "PAY_NOW")
    wrong = {one.text: (one.events, one.stored_events) for one in disagreements(FIVE[2:3], batch).first}
    if kernel.compiled:
        assert wrong == {">500|PAY_LATER": (1, 0), ">500|PAY_NOW": (0, 1)}
