"""`tillroll generate`, to files and to servers, as a process."""

from __future__ import annotations

import gzip
import http.server
import json
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from tests.e2e.command import recount, tillroll

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RANGE = ("--from", "2026-03-01", "--to", "2026-03-08", "--merchants", "50")
ODD = ("--duplicates", "0.1", "--late", "0.1", "--invalid", "0.1")


def test_the_same_options_give_the_same_bytes_in_every_form(tmp_path: Path) -> None:
    arguments = ("--events", "3000", "--seed", "9", *RANGE, *ODD)
    plain = tillroll("generate", *arguments).stdout
    assert plain.count(b"\n") == 3_000
    tillroll("generate", tmp_path / "a.gz", *arguments)
    tillroll("generate", tmp_path / "a.zst", *arguments)
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == plain
    assert zstd.decompress((tmp_path / "a.zst").read_bytes()) == plain
    assert tillroll("generate", *arguments[:3], "10", *arguments[4:]).stdout != plain


def test_the_summary_says_what_a_recount_of_the_lines_does(tmp_path: Path) -> None:
    file, summary = tmp_path / "purchases.ndjson", tmp_path / "summary.json"
    done = tillroll("generate", file, "--events", "5000", *RANGE, *ODD, "--summary", summary, "--json")
    told = json.loads(summary.read_bytes())
    reports = {name: {row["datapoint"]: row["events"] for row in rows} for name, rows in told["reports"].items()}
    assert reports == recount(file.read_bytes().splitlines())
    counts = {name: told[name] for name in ("lines", "accepted", "duplicates", "late", "rejected")}
    assert counts == {"lines": 5_000, "accepted": 4_000, "duplicates": 500, "late": 500, "rejected": 500}
    assert json.loads(done.stdout) == {**counts, "sent": None}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--from", "soon"), b"soon is neither a day nor an instant"),
        (("--from", "2026-03-02", "--to", "2026-03-01"), b"the range ends before it begins"),
        (("--duplicates", "7"), b"7.0 is not a share"),
        (("ftp://example.invalid",), b"is not the address of a server"),
        (("localhost:8080",), b"Write http://localhost:8080"),
        (("[::1]:8080/under",), b"Write http://[::1]:8080/under"),
        (("purchases.ndjson", "--rate", "5"), b"--rate: a file is written as fast as can be"),
        (("--summary", "no/such/directory/summary.json"), b"there is no such directory"),
    ],
)
def test_what_cannot_be_generated_is_refused(arguments: tuple[str, ...], told: bytes) -> None:
    assert told in tillroll("generate", "--events", "10", *arguments, code=2).stderr


def test_purchases_of_a_time_to_come_are_made_with_a_warning() -> None:
    done = tillroll("generate", "--events", "10", "--from", "2999-01-01", "--days", "1")
    assert b"this continues until 2999-01-02" in done.stderr
    assert b"not accepted" in done.stderr
    assert done.stdout.count(b"\n") == 10


def test_a_full_disk_is_one_clear_message() -> None:
    done = tillroll("generate", "/dev/full", "--events", "50000", code=1)
    assert done.stderr.endswith(b"No space left on device\n")
    assert b"Traceback" not in done.stderr


class Trouble(http.server.BaseHTTPRequestHandler):
    """A server that answers the first two attempts of each key with trouble: once with 503, once not at all."""

    protocol_version = "HTTP/1.1"
    attempts: Counter[str]
    lines: dict[str, bytes]
    tokens: set[str | None]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Idempotency-Key"]
        self.attempts[key] += 1
        self.tokens.add(self.headers.get("Authorization"))
        assert self.lines.setdefault(key, body) == body
        if self.attempts[key] == 1:
            self.answer(503, {})
        elif self.attempts[key] == 2:
            self.close_connection = True
        else:
            self.answer(202, {"accepted": body.count(b"\n") + 1, "duplicates": 0, "conflicts": 0, "rejected": 0})

    def answer(self, status: int, fields: dict[str, int]) -> None:
        content = json.dumps(fields).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class Refusal(Trouble):
    """A server that wants a token that nobody has."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(401, {})


@pytest.fixture(params=[Trouble])
def trouble(request: pytest.FixtureRequest) -> Iterator[tuple[str, type[Trouble]]]:
    handler = type("Handler", (request.param,), {"attempts": Counter(), "lines": {}, "tokens": set()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/under", handler
        server.shutdown()
        thread.join()


def test_a_body_that_is_not_answered_is_sent_again_under_its_key(trouble: tuple[str, type[Trouble]]) -> None:
    url, handler = trouble
    arguments = ("--events", "95", "--batch", "10", *RANGE, "--json")
    done = tillroll("generate", url, *arguments, TILLROLL_TOKEN="word")
    sent = json.loads(done.stdout)["sent"]
    assert (sent["accepted"], sent["retries"]) == (95, 20)
    assert done.stderr.decode().splitlines() == [f"{url}: the server answers 503; tried again for two minutes"]
    assert set(handler.attempts.values()) == {3}
    assert handler.tokens == {"Bearer word"}
    lines = [line for body in handler.lines.values() for line in body.split(b"\n")]
    assert sorted(lines) == sorted(tillroll("generate", "--events", "95", *RANGE).stdout.splitlines())
    first = set(handler.attempts)
    tillroll("generate", url, *arguments)
    assert set(handler.attempts) == first  # the same options give the same keys


@pytest.mark.parametrize("trouble", [Refusal], indirect=True)
def test_a_server_that_refuses_ends_it_with_4(trouble: tuple[str, type[Trouble]]) -> None:
    done = tillroll("generate", trouble[0], "--events", "95", *RANGE, code=4)
    assert b"the server answers 401" in done.stderr
