"""Groups of rejections: as bytes and back, damaged, discarded, and known again."""

from __future__ import annotations

import pytest

from tillroll.core import rejection
from tillroll.core.accept import Rejection
from tillroll.core.batch import UNNAMED, NameKind, Source
from tillroll.core.decode import Reason
from tillroll.core.rejection import (
    GROUP_BYTES_MAX,
    GROUP_MAX,
    GroupError,
    decode,
    group_of,
    in_groups,
    once,
    place_of,
)

FILE = Source(NameKind.FILE, "f")
REASONS = (Reason("missing_field", "date", "no date"), Reason("unknown_method", "paymentMethod", "CASH"))


def rejected(position: int, body: bytes = b"{}", source: Source = FILE, reason: Reason = REASONS[0]) -> Rejection:
    return Rejection(source, position, body, reason, 10 * position)


SOME = [rejected(3, b"a"), rejected(5, b"b", reason=REASONS[1]), rejected(9, b"c")]


def test_a_group_comes_back_from_its_bytes() -> None:
    group = decode(group_of(SOME, 1.5).encode())
    assert group.received_at == 1.5
    assert [found for _, found in group.waiting()] == SOME
    assert group.codes() == {"missing_field": 2, "unknown_method": 1}


def test_no_byte_of_a_group_can_change_unnoticed() -> None:
    data = group_of(SOME, 1.5).encode()
    for at in range(len(data)):
        with pytest.raises(GroupError):
            decode(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(GroupError):
        decode(data[:-1])


def test_of_what_is_discarded_only_a_hash_stays_and_a_repeat_is_known() -> None:
    group = group_of(SOME, 1.5)
    assert (group.discard([1, 1, 7]), group.discard([1])) == (1, 0)
    assert b"CASH" not in group.encode()
    assert group.bodies[1] != b"b"
    assert [found for _, found in group.waiting()] == [SOME[0], SOME[2]]
    others = [rejected(5, b"x"), rejected(4, b"b")]
    assert group.new([*SOME, *others]) == others


def test_groups_are_of_one_source_and_not_too_large() -> None:
    other = Source(NameKind.KEY, "k")
    many = [rejected(at) for at in range(GROUP_MAX + 1)]
    large = [rejected(at, b"x" * GROUP_BYTES_MAX) for at in range(2)]
    assert list(map(len, in_groups([*many, rejected(0, source=other), *large]))) == [GROUP_MAX, 1, 1, 1, 1]
    assert list(in_groups([])) == []


def test_a_repeat_beside_the_first_is_kept_once_unless_nothing_names_it() -> None:
    assert once([SOME[0], SOME[1], SOME[0]]) == SOME[:2]
    unnamed = [rejected(0, source=UNNAMED)] * 2
    assert once(unnamed) == unnamed


def test_an_id_says_where_a_rejection_is() -> None:
    assert place_of(group_of(SOME, 1.5).id_of("4f", 12)) == ("4f", 12)
    for wrong in ("", "4f", "4f-", "4f-x", "4f-٣", "4f-99999"):
        assert place_of(wrong) is None


def test_a_page_may_go_on_when_it_is_full_of_rows_or_of_bytes() -> None:
    assert rejection.may_go_on(SOME, 3)
    assert not rejection.may_go_on(SOME, 4)
    assert rejection.may_go_on([rejected(0, b"x" * rejection.PAGE_BYTES_MAX)], 4)
