"""The description and docs/http.md say all that the routes have."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest
from tests.oracle import REPORTS

from tillroll.core import limits
from tillroll.core.batch import NameKind
from tillroll.core.decode import ReasonCode
from tillroll.stores.sqlite.store import SqliteStore
from tillroll.web.asgi import endpoints
from tillroll.web.openapi import describe
from tillroll.web.problem import CODES
from tillroll.web.schemas import SCHEMAS
from tillroll.web.settings import ServerSettings
from tillroll.web.state import ServerState

if TYPE_CHECKING:
    from collections.abc import Iterator

DOC = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
DESCRIPTION = describe(ServerSettings(read_tokens=("t",)))
# Served, and no part of the interface that programs use.
PAGES = {"/", "/docs", "/guide", "/static/..."}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DESCRIPTION["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


@pytest.fixture
def routes(tmp_path: Path) -> set[tuple[str, str]]:
    async def listed() -> set[tuple[str, str]]:
        store = SqliteStore(tmp_path)
        state = ServerState(store, ServerSettings(), None)
        found = {(endpoint.method, endpoint.path.replace(":path", "")) for endpoint in endpoints(state)}
        await state.close()
        store.close()
        return found | {("POST", "/events")}

    return asyncio.run(listed())


def test_the_description_has_every_route_and_no_other(routes: set[tuple[str, str]]) -> None:
    described = {
        (method, "/reports/{name}" if path.removeprefix("/reports/") in REPORTS.names else path)
        for method, path, _ in operations()
    }
    assert described == routes


def test_every_report_has_its_own_path_with_its_own_filters() -> None:
    for report in REPORTS:
        operation = DESCRIPTION["paths"][f"/reports/{report.name}"]["get"]
        names = {parameter["name"] for parameter in operation["parameters"]}
        filters = {"bracket", "method", "merchant"}
        assert names & filters == set(report.dimensions) & filters
        assert ("from" in names) == (report.window is not None)


def test_the_document_has_every_route(routes: set[tuple[str, str]]) -> None:
    for method, path in routes:
        assert re.search(rf"{method} {re.escape(path)}[`?]|`{re.escape(path)}`", DOC), f"{method} {path}"


def test_the_document_names_no_route_that_there_is_not(routes: set[tuple[str, str]]) -> None:
    for method, path in re.findall(r"`(GET|POST|DELETE) ([^`?]*)", DOC):
        assert (method, path) in routes or path in PAGES, f"{method} {path}"


def test_the_document_has_every_parameter_and_header() -> None:
    for _, path, operation in operations():
        for parameter in operation.get("parameters", []):
            name = re.escape(parameter["name"])
            assert re.search(rf"`{name}`|[?&]{name}=|{{{name}}}", DOC), f"{parameter['name']} of {path}"
        for response in operation["responses"].values():
            for header in response.get("headers", {}):
                assert f"`{header}`" in DOC


def test_the_document_has_every_code_of_a_problem_with_its_status() -> None:
    for code, (status, _) in CODES.items():
        assert f"| {status} | `{code}` |" in DOC


def test_the_document_has_every_reason_why_an_event_is_not_accepted() -> None:
    for code in get_args(ReasonCode):
        assert f"| `{code}` |" in DOC


def test_every_code_of_a_problem_is_described_at_some_route() -> None:
    described = msgspec.json.encode([*operations(), describe(ServerSettings())]).decode()
    # Of what never reaches a route.
    elsewhere = {"bad_range", "bad_request", "not_found", "method_not_allowed", "unknown_report"}
    assert [code for code in CODES if f"`{code}`" not in described and code not in elsewhere] == []


def test_the_document_states_the_limits_in_force() -> None:
    settings = ServerSettings()
    assert f"{settings.body_bytes_max // 2**20} MiB" in DOC
    assert f"{settings.header_bytes_max // 2**10} KiB" in DOC
    for number in (settings.body_events_max, limits.WAITING_REQUESTS_MAX, limits.PAGE_MAX, limits.DATAPOINTS_MAX):
        assert f"{number:,}" in DOC
    for seconds in (settings.request_s_max, settings.keep_alive_s):
        assert f"{seconds:g} s" in DOC


def test_kinds_of_names_are_described_as_they_are() -> None:
    kinds = SCHEMAS["Rejected"]["properties"]["source"]["properties"]["kind"]["enum"]
    assert kinds == [kind.name.lower() for kind in NameKind]
