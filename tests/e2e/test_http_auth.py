"""Who may come in, asked of the real server."""

from __future__ import annotations

import json
import os
import stat
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.e2e.command import tillroll
from tests.e2e.http_server import EVENT, NO_TLS, Running, client, serving

from tillroll.web.auth import hash_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ = {"Authorization": "Bearer reader-0123456789"}
SEND = {"Authorization": "Bearer sender-0123456789"}
BOTH = {"Authorization": "Bearer both-0123456789ab"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("auth")
    tokens = directory / "tokens"
    tokens.write_text(f"# file\nsend,read {hash_of('both-0123456789ab')}\n")
    variables = {"TILLROLL_SEND_TOKENS": "sender-0123456789", "TILLROLL_READ_TOKENS": "reader-0123456789"}
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
    assert not any(token in text for token in ("sender-0", "reader-0", "both-0"))


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


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"TILLROLL_READ_TOKENS": ","}, b"read_tokens: "),
        ({"TILLROLL_SEND_TOKENS": ""}, b"send_tokens: "),
        ({"TILLROLL_TOKENS_FILE": ""}, b"tokens_file: "),
        ({"TILLROLL_TOKENS_FILE": "empty"}, b"tokens_file: "),
        ({"TILLROLL_READ_TOKENS": "guessable"}, b"read_tokens: "),
        ({"TILLROLL_CONFIG": "empty.toml"}, b"read_tokens: "),
    ],
)
def test_tokens_that_guard_nothing_keep_the_server_from_starting(
    tmp_path: Path, variables: dict[str, str], told: bytes
) -> None:
    (tmp_path / "empty").write_text("# none yet\n")
    (tmp_path / "empty.toml").write_text('read_tokens = [""]\n')
    refused = tillroll("serve", "--data", "data", "--port", "0", code=2, cwd=tmp_path, stdin=b"", **variables)
    assert told in refused.stderr
    assert b"tillroll token" in refused.stderr
    assert not (tmp_path / "data").exists()


def test_a_token_that_is_made_opens_the_server_and_so_does_its_hash(tmp_path: Path) -> None:
    made = tillroll("token")
    token = made.stdout.decode().strip()
    hashed = tillroll("token", "--hash", stdin=made.stdout).stdout.decode().strip()
    assert hashed in made.stderr.decode()
    assert tillroll("token").stdout != made.stdout
    assert b"shorter than 16" in tillroll("token", "--hash", stdin=b"short\n", code=2).stderr
    for index, written in enumerate((token, hashed)):
        (tmp_path / str(index)).mkdir()
        with serving(tmp_path / str(index), TILLROLL_READ_TOKENS=written) as running, client(running) as http:
            assert http.get("/status", headers={"Authorization": f"Bearer {token}"}).status_code == 200
            assert http.get("/status", headers={"Authorization": f"Bearer {hashed}"}).status_code == 401


def test_guessing_is_slow_from_the_tenth_and_told_in_the_log_and_holds_up_nobody_who_knows(tmp_path: Path) -> None:
    token = "a-token-of-some-length"
    with serving(tmp_path, TILLROLL_READ_TOKENS=token, TILLROLL_SEND_TOKENS=token) as running:
        # The machine may stand still for as long as a refusal waits. Then another address is tried: each has its count.
        peers = (f"127.0.0.{number}" for number in range(2, 22))
        peer = next(each for each in peers if all(seconds_to_guess(running, each, n) < _WAIT_S for n in range(9)))
        assert "tokens that are unknown" not in running.log.read_text()
        for number in (9, 10):
            assert seconds_to_guess(running, peer, number) > _WAIT_S
        known = {"Authorization": f"Bearer {token}"}
        with from_address(running, peer) as mine:
            assert any(seconds_for(mine, "GET", "/reports", known, 200) < _WAIT_S for _ in range(20))
        assert running.log.read_text().count(f"{peer} has shown 10 tokens that are unknown") == 1


_WAIT_S = 0.9  # a refusal that is held back takes a second


def from_address(running: Running, peer: str) -> httpx.Client:
    transport = httpx.HTTPTransport(local_address=peer, verify=NO_TLS)
    return httpx.Client(base_url=running.url, transport=transport, timeout=60, trust_env=False)


def seconds_to_guess(running: Running, peer: str, number: int) -> float:
    """Show an unknown token from an address; return how long the refusal took."""
    wrong = {"Authorization": f"Bearer guess-{number}", "X-Forwarded-For": f"10.0.0.{number}"}
    with from_address(running, peer) as http:
        return seconds_for(http, *(("GET", "/status") if number % 2 else ("POST", "/events")), wrong, 401)


def seconds_for(http: httpx.Client, method: str, address: str, headers: dict[str, str], code: int) -> float:
    began = time.monotonic()
    assert http.request(method, address, headers=headers).status_code == code
    return time.monotonic() - began


def test_files_that_others_may_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("read a-token-of-some-length\n")
    (tmp_path / "settings.toml").write_text('send_tokens = ["a-token-of-some-length"]\n')
    flags = ("--tokens-file", str(tmp_path / "tokens"), "--config", str(tmp_path / "settings.toml"))
    for mode, told in ((0o640, False), (0o604, True)):
        for name in ("tokens", "settings.toml"):
            (tmp_path / name).chmod(mode)
        with serving(tmp_path, *flags) as running:
            log = running.log.read_text()
            for name in ("tokens", "settings.toml"):
                assert (f"chmod o= {tmp_path / name}" in log) is told


def test_files_of_a_store_are_their_owner_s_alone(tmp_path: Path) -> None:
    (tmp_path / "more.ndjson").write_text(json.dumps(EVENT) + "\n7\n")
    umask = os.umask(0)
    try:
        with serving(tmp_path) as running, client(running) as http:
            http.post("/events", json=[EVENT, 7])
            tillroll("import", tmp_path / "more.ndjson", "--data", tmp_path / "data", code=3)
            files = list((tmp_path / "data").iterdir())
            assert {"tillroll.db", "tillroll.db-wal"} <= {file.name for file in files}
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
            assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    finally:
        os.umask(umask)


def test_a_store_that_others_may_read_is_told(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        assert "chmod" not in running.log.read_text()
    for path in (tmp_path / "data", tmp_path / "data" / "tillroll.db"):
        path.chmod(0o755)
    with serving(tmp_path) as running:
        assert f"chmod -R go= {tmp_path / 'data'}" in running.log.read_text()
