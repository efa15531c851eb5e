"""The examples for nginx and Caddy in front of a real server: as they stand, but for ports, files and names."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest
from tests.deploy.fetch_debian import find
from tests.e2e.command import EVENT as LINE
from tests.e2e.http_server import EVENT, Running, serving
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = "tillroll.example"
TOKEN = "a-token-that-may-send-and-read"
ABROAD = "127.0.0.2"  # an address that is not the machine's own, as far as a proxy can tell


class Front(NamedTuple):
    """A proxy that runs: where it takes TLS and plain HTTP, and where it says who came."""

    https: int
    http: int
    certificate: Path
    log: Path
    behind: Running

    def client(self, address: str = "127.0.0.1", token: str = TOKEN) -> httpx.Client:
        """A client that knows the proxy by its name and trusts its certificate, and comes from an address."""
        transport = httpx.HTTPTransport(
            verify=ssl.create_default_context(cafile=str(self.certificate)), local_address=address
        )
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(
            base_url=f"https://localhost:{self.https}",
            transport=transport,
            headers=headers,
            timeout=30,
            trust_env=False,
        )


def certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for this machine, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    made, key = directory / "certificate.pem", directory / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made, key


def replaced(text: str, changes: dict[str, str]) -> str:
    """A text in which each of these occurs, and is replaced."""
    for old, new in changes.items():
        assert old in text, f"the example has no {old}"
        text = text.replace(old, new)
    return text


def start_nginx(directory: Path, behind: int, https: int, http: int, made: tuple[Path, Path]) -> list[str]:
    log = directory / "access.log"
    own = replaced(
        (DEPLOY / "nginx" / "tillroll.conf").read_text(),
        {
            "server 127.0.0.1:8080;": f"server 127.0.0.1:{behind};",
            "listen 443 ssl": f"listen 127.0.0.1:{https} ssl",
            "listen 80;": f"listen 127.0.0.1:{http};",
            "    listen [::]:443 ssl http2;\n": "",
            "    listen [::]:80;\n": "",
            "https://$host$request_uri": f"https://$host:{https}$request_uri",
            f"server_name {NAME}": "server_name localhost",
            "/etc/ssl/tillroll/fullchain.pem": str(made[0]),
            "/etc/ssl/tillroll/privkey.pem": str(made[1]),
            "/var/log/nginx/tillroll.log": str(log),
        },
    )
    paths = "".join(
        f"{kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Of Debian's own nginx.conf what matters here.
    main = f"worker_processes 1;\ndaemon off;\npid {directory}/pid;\nerror_log {directory}/proxy.log;\n"
    if os.geteuid() == 0:
        main += "user root;\n"  # whom the test's directory belongs to
    (directory / "nginx.conf").write_text(f"{main}events {{}}\nhttp {{\naccess_log off;\n{paths}{own}}}\n")
    return [str(find("nginx")), "-c", str(directory / "nginx.conf"), "-e", str(directory / "proxy.log")]


def start_caddy(directory: Path, behind: int, https: int, http: int, made: tuple[Path, Path]) -> list[str]:
    own = replaced(
        (DEPLOY / "caddy" / "Caddyfile").read_text(),
        {
            f"{NAME} {{\n\tlog #": f"localhost:{https} {{\n\ttls {made[0]} {made[1]}\n\tbind 127.0.0.1\n\tlog #",
            "reverse_proxy 127.0.0.1:8080": f"reverse_proxy 127.0.0.1:{behind}",
        },
    )
    ports = f"{{\n\thttp_port {http}\n\thttps_port {https}\n\tadmin off\n\tdefault_bind 127.0.0.1\n}}\n"
    (directory / "Caddyfile").write_text(ports + own)
    return [str(find("caddy")), "run", "--adapter", "caddyfile", "--config", str(directory / "Caddyfile")]


PROXIES = {"nginx": start_nginx, "caddy": start_caddy}


@pytest.fixture(params=PROXIES, scope="module")
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    if find(request.param) is None:
        pytest.skip(f"no {request.param}: it is in Debian's package of that name")
    directory = tmp_path_factory.mktemp(request.param)
    made = certificate(directory)
    https, http = free_port(), free_port()
    with serving(directory, TILLROLL_SEND_TOKENS=TOKEN, TILLROLL_READ_TOKENS=TOKEN) as running:
        command = PROXIES[request.param](directory, running.address[1], https, http, made)
        home = {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
        with (directory / "proxy.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | home)
        access = directory / ("access.log" if request.param == "nginx" else "proxy.log")
        found = Front(https, http, made[0], access, running)
        try:
            _wait(found, process, directory / "proxy.log")
            yield found
        finally:
            process.terminate()
            process.wait(60)


def _wait(found: Front, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + 60
    with found.client() as http:
        while True:
            assert process.poll() is None, log.read_text()[-2_000:]
            try:
                if http.get("/healthz").status_code == 200:
                    return
            except httpx.TransportError:
                assert time.monotonic() < give_up, log.read_text()[-2_000:]
            time.sleep(0.05)


def test_purchases_and_questions_pass_a_proxy(front: Front) -> None:
    with front.client() as http:
        key = {"Idempotency-Key": "through a proxy"}
        event = EVENT | {"merchantId": "of this test alone"}
        assert http.post("/events", json=[event], headers=key).json()["accepted"] == 1
        assert http.post("/events", json=[event], headers=key).json()["duplicates"] == 1
        datapoint = f"2011-12-03|{event['merchantId']}"  # in an address it is encoded, which a proxy must leave
        answer = http.get("/aggregates/" + datapoint.replace("|", "%7C"))
        assert answer.json() == {"datapoint": datapoint, "events": 1}
        assert http.get("/", headers={"Authorization": ""}).text.startswith("<!doctype html>")
        assert answer.headers.get_list("Strict-Transport-Security") == ["max-age=31536000"]
    with front.client(token="") as http:
        answer = http.post("/events", json=[EVENT])
        assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")


def test_a_tick_comes_at_once_and_a_watcher_that_leaves_is_let_go(front: Front) -> None:
    with front.client() as http, front.client() as watching:
        with watching.stream("GET", "/live") as stream:
            ticks = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
            next(ticks)  # as of the last tick: what others posted a moment ago may come after it
            before = http.get("/status").json()["events"]
            http.post("/events", json=[EVENT]).raise_for_status()
            # A proxy that holds back what comes would hold this back until there is more of it, which there is not.
            assert any(tick["events"] > before for tick in ticks)
            assert _streams(http) == 1
        watching.close()
        give_up = time.monotonic() + 60
        while _streams(http):
            assert time.monotonic() < give_up
            time.sleep(0.1)


def _streams(http: httpx.Client) -> int:
    found = re.search(r"^tillroll_live_streams (\S+)$", http.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


def test_the_server_itself_says_what_is_wrong_with_a_large_body(front: Front) -> None:
    line = LINE.strip()
    whole = line + b" " * (16 * 2**20 - len(line))
    with front.client() as http:
        kind = {"Content-Type": "application/json"}
        answer = http.post("/events", content=whole, headers=kind)
        assert answer.json()["accepted"] == 1, answer.text
        answer = http.post("/events", content=whole + b" ", headers=kind)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        answer = http.post("/events", content=whole + b" " * 2**21, headers=kind)
        assert answer.status_code == 413


def test_plain_http_is_sent_on_to_tls(front: Front) -> None:
    answer = httpx.post(f"http://localhost:{front.http}/events", json=[EVENT], trust_env=False)
    assert answer.status_code == 308
    assert answer.headers["Location"].startswith("https://localhost")


def test_the_proxy_keeps_measures_to_the_machine_and_knows_who_came(front: Front) -> None:
    with front.client() as near, front.client(ABROAD) as abroad:
        assert near.get("/metrics").status_code == 200
        assert abroad.get("/status").status_code == 200
        assert abroad.get("/metrics").status_code == 403
    assert ABROAD in front.log.read_text()
