"""`tillroll import` of files of every kind: arrays, pretty-printed JSON, CSV; and what is no file of events."""

from __future__ import annotations

import gzip
import io
import json
import resource
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from tests.e2e.command import EVENT, command, environment, report, reports, tillroll

if TYPE_CHECKING:
    from pathlib import Path

CSV = b"merchantId,date,note,paymentMethod,amount\r\n"
ROW = b'm,2011-12-03T10:15:30Z,"a ""note"",\r\nin lines",SLICE_IT,4285\r\n'


def imported(file: Path, content: bytes, *options: str, code: int = 0) -> dict[str, Any]:
    file.write_bytes(content)
    done = tillroll("import", file, "--data", file.parent / "data", "--json", *options, code=code)
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


def purchase(number: int) -> dict[str, Any]:
    return {"date": "2011-12-03T10:15:30Z", "amount": number, "paymentMethod": "SLICE_IT", "merchantId": f"m {number}"}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress], ids=["plain", "gzip", "zstd"])
@pytest.mark.parametrize(
    "content",
    [
        json.dumps([purchase(number) for number in range(3)]).encode(),
        json.dumps([purchase(number) for number in range(3)], indent=2).encode(),
        b"\xef\xbb\xbf\n" + json.dumps([purchase(number) for number in range(3)], indent="\t").encode() + b"\n",
        b"\n\n".join(json.dumps(purchase(number), indent=4).encode() for number in range(3)),
        b"".join(b"\x1e" + json.dumps(purchase(number)).encode() + b"\n" for number in range(3)),
        CSV + b"".join(ROW.replace(b"4285", b"%d" % number) for number in range(3)),
        b"\xef\xbb\xbf" + CSV.replace(b",", b";") + b"m;2011-12-03T10:15:30Z;;SLICE_IT;1\r\n" * 3,
    ],
    ids=["array", "indented", "tabs and a mark", "objects over lines", "sequence", "csv", "semicolons"],
)
def test_a_file_of_any_form_is_read_once_however_often(tmp_path: Path, content: bytes, pack: Any) -> None:
    found = imported(tmp_path / "file", pack(content))
    assert (found["accepted"], found["rejected"]) == (3, 0)
    again = imported(tmp_path / "file", pack(content))
    assert (again["accepted"], again["duplicates"]) == (0, 3)
    assert report(tmp_path / "data", "bracket-method") == {"<10|SLICE_IT": 3}


def test_what_is_not_accepted_is_told_with_index_and_byte_and_kept(tmp_path: Path) -> None:
    texts = [json.dumps(purchase(number), indent=1).encode() for number in range(4)]
    texts[1] = texts[1].replace(b'"amount": 1', b'"amount": 01')
    texts[2] = texts[2].replace(b"SLICE_IT", b"CASH")
    content = b"[" + b",\n".join(texts) + b"]"
    found = imported(tmp_path / "file", content, code=3)
    assert [(one["index"], one["code"]) for one in found["not_accepted"]] == [(1, "not_json"), (2, "unknown_method")]
    assert [one["byte"] for one in found["not_accepted"]] == [content.index(texts[1]), content.index(texts[2])]
    assert "line" not in found["not_accepted"][0]
    kept = json.loads(tillroll("rejected", "list", "--json", "--data", tmp_path / "data").stdout)
    assert [each["body"].encode() for each in kept] == texts[1:3]
    assert [each["byte"] for each in kept] == [one["byte"] for one in found["not_accepted"]]
    told = tillroll("import", tmp_path / "file", "--data", tmp_path / "data", code=3).stderr
    assert f"event 2, at byte {content.index(texts[1])}: ".encode() in told


def test_a_bad_record_of_csv_is_told_with_its_line_and_kept_byte_for_byte(tmp_path: Path) -> None:
    bad = b'x,"2011-12-03T10:15:30Z","over\r\nlines",CASH,1'
    content = CSV + ROW + bad + b"\r\n" + ROW
    found = imported(tmp_path / "file", content, code=3)
    assert (found["accepted"], found["lines"]) == (2, 7)
    (one,) = found["not_accepted"]
    assert (one["line"], one["index"], one["byte"], one["code"]) == (4, 3, content.index(bad), "unknown_method")
    (kept,) = json.loads(tillroll("rejected", "list", "--json", "--data", tmp_path / "data").stdout)
    assert (kept["body"].encode(), kept["position"]) == (bad, 3)


def test_a_conflict_in_an_array_and_in_csv_is_kept_with_its_bytes(tmp_path: Path) -> None:
    first = json.dumps([purchase(1), purchase(2) | {"id": "a"}], indent=1).encode()
    imported(tmp_path / "file.json", first)
    found = imported(tmp_path / "other.json", first.replace(b'"amount": 2', b'"amount": 3'), code=3)
    assert (found["conflicts"], found["not_accepted"][0]["index"]) == (1, 1)
    row = b"9,a,m 2,SLICE_IT,2011-12-03T10:15:30Z"
    found = imported(tmp_path / "file.csv", b"amount,id,merchantId,paymentMethod,date\n\n" + row + b"\n", code=3)
    assert (found["conflicts"], found["not_accepted"][0]["line"]) == (1, 3)
    kept = json.loads(tillroll("rejected", "list", "--json", "--data", tmp_path / "data").stdout)
    assert kept[1]["body"].encode() == row
    assert json.loads(kept[0]["body"])["amount"] == 3


def test_csv_said_to_be_csv_wants_a_header_and_json_said_to_be_json_is_not_csv(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"date,amount\n1,2\n")
    told = tillroll("import", file, "--format", "csv", "--data", tmp_path / "data", code=2).stderr
    assert b"not a CSV header with date, amount, paymentMethod, merchantId" in told
    file.write_bytes(CSV + ROW)
    assert (
        b"seems to be CSV" in tillroll("import", file, "--format", "json", "--data", tmp_path / "data", code=2).stderr
    )
    assert imported(file, CSV + ROW, "--format", "csv")["accepted"] == 1


def packed(kind: str) -> bytes:
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("purchases.ndjson", EVENT)
    else:
        with tarfile.open(fileobj=out, mode="w") as archive_file:
            member = tarfile.TarInfo("purchases.ndjson")
            member.size = len(EVENT)
            archive_file.addfile(member, io.BytesIO(EVENT))
    return out.getvalue()


WRONG = {
    "csv of something else": (b"name,age\nAda,36\n", "CSV with the columns name, age"),
    "csv without one field": (b"date,amount,paymentMethod\n1,2,3\n", "Its header must have merchantId"),
    "gzip of csv": (gzip.compress(b"name;age\nAda;36\n" * 5_000), "CSV with the columns name, age"),
    "gzip of gzip": (gzip.compress(gzip.compress(EVENT)), "a gzip file inside another"),
    "binary": (bytes(range(256)) * 900, "binary data"),
    "noughts": (bytes(100_000), "binary data"),
    "utf-16": (EVENT.decode().encode("utf-16"), "iconv -f UTF-16"),
    "utf-16 without a mark": (EVENT.decode().encode("utf-16-le") * 2_000, "iconv -f UTF-16"),
    "utf-32": (EVENT.decode().encode("utf-32"), "iconv -f UTF-32"),
    "parquet": (b"PAR1\x15\x04\x15\x10" + bytes(range(256)) * 10 + b"PAR1", "Parquet"),
    "zip": (packed("zip"), "zip archive"),
    "tar": (packed("tar"), "tar archive"),
    "xz": (b"\xfd7zXZ\x00\x00\x04" + bytes(range(200)), "an xz file"),
    "html": (b"<!doctype html>\n<html><body>\n" + b"<p>purchases</p>\n" * 2_000, "XML or HTML"),
    "prose": (b"Dear all\n\nplease find below\n", "text"),
    "json of something else": (json.dumps({"rows": [1, 2, 3]}, indent=2).encode(), "JSON, but no events"),
    "array of something else": (b"[" + b'{"a":1},' * 30_000 + b"{}]", "JSON, but no events"),
    "objects without a date": (b'{"amount":1,"paymentMethod":"PAY_NOW","merchantId":"m"}\n' * 1_500, "date is missing"),
    "events after a thousand others": (b"1\n" * 1_000 + EVENT, "none of the first 1,000"),
    "one endless line": (gzip.compress(b"a" * (33 << 20)), "it seems to be text"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_file_of_something_else_is_refused_before_anything_is_kept(tmp_path: Path, kind: str) -> None:
    content, told = WRONG[kind]
    file = tmp_path / "file"
    file.write_bytes(content)
    done = tillroll("import", file, "--data", tmp_path / "data", code=2)
    assert told.encode() in done.stderr
    assert not (tmp_path / "data").exists()
    done = tillroll("import", "-", "--data", tmp_path / "data", stdin=content, code=2)
    assert told.encode() in done.stderr
    assert json.loads(tillroll("rejected", "list", "--json", "--data", tmp_path / "data").stdout) == []
    assert not (tmp_path / "data" / "imports.ndjson").exists()


def test_who_means_it_gets_all_of_it_with_the_rejected(tmp_path: Path) -> None:
    assert imported(tmp_path / "file", b"1\n2\n3\n", "--anyway", code=3)["rejected"] == 3
    mixed = b"1\n" * 999 + EVENT + b"2\n" * 3_000
    assert imported(tmp_path / "mixed", mixed, code=3)["accepted"] == 1


def test_a_directory_is_told_from_a_file(tmp_path: Path) -> None:
    assert b"Name the files in it" in tillroll("import", tmp_path, "--data", tmp_path / "data", code=2).stderr


@pytest.mark.slow
@pytest.mark.parametrize("form", ["array", "csv"])
def test_memory_stays_the_same_however_large_the_file_is(tmp_path: Path, form: str) -> None:
    peaks = []
    for count in (1, 8):
        file = tmp_path / f"{count}.{form}"
        with file.open("wb") as out:
            if form == "array":
                out.write(b"[" + b",\n  ".join([EVENT.strip()] * 60_000 * count) + b"]")
            else:
                out.write(CSV + (b"m,2011-12-03T10:15:30Z,," + b" " * 60 + b",4285\r\n") * 10)
                out.write(ROW * 60_000 * count)
        measure = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); "
        measure += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
        run = [sys.executable, "-c", measure, *command("import", file, "--data", tmp_path / f"data-{count}", "--json")]
        done = subprocess.run(run, capture_output=True, env=environment(), check=False)
        assert done.returncode in {0, 3}, done.stderr
        peaks.append(int(done.stdout.split()[-1]))
    assert resource.getpagesize()
    assert peaks[1] < peaks[0] + 180_000  # KiB: three blocks, and what is parsed of them


def test_names_of_files_cannot_steer_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "a\x1b]0;owned\x07\u202eb"
    file.write_bytes(EVENT + b"1\n")
    done = tillroll("import", file, "--data", tmp_path / "data", code=3)
    gone = tillroll("import", tmp_path / "none\x1b[2J", "--data", tmp_path / "data", code=2)
    for text in (done.stdout, done.stderr, gone.stderr):
        assert b"\x1b" not in text
        assert b"\x07" not in text
        assert "\u202e".encode() not in text
    assert rb"a\u001b]0;owned\u0007\u202eb:2: " in done.stderr
    assert rb"\u001b" in tillroll("rejected", "list", "--data", tmp_path / "data").stdout


def test_a_name_of_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a\udcff"
    file.write_bytes(EVENT)
    assert b"--name NAME" in tillroll("import", file, "--data", tmp_path / "data", code=2).stderr
    tillroll("import", file, "--name", "a", "--data", tmp_path / "data")
    assert reports(tmp_path / "data")["bracket-method"] == {"10-50|SLICE_IT": 1}
