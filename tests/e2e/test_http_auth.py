"""Who may come in, asked of the real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.command import tillroll
from tests.e2e.http_server import EVENT, Running, client, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ = {"Authorization": "Bearer reader"}
SEND = {"Authorization": "Bearer sender"}
BOTH = {"Authorization": "Bearer both"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("auth")
    tokens = directory / "tokens"
    tokens.write_text("# file\nsend,read both\n")
    variables = {"TILLROLL_SEND_TOKENS": "sender", "TILLROLL_READ_TOKENS": "reader"}
    with serving(directory, "--tokens-file", str(tokens), **variables) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "address", "allowed", "forbidden"),
    [
        ("GET", "/reports", READ, SEND),
        ("GET", "/status", READ, SEND),
        ("GET", "/metrics", READ, SEND),
        ("GET", "/rejected", READ, SEND),
        ("POST", "/events", SEND, READ),
    ],
)
def test_a_token_opens_what_it_is_for(
    guarded: Running, method: str, address: str, allowed: dict[str, str], forbidden: dict[str, str]
) -> None:
    body = EVENT if method == "POST" else None
    with client(guarded) as http:
        none = http.request(method, address, json=body)
        assert (none.status_code, none.json()["code"], none.headers["www-authenticate"]) == (
            401,
            "token_missing",
            "Bearer",
        )
        wrong = http.request(method, address, json=body, headers={"Authorization": "Bearer nobody"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "token_unknown")
        other = http.request(method, address, json=body, headers=forbidden)
        assert (other.status_code, other.json()["code"]) == (403, "token_forbids")
        for headers in (allowed, BOTH):
            assert http.request(method, address, json=body, headers=headers).is_success


def test_changing_what_was_rejected_needs_a_token_that_may_send(guarded: Running) -> None:
    with client(guarded) as http:
        http.post("/events", content=b"7", headers=SEND)
        rejected_id = http.get("/rejected", headers=READ).json()[0]["id"]
        address = f"/rejected/{rejected_id}"
        assert http.post(f"{address}/retry", headers=READ).status_code == 403
        assert http.delete(address, headers=READ).status_code == 403
        assert http.post(f"{address}/retry", headers=SEND).status_code == 422
        assert http.delete(address, headers=SEND).status_code == 204


@pytest.mark.parametrize("address", ["/", "/docs", "/openapi.json", "/healthz", "/static/docs/docs.js"])
def test_the_page_the_description_and_health_need_no_token(guarded: Running, address: str) -> None:
    with client(guarded) as http:
        assert http.get(address).status_code == 200


def test_the_description_says_which_operations_want_a_token(guarded: Running) -> None:
    with client(guarded) as http:
        paths = http.get("/openapi.json").json()["paths"]
    assert paths["/events"]["post"]["security"] == [{"token": []}]
    assert "security" not in paths["/healthz"]["get"]


def test_a_token_is_never_logged(guarded: Running) -> None:
    text = guarded.log.read_text()
    assert not any(token in text for token in ("sender", "reader", "both"))


def test_without_tokens_the_server_does_not_listen_beyond_loopback(tmp_path: Path) -> None:
    refused = tillroll("serve", "--data", tmp_path / "data", "--host", "0.0.0.0", "--port", "0", code=2)
    assert b"--open-to-all" in refused.stderr


def test_an_address_that_is_taken_is_told(guarded: Running, tmp_path: Path) -> None:
    _, port = guarded.address
    refused = tillroll("serve", "--data", tmp_path / "data", "--port", str(port), code=2)
    assert f"port {port}".encode() in refused.stderr


def test_an_open_server_answers_no_page_of_another_site(tmp_path: Path) -> None:
    with serving(tmp_path) as running, client(running) as http:
        rebound = http.get("/reports", headers={"Host": "evil.example"})
        assert (rebound.status_code, rebound.json()["code"]) == (421, "unknown_host")
        forged = http.post(
            "/events", json=EVENT, headers={"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
        )
        assert (forged.status_code, forged.json()["code"]) == (403, "cross_site")
        assert http.get("/status").json()["events"] == 0
