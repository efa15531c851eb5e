"""What the real server answers to those who read."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from pyarrow import parquet
from tests.e2e.command import recount
from tests.e2e.http_server import Running, client, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

METHODS = ("PAY_NOW", "PAY_LATER", "SLICE_IT")
ODD = 'comma, "quote" & <b>ümläut</b>/%+?#='
LINES = [
    json.dumps(
        {
            "date": f"2020-02-{day:02}T{hour:02}:30:00Z",
            "amount": (day * 7919 + hour * 104729) % 70_000,
            "paymentMethod": METHODS[(day + hour) % 3],
            "merchantId": ODD if hour == 7 else f"merchant-{hour % 5}",
        }
    ).encode()
    for day in range(1, 29)
    for hour in range(24)
]
EXPECTED = recount(LINES)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("reports")) as found:
        with client(found) as http:
            http.post("/events", content=b"\n".join(LINES)).raise_for_status()
        yield found


def rows(answer: httpx.Response) -> dict[str, int]:
    assert answer.status_code == 200, answer.text
    return {row["datapoint"]: row["events"] for row in answer.json()}


def refused(http: httpx.Client, address: str, status: int = 400) -> dict[str, Any]:
    answer = http.get(address)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    return found


def test_the_reports_are_listed_with_what_they_count_by(http: httpx.Client) -> None:
    listed = {each["name"]: each for each in http.get("/reports").json()}
    assert set(listed) == set(EXPECTED)
    assert listed["day-merchant"]["dimensions"] == ["day", "merchant"]
    assert (listed["day-merchant"]["window"], listed["merchant-method"]["window"]) == ("day", None)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_report_is_what_a_recount_gives(http: httpx.Client, name: str) -> None:
    answer = http.get(f"/reports/{name}", params={"limit": 10_000})
    assert rows(answer) == EXPECTED[name]
    assert list(rows(answer)) == sorted(EXPECTED[name])
    assert int(answer.headers["tillroll-datapoints"]) == len(EXPECTED[name])
    assert int(answer.headers["tillroll-events"]) == len(LINES)
    assert "link" not in answer.headers


@pytest.mark.parametrize("order", ["datapoint", "-events"])
@pytest.mark.parametrize("name", EXPECTED)
def test_pages_follow_their_links_to_the_whole(http: httpx.Client, name: str, order: str) -> None:
    found: list[tuple[str, int]] = []
    address = f"/reports/{name}?order={order}&limit=40"
    while address:
        answer = http.get(address)
        found += rows(answer).items()
        link = answer.headers.get("link", "")
        address = link.partition("<")[2].partition(">")[0]
    assert dict(found) == EXPECTED[name]
    assert len(found) == len(EXPECTED[name])
    wanted = sorted(EXPECTED[name].items(), key=lambda row: (-row[1] if order == "-events" else 0, row[0]))
    assert found == wanted


def test_a_range_is_half_open(http: httpx.Client) -> None:
    answer = http.get(
        "/reports/hour-bracket", params={"from": "2020-02-03T05:00:00Z", "to": "2020-02-03T09:00:00+02:00"}
    )
    hours = {f"2020-02-03:{hour:02}" for hour in (5, 6)}
    assert rows(answer) == {key: n for key, n in EXPECTED["hour-bracket"].items() if key.split("|")[0] in hours}


def test_filters_keep_what_they_name(http: httpx.Client) -> None:
    wanted = [("bracket", "<10"), ("bracket", "100-500"), ("method", "PAY_LATER"), ("limit", "10000")]
    answer = http.get("/reports/hour-bracket-method", params=wanted)  # type: ignore[arg-type]
    assert rows(answer) == {
        key: n
        for key, n in EXPECTED["hour-bracket-method"].items()
        if key.split("|")[1] in {"<10", "100-500"} and key.endswith("|PAY_LATER")
    }
    assert rows(http.get("/reports/merchant-method", params={"merchant": ODD})) == {
        key: n for key, n in EXPECTED["merchant-method"].items() if key.startswith(f"{ODD}|")
    }
    assert rows(http.get("/reports/merchant-method", params={"merchant": "nobody"})) == {}


def test_a_report_is_rolled_up_in_the_order_asked(http: httpx.Client) -> None:
    found = rows(http.get("/reports/hour-bracket-method", params={"by": "method,day", "limit": 10_000}))
    totals: dict[str, int] = {}
    for key, events in EXPECTED["hour-bracket-method"].items():
        hour, _, method = key.split("|")
        totals[f"{method}|{hour[:10]}"] = totals.get(f"{method}|{hour[:10]}", 0) + events
    assert found == totals


def test_csv_is_given_by_parameter_or_accept_and_says_the_same(http: httpx.Client) -> None:
    by_accept = http.get("/reports/merchant-method", headers={"Accept": "text/csv"})
    by_name = http.get("/reports/merchant-method?format=csv&download=1")
    assert by_accept.content == by_name.content
    assert by_name.headers["content-type"] == "text/csv; charset=utf-8"
    assert by_name.headers["content-disposition"] == 'attachment; filename="merchant-method.csv"'
    parsed = list(csv.reader(io.StringIO(by_name.text, newline="")))
    assert parsed[0] == ["datapoint", "events"]
    assert {name: int(events) for name, events in parsed[1:]} == EXPECTED["merchant-method"]
    browser = "text/html,application/xhtml+xml,*/*;q=0.8"
    assert http.get("/reports/merchant-method", headers={"Accept": browser}).json()
    assert http.get("/reports/merchant-method?format=json", headers={"Accept": "text/csv"}).json()


def test_a_large_answer_is_compressed_for_who_can_read_it(http: httpx.Client) -> None:
    plain = http.get("/reports/hour-bracket", headers={"Accept-Encoding": "identity"})
    small = http.get("/reports/hour-bracket", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < len(plain.content) / 3
    assert small.content == plain.content


def test_single_aggregates_and_many(http: httpx.Client) -> None:
    for name, counted in EXPECTED.items():
        datapoint = next(iter(counted))
        answer = http.get(f"/aggregates/{quote(datapoint, safe='')}")
        assert answer.json() == {"datapoint": datapoint, "events": counted[datapoint]}, name
    odd = f"2020-02-03|{ODD}"
    assert http.get(f"/aggregates/{quote(odd, safe='')}").json()["events"] == 1
    asked = ["10-50|SLICE_IT", "2031-01-01|nobody", odd, "10-50|SLICE_IT"]
    wanted = [{"datapoint": each, "events": EXPECTED["bracket-method"].get(each, int(each == odd))} for each in asked]
    assert http.get("/aggregates", params=[("datapoint", each) for each in asked]).json() == wanted
    assert http.post("/aggregates", json={"datapoints": asked}).json() == wanted
    assert http.post("/aggregates", json={"datapoints": []}).json() == []


def test_single_aggregates_show_the_measures_that_are_asked_for(http: httpx.Client) -> None:
    measures = {"measures": "amount,average,events"}
    some = http.get("/reports/bracket-method", params=measures | {"limit": "3"}).json()
    assert [list(each) for each in some] == [["datapoint", "amount", "average", "events"]] * 3
    assert some[0]["amount"]
    datapoints = [each["datapoint"] for each in some]
    asked = [("datapoint", each) for each in datapoints] + [("measures", "amount,average"), ("measures", "events")]
    assert http.get("/aggregates", params=asked).json() == some
    assert http.post("/aggregates", params=measures, json={"datapoints": datapoints}).json() == some
    one = http.get(f"/aggregates/{quote(datapoints[1], safe='')}", params={"measures": "amount"}).json()
    assert one == {"datapoint": datapoints[1], "amount": some[1]["amount"]}
    for address in (
        f"/aggregates?datapoint={quote(datapoints[0])}&measures=",
        "/aggregates/10-50|SLICE_IT?measures=sum",
    ):
        assert refused(http, address, 400)["field"] == "measures"


def test_what_nobody_counted_is_not_found_alone(http: httpx.Client) -> None:
    assert refused(http, "/aggregates/2031-01-01%7Cnobody", 404)["code"] == "unknown_datapoint"


def test_a_list_of_datapoints_has_a_bound(http: httpx.Client) -> None:
    assert http.post("/aggregates", json={"datapoints": ["10-50|PAY_NOW"] * 1_001}).json()["code"] == "bad_body"
    assert http.post("/aggregates", content=b" " * (2**20 + 1)).json()["code"] == "too_large"
    listed: Any = [("datapoint", "10-50|PAY_NOW")] * 101
    assert "POST up to" in http.get("/aggregates", params=listed).json()["detail"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"datapoints": 1}', b'{"datapoints": [1]}', b'{"datapoints": [], "x": 1}', b"[" * 100_000],
)
def test_a_list_of_datapoints_that_is_none_is_refused(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/aggregates", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_body")


@pytest.mark.parametrize(
    ("address", "field", "said"),
    [
        ("/reports/day-merchant?from=yesterday", "from", "not a date"),
        ("/reports/day-merchant?from=2020-02-30", "from", "not a date"),
        ("/reports/day-merchant?from=2020-02-03&to=2020-02-03", "to", "not after"),
        ("/reports/day-merchant?from=2020-02-04&to=2020-02-03", "to", "not after"),
        ("/reports/day-merchant?from=2020-02-03T10:00:00Z", "from", "2020-02-03T00:00:00Z and 2020-02-04T00:00:00Z"),
        ("/reports/hour-bracket?from=2020-02-03T10:00:00+02:00", "from", "%2B"),
        ("/reports/bracket-method?from=2020-02-03", "from", "over all time"),
        ("/reports/hour-bracket?method=PAY_NOW", "method", "does not count by method"),
        ("/reports/hour-bracket?bracket=10-51", "bracket", "<10, 10-50"),
        ("/reports/hour-bracket?limit=0", "limit", "from 1 to 10000"),
        ("/reports/hour-bracket?limit=1&limit=2", "limit", "2 times"),
        ("/reports/hour-bracket?by=year", "by", "hour, bracket, day, week"),
        ("/reports/hour-bracket?order=up", "order", "datapoint, bracket, -events"),
        ("/reports/hour-bracket?order=-events&cursor=x", "cursor", "not a cursor"),
        ("/reports/hour-bracket?format=xml", "format", "json, csv"),
        ("/reports/hour-bracket?format=csv&columns=wide", "columns", "packed, split"),
        ("/reports/hour-bracket?columns=split", "columns", "Add format=csv"),
        ("/reports/hour-bracket?format=json&bom=1", "bom", "Add format=csv"),
        ("/reports/hour-bracket?format=csv&bom=yes", "bom", "0, 1"),
        ("/reports/day-merchant?order=bracket", "order", "no brackets"),
        ("/reports/hour-bracket?order=bracket&cursor=x", "cursor", "not a cursor of the order bracket"),
        ("/reports/bracket-method?from=2020-02-01", "from", "Query hour-bracket-method with by=bracket,method"),
        ("/reports/merchant-method?to=2020-02-01", "to", "no report counts by merchant,method within a range"),
        ("/reports/hour-bracket?colour=red", "colour", "unknown parameter"),
        ("/reports/hour-bracket?from=%ff", None, "UTF-8"),
        ("/aggregates", "datapoint", "none is given"),
        ("/aggregates?datapoint=x", "datapoint", "datapoint of no report"),
        ("/aggregates/x", "datapoint", "datapoint of no report"),
        ("/merchants?limit=x", "limit", "whole number"),
        ("/merchants?q=" + "x" * 129, "q", "longer"),
        ("/rejected?limit=1001", "limit", "from 1 to 1000"),
        ("/reports?x=1", "x", "There are definitions"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_what_can(
    http: httpx.Client, address: str, field: str | None, said: str
) -> None:
    problem = refused(http, address)
    assert (problem["code"], problem["field"]) == ("bad_query", field)
    assert said in problem["detail"]


def test_an_unknown_report_is_told_those_there_are(http: httpx.Client) -> None:
    problem = refused(http, "/reports/day", 404)
    assert problem["code"] == "unknown_report"
    assert "hour-bracket-method" in problem["detail"]


def test_merchants_are_found_by_a_part_of_their_name(http: httpx.Client) -> None:
    assert http.get("/merchants?q=ANT-").json() == [f"merchant-{number}" for number in range(5)]
    assert http.get("/merchants?q=merchant&limit=2").json() == ["merchant-0", "merchant-1"]
    assert http.get("/merchants", params={"q": "<B>Ü"}).json() == [ODD]
    assert http.get("/merchants?q=nobody").json() == []


@pytest.mark.parametrize(
    ("method", "address", "status", "allow"),
    [
        ("GET", "/nothing", 404, None),
        ("GET", "/reports/", 404, None),
        ("GET", "/static/nothing.js", 404, None),
        ("GET", "/static/../asgi.py", 404, None),
        ("GET", "/static/%2e%2e/asgi.py", 404, None),
        ("PUT", "/events", 405, {"GET", "HEAD", "POST", "OPTIONS"}),
        ("PATCH", "/aggregates", 405, {"GET", "HEAD", "POST", "OPTIONS"}),
        ("PUT", "/rejected/1", 405, {"GET", "HEAD", "DELETE", "OPTIONS"}),
        ("POST", "/static/index.html", 405, {"GET", "HEAD"}),
    ],
)
def test_what_is_not_there_is_a_problem(
    running: Running, method: str, address: str, status: int, allow: set[str] | None
) -> None:
    answer = running.talk(f"{method} {address} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert json.loads(body)["status"] == status == int(head.split()[1])
    assert headers["content-type"] == "application/problem+json"
    if allow is not None:
        assert {each.strip().upper() for each in headers["allow"].split(",")} == allow


def test_head_is_get_without_its_body(http: httpx.Client) -> None:
    answer = http.head("/reports/hour-bracket")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_the_page_and_its_files_are_kept_by_validators(http: httpx.Client) -> None:
    for address in ("/", "/docs", "/static/docs/docs.js", "/static/vendor/swagger-ui/swagger-ui.css"):
        first = http.get(address)
        assert first.status_code == 200
        assert first.headers["cache-control"] == "no-cache"
        again = http.get(address, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_files_of_the_page_are_compressed_under_a_tag_of_their_own(http: httpx.Client) -> None:
    for address, text in (("/", True), ("/static/js/main.js", True), ("/static/vendor/inter/inter-latin.woff2", False)):
        plain = http.get(address, headers={"Accept-Encoding": "identity"})
        packed = http.get(address, headers={"Accept-Encoding": "gzip"})
        assert packed.content == plain.content
        assert ("content-encoding" in packed.headers) == text
        assert (packed.headers["etag"] != plain.headers["etag"]) == text
        assert packed.headers["vary"] == "Accept-Encoding"
        for answer, coding in ((plain, "identity"), (packed, "gzip")):
            kept = {"If-None-Match": answer.headers["etag"], "Accept-Encoding": coding}
            assert http.get(address, headers=kept).status_code == 304
            assert len(http.head(address, headers={"Accept-Encoding": coding}).headers["content-length"]) > 0


def test_every_answer_carries_the_security_headers(http: httpx.Client) -> None:
    for address in ("/", "/docs", "/reports", "/nothing", "/openapi.json"):
        headers = http.get(address).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"


def test_split_csv_has_brackets_by_amount_over_all_pages(http: httpx.Client) -> None:
    read: list[list[str]] = []
    address: str | None = "/reports/hour-bracket-method?format=csv&columns=split&limit=50"
    while address:
        answer = http.get(address)
        head, *page = csv.reader(io.StringIO(answer.text, newline=""))
        assert head == ["hour", "bracket", "method", "events"]
        read += page
        address = answer.links.get("next", {}).get("url")
    assert {"|".join(cells): int(events) for *cells, events in read} == EXPECTED["hour-bracket-method"]
    brackets = ("<10", "10-50", "50-100", "100-500", ">500")
    keys = [(hour, brackets.index(bracket), method) for hour, bracket, method, _ in read]
    assert keys == sorted(keys)


def test_parquet_is_all_of_a_report_with_the_columns_of_the_command(http: httpx.Client) -> None:
    answer = http.get("/reports/hour-bracket-method?format=parquet&download=1")
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert answer.headers["content-disposition"] == 'attachment; filename="hour-bracket-method.parquet"'
    assert "link" not in answer.headers
    table = parquet.read_table(io.BytesIO(answer.content))
    assert {field.name: str(field.type) for field in table.schema} == {
        "datapoint": "string",
        "events": "int64",
        "amount": "decimal128(38, 0)",
    }
    found = table.to_pylist()
    assert {row["datapoint"]: row["events"] for row in found} == EXPECTED["hour-bracket-method"]
    asked = http.get("/reports/hour-bracket-method?measures=events,amount&limit=10000").json()
    assert [row | {"amount": int(row["amount"])} for row in found] == asked
    again = http.get(answer.request.url, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("question", "columns"),
    [
        ("merchant-method?measures=average", ["datapoint", "average"]),
        ("merchant-method?columns=split", ["merchant", "method", "events", "amount"]),
        (
            "day-merchant?columns=split&by=month,merchant&order=-amount&limit=2",
            ["month", "merchant", "events", "amount"],
        ),
        ("hour-bracket?columns=split&measures=events&bracket=<10", ["hour", "bracket", "events"]),
        ("hour-bracket?measures=events&method=none&columns=packed", None),
        ("day-merchant?merchant=nobody", ["datapoint", "events", "amount"]),
    ],
)
def test_parquet_answers_what_csv_does(http: httpx.Client, question: str, columns: list[str] | None) -> None:
    answer = http.get(f"/reports/{question}&format=parquet")
    if columns is None:
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_query")
        return
    table = parquet.read_table(io.BytesIO(answer.content))
    assert table.column_names == columns
    measures = "" if "measures" in question else "&measures=events,amount"
    limit = "" if "limit" in question else "&limit=10000"
    text = http.get(f"/reports/{question}{measures}{limit}&format=csv").text
    head, *cells = csv.reader(io.StringIO(text, newline=""))
    assert head == columns
    assert [[str(value) for value in row.values()] for row in table.to_pylist()] == cells
    assert ("link" in answer.headers) == ("limit" in question)


def test_parquet_turns_pages_where_a_limit_is_given(http: httpx.Client) -> None:
    found: list[str] = []
    address: str | None = "/reports/hour-bracket?format=parquet&limit=100"
    while address:
        answer = http.get(address)
        found += parquet.read_table(io.BytesIO(answer.content)).column("datapoint").to_pylist()
        address = answer.links.get("next", {}).get("url")
    assert found == sorted(EXPECTED["hour-bracket"])


def test_server_without_pyarrow_says_so_and_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['pyarrow'] = None\n")
    with serving(tmp_path, PYTHONPATH=str(tmp_path)) as running, client(running) as http:
        assert http.get("/status").json()["parquet"] is False
        answer = http.get("/reports/hour-bracket?format=parquet")
        assert (answer.status_code, answer.json()["code"]) == (501, "parquet_missing")
        assert "pip install 'pyarrow>=" in answer.json()["detail"]
        assert http.get("/reports/hour-bracket?format=csv").status_code == 200


def test_json_has_brackets_by_amount_where_that_is_asked_for(http: httpx.Client) -> None:
    plain = http.get("/reports/bracket-method").json()
    found = http.get("/reports/bracket-method?order=bracket").json()
    assert [row["datapoint"] for row in plain] == sorted(row["datapoint"] for row in plain)
    assert sorted(map(str, found)) == sorted(map(str, plain))
    brackets = [row["datapoint"].split("|")[0] for row in found]
    assert list(dict.fromkeys(brackets)) == ["<10", "10-50", "50-100", "100-500", ">500"]


def test_a_byte_order_mark_comes_where_it_is_asked_for(http: httpx.Client) -> None:
    plain = http.get("/reports/day-merchant?format=csv&columns=split").content
    assert http.get("/reports/day-merchant?format=csv&columns=split&bom=1").content == b"\xef\xbb\xbf" + plain
    assert http.get("/reports/day-merchant?format=csv&columns=packed&bom=0").content.startswith(b"datapoint,events\r\n")


def test_purchases_behind_a_number_come_page_after_page_in_order(http: httpx.Client) -> None:
    datapoint = "10-50|SLICE_IT"
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        answer = http.get("/explain", params={"datapoint": datapoint, "limit": 7, **after}).raise_for_status().json()
        found += answer["purchases"]
        assert (answer["datapoint"], answer["report"]) == (datapoint, "bracket-method")
        if answer["next"] is None:
            break
        after = {"after": answer["next"]}
    events = [json.loads(line) for line in LINES]
    expected = [one for one in events if one["paymentMethod"] == "SLICE_IT" and 1_000 <= one["amount"] < 5_000]
    assert [one["event"] for one in found] == expected
    assert answer["events"] == len(expected) == EXPECTED["bracket-method"][datapoint]


def test_a_datapoint_without_purchases_has_none_behind_it(http: httpx.Client) -> None:
    answer = http.get("/explain", params={"datapoint": "2020-02-01|nobody"}).json()
    assert (answer["events"], answer["purchases"], answer["next"]) == (0, [], None)


@pytest.mark.parametrize(
    ("address", "field"),
    [
        ("/explain", "datapoint"),
        ("/explain?datapoint=nonsense|x|y|z", "datapoint"),
        ("/explain?datapoint=10-50|SLICE_IT&datapoint=10-50|PAY_NOW", "datapoint"),
        ("/explain?datapoint=10-50|SLICE_IT&after=-1", "after"),
        ("/explain?datapoint=10-50|SLICE_IT&limit=1001", "limit"),
        ("/explain?datapoint=10-50|SLICE_IT&colour=red", "colour"),
    ],
)
def test_a_wrong_question_for_purchases_names_what_is_wrong(http: httpx.Client, address: str, field: str) -> None:
    assert refused(http, address)["field"] == field


def test_reports_say_what_they_are_made_of(http: httpx.Client) -> None:
    listed = {one["name"]: one for one in http.get("/reports").json()}
    hours, merchants = listed["hour-bracket-method"], listed["merchant-method"]
    assert [(part["name"], part["kind"]) for part in hours["parts"]] == [
        ("hour", "window"),
        ("bracket", "bracket"),
        ("method", "choice"),
    ]
    assert hours["parts"][1]["values"] == ["<10", "10-50", "50-100", "100-500", ">500"]
    assert (hours["grains"], hours["any_zone"]) == (["hour", "day", "week", "month"], True)
    assert listed["day-merchant"]["grains"] == ["day", "week", "month"]
    assert (merchants["parts"][0]["kind"], merchants["grains"], merchants["any_zone"]) == ("open", [], False)
