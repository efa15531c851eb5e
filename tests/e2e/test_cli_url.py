"""The command line with --url, against a real server: it writes what it writes with --data on the same store."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.e2e.command import tillroll
from tests.e2e.http_server import Running, serving

from tillroll.cli.main import run
from tillroll.stores.http.store import HttpStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

KEEP = "country,customer.segment"
TOKEN = "a-token-that-may-do-all"
GUARD = {f"TILLROLL_{right}_TOKENS": TOKEN for right in ("SEND", "READ", "MANAGE")}
REPORTS = """
[[reports]]
name = "country-week"
title = "By country"
by = ["week", "country", "bracket"]
zone = "Europe/Stockholm"
brackets = [500, 2050]
[[reports]]
name = "segments"
by = ["customer.segment", "method", "merchant"]
where = { "customer.segment" = ["a", 1, { absent = true }], method = ["PAY_NOW", "SLICE_IT"] }
"""
ANOTHER = """
[[reports]]
name = "hours"
by = ["hour", "weekday"]
zone = "Asia/Kolkata"
"""


class Told(NamedTuple):
    """What a command wrote, and its exit code."""

    out: bytes
    err: bytes
    code: int


class Place(NamedTuple):
    """A store, and the server on it."""

    data: Path
    running: Running
    capture: pytest.CaptureFixture[bytes]

    def told(self, words: Sequence[str], *where: str) -> Told:
        """Run a command in this process."""
        self.capture.readouterr()
        code = run([*words, *where])
        return Told(*self.capture.readouterr(), code)

    def by_url(self, *words: str) -> Told:
        return self.told(words, "--url", self.running.url, "--token", TOKEN)

    def on_the_store(self, *words: str) -> Told:
        return self.told(words, "--data", str(self.data))


def lines() -> bytes:
    """Purchases of some days and merchants, of which some have kept fields, in different orders, and some are wrong."""
    found = []
    for number in range(120):
        event: dict[str, object] = {
            "date": f"2026-0{1 + number % 3}-{1 + number % 27:02}T{number % 24:02}:15:30.{number:03}Z",
            "amount": 137 * number,
            "paymentMethod": ("PAY_NOW", "PAY_LATER", "SLICE_IT")[number % 3],
            "merchantId": ("café", 'm\\quoted"', "other", "=1+1")[number % 4],
        }
        if number % 5 == 0:
            event["id"] = f"id|{number}"
        if number % 2:
            event["country"] = ("SE", "a|b", 7, True, None, "(absent)")[number % 6]
        if number % 3 == 1:
            event["customer"] = {"segment": ("a", 1, "1", "")[number % 4]}
        found.append(json.dumps(event, ensure_ascii=number % 2 == 0))
    wrong = ['{"date":"2026-01-01T00:00:00Z","amount":"4285"}', '{"date":"2011-02-30T10:15:30Z"}', "no json"]
    return "\n".join([*found[:60], *wrong, *found[60:]]).encode() + b"\n"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Running]]:
    directory = tmp_path_factory.mktemp("store")
    data = directory / "data"
    (directory / "own.toml").write_text(REPORTS)
    (directory / "another.toml").write_text(ANOTHER)
    (directory / "tillroll.toml").write_text('[events]\nkeep = ["country", "customer.segment"]\n')
    tillroll("import", "-", "--name", "file|1", "--data", data, "--keep", KEEP, stdin=lines(), code=3)
    more = (
        b'{"date":"2026-03-01T00:00:00Z","amount":1,"paymentMethod":"PAY_NOW","merchantId":"m","z":1,"country":"DE"}\n'
    )
    tillroll("import", "-", "--data", data, "--keep", "z,country", stdin=more)
    with serving(directory, TILLROLL_EVENTS_KEEP=KEEP, **GUARD) as running:
        with pytest.MonkeyPatch.context() as patched:
            patched.chdir(directory)
            assert run(["reports", "apply", "own.toml", "--url", running.url, "--token", TOKEN]) == 0
        yield data, running


@pytest.fixture
def place(
    filled: tuple[Path, Running], capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Place:
    data, running = filled
    monkeypatch.chdir(data.parent)
    return Place(data, running, capfdbinary)


COMMANDS = [
    "report hour-bracket",
    "report hour-bracket --format csv --from 2026-01-05 --to 2026-02-20T10:00:00Z --bracket 50-100 --bracket <10",
    "report hour-bracket --zone Europe/Stockholm --from 2026-01-05:03 --by week,bracket --measures amount,average",
    "report hour-bracket-method --format csv --columns split --bom --measures amount",
    "report bracket-method --format json --order -events",
    "report merchant-method --order -amount --limit 3 --measures amount",
    "report merchant-method --format csv --by merchant --merchant café --merchant =1+1",
    "report day-merchant --chart",
    "report hour-bracket --chart",
    "report country-week --format csv --measures events,amount",
    "report country-week --from 2026-01-12 --only country=SE",
    "report segments --format json --only customer.segment=a",
    "report nothing",
    "report hour-bracket --from 2026-01-05T10:30:00Z",
    "report bracket-method --from 2026-01-05",
    "reports",
    "reports --json",
    "reports show country-week",
    "reports show segments --json",
    "reports show nothing",
    "reports preview another.toml --json",
    "reports preview own.toml --events 50",
    "rejected list",
    "rejected list --json",
    "rejected list --limit 1",
    "rejected list --code invalid_amount --source file|1",
    "rejected list --source nothing",
    "rejected summary",
    "rejected summary --json",
    "rejected show none",
    "audit",
    "audit --json",
    "audit --since 2026-02-01",
    "audit --slow",
    "explain 10-50|PAY_NOW",
    "explain 10-50|PAY_NOW --limit 2",
    "explain 10-50|PAY_NOW --json",
    "explain nonsense",
    "events",
    "events --from 2026-02-01 --to 2026-03-01T00:00:00Z --merchant café --merchant other",
    "events --after 50 --until 90",
    "events --until 5000",
    "events --after 121",
    "events --after 122",
    "events --format csv --keep country,customer.segment,z",
    "events --from 2026-02-01 --to 2026-01-01",
    "fields",
    "fields --json",
]


def test_commands_write_the_same_by_url_as_on_the_store(place: Place) -> None:
    differ = []
    for words in COMMANDS:
        split = words.split(" ")
        by_url, on_the_store = place.by_url(*split), place.on_the_store(*split)
        if split[0] == "fields":  # which says how long it took
            by_url, on_the_store = by_url._replace(err=b""), on_the_store._replace(err=b"")
        if by_url != on_the_store:
            differ.append((words, by_url, on_the_store))
    assert not differ


def test_a_connection_that_the_server_has_closed_is_opened_anew(place: Place) -> None:
    store = HttpStore(place.running.url, TOKEN)
    before = store.status()
    assert store._client._connection.sock is not None
    store._client._connection.sock.shutdown(socket.SHUT_RDWR)
    assert store.status() == before
    next(store.read())  # and no more of it
    assert store.status() == before
    store.close()


def test_a_rejected_event_is_shown_byte_for_byte(place: Place) -> None:
    for each in json.loads(place.on_the_store("rejected", "list", "--json").out):
        assert place.by_url("rejected", "show", each["id"]) == place.on_the_store("rejected", "show", each["id"])


def files(directory: Path, name: str) -> dict[str, bytes]:
    """What directories of a name hold, by what follows the name."""
    found = [path for each in directory.glob(f"{name}-*") for path in each.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)).removeprefix(name): path.read_bytes() for path in found}


def test_a_directory_of_events_gets_the_same_files(place: Place, tmp_path: Path) -> None:
    for name, told in (("url", place.by_url), ("data", place.on_the_store)):
        for form in ("ndjson", "csv", "parquet"):
            told("events", f"{tmp_path}/{name}-{form}/", "--format", form, "--keep", f"{KEEP},z")
    by_url, on_the_store = (files(tmp_path, name) for name in ("url", "data"))
    assert len(by_url) > 50
    assert by_url == on_the_store


def test_a_kept_field_without_a_column_is_an_error(place: Place) -> None:
    told = place.by_url("events", "--format", "csv", "--keep", "country")
    assert (told.code, place.on_the_store("events", "--format", "csv", "--keep", "country").code) == (2, 2)
    assert b"has no column" in told.err


def test_what_is_corrected_by_url_is_counted(place: Place, tmp_path: Path) -> None:
    with serving(tmp_path, **GUARD) as running:
        own = Place(tmp_path / "data", running, place.capture)
        tillroll("import", "-", "--name", "x", "--data", own.data, stdin=lines(), code=3)
        first, second, third = (each["id"] for each in json.loads(own.by_url("rejected", "list", "--json").out))
        (tmp_path / "right").write_bytes(lines().splitlines()[1].replace(b"137", b"138"))
        told = own.by_url("rejected", "retry", first, "--body", str(tmp_path / "right"))
        assert (told.out, told.code) == (f"{first}: accepted\n".encode(), 0)
        again = own.by_url("rejected", "retry", second)
        assert again == own.on_the_store("rejected", "retry", second)
        assert again.code == 3
        assert own.by_url("rejected", "retry", second, "--json") == own.on_the_store(
            "rejected", "retry", second, "--json"
        )
        assert own.by_url("rejected", "retry", first).code == own.on_the_store("rejected", "retry", first).code == 2
        told = own.by_url("rejected", "retry", "--code", "not_json")
        assert told == Told(b"0 accepted, 0 duplicates, 1 still rejected\n", b"", 3)
        assert own.by_url("rejected", "drop", second).out == b"1 dropped\n"
        assert own.by_url("rejected", "drop", "--all", "--yes").out == b"1 dropped\n"
        assert own.on_the_store("rejected", "summary").out == b"0 rejected, of 0 sources\n"
        assert own.by_url("rejected", "drop", third).code == 2
        audited = own.by_url("audit")
        assert audited == own.on_the_store("audit")
        assert audited.out.startswith(b"audit passed: 121 events")


def test_reports_are_planned_made_and_dropped_by_url(place: Place) -> None:
    (planned,) = json.loads(place.by_url("reports", "plan", "another.toml", "--json").out)["changes"]
    assert (planned["name"], planned["change"], planned["events"]) == ("hours", "new", 121)
    assert place.by_url("reports", "apply", "another.toml").out == b"hours: version 1 readable, whole\n"
    assert place.by_url("report", "hours", "--format", "csv") == place.on_the_store(
        "report", "hours", "--format", "csv"
    )
    assert place.by_url("reports", "drop", "hours").out == b"hours is dropped\n"
    assert place.by_url("reports", "drop", "hours") == place.on_the_store("reports", "drop", "hours")


def test_a_server_that_is_away_refuses_or_cannot_do_it_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    url = place.running.url
    told = place.told(["report", "hour-bracket"], "--url", url)
    assert (told.code, told.out) == (4, b"")
    assert b"requires a token" in told.err
    assert b"TILLROLL_TOKEN" in told.err
    assert place.told(["audit"], "--url", "http://127.0.0.1:1").code == 4
    assert place.told(["audit"], "--url", "tillroll.example").code == 2
    assert place.told(["audit"], "--url", url, "--data", str(place.data)).code == 2
    assert b"repairs nothing" in place.by_url("audit", "--repair").err
    assert place.by_url("fields", "--keep", "country").code == 2
    monkeypatch.setenv("TILLROLL_URL", url)
    monkeypatch.setenv("TILLROLL_TOKEN", TOKEN)
    assert place.told(["reports"]) == place.by_url("reports")
    assert place.told(["report", "hour-bracket"], "--data", "nowhere").code == 4  # a flag comes first
