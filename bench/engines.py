"""The five reports of a file by DuckDB, Polars or chDB, each at its best: `python -m bench.engines ENGINE FILE`."""

from __future__ import annotations

import sys

BRACKET_SQL = (
    "CASE WHEN amount < 1000 THEN '<10' WHEN amount < 5000 THEN '10-50' WHEN amount < 10000 THEN '50-100' "
    "WHEN amount <= 50000 THEN '100-500' ELSE '>500' END"
)
GROUPS = (
    ("hour", "bracket"),
    ("hour", "bracket", "method"),
    ("bracket", "method"),
    ("day", "merchant"),
    ("merchant", "method"),
)


def duckdb(path: str) -> list[int]:
    """Return how many datapoints each report has."""
    import duckdb as engine

    connection = engine.connect()
    columns = "{date: 'TIMESTAMP', amount: 'BIGINT', paymentMethod: 'VARCHAR', merchantId: 'VARCHAR'}"
    connection.execute(
        f"CREATE TEMP TABLE e AS SELECT date_trunc('hour', date) AS hour, CAST(date AS DATE) AS day, "
        f"{BRACKET_SQL} AS bracket, paymentMethod AS method, merchantId AS merchant "
        f"FROM read_json('{path}', format = 'newline_delimited', columns = {columns})"
    )
    return [
        int(
            connection.sql(f"SELECT count(*) FROM (SELECT {', '.join(by)}, count(*) FROM e GROUP BY ALL)").fetchall()[
                0
            ][0]
        )
        for by in GROUPS
    ]


def polars(path: str) -> list[int]:
    """Return how many datapoints each report has."""
    import polars as pl

    amount = pl.col("amount")
    bracket = (
        pl.when(amount < 1000).then(pl.lit("<10"))
        .when(amount < 5000).then(pl.lit("10-50"))
        .when(amount < 10000).then(pl.lit("50-100"))
        .when(amount <= 50000).then(pl.lit("100-500"))
        .otherwise(pl.lit(">500"))
    )  # fmt: skip
    schema = {"date": pl.String, "amount": pl.Int64, "paymentMethod": pl.String, "merchantId": pl.String}
    events = pl.scan_ndjson(path, schema=schema).select(
        pl.col("date").str.slice(0, 13).alias("hour"),
        pl.col("date").str.slice(0, 10).alias("day"),
        bracket.alias("bracket"),
        pl.col("paymentMethod").alias("method"),
        pl.col("merchantId").alias("merchant"),
    )
    results = pl.collect_all([events.group_by(by).len() for by in GROUPS], engine="streaming")
    return [len(result) for result in results]


def chdb(path: str) -> list[int]:
    """Return how many datapoints each report has."""
    from chdb import session

    engine = session.Session()
    structure = "date DateTime(''UTC''), amount Int64, paymentMethod LowCardinality(String), merchantId String"
    engine.query(
        f"CREATE TABLE e ENGINE = Memory AS SELECT toStartOfHour(date) AS hour, toDate(date) AS day, "
        f"{BRACKET_SQL} AS bracket, paymentMethod AS method, merchantId AS merchant "
        f"FROM file('{path}', JSONEachRow, '{structure}') SETTINGS date_time_input_format = 'best_effort'"
    )
    return [
        int(str(engine.query(f"SELECT count() FROM (SELECT {', '.join(by)}, count() FROM e GROUP BY {', '.join(by)})")))
        for by in GROUPS
    ]


if __name__ == "__main__":
    print({"duckdb": duckdb, "polars": polars, "chdb": chdb}[sys.argv[1]](sys.argv[2]))
