"""What a file that holds no events seems to be, by how it begins, and what to do with it."""

from __future__ import annotations

from typing import Final, NamedTuple

from tillroll.core.csv_events import FIELDS, names_of
from tillroll.core.text import shown

_UNPACK: Final = "Unpack it, and import what is in it"
_LOOKED_AT_BYTES: Final = 4_096
_NAMES_SHOWN: Final = 8
_FEW: Final = 0.1
_MANY: Final = 0.4


class FileKind(NamedTuple):
    """What a file seems to be, and the remedy."""

    seems: str
    remedy: str


_NDJSON: Final = "Export it as lines of JSON, or as CSV with a header of date, amount, paymentMethod, merchantId"
_MAGIC: Final = (
    (b"PAR1", FileKind("Parquet", _NDJSON)),
    (b"ORC", FileKind("ORC", _NDJSON)),
    (b"Obj\x01", FileKind("Avro", _NDJSON)),
    (b"ARROW1", FileKind("Arrow", _NDJSON)),
    (b"SQLite format 3\0", FileKind("an SQLite database", _NDJSON)),
    (b"PK\x03\x04", FileKind("a zip archive, or a spreadsheet", _UNPACK)),
    (b"\xd0\xcf\x11\xe0", FileKind("a spreadsheet or document of Office", _NDJSON)),
    (b"BZh", FileKind("a bzip2 file", _UNPACK)),
    (b"\xfd7zXZ\0", FileKind("an xz file", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", FileKind("a 7z archive", _UNPACK)),
    (b"\x04\x22\x4d\x18", FileKind("an lz4 file", _UNPACK)),
    (b"\x1f\x8b", FileKind("a gzip file inside another", _UNPACK)),
    (b"\x28\xb5\x2f\xfd", FileKind("a zstd file inside another", _UNPACK)),
    (b"\x1f\x9d", FileKind("a file of compress", _UNPACK)),
    (b"%PDF", FileKind("a PDF", _NDJSON)),
    (b"\x89PNG", FileKind("a picture", _NDJSON)),
    (b"\xff\xd8\xff", FileKind("a picture", _NDJSON)),
    (b"\x7fELF", FileKind("a program", _NDJSON)),
)
_UTF_32: Final = FileKind("text in UTF-32", "Convert it to UTF-8: iconv -f UTF-32 -t UTF-8")
_UTF_16: Final = FileKind("text in UTF-16", "Convert it to UTF-8: iconv -f UTF-16 -t UTF-8")
_TAR: Final = FileKind("a tar archive", _UNPACK)


def kind_of(head: bytes) -> FileKind:
    """Return what a file seems to be of which this is the beginning, unpacked."""
    start = head[:_LOOKED_AT_BYTES]
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    if start[257:262] == b"ustar":
        return _TAR
    if start.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return _UTF_32
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or _is_utf_16(start):
        return _UTF_16
    if b"\0" in start or not _is_text(start):
        return FileKind("binary data", _NDJSON)
    return _kind_of_text(start.removeprefix(b"\xef\xbb\xbf").lstrip())


def _is_utf_16(start: bytes) -> bool:
    """Tell whether every other byte is nought, as it is in UTF-16 of a Latin text without a mark."""
    half = max(1, len(start) // 2)
    few, many = sorted((start[::2].count(0) / half, start[1::2].count(0) / half))
    return few < _FEW and many > _MANY


def _is_text(start: bytes) -> bool:
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return error.start > 0 and error.start >= len(start) - 3
    return True


def _kind_of_text(start: bytes) -> FileKind:
    if start.startswith((b"{", b"[")):
        return FileKind("JSON, but no events", f"An event is an object with {', '.join(FIELDS)}")
    if start.startswith(b"<"):
        return FileKind("XML or HTML", _NDJSON)
    names = max((names_of(start, delimiter) for delimiter in ",;\t|"), key=len)
    if len(names) > 1:
        listed = shown(", ".join(names[:_NAMES_SHOWN]))
        missing = ", ".join(name for name in FIELDS if name not in names)
        remedy = f"Its header must have {missing}" if missing else "Separate its columns by commas"
        return FileKind(f"CSV with the columns {listed}", remedy)
    return FileKind("text", _NDJSON)
