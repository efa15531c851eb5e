"""`--help` of every command: what each option takes, and examples that run as they stand there."""

from __future__ import annotations

import gzip
import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.command import tillroll

from tillroll.cli.examples import EXAMPLES
from tillroll.cli.main import COMMANDS, load_command

if TYPE_CHECKING:
    from pathlib import Path

# What is only parsed: it goes on until it is stopped, or needs a server or an account of AWS.
NOT_RUN = (
    "tillroll serve",
    "tillroll generate http",
    "tillroll work",
    *(f"tillroll aws {each}" for each in ("deploy", "rollback", "status", "folders", "redrive", "shell")),
)
REJECTED = ("tillroll import purchases.ndjson", "tillroll rejected retry")  # what is still wrong in the end
REPORTS = '[[reports]]\nname = "turnover-day"\ntitle = "Turnover by day"\nby = ["day"]\n'


def purchase(hour: int, method: str) -> dict[str, object]:
    return {"date": f"2026-11-03T{hour}:15:30Z", "amount": 4285, "paymentMethod": method, "merchantId": "m"}


def lines(*methods: str) -> str:
    return "".join(json.dumps(purchase(10 + at, method)) + "\n" for at, method in enumerate(methods))


def commands() -> dict[str, Any]:
    found = {}
    for name in COMMANDS:
        found[name] = command = load_command(name)
        found |= {f"{name} {each}": sub for each, sub in getattr(command, "commands", {}).items()}
    return found


def run_words(line: str) -> tuple[list[str], str, str]:
    """A line's words without `tillroll`, and the files of its standard input and output."""
    words = shlex.split(line)[1:]
    source, target = ((words[words.index(sign) + 1] if sign in words else "") for sign in "<>")
    ends = [words.index(sign) for sign in "<>" if sign in words]
    return words[: min(ends, default=len(words))], source, target


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files that the examples name."""
    directory = tmp_path_factory.mktemp("shop")
    (directory / "purchases.ndjson").write_text(lines("SLICE_IT", "CASH", "CHEQUE", "BARTER", "PAY_NOW"))
    header = "date,amount,paymentMethod,merchantId\n"
    (directory / "more.csv.gz").write_bytes(gzip.compress(f"{header}2026-11-04T10:00:00Z,1,PAY_NOW,n\n".encode()))
    (directory / "archive.ndjson").write_text(lines("PAY_LATER"))
    (directory / "reports.toml").write_text(REPORTS)
    (directory / "shop.toml").write_text('data = "./shop"\n')
    (directory / "token.txt").write_text("tillroll_3Xf0vQm1h8eZkGJ2wq7RtYcN5uLdBs9A\n")
    tillroll("import", "purchases.ndjson", cwd=directory, code=3)
    return directory


def test_each_command_has_examples_and_no_other() -> None:
    assert set(EXAMPLES) == {"", *commands()}
    for words, examples in EXAMPLES.items():
        assert examples, words
        assert all(example.startswith(f"tillroll {words}".rstrip()) for example in examples), words


@pytest.mark.parametrize("words", EXAMPLES)
def test_help_ends_with_the_examples_as_they_are(words: str) -> None:
    said = tillroll(*words.split(), "--help").stdout.decode()
    assert [line for line in EXAMPLES[words] if f"    {line}\n" not in said] == []
    assert "..." not in said.partition("Commands:")[2].partition("Example")[0]  # a line of help that is cut off


@pytest.mark.parametrize("words", EXAMPLES)
def test_the_examples_parse(words: str) -> None:
    for example in EXAMPLES[words]:
        name, *rest = run_words(example)[0]
        command = load_command(name)
        if rest and rest[0] in getattr(command, "commands", {}):
            command, *rest = command.commands[rest[0]], *rest[1:]
        command.make_context(name, rest)


def test_the_examples_run(shop: Path) -> None:
    for example in (line for examples in EXAMPLES.values() for line in examples if not line.startswith(NOT_RUN)):
        words, source, target = run_words(example)
        if "ID" in words:
            listed = tillroll("rejected", "list", "--json", cwd=shop).stdout
            words[words.index("ID")] = json.loads(listed)[0]["id"]
        stdin = (shop / source).read_bytes() if source else b""
        done = tillroll(*words, cwd=shop, stdin=stdin, code=3 if example.startswith(REJECTED) else 0)
        if target:
            (shop / target).write_bytes(done.stdout)


def test_each_option_says_what_it_takes() -> None:
    for words, command in commands().items():
        for option in (each for each in command.params if each.param_type_name == "option" and not each.is_flag):
            assert option.metavar or hasattr(option.type, "choices"), f"{words} {option.opts[0]}"


# A wrong line, and every form of what would be right, as the message has it.
WRONG = {
    "report": ["NAME", "Such as: tillroll report hour-bracket "],
    "report hourly": ["hour-bracket, hour-bracket-method, bracket-method, day-merchant, merchant-method"],
    "report hour-bracket --from yesterday": ["2011-12-03,", "2011-12-03:10,", "T10:00:00Z", "+02:00"],
    "report hour-bracket --to 01.11.2026": ["to: ", "2011-12-03,", "2011-12-03:10,", "T10:00:00Z", "+02:00"],
    "report hour-bracket --from 2026-11-01T10:30:00Z": ["2026-11-01T10:00:00Z and 2026-11-01T11:00:00Z"],
    "report bracket-method --from 2026-11-01": ["hour-bracket-method", "by=bracket,method"],
    "report hour-bracket --zone CET+1": ["IANA", "Europe/Stockholm", "UTC"],
    "report hour-bracket --zone oslo": ["IANA", "UTC", "Did you mean Europe/Oslo?"],
    "report hour-bracket --zone 'new york'": ["Did you mean America/New_York?"],
    "report hour-bracket --zone europe/oslo": ["Did you mean Europe/Oslo?"],
    "report day-merchant --zone Europe/Stockholm": ["hour-bracket, hour-bracket-method"],
    "report hour-bracket --measures turnover": ["several separated by commas", "events, amount, average"],
    "report hour-bracket --by 'day week'": ["several separated by commas", "hour, bracket, day, week, month, weekday"],
    "report hour-bracket --order desc": ["datapoint, bracket, -events, -amount"],
    "report hour-bracket --bracket 10": ["<10, 10-50, 50-100, 100-500, >500"],
    "report bracket-method --method CASH": ["PAY_NOW, PAY_LATER, SLICE_IT"],
    "report bracket-method --only method": ["DIMENSION=VALUE", "bracket=VALUE, method=VALUE"],
    "report bracket-method --only from=2026-11-01": ["bracket=VALUE, method=VALUE"],
    "report hour-bracket --limit ten": ["not a whole number"],
    "report hour-bracket --format xls": ["'table', 'csv', 'json', 'parquet'"],
    "report hour-bracket --data s3://bucket": ["a directory", "dynamodb://REGION/AGGREGATES_TABLE/JOURNAL_TABLE"],
    "report hour-bracket --data dynamodb://eu": ["dynamodb://REGION/AGGREGATES_TABLE/JOURNAL_TABLE", "?endpoint=URL"],
    "report hour-bracket --url localhost:8080": ["http://HOST:PORT", "https://HOST"],
    "report hour-bracket --url ftp://host": ["http://HOST:PORT", "https://HOST"],
    "report hour-bracket --data ''": ["a directory", "dynamodb://REGION/AGGREGATES_TABLE/JOURNAL_TABLE"],
    "reports plan purchases.ndjson": ["purchases.ndjson: it is not TOML", "[[reports]]"],
    "reports --data other plan reports.toml": ["--data: it stands before plan", "tillroll reports plan ... --data"],
    "reports --json show turnover-day": ["tillroll reports show ... --json"],
    "reports aply": ["'apply'", "There are plan, apply, show, drop, preview"],
    "reprot": ["'report'", "There are serve, import, report,"],
    "import purchases.ndjson --rate fast": ["not a number", "Such as: tillroll import purchases.ndjson"],
    "explain 2026-11-03": ["hour|bracket, hour|bracket|method, bracket|method, day|merchant, merchant|method"],
    "audit --since yesterday": ["Write it like 20"],
    "events all.ndjson --after last": ["not a whole number"],
    "restore purchases.ndjson --data new": ["tillroll backup", "litestream"],
    "serve --log-level loud": ["debug, info, warning or error"],
    "serve --port http": ["not a whole number"],
    "generate out --duplicates 5": ["0.01"],
    "work": ["--queue", "TILLROLL_QUEUE"],
    "work --queue purchases": ["https://sqs."],
    "rejected drop": ["--code", "--source", "--all"],
    "aws deploy --runtime python2": ["python3.11 or python3.12 or python3.13"],
    "aws cost --architecture arm": ["arm64 or x86_64"],
    "aws cost --price cheap": ["--price write_unit="],
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_line_is_told_every_form_that_would_be_right(shop: Path, line: str) -> None:
    code = 4 if line.startswith("restore") else 2
    said = tillroll(*shlex.split(line), cwd=shop, code=code).stderr.decode()
    assert [each for each in WRONG[line] if each not in said] == []


def test_events_are_written_as_the_name_of_the_file_says(shop: Path) -> None:
    for name, begins in {"a.csv": b"date,", "a.csv.gz": b"\x1f\x8b", "a.ndjson": b"{", "a.txt": b"{"}.items():
        tillroll("events", name, cwd=shop)
        assert (shop / name).read_bytes().startswith(begins)
    assert gzip.decompress((shop / "a.csv.gz").read_bytes()) == (shop / "a.csv").read_bytes()
    tillroll("events", "b.csv", "--format", "ndjson", cwd=shop)
    assert (shop / "b.csv").read_bytes() == (shop / "a.ndjson").read_bytes()
