"""The alerts and the dashboard: unit tests of Prometheus's own, and a real Prometheus that watches a real server."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from tests.deploy.fetch_debian import find
from tests.e2e.http_server import EVENT, client, serving
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RULES = ROOT / "deploy" / "prometheus" / "tillroll.rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "tillroll.json"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
UNIT_TESTS = sorted(HERE.glob("*.test.yml"))
SELECTOR = re.compile(r"\b((?:tillroll|process|python|up)\w*)(?:\{([^}]*)\})?(?=[\s\[)]|$)")
MATCHER = re.compile(r'(\w+)(=~?)"([^"]*)"')
OF_PROMETHEUS = {"job", "instance"}  # labels that a scrape adds


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def questions() -> list[str]:
    """Every expression of the dashboard, asked of all servers."""
    board = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    found += [each["expr"] for each in board["annotations"]["list"]]
    return [text.replace("$instance", ".*").replace("$__rate_interval", "5m") for text in found]


def selectors(text: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """The series that an expression needs: names, and the values of labels that it wants one of."""
    for name, matchers in SELECTOR.findall(text):
        wanted = {label: value.split("|") for label, _, value in MATCHER.findall(matchers)}
        yield name, {label: values for label, values in wanted.items() if label not in OF_PROMETHEUS}


@pytest.mark.skipif(find("promtool") is None, reason="no promtool: it is in Debian's package prometheus")
@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.name)
def test_alerts_fire_when_they_should_and_not_else(path: Path) -> None:
    done = subprocess.run(
        [str(find("promtool")), "test", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire_and_not_to_fire() -> None:
    fired: set[str] = set()
    silent: set[str] = set()
    for path in UNIT_TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            instances = set(re.findall(r'instance="([^"]+)"', json.dumps(test["input_series"]).replace('\\"', '"')))
            for each in test["alert_rule_test"]:
                expected = each.get("exp_alerts", [])
                (fired if expected else silent).add(each["alertname"])
                if len(expected) < len(instances):  # others of the same series do not fire
                    silent.add(each["alertname"])
    assert fired == silent == {alert["alert"] for alert in alerts()}


def test_every_alert_has_a_page_that_says_what_to_do() -> None:
    for alert in alerts():
        name = alert["alert"]
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert alert["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
        page = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", OPERATIONS, re.DOTALL | re.MULTILINE)
        assert page is not None, f"docs/operations.md has no page for {name}"
        for part in ("**Means.**", "**Look.**", "**Do.**"):
            assert part in page[1], f"the page for {name} does not have {part}"
    assert set(re.findall(r"^### (Tillroll\w+)$", OPERATIONS, re.MULTILINE)) == {each["alert"] for each in alerts()}


def test_what_is_asked_for_is_what_a_server_serves(tmp_path: Path) -> None:
    with serving(tmp_path) as running, client(running) as http:
        http.post("/events", json=[EVENT, 7])
        http.get("/status")
        served = [
            (match[1], dict(re.findall(r'(\w+)="([^"]*)"', match[2] or "")))
            for match in re.finditer(r"^(\w+)(?:\{(.*)\})? \S+$", http.get("/metrics").text, re.MULTILINE)
        ]
    asked = [pair for text in [*(alert["expr"] for alert in alerts()), *questions()] for pair in selectors(text)]
    assert len({name for name, _ in asked}) > 25
    for name, wanted in asked:
        if name == "up":  # Prometheus's own
            continue
        for label, values in wanted.items():
            for value in values:
                assert any(name == each and labels.get(label) == value for each, labels in served), (name, label, value)
        assert any(name == each for each, _ in served), name


@pytest.mark.long
@pytest.mark.skipif(find("prometheus") is None, reason="no prometheus: it is in Debian's package of that name")
def test_a_real_prometheus_finds_what_the_dashboard_shows(tmp_path: Path) -> None:
    configuration = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    (job,) = configuration["scrape_configs"]
    port = free_port()
    (tmp_path / "token").write_text("a token that may read\n".replace(" ", "-"))
    token = (tmp_path / "token").read_text().strip()
    with serving(tmp_path, TILLROLL_READ_TOKENS=token, TILLROLL_SEND_TOKENS="a-token-that-may-send") as running:
        job["static_configs"][0]["targets"] = [running.url.removeprefix("http://")]
        job["scrape_interval"] = "200ms"
        job["authorization"]["credentials_file"] = str(tmp_path / "token")
        configuration["rule_files"] = [str(RULES)]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        options = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb"]
        command = [str(find("prometheus")), *options, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            with client(running, headers={"Authorization": "Bearer a-token-that-may-send"}) as http:
                _watch(f"http://127.0.0.1:{port}", http)
        finally:
            process.terminate()
            process.wait(60)
    assert process.returncode == 0, (tmp_path / "log").read_text()[-2_000:]


def _watch(address: str, http: httpx.Client) -> None:
    """Send and ask until every question of the dashboard has an answer, and every rule was evaluated."""
    missing = questions()
    give_up = time.monotonic() + 120
    with httpx.Client(base_url=address, trust_env=False) as prometheus:
        while missing:
            assert time.monotonic() < give_up, missing
            time.sleep(0.25)
            http.post("/events", json=[EVENT, 7])
            http.get("/nowhere")
            try:
                missing = [text for text in missing if not _answer(prometheus, text)]
            except httpx.TransportError:  # it is starting
                continue
        (group,) = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}
        assert {rule["state"] for rule in group["rules"] if rule["name"] == "TillrollDown"} == {"inactive"}


def _answer(prometheus: httpx.Client, text: str) -> bool:
    """Whether there is one, and it is a number where one is asked for."""
    found = prometheus.get("/api/v1/query", params={"query": text.removesuffix(" > 0")}).json()
    assert found["status"] == "success", (text, found)
    return any(each["value"][1] != "NaN" for each in found["data"]["result"])
