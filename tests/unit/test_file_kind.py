"""What a file without events seems to be, by how it begins."""

from __future__ import annotations

import bz2
import io
import lzma
import tarfile
import zipfile

import pytest

from tillroll.core.file_kind import kind_of


def archive(*, tar: bool) -> bytes:
    held = io.BytesIO()
    if tar:
        with tarfile.open(fileobj=held, mode="w") as made:
            made.addfile(tarfile.TarInfo("events"))
    else:
        with zipfile.ZipFile(held, "w") as made_zip:
            made_zip.writestr("events", "x")
    return held.getvalue()


@pytest.mark.parametrize(
    ("head", "seems"),
    [
        (b"PAR1\x15\x04", "Parquet"),
        (b"SQLite format 3\0", "an SQLite database"),
        (archive(tar=False), "a zip archive, or a spreadsheet"),
        (archive(tar=True), "a tar archive"),
        (bz2.compress(b"x"), "a bzip2 file"),
        (lzma.compress(b"x"), "an xz file"),
        ("é{}".encode("utf-16"), "text in UTF-16"),
        ('{"date": 1}'.encode("utf-16-le"), "text in UTF-16"),
        ("{}".encode("utf-32"), "text in UTF-32"),
        (b"\x00\x01\x02\x03\x04\x05", "binary data"),
        (b"\xff\xfa\xfb\xfc", "binary data"),
        (b' {"a": 1}', "JSON, but no events"),
        (b"\xef\xbb\xbf[1]", "JSON, but no events"),
        (b"<html>", "XML or HTML"),
        (b"day;sum\n1;2\n", "CSV with the columns day, sum"),
        (b"Dear reader", "text"),
        (b"", "text"),
    ],
)
def test_a_file_seems_what_it_is(head: bytes, seems: str) -> None:
    assert kind_of(head).seems == seems


def test_a_letter_that_is_cut_off_is_text_still() -> None:
    assert kind_of("Grüße".encode()[:3]).seems == "text"


def test_csv_is_told_which_columns_it_lacks() -> None:
    assert kind_of(b"date,amount\n").remedy == "Its header must have paymentMethod, merchantId"
