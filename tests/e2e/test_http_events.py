"""POST /events of the real server: every outcome, and every bad body there is."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from backports import zstd
from tests.e2e.http_server import EVENT, Running

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
LINE = json.dumps(EVENT).encode()


def post(http: httpx.Client, body: bytes, status: int, **headers: str) -> dict[str, Any]:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = http.post("/events", content=body, headers=JSON | fields)
    assert answer.status_code == status, answer.text
    kind = "application/problem+json" if status >= 400 else "application/json"
    assert answer.headers["content-type"] == kind
    found: dict[str, Any] = answer.json()
    if status >= 400:
        assert (found["status"], found["type"]) == (status, "about:blank")
        assert found["detail"]
        assert found["title"]
    return found


def counts(answer: dict[str, Any]) -> tuple[int, int, int, int]:
    return answer["accepted"], answer["duplicates"], answer["conflicts"], answer["rejected"]


def events_of(http: httpx.Client) -> int:
    """How many events are counted now; /status may be a moment old."""
    return sum(row["events"] for row in http.get("/reports/bracket-method").json())


def test_an_event_is_in_all_reports_as_soon_as_it_is_acknowledged(http: httpx.Client) -> None:
    event = EVENT | {"merchantId": "fresh", "date": "2012-01-02T03:04:05+02:00"}
    post(http, json.dumps(event).encode(), 202)
    for datapoint in (
        "2012-01-02:01|10-50",
        "2012-01-02:01|10-50|SLICE_IT",
        "2012-01-02|fresh",
        "fresh|SLICE_IT",
    ):
        assert http.get(f"/aggregates/{datapoint}").json() == {"datapoint": datapoint, "events": 1}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (LINE + b"\n" + LINE, {}),
        (LINE + b"\r\n" + LINE + b"\r\n", {}),
        (LINE + b"\n\n \n" + LINE, NDJSON),
        (b"[" + LINE + b",\n" + LINE + b"]", {}),
        (b"\xef\xbb\xbf" + LINE + b"\n" + LINE, {}),
        (gzip.compress(LINE + b"\n") + gzip.compress(LINE), {"Content-Encoding": "gzip"}),
        (zstd.compress(LINE + b"\n" + LINE), {"Content-Encoding": "zstd"}),
        (LINE + b"\n" + LINE, {"Content-Type": "application/json; charset=utf-8"}),
        (LINE + b"\n" + LINE, {"Content-Type": "application/vnd.shop+json"}),
        (LINE + b"\n" + LINE, {"Content-Type": "application/x-www-form-urlencoded"}),
    ],
    ids=["lines", "crlf", "blank-lines", "array", "bom", "gzip", "zstd", "charset", "json-suffix", "curl-d"],
)
def test_two_events_are_taken_in_every_form(http: httpx.Client, body: bytes, headers: dict[str, str]) -> None:
    assert counts(post(http, body, 202, **headers)) == (2, 0, 0, 0)


def test_a_body_without_a_type_is_taken_for_what_it_is(http: httpx.Client) -> None:
    answer = http.post("/events", content=LINE)
    assert "content-type" not in answer.request.headers
    assert answer.status_code == 202


def test_a_body_in_chunks_is_taken(http: httpx.Client) -> None:
    answer = http.post("/events", content=iter([LINE[:20], LINE[20:], b"\n", LINE]), headers=JSON)
    assert answer.request.headers["transfer-encoding"] == "chunked"
    assert counts(answer.json()) == (2, 0, 0, 0)


def test_a_large_body_is_taken_whole(http: httpx.Client) -> None:
    assert counts(post(http, b"\n".join([LINE] * 20_000), 202)) == (20_000, 0, 0, 0)


def test_a_repeat_under_its_key_is_a_duplicate_and_other_content_a_conflict(http: httpx.Client) -> None:
    both = LINE + b"\n" + LINE
    other = json.dumps(EVENT | {"amount": 1}).encode()
    assert counts(post(http, both, 202, Idempotency_Key="k-1")) == (2, 0, 0, 0)
    assert counts(post(http, both, 202, Idempotency_Key="k-1")) == (0, 2, 0, 0)
    mixed = post(http, LINE + b"\n" + other, 202, Idempotency_Key="k-1")
    assert counts(mixed) == (0, 1, 1, 0)
    assert mixed["not_accepted"][0]["index"] == 1
    alone = post(http, other, 422, Idempotency_Key="k-1")
    assert counts(alone) == (0, 0, 1, 0)
    assert (alone["code"], alone["not_accepted"][0]["code"]) == ("not_accepted", "conflict")


def test_an_own_id_outlives_the_key(http: httpx.Client) -> None:
    named = json.dumps(EVENT | {"id": "purchase-1"}).encode()
    assert counts(post(http, named, 202, Idempotency_Key="k-2")) == (1, 0, 0, 0)
    assert counts(post(http, named, 202, Idempotency_Key="k-3")) == (0, 1, 0, 0)
    assert counts(post(http, named, 202)) == (0, 1, 0, 0)


def test_one_bad_line_in_the_middle_costs_only_itself(http: httpx.Client) -> None:
    answer = post(http, b"\n".join([LINE, b'{"date":', LINE, b"\xff", LINE]), 202)
    assert counts(answer) == (3, 0, 0, 2)
    assert [(each["index"], each["outcome"], each["code"]) for each in answer["not_accepted"]] == [
        (1, "rejected", "not_json"),
        (3, "rejected", "not_utf8"),
    ]
    assert not answer["truncated"]


@pytest.mark.parametrize("bad", [b'{"date":', LINE[:30], b"oops", b'"', b"", b"[1]"])
@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/x-ndjson; charset=utf-8",
        "text/plain;charset=UTF-8",
        "Text/JSON",
        "application/json-seq",
        "application/x-www-form-urlencoded; charset=UTF-8",
        "application/vnd.shop+json;v=1",
    ],
)
def test_a_bad_first_line_costs_only_itself_whatever_the_type_says(http: httpx.Client, bad: bytes, kind: str) -> None:
    answer = post(http, bad + b"\n" + LINE + b"\n" + LINE, 202, **{"Content-Type": kind})
    assert counts(answer) == (2, 0, 0, 1 if bad else 0)
    assert [(each["index"], each["byte"]) for each in answer["not_accepted"]] == ([(0, 0)] if bad else [])


def test_an_empty_array_is_taken_and_has_nothing(http: httpx.Client) -> None:
    for body in (b"[]", b" [\n] \n"):
        assert counts(post(http, body, 202)) == (0, 0, 0, 0)


def test_each_bad_element_has_its_index_and_its_byte(http: httpx.Client) -> None:
    elements = [
        LINE,
        LINE[:-1] + b', "x": NaN}',
        b"",
        LINE[:-1] + b', "x": "\\ud83d"}',
        LINE[:-1] + b', "x": "\t"}',
        LINE,
    ]
    body = b"[" + b",\r\n ".join(elements) + b"]"
    answer = post(http, body, 202)
    assert counts(answer) == (3, 0, 0, 3)
    places = [(each["index"], each["byte"]) for each in answer["not_accepted"]]
    assert places == [(1, body.index(elements[1])), (2, body.index(b",\r\n ,") + 4), (4, body.index(elements[4]))]


def test_the_list_of_what_is_not_accepted_is_cut_and_the_counts_are_whole(http: httpx.Client) -> None:
    answer = post(http, b"[" + b",".join([b"7"] * 1_500) + b"]", 422)
    assert (counts(answer), len(answer["not_accepted"]), answer["truncated"]) == ((0, 0, 0, 1_500), 1_000, True)


DEEP = b'{"x":' * 100_000 + b"1" + b"}" * 100_000


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        (b"not json", "not_json", None),
        (LINE[:-5], "not_json", None),
        (b"[" + LINE[:-3] + b",", "not_json", None),
        (b'"text"', "not_an_object", None),
        (b"1e400", "not_an_object", None),
        (LINE.replace(b"4285", b"1e400"), "invalid_amount", "amount"),
        (LINE.replace(b"4285", b"NaN"), "not_json", None),
        (LINE.replace(b"4285", b"Infinity"), "not_json", None),
        (LINE.replace(b"4285", b"42.85"), "invalid_amount", "amount"),
        (LINE.replace(b"4285", b"-1"), "invalid_amount", "amount"),
        (LINE.replace(b"4285", b"true"), "invalid_amount", "amount"),
        (LINE.replace(b"4285", b'"4285"'), "invalid_amount", "amount"),
        (LINE.replace(b"4285", b"9" * 5_000), "invalid_amount", "amount"),
        (LINE.replace(b"4285", b"1000000000001"), "invalid_amount", "amount"),
        (LINE.replace(b"SLICE_IT", b"slice_it"), "unknown_method", "paymentMethod"),
        (LINE.replace(b"2011-12-03T", b"2011-12-32T"), "invalid_date", "date"),
        (LINE.replace(b":30Z", b":30"), "invalid_date", "date"),
        (LINE.replace(b"2011", b"9998"), "future_date", "date"),
        (LINE.replace(b"1bb53ed1-787b-4543-9def-ea18eef7902e", b"10-50"), "reserved_merchant", "merchantId"),
        (LINE.replace(b"1bb53ed1-787b-4543-9def-ea18eef7902e", b"a|b"), "invalid_merchant", "merchantId"),
        (LINE.replace(b"1bb53ed1", b"\xc3\x28"), "not_utf8", None),
        (LINE.replace(b'"amount"', b'"amount": 1, "amount"'), "duplicate_field", "amount"),
        (LINE.replace(b'"date": "2011-12-03T10:15:30Z", ', b""), "missing_field", "date"),
        (LINE[:-1] + b', "id": ""}', "invalid_id", "id"),
        (DEEP, "missing_field", "date"),
        (b"[" * 100_000, "not_json", None),
        (LINE[:-1] + b', "note": "' + b"x" * (1 << 20) + b'"}', "too_long", None),
    ],
)
def test_a_single_bad_event_is_told_why(http: httpx.Client, body: bytes, reason: str, field: str | None) -> None:
    answer = post(http, body, 422)
    assert (answer["code"], counts(answer)) == ("not_accepted", (0, 0, 0, 1))
    (listed,) = answer["not_accepted"]
    assert (listed["index"], listed["outcome"], listed["code"], listed["field"]) == (0, "rejected", reason, field)
    assert len(listed["message"]) < 400


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", {}, 400, "empty_body"),
        (b" \r\n\n\t", {}, 400, "empty_body"),
        (b"\xef\xbb\xbf", {}, 400, "empty_body"),
        (gzip.compress(b""), {"Content-Encoding": "gzip"}, 400, "empty_body"),
        (LINE, {"Content-Encoding": "gzip"}, 400, "bad_encoding"),
        (gzip.compress(LINE)[:-4], {"Content-Encoding": "gzip"}, 400, "bad_encoding"),
        (zstd.compress(LINE)[:-4], {"Content-Encoding": "zstd"}, 400, "bad_encoding"),
        (LINE, {"Content-Encoding": "br"}, 415, "unknown_encoding"),
        (LINE, {"Content-Type": "multipart/form-data"}, 415, "unknown_type"),
        (LINE, {"Content-Type": "text/csv"}, 415, "unknown_type"),
        (LINE, {"Idempotency-Key": ""}, 400, "bad_idempotency_key"),
        (LINE, {"Idempotency-Key": "k" * 129}, 400, "bad_idempotency_key"),
        (LINE, {"Idempotency-Key": "a\tb"}, 400, "bad_idempotency_key"),
        (lambda: b"\n".join([b"{}"] * 100_001), {}, 413, "too_many_events"),
        (lambda: b"[" + b"0," * 4_000_000 + b"0]", {}, 413, "too_many_events"),
        (lambda: b"x" * (16 * 2**20 + 1), {}, 413, "too_large"),
        (lambda: gzip.compress(bytes(300 * 2**20), 1), {"Content-Encoding": "gzip"}, 413, "too_large"),
        (lambda: zstd.compress(bytes(300 * 2**20), 1), {"Content-Encoding": "zstd"}, 413, "too_large"),
    ],
)
def test_a_body_that_cannot_be_taken_at_all_is_told_why_and_changes_nothing(
    running: Running,
    http: httpx.Client,
    body: bytes | Callable[[], bytes],  # a large one is made when it is sent
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    before = events_of(http)
    sent = body if isinstance(body, bytes) else body()
    assert post(http, sent, status, **headers)["code"] == code
    assert events_of(http) == before
    assert running.memory_bytes() < 400 * 2**20


def test_a_key_that_is_given_twice_is_refused(running: Running) -> None:
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n"
    answer = running.talk(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(LINE) + LINE)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"bad_idempotency_key" in answer


def test_requests_in_a_row_on_one_connection_are_answered_in_their_order(running: Running) -> None:
    events = [json.dumps(EVENT | {"id": f"row-{number}"}).encode() for number in range(50)]
    head = b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    last = b"GET /aggregates/10-50%7CSLICE_IT HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    bad = head % 1 + b"x"
    sent = b"".join(head % len(event) + event for event in events) + bad + last
    answers = running.talk(sent)
    statuses = [part.split()[0] for part in answers.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"202"] * 50 + [b"422", b"200"]


def test_what_is_rejected_is_listed_shown_corrected_and_gone(http: httpx.Client) -> None:
    wrong = json.dumps(EVENT | {"amount": "12", "merchantId": "corrected"}).encode()
    post(http, wrong, 422, Idempotency_Key="rejected-1")
    kept = next(each for each in _rejected(http) if each["source"] == {"kind": "key", "value": "rejected-1"})
    assert kept["body"].encode() == wrong
    assert (kept["position"], kept["code"], kept["field"]) == (0, "invalid_amount", "amount")
    assert http.get(f"/rejected/{kept['id']}").json() == kept
    again = http.post(f"/rejected/{kept['id']}/retry")
    assert (again.status_code, again.json()["reason"]["code"]) == (422, "invalid_amount")
    right = json.dumps(EVENT | {"amount": 12, "merchantId": "corrected"}).encode()
    for _ in range(2):
        answer = http.post(f"/rejected/{kept['id']}/retry", content=right, headers=JSON)
        if answer.status_code == 404:
            break
        assert answer.json() == {"id": kept["id"], "outcome": "accepted"}
    assert http.get(f"/rejected/{kept['id']}").json()["code"] == "unknown_rejected"
    assert http.get("/aggregates/corrected|SLICE_IT").json()["events"] == 1
    # The name it came with is taken now: what was sent under it, if it were valid, is a duplicate.
    assert counts(post(http, right, 202, Idempotency_Key="rejected-1")) == (0, 1, 0, 0)


def test_an_element_that_was_rejected_is_corrected_as_the_element_it_was(http: httpx.Client) -> None:
    def element(number: int) -> bytes:
        return json.dumps(EVENT | {"amount": number, "merchantId": "element"}).encode()

    wrong = element(2)[:-1] + b', "x": NaN}'
    body = b"[" + b", ".join([element(1), wrong, element(3)]) + b"]"
    assert counts(post(http, body, 202, Idempotency_Key="rejected-element")) == (2, 0, 0, 1)
    kept = next(each for each in _rejected(http) if each["source"]["value"] == "rejected-element")
    assert (kept["position"], kept["byte"], kept["body"].encode()) == (1, body.index(wrong), wrong)
    again = http.post(f"/rejected/{kept['id']}/retry", content=element(2), headers=JSON)
    assert again.json() == {"id": kept["id"], "outcome": "accepted"}
    whole = body.replace(wrong, element(2))
    assert counts(post(http, whole, 202, Idempotency_Key="rejected-element")) == (0, 3, 0, 0)
    assert http.get("/aggregates/element|SLICE_IT").json()["events"] == 3


def test_what_was_rejected_is_corrected_to_several_events_or_none(http: httpx.Client) -> None:
    some = [json.dumps(EVENT | {"amount": number, "merchantId": "several"}).encode() for number in range(4)]
    lines = [some[0], some[1] + some[2], some[3]]  # a line break is missing
    assert counts(post(http, b"\n".join(lines), 202, Idempotency_Key="rejected-several")) == (2, 0, 0, 1)
    kept = next(each for each in _rejected(http) if each["source"]["value"] == "rejected-several")
    retry = f"/rejected/{kept['id']}/retry"
    bad = http.post(retry, content=b"[" + some[1] + b", 7]", headers=JSON).json()
    assert (bad["outcome"], bad["reason"]["code"]) == ("rejected", "not_an_object")
    assert bad["reason"]["message"].startswith("event 2 of 2: ")
    assert http.post(retry, content=b"[]", headers=JSON).status_code == 422
    right = http.post(retry, content=b"[" + some[1] + b"," + some[2] + b"]", headers=JSON)
    assert right.json() == {"id": kept["id"], "outcome": "accepted", "accepted": 2, "duplicates": 0}
    assert http.get(retry.removesuffix("/retry")).status_code == 404
    assert http.get("/aggregates/several|SLICE_IT").json()["events"] == 4


def test_what_is_not_utf8_is_kept_byte_for_byte_and_can_be_dropped(http: httpx.Client) -> None:
    post(http, b"\xff\x00dropped", 422, Idempotency_Key="rejected-2")
    kept = next(each for each in _rejected(http) if each["source"]["value"] == "rejected-2")
    assert kept["body_base64"] == "/wBkcm9wcGVk"
    assert http.delete(f"/rejected/{kept['id']}").status_code == 204
    assert http.delete(f"/rejected/{kept['id']}").status_code == 404
    assert all(each["id"] != kept["id"] for each in _rejected(http))


def _rejected(http: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = http.get("/rejected", params={"limit": "1000"} | ({"after": after} if after else {})).json()
        found += page
        if len(page) < 1_000:
            return found
        after = page[-1]["id"]
