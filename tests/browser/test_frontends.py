"""docs/frontends.md: its examples run, and say what the reports say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect
from tests.aws.dynamodb_local import REGION
from tests.aws.fetch_environments import packages
from tests.browser.conftest import close
from tests.browser.process import Server
from tests.browser.reading import ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page
    from tests.aws.dynamodb_local import DynamoDBLocal

pytestmark = pytest.mark.slow
DOC = (Path(__file__).parents[2] / "docs" / "frontends.md").read_text()
HERE = "http://127.0.0.1:8080"
AWS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": REGION}
MERCHANT = "1bb53ed1-787b-4543-9def-ea18eef7902e"
BOUGHT = {"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": MERCHANT}


def examples(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", DOC, re.MULTILINE | re.DOTALL)
    assert found, f"no example in {language}"
    return found


@pytest.fixture(scope="module")
def bought(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a purchase of the documented datapoint, and another."""
    server = Server(tmp_path_factory.mktemp("frontends") / "data")
    server.start()
    server.post(b"\n".join(json.dumps(BOUGHT | {"date": f"2011-12-03T1{hour}:15:30Z"}).encode() for hour in (0, 1)))
    yield server
    server.close()


def run(command: list[str], text: str, folder: Path, server: Server, **environ: str) -> str:
    """Run an example as it stands, but for the server's address; return what it prints."""
    program = shutil.which(command[0])
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(
        [program, *command[1:]],
        input=text.replace(HERE, server.url),
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("example", examples("sh"))
def test_shell_examples(example: str, tmp_path: Path, bought: Server) -> None:
    printed = run(["bash", "-e"], example, tmp_path, bought)
    files = [path.read_text() for path in tmp_path.iterdir()]
    counted = "".join([printed, *files])
    assert '"events":1' in counted or "2011-12-03:10,10-50,1\n" in counted


@pytest.mark.parametrize("example", examples("js"))
def test_script_example(example: str, tmp_path: Path, bought: Server) -> None:
    printed = run(["node", "--input-type=module"], example, tmp_path, bought)
    assert printed.splitlines() == ["2011-12-03:10|10-50 1", "2011-12-03:11|10-50 1"]


@pytest.mark.parametrize("example", [text for text in examples("python") if "pandas" in text])
def test_pandas_examples(example: str, tmp_path: Path, bought: Server) -> None:
    printed = run([sys.executable, "-"], example, tmp_path, bought, PYTHONPATH=packages("pandas"))
    assert "2011-12-03 10:00:00+00:00" in printed or re.search(rf"{MERCHANT} +2\b", printed)


def test_grafana_data_source() -> None:
    yaml = pytest.importorskip("yaml")
    (source,) = yaml.safe_load(examples("yaml")[0])["datasources"]
    assert source["url"] == HERE
    assert source["jsonData"]["allowedHosts"] == [HERE]


def test_grafana_query(tmp_path: Path, bought: Server) -> None:
    query: dict[str, Any] = json.loads(examples("json")[0])
    parameters = {
        one["key"]: one["value"].replace("${__from:date:YYYY-MM-DD}", "2011-12-03")
        for one in query["url_options"]["params"]
    }
    reply = bought.client.get(query["url"], params=parameters)
    printed = run(["jq", "--compact-output", query["root_selector"]], reply.raise_for_status().text, tmp_path, bought)
    rows = [json.loads(line) for line in printed.splitlines()]
    assert rows[0] == {"time": "2011-12-03T10:00:00Z", "bracket": "10-50", "events": 1}
    assert [column["selector"] for column in query["columns"]] == list(rows[0])


def test_addresses_of_views_open_what_they_say(open_page: Callable[..., Page], bought: Server) -> None:
    addresses = re.findall(r"^\| `/(#/[^`]*)` \|", DOC, re.MULTILINE)
    assert len(addresses) >= 5
    page = open_page(bought.url)
    for address in addresses:
        page.goto(f"{bought.url}/{address}")
        ready(page)
        expect(page.get_by_role("link", name="Overview"), address).to_have_count(1)
        expect(page.get_by_role("alert"), address).to_have_count(0)


def test_dynamodb_example_and_the_page_over_dynamodb(
    open_page: Callable[..., Page], pages: list[Page], tmp_path: Path, dynamodb_local: DynamoDBLocal
) -> None:
    tables = dynamodb_local.create_tables()
    server = Server(
        tmp_path / "data", address=dynamodb_local.address(tables), environ=AWS | {"TILLROLL_FRESHNESS_S": "0.1"}
    )
    try:
        server.start()
        server.post(json.dumps(BOUGHT).encode())
        page = open_page(f"{server.url}/#/day-merchant")
        expect(page.locator("#total")).to_have_text("1")
        expect(page.get_by_role("link", name=MERCHANT).first).to_be_visible()
        example = "\n".join([text for text in examples("python") if "boto3" in text] + ["print(*datapoints)"])
        example = example.replace("tillroll-aggregates", tables[0])
        printed = run([sys.executable, "-"], example, tmp_path, server, AWS_ENDPOINT_URL=dynamodb_local.endpoint, **AWS)
        assert printed.splitlines() == ["2011-12-03:10|10-50|SLICE_IT 1", "10-50|SLICE_IT 1", "2011-12-03:10|10-50"]
        server.post(json.dumps(BOUGHT | {"date": "2011-12-03T12:00:00Z"}).encode())
        expect(page.locator("#total")).to_have_text("2")
        page.goto(f"{server.url}/")
        ready(page)
        expect(page.locator(".part-columns .sub a")).to_have_text("2")
    finally:
        close(pages)
        server.close()
