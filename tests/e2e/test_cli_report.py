"""`tillroll report`, `explain` and `top`, as processes."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.command import REPORTS, recount, tillroll
from tests.e2e.http_server import client, serving

if TYPE_CHECKING:
    from pathlib import Path

SEEDS_OWN = {
    "hour-bracket": "2011-12-03:10|10-50",
    "hour-bracket-method": "2011-12-03:10|10-50|SLICE_IT",
    "bracket-method": "10-50|SLICE_IT",
    "day-merchant": "2011-12-03|1bb53ed1-787b-4543-9def-ea18eef7902e",
    "merchant-method": "1bb53ed1-787b-4543-9def-ea18eef7902e|SLICE_IT",
}
EVENT = (
    b'{"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT",'
    b' "merchantId": "1bb53ed1-787b-4543-9def-ea18eef7902e"}'
)


class Filled:
    """A store of some thousand purchases, and what its reports must say."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        file = directory / "purchases.ndjson"
        tillroll("generate", file, "--events", "12000", "--merchants", "900", "--from", "2026-03-01", "--days", "14")
        tillroll("import", file, "--data", self.data)
        self.expected = recount(file.read_bytes().splitlines())

    def report(self, *arguments: str, code: int = 0) -> bytes:
        done = tillroll("report", *arguments, "--data", self.data, code=code)
        return done.stderr if code else done.stdout


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    return Filled(tmp_path_factory.mktemp("report"))


def test_the_first_purchase_is_in_all_five_reports(tmp_path: Path) -> None:
    tillroll("import", "-", "--data", tmp_path, stdin=EVENT)
    for name, datapoint in SEEDS_OWN.items():
        found = json.loads(tillroll("report", name, "--format", "json", "--data", tmp_path).stdout)
        assert found == [{"datapoint": datapoint, "events": 1}]


@pytest.mark.parametrize("name", REPORTS)
def test_json_and_csv_are_whole_and_in_order_however_many_pages_they_take(filled: Filled, name: str) -> None:
    rows = [(row["datapoint"], row["events"]) for row in json.loads(filled.report(name, "--format", "json"))]
    assert rows == sorted(filled.expected[name].items())
    read = list(csv.reader(io.StringIO(filled.report(name, "--format", "csv").decode())))
    assert read == [["datapoint", "events"], *([datapoint, str(events)] for datapoint, events in rows)]


def test_a_range_is_half_open_and_filters_choose(filled: Filled) -> None:
    arguments = ("--from", "2026-03-03", "--to", "2026-03-05", "--bracket", "<10", "--bracket", ">500")
    found = json.loads(filled.report("hour-bracket", *arguments, "--format", "json"))
    expected = {
        datapoint: events
        for datapoint, events in filled.expected["hour-bracket"].items()
        if datapoint.startswith(("2026-03-03", "2026-03-04")) and datapoint.endswith(("|<10", "|>500"))
    }
    assert {row["datapoint"]: row["events"] for row in found} == expected


def test_a_report_rolls_up_and_the_largest_come_first(filled: Filled) -> None:
    arguments = ("--by", "merchant", "--order", "-events", "--limit", "7", "--format", "json")
    found = json.loads(filled.report("merchant-method", *arguments))
    merchants: Counter[str] = Counter()
    for datapoint, events in filled.expected["merchant-method"].items():
        merchants[datapoint.split("|")[0]] += events
    ranked = sorted(merchants.items(), key=lambda item: (-item[1], item[0]))
    assert [(row["datapoint"], row["events"]) for row in found] == ranked[:7]


def test_a_table_says_how_much_it_leaves_out(filled: Filled) -> None:
    done = tillroll("report", "day-merchant", "--data", filled.data)
    whole = filled.expected["day-merchant"]
    assert len(done.stdout.splitlines()) == 51
    assert f"12,000 events in {len(whole):,} datapoints; 50 shown" in done.stderr.decode()
    full = tillroll("report", "day-merchant", "--limit", "1000000", "--data", filled.data)
    assert len(full.stdout.splitlines()) == len(whole) + 1
    assert b"shown" not in full.stderr


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_can_be_drawn(filled: Filled, name: str) -> None:
    drawn = filled.report(name, "--chart").decode()
    assert any(mark in drawn for mark in "█░▏")
    plain = tillroll("report", name, "--chart", "--data", filled.data, PYTHONIOENCODING="ascii").stdout
    assert plain.isascii()


@pytest.mark.parametrize("name", ["day-merchant", "merchant-method"])
def test_a_chart_says_that_it_leaves_out_something(filled: Filled, name: str) -> None:
    assert b"20 shown, --limit shows more" in tillroll("report", name, "--chart", "--data", filled.data).stderr
    few = tillroll(
        "report", name, "--chart", "--by", "method" if name == "merchant-method" else "day", "--data", filled.data
    )
    assert b"shown" not in few.stderr


def test_a_chart_over_hours_stacks_brackets_and_over_weeks_days(filled: Filled) -> None:
    hours = filled.report("hour-bracket", "--chart", "--from", "2026-03-03", "--to", "2026-03-04").decode()
    assert "2026-03-03:12" in hours
    days = filled.report("hour-bracket", "--chart").decode().splitlines()
    assert sum(line.startswith("2026-03-") for line in days) == 14
    assert "░░ <10" in days[-1]


@pytest.mark.parametrize("name", ["bracket-method", "hour-bracket", "day-merchant"])
def test_a_chart_draws_the_measure_that_is_asked_for(filled: Filled, name: str) -> None:
    by = {"hour-bracket": ("--by", "day"), "day-merchant": ("--by", "merchant", "--order=-amount")}.get(name, ())
    table = filled.report(name, *by, "--measures", "amount", "--limit", "14").decode()
    drawn = filled.report(name, "--chart", "--measures", "amount", "--limit", "14").decode()
    assert f": amount in euro\n{table.splitlines()[1].split()[0]}" in drawn
    assert [line.split()[:2] for line in table.splitlines()[1:]] == [
        line.split()[:2] for line in drawn.splitlines()[1:15]
    ]


def test_a_chart_of_a_report_of_ones_own_is_by_what_that_has(tmp_path: Path) -> None:
    definitions = {"methods": '["day", "method"]', "brackets": '["hour", "bracket"]\nbrackets = [4286]', "one": "[]"}
    text = "".join(f'[[reports]]\nname = "{name}"\nby = {by}\n' for name, by in definitions.items())
    tillroll("import", "-", "--data", tmp_path, stdin=EVENT)
    tillroll("reports", "apply", "-", "--data", tmp_path, stdin=text.encode())
    drawn = {
        name: tillroll("report", name, "--chart", "--data", tmp_path).stdout.decode().splitlines()
        for name in definitions
    }
    assert drawn["methods"][1].startswith("|methods|2011-12-03|SLICE_IT  1  █")
    assert drawn["brackets"][1].startswith("2011-12-03  1  ░")
    assert drawn["brackets"][2].split() == ["░░", "<42.86", "▒▒", ">=42.86"]
    assert drawn["one"][1].startswith("|one|  1  █")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("hours",), b"there is no report 'hours'"),
        (("bracket-method", "--from", "2026-03-01"), b"over all time"),
        (("bracket-method", "--merchant", "m"), b"does not count by merchant"),
        (("hour-bracket", "--from", "2026-02-30"), b"'2026-02-30' is not a date"),
        (("hour-bracket", "--from", "2026-03-02", "--to", "2026-03-01"), b"is not after"),
        (("hour-bracket", "--bracket", "10"), b"'10' is not one of its values"),
        (("hour-bracket", "--order", "events"), b"'events' is not one of its values"),
        (("hour-bracket", "--chart", "--order=-events"), b"--order: a chart of what has a time has its own order"),
        (("hour-bracket", "--chart", "--measures", "events,amount"), b"a chart draws one of them"),
        (("day-merchant", "--chart", "--measures", "average"), b"averages do not add up"),
    ],
)
def test_a_question_no_report_can_answer_ends_with_2(filled: Filled, arguments: tuple[str, ...], told: bytes) -> None:
    assert told in filled.report(*arguments, code=2)


def test_explain_shows_every_event_behind_a_number(filled: Filled) -> None:
    datapoint, events = max(filled.expected["hour-bracket-method"].items(), key=lambda item: item[1])
    done = tillroll("explain", datapoint, "--json", "--limit", "1000", "--data", filled.data)
    found = json.loads(done.stdout)
    assert (found["report"], found["events"], len(found["traces"])) == ("hour-bracket-method", events, events)
    hour = datapoint.split("|")[0].replace(":", "T")
    assert all(trace["event"]["date"].startswith(hour) for trace in found["traces"])
    shown = tillroll("explain", datapoint, "--limit", "1", "--data", filled.data)
    assert f"1 of {events} shown".encode() in shown.stderr
    assert b"purchases.ndjson at " in shown.stdout
    assert b"datapoint of no report" in tillroll("explain", "nonsense", "--data", filled.data, code=2).stderr


def test_explain_of_a_datapoint_nobody_counted_is_0_events(filled: Filled) -> None:
    done = tillroll("explain", "2030-01-01:10|10-50", "--data", filled.data)
    assert b"0 events" in done.stdout


def test_top_looks_as_often_as_it_is_told_to(filled: Filled) -> None:
    done = tillroll("top", "--json", "--count", "2", "--interval", "0.05", "--data", filled.data)
    looks = [json.loads(line) for line in done.stdout.splitlines()]
    assert [look["events"] for look in looks] == [12_000, 12_000]
    assert sum(looks[0]["brackets"].values()) == sum(looks[0]["methods"].values()) == 12_000
    assert b"12,000 events" in tillroll("top", "--count", "1", "--data", filled.data).stdout


LOCALES: tuple[dict[str, Any], ...] = (
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    {"LC_ALL": "sv_SE.ISO-8859-1"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C.UTF-8"},
)
ABROAD = ("日本の店", "=1+1", 'Ålesund, "Fisk"', "＠x", "-1")  # noqa: RUF001


def test_csv_is_the_same_bytes_as_over_http_whatever_the_locale(tmp_path: Path) -> None:
    lines = [json.dumps(json.loads(EVENT) | {"merchantId": name}).encode() for name in ABROAD]
    data = tmp_path / "data"
    tillroll("import", "-", "--data", data, stdin=b"\n".join(lines))
    written: dict[str, set[bytes]] = {}
    for flags, address in (
        ("", "day-merchant?format=csv"),
        ("--columns split --bom", "day-merchant?format=csv&columns=split&bom=1"),
        ("--by merchant", "day-merchant?format=csv&by=merchant"),
        ("--order -events", "day-merchant?format=csv&order=-events"),
    ):
        words = ("report", "day-merchant", "--format", "csv", *flags.split(), "--data", str(data))
        locales = LOCALES if not flags else LOCALES[:1]
        written[address] = {tillroll(*words, **variables).stdout for variables in locales}
    with serving(tmp_path) as running, client(running) as http:
        for address, texts in written.items():
            assert {http.get(f"/reports/{address}").content} == texts
    assert b"'=1+1" in written["day-merchant?format=csv&by=merchant"].pop()


def test_a_table_in_a_pipe_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    line = json.dumps(json.loads(EVENT) | {"merchantId": "日本の店"}).encode()
    tillroll("import", "-", "--data", tmp_path, stdin=line)
    told = tillroll("report", "day-merchant", "--data", tmp_path, LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert "日本の店".encode() in told.stdout


def test_a_table_has_brackets_by_amount(filled: Filled) -> None:
    lines = filled.report("bracket-method").decode().splitlines()[1:]
    brackets = list(dict.fromkeys(line.split("|")[0] for line in lines if "|" in line))
    assert brackets == ["<10", "10-50", "50-100", "100-500", ">500"]


@pytest.mark.parametrize("flags", [("--columns", "split"), ("--bom",)])
def test_columns_and_the_mark_belong_to_csv(filled: Filled, flags: tuple[str, ...]) -> None:
    assert b"it applies only to CSV. Add --format csv" in filled.report(
        "hour-bracket", *flags, "--format", "json", code=2
    )


def test_days_are_by_the_clocks_of_the_setting(tmp_path: Path) -> None:
    event = {"date": "2011-12-03T23:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": "m"}
    tillroll("import", "-", "--data", tmp_path / "data", stdin=json.dumps(event).encode())
    (tmp_path / "tillroll.toml").write_text('zone = "Europe/Stockholm"\n')
    asked = ("report", "hour-bracket", "--by", "day", "--format", "csv", "--measures", "amount,average,events")
    shown = (*asked, "--data", tmp_path / "data")
    local = tillroll(*shown, "--config", tmp_path / "tillroll.toml").stdout
    assert local == b"datapoint,amount,average,events\r\n2011-12-04,4285,4285,1\r\n"
    assert b"2011-12-03,4285" in tillroll(*shown).stdout
    assert b"2011-12-03,4285" in tillroll(*shown, "--config", tmp_path / "tillroll.toml", "--zone", "UTC").stdout


def test_what_a_kept_field_says_steers_no_terminal(tmp_path: Path) -> None:
    data = tmp_path / "data"
    line = {"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": "m"}
    events = tmp_path / "events.ndjson"
    events.write_text(json.dumps(line | {"channel": "A\x9b31mB\x1b]0;t\x07\u202eC"}) + "\n")
    definition = tmp_path / "reports.toml"
    definition.write_text('[[reports]]\nname = "own"\nby = ["channel"]\n')
    tillroll("import", events, "--data", data, TILLROLL_EVENTS_KEEP="channel")
    tillroll("reports", "apply", definition, "--data", data, TILLROLL_EVENTS_KEEP="channel")
    for arguments in (["report", "own"], ["report", "own", "--chart"], ["explain", "10-50|SLICE_IT"]):
        text = tillroll(*arguments, "--data", data).stdout.decode()
        assert "A\\u009b31mB" in text.replace("\n", ""), text
        assert not set(text) & set("\x9b\x1b\x07\u202e")
