"""CDNOW's purchases: in, out in each form, and recounted by DuckDB from the Parquet. The long run has all 69,659."""

from __future__ import annotations

import csv
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from tests.e2e.command import reports, tillroll
from tests.e2e.fetch_cdnow import FILE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
METHODS = ("PAY_NOW", "PAY_LATER", "SLICE_IT")
BRACKET = (
    "CASE WHEN amount < 1000 THEN '<10' WHEN amount < 5000 THEN '10-50' WHEN amount < 10000 THEN '50-100'"
    " WHEN amount <= 50000 THEN '100-500' ELSE '>500' END"
)
HOUR, DAY = "strftime(date AT TIME ZONE 'UTC', '%Y-%m-%d:%H')", "strftime(date AT TIME ZONE 'UTC', '%Y-%m-%d')"
DATAPOINTS = {
    "hour-bracket": f"{HOUR} || '|' || {BRACKET}",
    "hour-bracket-method": f"{HOUR} || '|' || {BRACKET} || '|' || paymentMethod",
    "bracket-method": f"{BRACKET} || '|' || paymentMethod",
    "day-merchant": f"{DAY} || '|' || merchantId",
    "merchant-method": "merchantId || '|' || paymentMethod",
}


def purchases(every: int) -> list[dict[str, Any]]:
    """One of so many, as events: who bought stands for the merchant; how many CDs and the customer are kept."""
    found = []
    for number, line in enumerate(FILE.read_text().splitlines()[1::every]):
        customer, date, cds, dollars = line.split()
        found.append(
            {
                "date": f"{date[:4]}-{date[4:6]}-{date[6:]}T{number % 24:02}:00:00Z",
                "amount": round(float(dollars) * 100),
                "paymentMethod": METHODS[int(cds) % 3],
                "merchantId": f"shop {int(customer) % 97}",
                "cds": int(cds),
                "customer": {"number": customer},
            }
        )
    return found


def content(events: list[dict[str, Any]]) -> Counter[str]:
    return Counter(json.dumps(event, sort_keys=True) for event in events)


@pytest.mark.skipif(not FILE.exists(), reason="python -m tests.tools fetches it")
def test_a_file_that_nobody_here_wrote_goes_in_and_out_and_counts_the_same(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    data, keep = tmp_path / "data", ("--keep", "cds,customer.number")
    long = request.config.getoption("--long")
    events = purchases(1 if long else 7)
    (tmp_path / "in.ndjson").write_text("\n".join(map(json.dumps, events)))
    tillroll("import", tmp_path / "in.ndjson", *keep, "--data", data)
    expected = reports(data)
    assert sum(expected["bracket-method"].values()) == len(events) == (69_659 if long else 9_952)
    lines = [json.loads(line) for line in tillroll("events", "--data", data).stdout.splitlines()]
    for line in lines:
        del line["_name"]
    assert content(lines) == content(events)
    tillroll("events", tmp_path / "out.csv", "--format", "csv", *keep, "--data", data)
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert Counter(row["cds"] for row in rows) == Counter(str(event["cds"]) for event in events)
    tillroll("import", tmp_path / "out.csv", *keep, "--data", tmp_path / "other")
    assert reports(tmp_path / "other") == expected
    tillroll("events", f"{tmp_path}/out/", "--format", "parquet", *keep, "--data", data)
    with duckdb.connect() as database:
        source = f"read_parquet('{tmp_path}/out/day=*/*.parquet')"
        for name, datapoint in DATAPOINTS.items():
            query = f"SELECT {datapoint} AS datapoint, count(*), sum(amount) FROM {source} GROUP BY 1 ORDER BY 1"
            recounted = database.execute(query).fetchall()
            assert {key: count for key, count, _ in recounted} == expected[name]
            (tmp_path / "report.parquet").write_bytes(
                tillroll("report", name, "--format", "parquet", "--data", data).stdout
            )
            report = f"SELECT datapoint, events, amount FROM '{tmp_path}/report.parquet' ORDER BY 1"
            assert [(key, n, int(a)) for key, n, a in database.execute(report).fetchall()] == [
                (key, n, int(a)) for key, n, a in recounted
            ]
        fields = f'SELECT cds, "customer.number", count(*) FROM {source} GROUP BY ALL'
        assert {(cds, number): count for cds, number, count in database.execute(fields).fetchall()} == Counter(
            (str(event["cds"]), spelled(event["customer"]["number"])) for event in events
        )


def spelled(text: str) -> str:
    """A customer's number is text: bare, unless it could be taken for a number of JSON."""
    return text if text.startswith("0") else json.dumps(text)
