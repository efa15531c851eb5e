"""What "copy as" gives is run as it is: by curl, by pandas, and by DuckDB; the numbers are those of the page."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import duckdb
import pytest
from tests.aws.fetch_environments import install
from tests.browser.conftest import close
from tests.browser.process import Server
from tests.browser.purchases import HOSTILE, Purchase, count, generate, lines, merchants, this_moment
from tests.browser.reading import ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

TOKEN = "reads-and-sends-1234"
ENVIRONMENT = os.environ | {"TILLROLL_TOKEN": TOKEN}


@pytest.fixture
def some() -> list[Purchase]:
    return list(generate(this_moment(), 3, 4, merchants(10)))


@pytest.fixture
def guarded(tmp_path: Path, pages: list[Page], some: list[Purchase]) -> Iterator[Server]:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"send,read {TOKEN}\n")
    running = Server(tmp_path / "data", tokens_file=tokens, token=TOKEN)
    running.start()
    running.post(lines(some))
    yield running
    close(pages)
    running.close()


def test_every_recipe_gives_the_numbers_of_the_page(
    open_page: Callable[..., Page], guarded: Server, some: list[Purchase]
) -> None:
    page = open_page(f"{guarded.url}/#/day-merchant?range=all", quiet=False)
    page.get_by_label("Token", exact=True).fill(TOKEN)
    page.get_by_role("button", name="Continue").click()
    ready(page)
    recipes = {}
    for name in ("curl", "pandas", "DuckDB", "Grafana"):
        page.locator("#recipe").select_option(name)
        recipes[name] = page.locator(".recipe").inner_text()
    assert not any(TOKEN in text for text in recipes.values())
    expected = count(some, "day", "merchant")
    assert any(HOSTILE in datapoint for datapoint in expected)

    answer = subprocess.run(["bash", "-c", recipes["curl"]], env=ENVIRONMENT, check=True, capture_output=True).stdout
    assert {row["datapoint"]: row["events"] for row in json.loads(answer)} == expected

    program = f"{recipes['pandas']}\nprint(rows.to_json(orient='records'))"
    python = install("pandas") / "bin" / "python"
    answer = subprocess.run([python, "-c", program], env=ENVIRONMENT, check=True, capture_output=True).stdout
    assert {f"{row['day']}|{row['merchant']}": row["events"] for row in json.loads(answer)} == expected

    assert json.loads(recipes["Grafana"].partition("\n")[2])["url"].startswith(guarded.url)


def test_the_recipe_for_duckdb_reads_the_rows(
    open_page: Callable[..., Page], fresh_server: Server, some: list[Purchase], tmp_path: Path
) -> None:
    """DuckDB's httpfs is an extension that it fetches by itself: without a network the same bytes come from a file."""
    fresh_server.post(lines(some))
    page = open_page(f"{fresh_server.url}/#/day-merchant?range=all")
    ready(page)
    page.locator("#recipe").select_option("DuckDB")
    install_extension, statement = page.locator(".recipe").inner_text().split("\n", 1)
    assert install_extension == "INSTALL httpfs; LOAD httpfs;"
    address = statement.split("'")[1]
    rows = Counter[str]()
    with duckdb.connect() as database:
        try:
            database.sql(install_extension)
        except duckdb.Error:
            file = tmp_path / "rows.csv"
            file.write_bytes(fresh_server.client.get(address).raise_for_status().content)
            statement = statement.replace(address, str(file))
        for row in database.sql(statement).fetchall():
            rows[f"{row[0]}|{row[1]}"] += row[-1]
    assert rows == count(some, "day", "merchant")
