"""The wire to DynamoDB: signatures, requests, replies and what errors mean, without a service."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import time
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import botocore.auth
import msgspec
import pytest
from bench.billing import Units, item_bytes, write_units
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from tests.ports import free_port

from tillroll.core.rejection import CAPACITY
from tillroll.errors import ConfigError, StoreError
from tillroll.ports import Opening
from tillroll.stores.dynamodb import http
from tillroll.stores.dynamodb.calls import (
    Backoff,
    BatchGet,
    ConditionFailed,
    Conflict,
    Count,
    Fault,
    Put,
    PutState,
    QueryTable,
    ReplyLost,
    Throttled,
    TransactWrite,
    Unreachable,
)
from tillroll.stores.dynamodb.http import Connections, Credentials, Reply, Request, Signer
from tillroll.stores.dynamodb.schema import EPOCH
from tillroll.stores.dynamodb.state import FoldState
from tillroll.stores.dynamodb.store import open_address
from tillroll.stores.dynamodb.tunnel import proxy_for
from tillroll.stores.dynamodb.wire import Wire, attribute, fault_of, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tillroll.stores.dynamodb.calls import Item, Value

REGION = "eu-west-1"
HOST = "dynamodb.eu-west-1.amazonaws.com"
TABLES = {"aggregates": "tallies", "journal": "book"}


@pytest.mark.parametrize("token", [None, "session/token+with=signs"])
def test_signatures_are_those_of_botocore(token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1_795_549_138
    body = json.dumps({"TableName": "tallies", "ä": "|"}).encode()
    signed = Signer(HOST, REGION, lambda: Credentials("AKIDEXAMPLE", "secret/KEY", token)).request(
        Request("UpdateItem", body), now_s + 0.9
    )
    head, _, sent = signed.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert (lines[0], sent, int(headers["Content-Length"])) == ("POST / HTTP/1.1", body, len(body))

    wanted = {name: headers[name] for name in ("content-type", "x-amz-target")}
    request = AWSRequest("POST", f"https://{HOST}/", headers=wanted, data=body)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
    signer = botocore.auth.SigV4Auth(BotoCredentials("AKIDEXAMPLE", "secret/KEY", token), "dynamodb", REGION)
    request.context["timestamp"] = stamp
    if token:
        request.headers["X-Amz-Security-Token"] = token
    request.headers["X-Amz-Date"] = stamp
    canonical = signer.canonical_request(request)
    monkeypatch.setattr(signer, "_inject_signature_to_request", lambda _, signature: signature)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    assert headers["authorization"].endswith(f"Signature={signature}")
    assert headers["x-amz-date"] == stamp


OPENING = Opening(make=True, freshness_s=60.0, capacity=CAPACITY)


def test_a_signer_takes_up_renewed_credentials() -> None:
    current = [Credentials("first", "secret", None)]
    signer = Signer(HOST, REGION, lambda: current[0])
    request = Request("Query", b"{}")
    assert b"Credential=first/" in signer.request(request, 1_000)
    current[0] = Credentials("second", "other", "token")
    renewed = signer.request(request, 1_001)
    assert b"Credential=second/" in renewed
    assert b"x-amz-security-token: token" in renewed


@pytest.mark.parametrize("value", ["", "ü|🛒", b"", b"\x00\xff", 0, -(10**15), 10**28, 1.5, 1_795_549_138.9284904])
def test_attributes_keep_their_values(value: Value) -> None:
    assert value_of(attribute(value)) == value


def test_a_count_is_sent_with_its_guard() -> None:
    wire = Wire("tallies", "book")
    call = Count('2011-12-03|"Ü"\\', "day-merchant", 3, 10**30, EPOCH + 17, EPOCH)
    request = wire.request(call)
    assert request.operation == "UpdateItem"
    body = {
        "TableName": "tallies",
        "Key": {"datapoint": {"S": '2011-12-03|"Ü"\\'}},
        "UpdateExpression": "ADD #e :n, #a :a SET #f = :t, #r = :r, #s = :s",
        "ConditionExpression": "attribute_not_exists(#f) OR (#f >= :b AND #f < :t)",
        "ExpressionAttributeNames": {"#e": "events", "#a": "amount", "#f": "fold", "#r": "report", "#s": "shard"},
        "ExpressionAttributeValues": {
            ":n": {"N": "3"},
            ":a": {"N": f"{10**30}"},
            ":b": {"N": "1000000000000000"},
            ":t": {"N": "1000000000000017"},
            ":r": {"S": "day-merchant"},
            ":s": {"S": "day-merchant#4"},
        },
        "ReturnValues": "UPDATED_OLD",
    }
    assert json.loads(request.body) == body
    anew = json.loads(wire.request(msgspec.structs.replace(call, anew=True)).body)
    assert anew["UpdateExpression"] == "SET #e = :n, #a = :a, #f = :t, #r = :r, #s = :s"
    assert anew["ConditionExpression"] == "attribute_not_exists(#f) OR #f < :b"


def test_a_count_without_an_amount_leaves_that_attribute_alone() -> None:
    body = json.loads(Wire("tallies", "book").request(Count("<10|PAY_NOW", "bracket-method", 3, None, 17, 0)).body)
    assert body["UpdateExpression"] == "ADD #e :n SET #f = :t, #r = :r, #s = :s"
    assert "#a" not in body["ExpressionAttributeNames"]
    assert ":a" not in body["ExpressionAttributeValues"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1E+20", 10**20),
        ("12345678901234567890123456789012345678.0", int("12345678901234567890123456789012345678")),
        ("1.5E-3", 0.0015),
    ],
)
def test_a_number_is_read_exactly_however_it_is_written(text: str, value: Value) -> None:
    assert value_of({"N": text}) == value


def test_a_batch_reply_says_what_was_not_processed() -> None:
    wire = Wire("tallies", "book")
    call = BatchGet("journal", (("ledger", 1), ("ledger", 2)))
    body = {
        "Responses": {"book": [{"log": {"S": "ledger"}, "number": {"N": "1"}, "entry": {"S": "{}"}}]},
        "UnprocessedKeys": {"book": {"Keys": [{"log": {"S": "ledger"}, "number": {"N": "2"}}]}},
    }
    reply = wire.reply(call, json.dumps(body).encode())
    assert reply.items == [{"log": "ledger", "number": 1, "entry": "{}"}]
    assert reply.unprocessed == (("ledger", 2),)


def error(code: str, status: int = 400, **more: object) -> Reply:
    fields = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "because", **more}
    return Reply(status, json.dumps(fields).encode())


def cancelled(*codes: str) -> Reply:
    return error("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (error("ConditionalCheckFailedException"), ConditionFailed),
        (error("TransactionConflictException"), Conflict),
        (error("TransactionInProgressException"), Conflict),
        (error("ProvisionedThroughputExceededException"), Throttled),
        (error("ThrottlingException"), Throttled),
        (error("RequestLimitExceeded"), Throttled),
        (error("InternalServerError", 500), ReplyLost),
        (Reply(503, b"<html>"), ReplyLost),
        (cancelled("None", "TransactionConflict"), Conflict),
        (cancelled("ThrottlingError"), Throttled),
        (cancelled("TransactionConflict", "ConditionalCheckFailed"), ConditionFailed),
        (error("TransactionCanceledException", message="reasons [None, ConditionalCheckFailed]"), ConditionFailed),
    ],
)
def test_an_error_means_what_the_protocols_expect(reply: Reply, fault: type[Fault]) -> None:
    assert type(fault_of(reply, "https://there", TABLES)) is fault


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ResourceNotFoundException", "tallies and book .* region"),
        ("ExpiredTokenException", "credentials.*ExpiredTokenException.*AWS_PROFILE"),
        ("UnrecognizedClientException", "credentials"),
        ("InvalidSignatureException", "clock"),
        ("AccessDeniedException", "may not do this.*role"),
        ("ValidationException", "ValidationException: because"),
    ],
)
def test_an_error_that_needs_a_person_says_what_to_do(code: str, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        fault_of(error(code), "https://there", TABLES)


def test_a_transaction_that_is_not_understood_is_reported() -> None:
    reply = error("TransactionCanceledException", CancellationReasons=[{"Code": "ValidationError"}])
    with pytest.raises(StoreError, match="refused a transaction"):
        fault_of(reply, "https://there", TABLES)


# Billing.


def test_a_transaction_of_26_kb_costs_52_units() -> None:
    item: Item = {"log": "m", "number": 1, "chunk": bytes(26_000)}
    assert 25 * 1_024 < item_bytes(item) <= 26 * 1_024
    assert write_units(TransactWrite((Put(item),), "t")) == 52
    assert write_units(Put(item)) == 26


def test_a_new_counter_costs_its_index_entry_too_and_a_failed_condition_as_a_write() -> None:
    units = Units()
    count = Count("<10|PAY_NOW", "bracket-method", 1, 999, EPOCH + 1, EPOCH)
    units.count(
        [(count, None, True), (count, None, False), (count, ConditionFailed(), False), (count, Throttled(), False)]
    )
    units.count([(PutState(FoldState().item(), None), None, False)])
    assert (units.writes["Count"], units.writes["PutState"], units.written) == (4, 1, 5)


def test_after_a_lost_race_the_wait_stays_short_and_after_a_refusal_it_grows() -> None:
    raced, refused = (Backoff(lambda: 1.0, 30.0) for _ in range(2))
    waits = [(raced.wait(ConditionFailed()).seconds, refused.wait(Throttled()).seconds) for _ in range(9)]
    assert max(wait for wait, _ in waits) == 0.1
    assert waits[-1][1] == 3.0


# Connections, against a server of a few lines.


@contextmanager
def tunnelling(seen: list[bytes], refusal: bytes = b"") -> Iterator[str]:
    """Be a proxy for one connection: connect it to where CONNECT says, or refuse it; note what was asked."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            seen.append(client.recv(65_536))
            if refusal:
                client.sendall(refusal)
                return
            host, _, port = seen[0].split(b" ")[1].decode().rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 here\r\n\r\n")
                back = threading.Thread(target=pass_on, args=(server, client))
                back.start()
                pass_on(client, server)
                back.join(10)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join(10)
        listener.close()


@contextmanager
def serving(*replies: bytes | None, certificate: Path | None = None, proxy: str | None = None) -> Iterator[Connections]:
    """Answer one request after the other with these bytes, None closes the connection unanswered."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate is not None:
        tls.load_cert_chain(certificate)
    waiting = list(replies)

    def serve() -> None:
        while waiting:
            plain, _ = listener.accept()
            with tls.wrap_socket(plain, server_side=True) if certificate else plain as connection:
                while waiting and connection.recv(65_536):
                    reply = waiting.pop(0)
                    if reply is None:
                        break
                    connection.sendall(reply)

    thread = threading.Thread(target=serve)
    thread.start()
    endpoint = f"https://localhost:{port}" if certificate else f"http://127.0.0.1:{port}"
    signer = Signer(endpoint.partition("://")[2], REGION, lambda: Credentials("k", "s", None))
    connections = Connections(endpoint, signer, ca_file=str(certificate) if certificate else None, proxy=proxy)
    try:
        yield connections
    finally:
        connections.close()
        thread.join(10)
        listener.close()


def response(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body])


ASK = [Request("Query", b"{}")]


def test_a_reply_is_read_whole_and_the_connection_kept() -> None:
    large = b"x" * 300_000
    with serving(response(b"{}"), response(large, b"x-amz-crc32: %d" % zlib.crc32(large))) as connections:
        assert connections.make(ASK) == [Reply(200, b"{}")]
        assert connections.make(ASK) == [Reply(200, large)]


def test_a_reply_in_pieces_is_joined() -> None:
    pieces = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\n\r\n"
    with serving(pieces) as connections:
        assert connections.make(ASK) == [Reply(200, b"abcdefgh")]


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"not http at all\r\n\r\n",
        response(b"{}", b"x-amz-crc32: 1"),
        b"HTTP/1.1 200 OK\r\nContent-Length: no\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_reply_that_does_not_come_whole_is_lost(reply: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_REPLY_S", 1.0)
    with serving(reply, None) as connections:
        (lost,) = connections.make(ASK)
        assert isinstance(lost, ReplyLost)
        connections.make(ASK)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate of localhost, in one file."""
    directory = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    both = directory / "both.pem"
    both.write_bytes((directory / "key.pem").read_bytes() + (directory / "cert.pem").read_bytes())
    return both


def test_requests_go_over_tls_to_a_trusted_server(certificate: Path) -> None:
    with serving(response(b"{}"), response(b"x" * 300_000), certificate=certificate) as connections:
        assert connections.make(ASK) == [Reply(200, b"{}")]
        assert connections.make(ASK) == [Reply(200, b"x" * 300_000)]


def test_requests_go_through_the_tunnel_of_a_proxy(certificate: Path) -> None:
    seen: list[bytes] = []
    with (
        tunnelling(seen) as proxy,
        serving(
            response(b"{}"), response(b"[]"), certificate=certificate, proxy=f"http://me:s%40y@{proxy}"
        ) as connections,
    ):
        assert connections.make(ASK) == [Reply(200, b"{}")]
        assert connections.make(ASK) == [Reply(200, b"[]")]
        connections.close()
    [asked] = seen
    assert asked.startswith(b"CONNECT localhost:")
    assert b"\r\nProxy-Authorization: Basic bWU6c0B5\r\n" in asked


def test_a_proxy_that_refuses_is_for_a_person_and_one_that_cannot_is_tried_again() -> None:
    signer = Signer("db.test", REGION, lambda: Credentials("k", "s", None))
    with tunnelling([], b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as proxy:
        connections = Connections("https://db.test", signer, proxy=proxy)
        with pytest.raises(StoreError, match=r"127.0.0.1.*db.test:443.*407.*HTTPS_PROXY"):
            connections.make(ASK)
    with tunnelling([], b"HTTP/1.1 503 Service Unavailable\r\n\r\n") as proxy:
        (fault,) = Connections("https://db.test", signer, proxy=proxy).make(ASK)
    assert isinstance(fault, Unreachable)


@pytest.mark.parametrize("proxy", ["https://secret@proxy:1", "socks5://proxy:1", "http://proxy:none", "http://"])
def test_a_proxy_that_is_none_is_told_without_its_secrets(proxy: str) -> None:
    signer = Signer("db.test", REGION, lambda: Credentials("k", "s", None))
    with pytest.raises(StoreError, match="HTTPS_PROXY") as raised:
        Connections("https://db.test", signer, proxy=proxy)
    assert "secret" not in str(raised.value)


def test_the_proxy_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "localhost,.internal")
    assert proxy_for("https://dynamodb.eu-west-1.amazonaws.com") == "http://proxy:3128"
    assert proxy_for("https://dynamodb.internal") is None
    assert proxy_for("http://127.0.0.1:8000") is None


def test_a_refusal_says_by_what_aws_finds_it() -> None:
    refused = b"HTTP/1.1 400 Bad Request\r\nx-amzn-RequestId: 4KBNV9\r\nContent-Length: 2\r\n\r\n{}"
    with serving(refused) as connections:
        (reply,) = connections.make(ASK)
    assert isinstance(reply, Reply)
    with pytest.raises(StoreError, match="request 4KBNV9"):
        fault_of(reply, "https://there", TABLES)


def test_a_connection_that_cannot_be_made_had_no_effect() -> None:
    host = f"127.0.0.1:{free_port()}"
    connections = Connections(f"http://{host}", Signer(host, REGION, lambda: Credentials("k", "s", None)))
    (refused,) = connections.make(ASK)
    assert isinstance(refused, Throttled)


# Addresses.


@pytest.mark.parametrize(
    "address",
    [
        "dynamodb://eu-west-1/only",
        "dynamodb://eu-west-1/a/b/c",
        "dynamodb:///a/b?speed=9",
    ],
)
def test_an_address_that_names_no_two_tables_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="data: "):
        open_address(address, OPENING)


def test_an_address_has_no_freshness_and_says_where_it_is_set() -> None:
    with pytest.raises(ConfigError, match="TILLROLL_FRESHNESS_S"):
        open_address("dynamodb://r/a/b?freshness=5", OPENING)


def test_missing_credentials_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, f"{tmp_path}/none")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StoreError, match="no AWS credentials"):
        open_address("dynamodb://eu-west-1/a/b", OPENING)


def test_a_query_from_the_end_has_no_bound() -> None:
    body = json.loads(Wire("tallies", "book").request(QueryTable("ledger", limit=1, falling=True)).body)
    assert body["KeyConditionExpression"] == "#l = :l"
    assert (body["ScanIndexForward"], body["ConsistentRead"], body["Limit"]) == (False, True, 1)
