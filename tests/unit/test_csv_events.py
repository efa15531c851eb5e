"""Events from CSV: which headers are read, what a record is, and that no record costs another, wherever it is cut."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillroll.core.batch import NameKind, Source
from tillroll.core.csv_events import CsvReader, header_of
from tillroll.core.kept import Keep

SOURCE = Source(NameKind.FILE, "till.csv")
HEAD = b"date,amount,paymentMethod,merchantId\n"
GOOD = b"2011-12-03T10:15:30Z,4285,SLICE_IT,m"


def read(
    content: bytes, *, piece: int = 1 << 20, most: int = 1 << 20
) -> tuple[list[tuple[int, int, str]], list[tuple]]:  # type: ignore[type-arg]
    """Return (line, amount, merchant) of the events, and (line, byte, code, bytes) of the rest."""
    header = header_of(content)
    assert header is not None
    reader = CsvReader(SOURCE, header)
    file = io.BytesIO(content)
    pieces = iter(lambda: b"".join(file.readlines(piece)), b"")
    stretches = [each for text in pieces for each in reader.read(text, lambda: 2e9, most)]
    stretches += reader.finish(lambda: 2e9, most)
    events = []
    for each in stretches:
        for position, event in zip(each.batch.positions, each.batch.events(), strict=True):
            events.append((position, event.amount, event.merchant))
    rejections = [(x.position, x.byte, x.reason.code, x.body) for each in stretches for x in each.rejections]
    assert sum(each.places for each in stretches) == content.count(b"\n") + (not content.endswith(b"\n"))
    return events, rejections


@pytest.mark.parametrize(
    ("head", "row"),
    [
        (b"date,amount,paymentMethod,merchantId", GOOD),
        (b"\xef\xbb\xbfdate,amount,paymentMethod,merchantId\r", GOOD + b"\r"),
        (b'"date", amount ,"paymentMethod",merchantId', GOOD),
        (b"note,merchantId,paymentMethod,amount,date,id", b'"a ""b"", c",m,SLICE_IT,4285,2011-12-03T10:15:30Z,'),
        (b"date;amount;paymentMethod;merchantId", GOOD.replace(b",", b";")),
        (b"date\tamount\tpaymentMethod\tmerchantId", GOOD.replace(b",", b"\t")),
    ],
)
def test_columns_may_stand_in_any_order_and_beside_others(head: bytes, row: bytes) -> None:
    assert read(head + b"\n" + row) == ([(1, 4285, "m")], [])


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"date,amount,paymentMethod\n",
        b"date,amount,paymentMethod,merchant\n",
        b"date,amount,paymentMethod,merchantId,date\n",
        b"Date,Amount,PaymentMethod,MerchantId\n",
        b'{"date":1,"amount":2,"paymentMethod":3,"merchantId":4}\n',
        b'"date,amount,paymentMethod,merchantId\n',
        b"\xff,date,amount,paymentMethod,merchantId\n",
        b"\n" + HEAD,
    ],
)
def test_other_first_lines_are_no_header(head: bytes) -> None:
    assert header_of(head + GOOD) is None


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (b"2011-12-03T10:15:30Z,42.5,SLICE_IT,m", "invalid_amount"),
        (b"2011-12-03T10:15:30Z,,SLICE_IT,m", "invalid_amount"),
        (b"2011-12-03T10:15:30Z,0042,SLICE_IT,m", "invalid_amount"),
        (b"2011-12-03T10:15:30Z,-1,SLICE_IT,m", "invalid_amount"),
        (b'2011-12-03T10:15:30Z,"4,285",SLICE_IT,m', "invalid_amount"),
        (b'2011-12-03T10:15:30Z,1}{"a":1,SLICE_IT,m', "invalid_amount"),
        (b"2011-12-03,4285,SLICE_IT,m", "invalid_date"),
        (b"2011-12-03T10:15:30Z,4285,CASH,m", "unknown_method"),
        (b"2011-12-03T10:15:30Z,4285,SLICE_IT,10-50", "reserved_merchant"),
        (b"2011-12-03T10:15:30Z,4285,SLICE_IT,\xff", "not_utf8"),
        (b"2011-12-03T10:15:30Z,4285,SLICE_IT", "not_csv"),
        (b"2011-12-03T10:15:30Z,4285,SLICE_IT,m,more", "not_csv"),
        (b'2011-12-03T10:15:30Z,4285,SLICE_IT,"m', "not_csv"),
        (b'2011-12-03T10:15:30Z,4285,SLICE_IT,"m"x', "not_csv"),
        (b'"', "not_csv"),
        (b'"""', "not_csv"),
        (HEAD.strip(), "invalid_amount"),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_bad_record_is_kept_byte_for_byte_and_costs_no_other(row: bytes, code: str, end: bytes) -> None:
    lines = [HEAD.strip(), GOOD, row, GOOD, b"", GOOD.replace(b"m", b'"quoted"'), GOOD]
    for piece in (1, 1 << 20):
        for most in (1, 2, 1 << 20):
            events, rejections = read(end.join(lines), piece=piece, most=most)
            assert [line for line, _, _ in events] == [1, 3, 5, 6]
            assert rejections == [(2, len(end.join(lines[:2]) + end), code, row)]


def test_a_record_over_lines_is_known_by_its_first() -> None:
    head = b"date,amount,paymentMethod,merchantId,note\n"
    rows = [
        GOOD + b',"two\nlines, and ""quotes"""\n',
        GOOD + b",\n",
        b"x" + GOOD + b',"bad\r\nand long"\n',
        GOOD + b",z",
    ]
    for piece in (1, 60, 1 << 20):
        events, rejections = read(head + b"".join(rows), piece=piece)
        assert [line for line, _, _ in events] == [1, 3, 6]
        assert rejections == [(4, len(head + rows[0] + rows[1]), "invalid_date", rows[2].rstrip(b"\n"))]


def test_an_endless_quote_takes_time_in_proportion_to_the_file() -> None:
    content = HEAD + (GOOD + b'\n"' + b'""\n' * 50) * 2_000 + b"\n" + GOOD
    events, _ = read(content, piece=1 << 16)
    assert events[-1][0] == content.count(b"\n")


@given(st.lists(st.lists(st.text('a,;"\n\r ü', max_size=5), min_size=2, max_size=2), max_size=8), st.integers(1, 80))
def test_what_the_csv_module_writes_is_read_wherever_it_is_cut(notes: list[list[str]], piece: int) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("note", "date", "amount", "paymentMethod", "merchantId", "other"))
    for amount, (note, other) in enumerate(notes):
        writer.writerow((note, "2011-12-03T10:15:30Z", amount, "PAY_NOW", "m", other))
    events, rejections = read(out.getvalue().encode(), piece=piece)
    assert [amount for _, amount, _ in events] == list(range(len(notes)))
    assert rejections == []


def test_quotes_that_open_on_every_line_cost_no_more_than_lines() -> None:
    lines = 2_000
    data = HEAD + b'x",,"z\n' * lines
    header = header_of(data)
    assert header is not None
    reader: Any = CsvReader(SOURCE, header)
    plain = reader._plain
    looked_at = []

    def counted(*args: Any) -> Any:
        looked_at.append(args)
        return plain(*args)

    reader._plain = counted
    stretches = [*reader.read(data, lambda: 2e9, 1 << 20), *reader.finish(lambda: 2e9, 1 << 20)]
    assert sum(len(each.rejections) for each in stretches) == lines
    assert len(looked_at) < 10 * lines


def kept(keep: Keep, *lines: bytes) -> list[dict[str, str]]:
    content = b"\n".join(lines)
    header = header_of(content)
    assert header is not None
    reader = CsvReader(SOURCE, header, keep)
    batches = [each.batch for each in [*reader.read(content, lambda: 2e9, 2), *reader.finish(lambda: 2e9, 2)]]
    return [batch.kept_of(index) for batch in batches for index in range(len(batch))]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (b"SE", "SE"),
        (b"", "(absent)"),
        (b"(absent)", "(absent)"),
        (b"17850", "17850"),
        (b"17850.0", "17850"),
        (b"-0", "0"),
        (b"0.5", "(absent)"),
        (b"007", "007"),
        (b"12E3", '"12E3"'),
        (b"true", "true"),
        (b"True", "True"),
        (b'"""7"""', '"7"'),
        (b'""""""', '""'),
        (b'"""a', None),
        (b'"""a"', '"\\"a"'),
        (b'"a,b"', "a,b"),
        (b"a|b", '"a\\u007cb"'),
        (b"x" * 255, "(absent)"),
        (b"9" * 30, "(absent)"),
    ],
)
def test_a_cell_of_a_kept_column_has_the_value_that_it_spells(cell: bytes, value: str | None) -> None:
    found = kept(Keep(["country"]), HEAD.rstrip() + b",country", GOOD + b"," + cell)
    assert found == ([] if value is None else [{"country": value}])


def test_kept_columns_are_found_by_their_whole_names_beside_wrong_records() -> None:
    keep = Keep(["customer.country", '"a.b"', "no such", "twice"])
    head = HEAD.rstrip() + b",customer.country,a.b,twice,twice,customer"
    rows = [GOOD + b",SE,1,x,y,c", b"nope" + b"," * 8, b"x", GOOD + b",NO,2,x,y,c"]
    assert kept(keep, head, *rows) == [
        {"customer.country": "SE", '"a.b"': "1", "no such": "(absent)", "twice": "(absent)"},
        {"customer.country": "NO", '"a.b"': "2", "no such": "(absent)", "twice": "(absent)"},
    ]
