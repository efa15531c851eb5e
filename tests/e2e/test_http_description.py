"""What the description promises beyond shapes: examples that the server answers, and a generated client that works."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.aws.fetch_environments import install
from tests.e2e.command import environment
from tests.e2e.http_server import EVENT, Running, client, serving

from tillroll.web.examples import _DETAILS as DETAILS
from tillroll.web.problem import CODES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

CLIENT = Path(__file__).parent / "generated_client.py"
SEND, READ, BOTH = "sends-and-no-more", "reads-and-no-more", "does-one-and-the-other"
TOKENS = {
    "TILLROLL_SEND_TOKENS": f"{SEND},{BOTH}",
    "TILLROLL_READ_TOKENS": f"{READ},{BOTH}",
    "TILLROLL_MANAGE_TOKENS": BOTH,
}
WRONG = json.dumps(EVENT | {"amount": -1}).encode()
# What a test cannot bring about at will, or what other tests do.
ELSEWHERE = {
    "clock_in_doubt", "overloaded", "parquet_missing", "queue_unavailable", "rejected_full", "report_counting",
    "request_timeout", "server_error", "stopping", "store_damaged", "store_full", "store_unavailable",
}  # fmt: skip
# What never reaches an operation that is described.
NOWHERE = {"bad_range", "bad_request", "method_not_allowed", "not_found"}

Asked = dict[str, Any]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("open")) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("guarded"), **TOKENS) as running:
        yield running


def described(http: httpx.Client) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield every example: method, path, code, the problem."""
    description = http.get("/openapi.json").json()
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            for response in operation["responses"].values():
                for content in response.get("content", {}).values():
                    for code, example in content.get("examples", {}).items():
                        yield method, path, code, example["value"]


# How a request is made to be answered with a code: what follows its address, its headers, its body.
CHANGED: dict[str, tuple[str, dict[str, str], bytes | None]] = {
    "bad_query": ("?colour=red", {}, None),
    "token_missing": ("", {"Authorization": ""}, None),
    "token_unknown": ("", {"Authorization": "Bearer nobody-knows-this-one"}, None),
    "token_forbids": ("", {}, None),
    "unknown_host": ("", {"Host": "shop.example"}, None),
    "cross_site": ("", {"Origin": "https://shop.example"}, None),
    "headers_too_large": ("", {"X-Long": "x" * 20_000}, None),
    "address_too_long": (f"/{'x' * 5_000}", {}, None),
    "bad_encoding": ("", {"Content-Encoding": "gzip"}, gzip.compress(WRONG)[:-9]),
    "unknown_encoding": ("", {"Content-Encoding": "br"}, None),
    "unknown_type": ("", {"Content-Type": "text/html"}, None),
    "bad_idempotency_key": ("", {"Idempotency-Key": "x" * 129}, None),
    "bad_definition": ("", {}, b'{"name": "own", "by": ["year|"]}'),
    "unknown_report": ("", {}, None),
    "empty_body": ("", {}, b""),
    "bad_body": ("", {}, b"[]"),
    "too_many_events": ("", {}, b"0\n" * 100_001),
    "too_large": ("", {}, b"x" * (2**20 + 1)),
    "not_accepted": ("", {}, WRONG),
    "unknown_datapoint": ("", {}, None),
    "unknown_rejected": ("", {}, None),
}


def asking(http: httpx.Client, method: str, path: str, code: str) -> Asked | None:
    """Return the request that an operation answers with a problem of a code; None when it cannot be brought about."""
    if code in ELSEWHERE or (path, code) in {("/events", "bad_body"), ("/reports/{name}", "bad_query")}:
        return None
    assert code in CHANGED, f"say how {code} is brought about at {method} {path}"
    suffix, headers, content = CHANGED[code]
    address = (
        path.replace("{name}", "own")
        .replace("{datapoint}", "%3C10%7CPAY_NOW")
        .replace("{id}", kept(http) if code in {"too_large", "not_accepted"} else "0")
    )
    if content is None and (path, method) == ("/events", "post"):
        content = json.dumps(EVENT).encode()
    if code == "too_large" and path == "/events":
        content = b"x" * (16 * 2**20 + 1)
    sends = (path, method) == ("/events", "post") or method in {"delete", "put"}
    sends = sends or path.endswith(("/retry", "/preview")) or (path, method) == ("/audit", "post")
    token = (READ if sends else SEND) if code == "token_forbids" else BOTH
    headers = {"Authorization": f"Bearer {token}"} | headers
    if not headers["Authorization"]:
        del headers["Authorization"]
    return {"method": method, "url": address + suffix, "headers": headers, "content": content}


def kept(http: httpx.Client) -> str:
    """Return the id of a rejected event that is kept."""
    headers = {"Authorization": f"Bearer {BOTH}"}
    http.post("/events", content=WRONG, headers=headers)
    found: str = http.get("/rejected", headers=headers).json()[0]["id"]
    return found


@pytest.mark.parametrize("kind", ["opened", "guarded"])
def test_every_example_of_a_problem_is_what_the_server_answers(kind: str, request: pytest.FixtureRequest) -> None:
    seen: set[str] = set()
    with client(request.getfixturevalue(kind)) as http:
        for method, path, code, example in described(http):
            assert (example["code"], example["status"]) == (code, CODES[code][0])
            asked = asking(http, method, path, code)
            if asked is not None:
                answer = http.request(**asked)
                assert answer.headers["content-type"] == "application/problem+json", (method, path, code)
                assert answer.json() == example, (method, path, code)
                seen.add(code)
    own = {"token_missing", "token_unknown", "token_forbids"} if kind == "guarded" else {"cross_site", "unknown_host"}
    assert own <= seen
    assert len(seen) >= 15


def test_every_code_has_an_example_at_some_operation(opened: Running, guarded: Running) -> None:
    found: set[str] = set()
    for running in (opened, guarded):
        with client(running) as http:
            found |= {code for _, _, code, _ in described(http)}
    assert set(CODES) - found == NOWHERE
    assert set(CODES) - NOWHERE - set(DETAILS) <= {
        "bad_query", "token_forbids", "bad_body", "too_large", "too_many_events", "not_accepted", "rejected_full",
        "request_timeout", "headers_too_large", "overloaded", "bad_definition",
    }, "give it a detail in web/examples.py"  # fmt: skip


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does(opened: Running) -> None:
    with client(opened) as http:
        description = http.get("/openapi.json").json()
    operations = [each for path in description["paths"].values() for each in path.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    for each in operations:
        assert each["summary"]
        assert each["description"].endswith(".")
        assert all(parameter["description"] for parameter in each.get("parameters", []))
    assert {tag["name"] for tag in description["tags"]} == {tag for each in operations for tag in each["tags"]}


def test_a_generated_client_compiles_and_works(tmp_path: Path) -> None:
    home = install("openapi-client")
    target = tmp_path / "generated" / "tillroll_client"
    target.parent.mkdir()
    variables = environment(PATH=f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}", PYTHONPATH=str(target.parent))

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            [*map(str, command)], env=variables, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
        return done.stdout

    with serving(tmp_path, **TOKENS) as running:
        with client(running) as http:
            (tmp_path / "openapi.json").write_bytes(http.get("/openapi.json").content)
        generator = (home / "bin" / "openapi-python-client", "generate", "--path", "openapi.json", "--meta", "none")
        told = run(*generator, "--output-path", target)
        # Of what is left out there is nothing but lines of JSON, which the generator has no words for.
        assert told.count("WARNING") <= 1, told
        python = home / "bin" / "python"
        run(python, "-m", "compileall", "-q", target)
        run(python, CLIENT, running.url, BOTH)
