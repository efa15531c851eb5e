"""What other databases count for a definition: in SQL that is made from its table alone, never from our own code."""

from __future__ import annotations

import datetime
import itertools
import sqlite3
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import duckdb

if TYPE_CHECKING:
    from collections.abc import Sequence

METHODS: Final = ("PAY_NOW", "PAY_LATER", "SLICE_IT")
Purchase = tuple[int, int, int, str, str, str]  # second, amount, method, merchant, country, channel
Totals = dict[str, tuple[int, int]]  # events and amount by datapoint
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_FIVES_BRACKETS: Final = [("<10", 1_000), ("10-50", 5_000), ("50-100", 10_000), ("100-500", 50_001), (">500", None)]
_WEEKDAYS: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


class Dialect(NamedTuple):
    """How a database writes what it has of its own. `{zone}` stands for the zone."""

    day: str
    week: str
    month: str
    weekday: str
    hour: str
    hour_of_day: str
    offset: str  # seconds to the east
    two_digits: str


_THURSDAY: Final = "date({local}, 'unixepoch', '-3 days', 'weekday 4')"
SQLITE: Final = Dialect(
    day="date({local}, 'unixepoch')",
    week=f"strftime('%Y', {_THURSDAY}) || '-W' || printf('%02d', (strftime('%j', {_THURSDAY}) - 1) / 7 + 1)",
    month="strftime('%Y-%m', {local}, 'unixepoch')",
    weekday="CASE strftime('%w', {local}, 'unixepoch') "
    + " ".join(f"WHEN '{number}' THEN '{text}'" for number, text in enumerate(_WEEKDAYS))
    + " END",
    hour="strftime('%Y-%m-%d:%H', {local}, 'unixepoch')",
    hour_of_day="strftime('%H', {local}, 'unixepoch')",
    offset="({local} - second)",
    two_digits="printf('%02d', {})",
)
_MOMENT: Final = "timezone('{zone}', to_timestamp(second))"
DUCKDB: Final = Dialect(
    day=f"strftime({_MOMENT}, '%Y-%m-%d')",
    week=f"strftime({_MOMENT}, '%G-W%V')",
    month=f"strftime({_MOMENT}, '%Y-%m')",
    weekday=f"strftime({_MOMENT}, '%a')",
    hour=f"strftime({_MOMENT}, '%Y-%m-%d:%H')",
    hour_of_day=f"strftime({_MOMENT}, '%H')",
    offset=f"(epoch({_MOMENT})::BIGINT - second)",
    two_digits="printf('%02d', ({})::BIGINT)",
)


def query(table: dict[str, Any], dialect: Dialect, total: str) -> str:
    """Return the question that a definition is."""
    zone = str(table.get("zone", "UTC"))
    expressions = [_expression(name, table, dialect) for name in table["by"]]
    datapoint = " || '|' || ".join(expressions) if expressions else "''"
    conditions = [_condition(name, values, table, dialect) for name, values in table.get("where", {}).items()]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    text = f"SELECT '|{table['name']}|' || {datapoint} AS datapoint, count(*), {total} FROM purchase{where} GROUP BY 1"
    return text.replace("{zone}", zone).replace("{local}", f'"{zone}"')


def _expression(name: str, table: dict[str, Any], dialect: Dialect) -> str:
    if name == "hour":
        return dialect.hour if table.get("zone", "UTC") == "UTC" else f"({dialect.hour} || {_offset_text(dialect)})"
    if name == "bracket":
        return _bracket(table.get("brackets"))
    simple = {"day": dialect.day, "week": dialect.week, "month": dialect.month, "weekday": dialect.weekday}
    return f"({simple[name]})" if name in simple else dialect.hour_of_day if name == "hour-of-day" else f'"{name}"'


def _offset_text(dialect: Dialect) -> str:
    at = f"abs({dialect.offset})"
    whole = "CAST({} AS INTEGER)"
    hours, minutes, seconds = (
        dialect.two_digits.format(whole.format(part))
        for part in (f"floor({at} / 3600)", f"floor(({at} % 3600) / 60)", f"{at} % 60")
    )
    rest = f"CASE WHEN {at} % 60 = 0 THEN '' ELSE ':' || {seconds} END"
    return f"CASE WHEN {dialect.offset} < 0 THEN '-' ELSE '+' END || {hours} || ':' || {minutes} || {rest}"


def _bracket(bounds: Sequence[int] | None) -> str:
    if bounds is None:
        below = _FIVES_BRACKETS
    else:
        euro = [f"{bound / 100:.2f}".removesuffix(".00") for bound in bounds]
        texts = [f"<{euro[0]}", *(f"{low}-{high}" for low, high in itertools.pairwise(euro)), f">={euro[-1]}"]
        below = list(zip(texts, [*bounds, None], strict=True))
    cases = " ".join(f"WHEN amount < {bound} THEN '{text}'" for text, bound in below if bound is not None)
    return f"CASE {cases} ELSE '{below[-1][0]}' END"


def _condition(name: str, values: Sequence[Any], table: dict[str, Any], dialect: Dialect) -> str:
    texts = ["(absent)" if value == {"absent": True} else _quoted(value) for value in values]
    escaped = ", ".join("'{}'".format(text.replace("'", "''")) for text in texts)
    return f"{_expression(name, table, dialect)} IN ({escaped})"


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if value in {"1", "true"} else str(value)  # texts that read as JSON are written as JSON


class Databases:
    """The same purchases in DuckDB and in SQLite. SQLite knows no zones: it is given what their clocks show."""

    def __init__(self, purchases: Sequence[Purchase], zones: Sequence[str]) -> None:
        rows = [(second, amount, METHODS[method], *texts) for second, amount, method, *texts in purchases]
        columns = "second BIGINT, amount BIGINT, method VARCHAR, merchant VARCHAR, country VARCHAR, channel VARCHAR"
        self.duckdb = duckdb.connect(config={"threads": 1})
        self.duckdb.execute("SET TimeZone = 'UTC'")
        self.duckdb.execute(f"CREATE TABLE purchase ({columns})")
        self.duckdb.executemany("INSERT INTO purchase VALUES (?, ?, ?, ?, ?, ?)", rows)
        self.sqlite = sqlite3.connect(":memory:")
        shown = ", ".join(f'"{zone}" INTEGER' for zone in zones)
        self.sqlite.execute(f"CREATE TABLE purchase ({columns}, {shown})")
        infos = [ZoneInfo(zone) for zone in zones]
        places = ", ".join("?" * (6 + len(zones)))
        self.sqlite.executemany(
            f"INSERT INTO purchase VALUES ({places})",
            [
                (*row, *(purchase[0] + _offset(purchase[0], info) for info in infos))
                for row, purchase in zip(rows, purchases, strict=True)
            ],
        )

    def ask(self, table: dict[str, Any]) -> list[Totals]:
        """Return what each counts."""
        duck = self.duckdb.execute(query(table, DUCKDB, "sum(amount::HUGEINT)::HUGEINT")).fetchall()
        lite = self.sqlite.execute(query(table, SQLITE, "sum(amount)")).fetchall()
        return [{text: (events, int(amount)) for text, events, amount in rows} for rows in (duck, lite)]


def _offset(second: int, info: ZoneInfo) -> int:
    offset = (_EPOCH + datetime.timedelta(seconds=second)).astimezone(info).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())
