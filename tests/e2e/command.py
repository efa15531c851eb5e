"""The real command as a process, and what its tests hold it against."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import closing
from typing import IO, TYPE_CHECKING, Any

import msgspec
from tests.brackets import bracket
from tests.e2e.forks import Forked

from tillroll.app import open_store
from tillroll.core import limits
from tillroll.core.query import Query
from tillroll.core.report import FIVE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tillroll.ports import Store

REPORTS = ("hour-bracket", "hour-bracket-method", "bracket-method", "day-merchant", "merchant-method")
EVENT = (
    b'{"date":"2011-12-03T10:15:30Z","amount":4285,"paymentMethod":"SLICE_IT",'
    b'"merchantId":"1bb53ed1-787b-4543-9def-ea18eef7902e"}\n'
)
_BY_NAME = {report.name: report for report in FIVE}
METHODS = ("PAY_NOW", "PAY_LATER", "SLICE_IT")


def environment(**variables: str) -> dict[str, str]:
    """The environment without the settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TILLROLL_")}
    return {**kept, "COLUMNS": "200", "NO_COLOR": "1", **variables}


def tillroll(
    *arguments: str | Path, cwd: Path | None = None, stdin: bytes = b"", code: int = 0, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end, and expect an exit code."""
    if _may_fork(variables):
        process = Forked([*map(str, arguments)], environment(**variables), directory=cwd, stdin=subprocess.PIPE)
        try:
            out, errors = process.communicate(stdin, 240)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        done = subprocess.CompletedProcess(command(*arguments), process.returncode, out, errors)
    else:
        done = subprocess.run(
            command(*arguments),
            input=stdin,
            capture_output=True,
            cwd=cwd,
            env=environment(**variables),
            check=False,
            timeout=240,
        )
    assert done.returncode == code, (arguments, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done


def _may_fork(variables: Iterable[str]) -> bool:
    """Tell whether a process needs nothing that Python reads when it starts, such as a locale."""
    return all(name.startswith(("TILLROLL_", "AWS_")) for name in variables)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "tillroll", *map(str, arguments)]


def start(
    *arguments: str | Path, stderr: int | IO[bytes] = subprocess.PIPE, **variables: str
) -> subprocess.Popen[bytes]:
    """Start the command and leave it running."""
    if _may_fork(variables):
        return Forked([*map(str, arguments)], environment(**variables), stderr=stderr)
    return subprocess.Popen(
        command(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=environment(**variables),
    )


def report(data: Path | str, name: str) -> dict[str, int]:
    """A whole report of a store."""
    return reports(data, [name])[name]


def reports(data: Path | str, names: Sequence[str] = REPORTS) -> dict[str, dict[str, int]]:
    """Whole reports of a store, read in this process where that can be: a command for each takes half a second."""
    if str(data).startswith("dynamodb:"):
        return {name: _told(data, name) for name in names}
    with closing(open_store(str(data), make=False)) as store:
        return {name: _read(store, Query(report=_BY_NAME[name], limit=limits.PAGE_MAX)) for name in names}


def _told(data: Path | str, name: str) -> dict[str, int]:
    rows = json.loads(tillroll("report", name, "--format", "json", "--data", data).stdout)
    return {row["datapoint"]: row["events"] for row in rows}


def _read(store: Store, query: Query) -> dict[str, int]:
    page = store.page(query)
    found = {row.datapoint: row.events for row in page.aggregates}
    while page.next is not None:
        page = store.page(msgspec.structs.replace(query, after=page.next))
        found |= {row.datapoint: row.events for row in page.aggregates}
    return found


def recount(lines: list[bytes]) -> dict[str, dict[str, int]]:
    """The five reports of some lines of NDJSON, by plain Python and the contract alone.

    A line with an id counts once however often it stands there; what is no valid purchase is passed over.
    """
    counted: dict[str, Counter[str]] = {name: Counter() for name in REPORTS}
    seen: set[tuple[str, str]] = set()
    for line in lines:
        event = purchase(line)
        if event is None:
            continue
        own = event.get("id")
        if own is not None:
            if (event["date"], own) in seen:
                continue
            seen.add((event["date"], own))
        day, time = event["date"].split("T")
        hour = f"{day}:{time[:2]}"
        where, method, merchant = bracket(event["amount"]), event["paymentMethod"], event["merchantId"]
        counted["hour-bracket"][f"{hour}|{where}"] += 1
        counted["hour-bracket-method"][f"{hour}|{where}|{method}"] += 1
        counted["bracket-method"][f"{where}|{method}"] += 1
        counted["day-merchant"][f"{day}|{merchant}"] += 1
        counted["merchant-method"][f"{merchant}|{method}"] += 1
    return {name: dict(counts) for name, counts in counted.items()}


def purchase(line: bytes) -> dict[str, Any] | None:
    """The purchase in a line of ours, None when it is one of the kinds of wrong lines that are generated."""
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    date, amount, merchant = event.get("date"), event.get("amount"), event.get("merchantId")
    valid = (
        isinstance(date, str)
        and date.endswith("Z")
        and not date.startswith(("9999", "2011-02-30"))
        and type(amount) is int
        and 0 <= amount <= 10**12
        and event.get("paymentMethod") in METHODS
        and isinstance(merchant, str)
        and merchant not in {"", "10-50", "a|b"}
    )
    return event if valid else None
