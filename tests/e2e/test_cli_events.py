"""`tillroll events`: what came in goes out, and in elsewhere, with every name."""

from __future__ import annotations

import csv
import gzip
import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.command import reports, tillroll
from tests.e2e.server import Server

if TYPE_CHECKING:
    from pathlib import Path


def event(number: int, **more: object) -> dict[str, Any]:
    date = f"2011-12-0{number % 9 + 1}T10:15:30.{number:03}Z"
    return {"date": date, "amount": number, "paymentMethod": "PAY_NOW", "merchantId": f'm "{number % 3}", é'} | more


def post(server: Server, events: list[dict[str, Any]], **headers: str) -> dict[str, int]:
    body = "\n".join(map(json.dumps, events)).encode()
    request = urllib.request.Request(f"{server.url}/events", body, {"Content-Type": "application/x-ndjson", **headers})
    with urllib.request.urlopen(request) as response:
        receipt = json.load(response)
    return {name: receipt[name] for name in ("accepted", "duplicates", "conflicts")}


def imported(data: Path, *files: Path | str, stdin: bytes = b"") -> dict[str, int]:
    done = tillroll("import", *files, "--json", "--data", data, stdin=stdin)
    (summary,) = json.loads(done.stdout)
    return {name: summary[name] for name in ("accepted", "duplicates", "conflicts")}


def outcome(accepted: int = 0, duplicates: int = 0) -> dict[str, int]:
    return {"accepted": accepted, "duplicates": duplicates, "conflicts": 0}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose events have names of every kind, and two of them none at all."""
    directory = tmp_path_factory.mktemp("events")
    server = Server(directory / "data", directory)
    server.start()
    assert post(server, [event(1, id="o1"), event(2), event(3)], **{"Idempotency-Key": "k|1:0"}) == outcome(3)
    assert post(server, [event(4), event(4)]) == outcome(2)
    assert post(server, [event(5, _name="key:0:k|1:0", note={"_name": "x"})]) == outcome(1)  # it is nothing over HTTP
    server.stop()
    server.close()
    file = directory / 'a "file".ndjson'
    file.write_text("\n\n" + json.dumps(event(6)) + "\n" + json.dumps(event(7, id="o7")) + "\n")
    assert imported(directory / "data", file) == outcome(2)
    return directory / "data"


def exported(data: Path, *arguments: str | Path) -> bytes:
    return tillroll("events", *arguments, "--data", data).stdout


def test_names_of_every_kind_are_carried(source: Path) -> None:
    lines = [json.loads(line) for line in exported(source).splitlines()]
    assert [line["amount"] for line in lines] == [1, 2, 3, 4, 4, 5, 6, 7]
    assert [line["_name"] for line in lines[:3]] == ["id:o1", "key:1:k|1:0", "key:2:k|1:0"]
    assert [line["_name"].split(":")[:3:2] for line in lines[3:6]] == [["file", "journal"]] * 3
    assert len({line["_name"] for line in lines}) == 8
    assert lines[6]["_name"].startswith("file:2:/")
    assert lines[6]["_name"].endswith('a "file".ndjson')


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_an_export_gives_an_empty_store_the_same_and_it_knows_every_repeat(
    source: Path, tmp_path: Path, form: str
) -> None:
    file, other = tmp_path / f"out.{form}.gz", tmp_path / "other"
    tillroll("events", file, "--format", form, "--data", source)
    assert imported(other, file) == outcome(8)
    assert reports(other) == reports(source)
    assert exported(other) == exported(source)
    assert imported(other, file) == outcome(0, 8)
    assert imported(source, "-", stdin=gzip.decompress(file.read_bytes())) == outcome(0, 8)
    server = Server(other, tmp_path)
    server.start()
    assert post(server, [event(1, id="o1")]) == outcome(0, 1)
    assert post(server, [event(1, id="o1"), event(2), event(3)], **{"Idempotency-Key": "k|1:0"}) == outcome(0, 3)
    assert post(server, [event(4)]) == outcome(1)
    server.stop()
    server.close()


def test_csv_has_the_values_of_json(source: Path) -> None:
    rows = list(csv.DictReader(exported(source, "--format", "csv").decode().splitlines(keepends=True), strict=True))
    lines = [json.loads(line) for line in exported(source).splitlines()]
    assert [{name: value for name, value in row.items() if value} for row in rows] == [
        {name: str(value) for name, value in line.items()} for line in lines
    ]


def test_a_part_of_the_journal_comes_out_by_position_date_and_merchant(source: Path) -> None:
    whole = exported(source).splitlines()
    assert exported(source, "--after", "2", "--until", "4").splitlines() == whole[2:4]
    assert exported(source, "--from", "2011-12-03", "--to", "2011-12-05T10:15:30Z").splitlines() == whole[1:3]
    some = exported(source, "--merchant", 'm "1", é', "--merchant", 'm "2", é').splitlines()
    assert some == [line for line in whole if b'm \\"0\\"' not in line]
    done = tillroll("events", "--until", "4", "--merchant", "none", "--data", source)
    assert (done.stdout, done.stderr) == (b"", b"0 events, up to position 4\n")


def test_what_cannot_be_asked_is_one_clear_message(source: Path, tmp_path: Path) -> None:
    for arguments, code in (
        (["--after", "9"], 4),
        (["--after", "5", "--until", "4"], 2),
        (["--from", "2011-12-05", "--to", "2011-12-05"], 2),
        (["--from", "yesterday"], 2),
        ([str(tmp_path / "none" / "file")], 2),
    ):
        done = tillroll("events", *arguments, "--data", source, code=code)
        assert done.stderr.count(b"\n") == 1, done.stderr
        assert not done.stdout


def test_a_file_is_there_whole_or_not_at_all(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.ndjson"
    target.write_text("before")
    tillroll("events", target, "--after", "100", "--data", source, code=4)
    assert target.read_text() == "before"
    tillroll("events", target, "--data", source)
    assert target.read_bytes() == exported(source)
    assert [path.name for path in tmp_path.iterdir()] == ["out.ndjson"]


def test_a_line_of_an_export_that_was_rejected_keeps_its_name_when_it_is_retried(tmp_path: Path) -> None:
    line = {"date": "2011-12-03T10:15:30Z", "amount": -1, "paymentMethod": "SLICE_IT", "merchantId": "m"}
    line["_name"] = "key:0:shop"
    data, export = tmp_path / "data", tmp_path / "export.ndjson"
    good = [json.dumps(line | {"amount": 5, "_name": f"key:{at}:shop"}).encode() for at in range(1, 9)]
    export.write_bytes(b"\n".join([json.dumps(line).encode(), *good]) + b"\n")
    tillroll("import", export, "--data", data, code=3)
    (kept,) = json.loads(tillroll("rejected", "list", "--json", "--data", data).stdout)
    mended = json.dumps(line | {"amount": 7}).encode()
    tillroll("rejected", "retry", kept["id"], "--body", "-", "--data", data, stdin=mended)
    again = tmp_path / "again.ndjson"
    again.write_bytes(mended + b"\n" + b"\n".join(good) + b"\n")
    tillroll("import", again, "--name", "again", "--data", data)
    counted = json.loads(tillroll("report", "merchant-method", "--format", "json", "--data", data).stdout)
    assert counted == [{"datapoint": "m|SLICE_IT", "events": 9}]
