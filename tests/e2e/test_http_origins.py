"""Pages of other origins, and answers that have not changed, asked of the real server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.e2e.command import tillroll
from tests.e2e.http_server import EVENT, Running, client, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

SHOP = "https://shop.example"
TOKEN = "a-token-of-some-length"
ASKS = {"Origin": SHOP, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    listed = f"{SHOP},http://localhost:3000"
    with serving(tmp_path_factory.mktemp("origins"), TILLROLL_CORS_ORIGINS=listed) as found:
        yield found


def test_page_of_a_listed_origin_may_send_and_read(running: Running) -> None:
    page = {"Origin": SHOP, "Sec-Fetch-Site": "cross-site"}
    with client(running) as http:
        for method, address, status in (
            ("POST", "/events", 202),
            ("POST", "/audit", 202),
            ("GET", "/reports/hour-bracket", 200),
            ("GET", "/nothing", 404),
            ("GET", "/reports/hour-bracket?x=1", 400),
            ("GET", "/static/docs/docs.js", 200),
        ):
            answer = http.request(method, address, json=EVENT if method == "POST" else None, headers=page)
            assert answer.status_code == status
            assert answer.headers.get_list("access-control-allow-origin") == [SHOP]
            assert "ETag" in answer.headers["access-control-expose-headers"]
            assert "Origin" in answer.headers["vary"]
            assert "access-control-allow-credentials" not in answer.headers
        refused = http.post("/events", content=b"", headers=page)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (400, SHOP)


def test_page_of_a_listed_origin_may_read_every_header_that_is_described(running: Running) -> None:
    with client(running) as http:
        answer = http.get("/openapi.json", headers={"Origin": SHOP})
        described = {
            header
            for methods in answer.json()["paths"].values()
            for operation in methods.values()
            for response in operation["responses"].values()
            for header in response.get("headers", ())
        }
        assert {"Link", "Tillroll-Amount", "Tillroll-Position"} <= described
        assert described <= set(answer.headers["access-control-expose-headers"].split(", "))


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://shop.example", "https://shop.example.evil", "https://shop.example:1", ""],
)
def test_page_of_another_origin_may_not(running: Running, origin: str) -> None:
    with client(running) as http:
        answer = http.get("/reports", headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers
        assert "Origin" in answer.headers["vary"]
        asked = http.options("/events", headers=ASKS | {"Origin": origin})
        assert not [name for name in asked.headers if name.startswith("access-control")]
        sent = http.post("/events", json=EVENT, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"})
        assert sent.json()["code"] == "cross_site"


@pytest.mark.parametrize(
    ("address", "methods"),
    [
        ("/events", "GET, HEAD, OPTIONS, POST"),
        ("/reports/hour-bracket", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("/aggregates", "GET, HEAD, OPTIONS, POST"),
        ("/rejected/1", "DELETE, GET, HEAD, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
    ],
)
def test_browser_is_told_beforehand_what_an_address_takes(running: Running, address: str, methods: str) -> None:
    with client(running) as http:
        asked = http.options(address, headers=ASKS)
        assert (asked.status_code, asked.content) == (204, b"")
        assert asked.headers["access-control-allow-methods"] == asked.headers["allow"] == methods
        assert "Idempotency-Key" in asked.headers["access-control-allow-headers"]
        plain = http.options(address)
        assert (plain.status_code, plain.headers["allow"]) == (204, methods)
        assert "access-control-allow-methods" not in plain.headers
        assert http.options("/nothing", headers=ASKS).status_code == 404
        assert http.options(address, headers={"Host": "evil.example"}).status_code == 421


def test_every_origin_may_be_listed_where_tokens_are_asked_for(tmp_path: Path) -> None:
    with serving(tmp_path, TILLROLL_CORS_ORIGINS="*", TILLROLL_READ_TOKENS=TOKEN) as running, client(running) as http:
        page = {"Origin": "https://any.example"}
        assert (
            http.options("/reports", headers=page | ASKS | page).headers["access-control-allow-origin"]
            == page["Origin"]
        )
        refused = http.get("/reports", headers=page)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, page["Origin"])
        assert http.get("/reports", headers=page | {"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_without_a_list_nothing_is_said_of_origins(tmp_path: Path) -> None:
    with serving(tmp_path) as running, client(running) as http:
        for answer in (http.get("/reports", headers={"Origin": SHOP}), http.options("/reports", headers=ASKS)):
            assert not [name for name in answer.headers if name.startswith("access-control")]
        assert http.post("/events", json=EVENT, headers={"Origin": SHOP}).status_code == 403


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "shop.example", f"{SHOP}/", "https://Shop.example", f"{SHOP}:443", "http://a:80", "https://*.a"],
)
def test_what_no_browser_says_is_no_origin(tmp_path: Path, origin: str) -> None:
    refused = tillroll("serve", "--data", tmp_path / "data", "--port", "0", code=2, TILLROLL_CORS_ORIGINS=origin)
    assert b"cors_origins: " in refused.stderr


@pytest.mark.parametrize(
    "address",
    [
        "/reports",
        "/reports/hour-bracket/definition",
        "/reports/hour-bracket",
        "/reports/hour-bracket?limit=1",
        "/reports/hour-bracket?format=csv",
        "/aggregates/10-50%7CSLICE_IT",
        "/aggregates?datapoint=10-50%7CSLICE_IT",
        "/merchants",
        "/openapi.json",
    ],
)
def test_answer_that_a_reader_has_is_not_sent_again_until_it_changes(tmp_path: Path, address: str) -> None:
    with serving(tmp_path) as running, client(running) as http:
        http.post("/events", json=EVENT)
        wait_until_folded(http)  # which /reports tells of
        first = http.get(address)
        tag = first.headers["etag"]
        assert tag.startswith('"')
        assert first.headers["cache-control"] == "private, no-cache"
        for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
            for method in ("GET", "HEAD"):
                again = http.request(method, address, headers={"If-None-Match": known})
                assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
                assert "content-type" not in again.headers
                assert again.headers["vary"] == first.headers["vary"]
        assert http.get(address, headers={"If-None-Match": '"other"'}).content == first.content
        packed = http.get(address, headers={"Accept-Encoding": "gzip", "If-None-Match": tag})
        assert ("content-encoding" in packed.headers) is (packed.headers["etag"] != tag)
        later = {**EVENT, "date": "2011-12-04T10:15:30Z", "merchantId": "another"}
        http.post("/events", json=later)
        then = http.get(address, headers={"If-None-Match": tag})
        assert then.status_code == (304 if address in {"/reports/hour-bracket/definition", "/openapi.json"} else 200)


def wait_until_folded(http: httpx.Client) -> None:
    until = time.monotonic() + 20
    while http.get("/status").json()["folded_position"] < 1:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_tag_is_the_same_after_a_restart_and_none_is_given_for_a_problem(tmp_path: Path) -> None:
    tags = set()
    for _ in range(2):
        with serving(tmp_path) as running, client(running) as http:
            tags.add(http.get("/reports/hour-bracket").headers["etag"])
            assert "etag" not in http.get("/reports/none", headers={"If-None-Match": "*"}).headers
            assert http.get("/status", headers={"If-None-Match": "*"}).status_code == 200
    assert len(tags) == 1
