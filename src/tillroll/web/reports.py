"""The routes that answer questions: reports, single aggregates, and the merchants there are."""

from __future__ import annotations

import io
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
from starlette.responses import Response

from tillroll.core import limits
from tillroll.core.bracket_order import read_page, read_pages
from tillroll.core.csv_form import COLUMNS, Columns, CsvForm
from tillroll.core.definition import define
from tillroll.core.preview import EVENTS, preview
from tillroll.core.query import DEFAULT_MEASURES, MEASURES, Aggregate, Page, aggregate_object
from tillroll.core.question import measures_of, parse_query, whole_number
from tillroll.definitions import definition_object, find_places, find_readable, planned, state_object
from tillroll.errors import PARQUET_EXTRA, DefinitionError, QueryError, VersionGoneError
from tillroll.export.parquet import AGGREGATE_MEASURES, has_parquet, write_aggregates
from tillroll.web.answers import (
    CSV,
    JSON,
    PARQUET,
    aggregates_json,
    answer,
    choice,
    json_answer,
    parameters_of,
    prefers_csv,
    refuse_others,
    single_parameters,
    small_body,
)
from tillroll.web.described import described, possible
from tillroll.web.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from starlette.requests import Request

    from tillroll.core.definition import Definition
    from tillroll.core.query import Query
    from tillroll.core.report import Report
    from tillroll.ports import ReportState
    from tillroll.web.state import ServerState

FORMATS: Final = ("json", "csv", "parquet")
PARQUET_ROWS_MAX: Final = 500_000  # of one answer: it is one file, made in memory
A_DEFINITION: Final = '{"name": "own", "by": ["day", "method"]}'
NO_PARQUET: Final = (
    "Parquet needs pyarrow, which this server does not have. "
    f"Run pip install {' '.join(map(repr, PARQUET_EXTRA))} for it, or request format=csv"
)
SWITCH: Final = ("0", "1")
IN_ADDRESS_MAX: Final = 100  # datapoints; an address is part of the head, which has its own bound
MERCHANTS_MAX: Final = 1_000
MERCHANTS_DEFAULT: Final = 20


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /aggregates."""

    datapoints: Annotated[list[str], msgspec.Meta(max_length=limits.DATAPOINTS_MAX)]


class ReportRoutes:
    """Reads what the store has counted."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._store = state.store

    async def list_reports(self, request: Request) -> Response:
        """GET /reports."""
        parameters = parameters_of(request)
        defined = choice(parameters, "definitions", SWITCH) == "1"
        refuse_others(parameters, "definitions")
        states = await self._state.read(self._store.report_states)
        return json_answer(request, [_listed(state, defined=defined) for state in states])

    async def dimensions(self, request: Request) -> Response:
        """GET /dimensions."""
        single_parameters(request)
        return json_answer(request, possible(self._state.settings.events_keep))

    async def report(self, request: Request) -> Response:
        """GET /reports/{name}. Who asks while another version takes the place of one is answered from that."""
        while True:
            try:
                return await self._report(request)
            except VersionGoneError:
                continue

    async def _report(self, request: Request) -> Response:
        name = request.path_params["name"]
        report = await self._state.read(self._find, name)
        parameters = parameters_of(request)
        form = choice(parameters, "format", FORMATS)
        download = choice(parameters, "download", SWITCH) == "1"
        columns, bom = choice(parameters, "columns", COLUMNS), choice(parameters, "bom", SWITCH)
        if form is None:
            form = "csv" if prefers_csv(request.headers.get("accept", "")) else "json"
        _refuse(form, {"csv", "parquet"}, columns=columns)
        _refuse(form, {"csv"}, bom=bom)
        asked = AGGREGATE_MEASURES if form == "parquet" and "measures" not in parameters else DEFAULT_MEASURES
        measures = measures_of(parameters.pop("measures", asked))
        query = parse_query(report, parameters)
        # A reader that turns pages has the totals from the first.
        query = msgspec.structs.replace(query, totals=query.after is None, amounts=measures != DEFAULT_MEASURES)
        if columns == "split" and "order" not in parameters:
            query = msgspec.structs.replace(query, brackets_by_amount=True)
        write = _WRITERS[form](query, measures, columns or COLUMNS[0], marked=bom == "1")
        whole = form == "parquet" and parameters.keys().isdisjoint(("limit", "cursor"))
        return await self._state.read(self._page, request, query, write, measures, whole=whole, download=download)

    def _find(self, name: str) -> Report:
        try:
            return find_readable(self._store, name)
        except QueryError as error:
            raise self._unknown(name) from error

    def _unknown(self, name: str) -> Problem:
        known = ", ".join(self._store.catalogue().names)
        return Problem("unknown_report", f"There is no report {name[:80]!r}. There are {known}")

    async def put(self, request: Request) -> Response:
        """PUT /reports/{name}: a definition, of which a new version is counted when it is another."""
        single_parameters(request)
        definition = define(await self._table(request, request.path_params["name"]))
        await self._state.read(self._store.apply, [definition])
        states = await self._state.read(self._store.report_states)
        newest = [state for state in states if state.report.name == definition.name][-1]
        found = state_object(newest) | described(newest.report)
        return json_answer(request, found, status=200 if newest.readable else 202)

    async def delete(self, request: Request) -> Response:
        """DELETE /reports/{name}."""
        single_parameters(request)
        name = request.path_params["name"]
        if not await self._state.read(self._store.drop, name):
            raise await self._state.read(self._unknown, name)
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    async def preview(self, request: Request) -> Response:
        """POST /reports/preview: what a definition would show of the newest purchases. Stores nothing."""
        single_parameters(request)
        definition = define(await self._table(request, None))
        return await self._state.read(self._preview, request, definition)

    def _preview(self, request: Request, definition: Definition) -> Response:
        aggregates, events = preview(definition.report(0), self._store.last_events(EVENTS))
        found = {
            "events": events,
            "datapoints": len(aggregates),
            "aggregates": [aggregate_object(each, MEASURES) for each in aggregates[: limits.PAGE_DEFAULT]],
            "plan": planned(definition, self._store, self._store.status().events),
        }
        return json_answer(request, found)

    async def definition(self, request: Request) -> Response:
        """GET /reports/{name}/definition: as it can be written again."""
        single_parameters(request)
        name = request.path_params["name"]
        states = await self._state.read(self._store.report_states)
        newest = [state for state in states if state.report.name == name]
        if not newest:
            raise await self._state.read(self._unknown, name)
        return json_answer(request, definition_object(newest[-1].report))

    async def _table(self, request: Request, name: str | None) -> dict[str, Any]:
        body = await small_body(request, self._state)
        try:
            table = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            detail = f"The body is not a definition such as {A_DEFINITION} ({error})"
            raise Problem("bad_body", detail) from error
        if name is not None and table.setdefault("name", name) != name:
            raise DefinitionError(
                name, "name", f"the address says {name}", "Give the same name in both, or leave it out"
            )
        return table

    def _page(
        self,
        request: Request,
        query: Query,
        write: _Writer,
        measures: tuple[str, ...],
        *,
        whole: bool,
        download: bool,
    ) -> Response:
        pages = read_pages(self._store.page, query) if whole else iter([read_page(self._store.page, query)])
        page = next(pages)
        if whole:
            _refuse_too_many(query, page)
        headers = {}
        if page.totals is not None:
            headers["Tillroll-Datapoints"] = str(page.totals.datapoints)
            headers["Tillroll-Events"] = str(page.totals.events)
            if measures != DEFAULT_MEASURES:
                headers["Tillroll-Amount"] = str(page.totals.amount)
        if page.next is not None and not whole:
            kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
            query_text = urlencode([*kept, ("cursor", page.next)], quote_via=quote)
            headers["Link"] = f'<{request.url.path}?{query_text}>; rel="next"'
        if download:
            headers["Content-Disposition"] = f'attachment; filename="{query.report.name}.{write.extension}"'
        return answer(request, write.body(each.aggregates for each in chain([page], pages)), write.media_type, headers)

    async def aggregate(self, request: Request) -> Response:
        """GET /aggregates/{datapoint}."""
        datapoint, measures = request.path_params["datapoint"], _measures(request)
        (found,) = await self._state.read(self._get, [datapoint], measures)
        if not found.events:
            detail = f"{datapoint} counts no purchase yet. A batch read gives 0 for it"
            raise Problem("unknown_datapoint", detail)
        return json_answer(request, aggregate_object(found, measures))

    async def aggregates(self, request: Request) -> Response:
        """GET /aggregates."""
        datapoints, measures = parameters_of(request).get("datapoint", []), _measures(request, "datapoint")
        if not datapoints:
            raise QueryError("datapoint", "none is given", "Give one or several: ?datapoint=2011-12-03%7C...")
        if len(datapoints) > IN_ADDRESS_MAX:
            problem = f"{len(datapoints)} are more than the {IN_ADDRESS_MAX} that an address may have"
            raise QueryError("datapoint", problem, f"POST up to {limits.DATAPOINTS_MAX} of them instead")
        return await self._many(request, datapoints, measures)

    async def post_aggregates(self, request: Request) -> Response:
        """POST /aggregates."""
        measures = _measures(request)
        body = await small_body(request, self._state)
        try:
            wanted = msgspec.json.decode(body, type=Wanted)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            detail = f'The body is not {{"datapoints": ["...", ...]}} of at most {limits.DATAPOINTS_MAX} ({error})'
            raise Problem("bad_body", detail) from error
        return await self._many(request, wanted.datapoints, measures)

    async def _many(self, request: Request, datapoints: list[str], measures: tuple[str, ...]) -> Response:
        found = await self._state.read(self._get, datapoints, measures)
        return answer(request, aggregates_json(found, measures))

    def _get(self, datapoints: list[str], measures: tuple[str, ...]) -> list[Aggregate]:
        find_places(self._store, datapoints)
        return self._store.get(datapoints, amounts=measures != DEFAULT_MEASURES)

    async def merchants(self, request: Request) -> Response:
        """GET /merchants."""
        given = single_parameters(request, "q", "limit")
        containing = given.get("q", "")
        if len(containing) > limits.NAME_CHARACTERS_MAX:
            problem = f"the text is longer than a merchant's {limits.NAME_CHARACTERS_MAX} characters"
            raise QueryError("q", problem, "Give a part of the name")
        limit = whole_number("limit", given.get("limit", str(MERCHANTS_DEFAULT)), 1, MERCHANTS_MAX)
        return json_answer(request, await self._state.read(self._find_merchants, containing, limit))

    def _find_merchants(self, containing: str, limit: int) -> list[str]:
        by_name = self._state.names.find(containing, limit) if containing else []
        return list(dict.fromkeys([*by_name, *self._store.merchants(containing, limit)]))[:limit]

    async def merchant_names(self, request: Request) -> Response:
        """GET /merchants/names: those of some ids that have one."""
        parameters = parameters_of(request)
        refuse_others(parameters, "id")
        ids = parameters.get("id", [])
        if not ids or len(ids) > IN_ADDRESS_MAX:
            raise QueryError("id", f"{len(ids)} are given", f"Give 1 to {IN_ADDRESS_MAX}: ?id=...&id=...")
        return json_answer(request, await self._state.read(self._state.names.of, ids))


def _listed(state: ReportState, *, defined: bool) -> dict[str, Any]:
    """Return a version as `GET /reports` lists it; with its definition as it is stored, if that is wanted."""
    found = state_object(state) | described(state.report)
    if defined and state.report.is_own:
        found["definition"] = msgspec.Raw((state.report.definition or "").encode())
    return found


def _measures(request: Request, *others: str) -> tuple[str, ...]:
    """Return the measures that a request for single aggregates asks for; it may have some other parameters."""
    parameters = parameters_of(request)
    refuse_others(parameters, *others, "measures")
    return measures_of(parameters.get("measures", ()))


def _refuse_too_many(query: Query, first: Page) -> None:
    """Refuse to make one file of very much; `first` is the first page of it."""
    if first.totals is not None and first.totals.datapoints > PARQUET_ROWS_MAX:
        problem = f"there are {first.totals.datapoints} datapoints, and one file has at most {PARQUET_ROWS_MAX}"
        command = f"tillroll report {query.report.name} --format parquet"
        raise QueryError("format", problem, f"Narrow the range, give limit and turn pages, or run: {command}")


def _refuse(form: str, having: set[str], **parameters: str | None) -> None:
    """Refuse a parameter that only some forms have."""
    for name, value in parameters.items():
        if value is not None and form not in having:
            forms = " or ".join(f"format={one}" for one in sorted(having))
            raise QueryError(name, f"the answer is {form}, which does not have it", f"Add {forms}, or leave it out")


class _Writer(NamedTuple):
    """How an answer is written."""

    extension: str
    media_type: str
    body: Callable[[Iterable[Sequence[Aggregate]]], bytes]  # of pages


def _json_writer(_query: Query, measures: tuple[str, ...], _columns: Columns, *, marked: bool) -> _Writer:  # noqa: ARG001 every writer takes all
    return _Writer("json", JSON, lambda pages: aggregates_json(chain.from_iterable(pages), measures))


def _csv_writer(query: Query, measures: tuple[str, ...], columns: Columns, *, marked: bool) -> _Writer:
    written = CsvForm(query, columns, measures=measures, marked=marked)
    return _Writer("csv", CSV, lambda pages: written.head() + b"".join(map(written.rows, pages)))


def _parquet_writer(query: Query, measures: tuple[str, ...], columns: Columns, *, marked: bool) -> _Writer:  # noqa: ARG001 every writer takes all
    if not has_parquet():
        raise Problem("parquet_missing", NO_PARQUET)

    def body(pages: Iterable[Sequence[Aggregate]]) -> bytes:
        file = io.BytesIO()
        write_aggregates(file, pages, measures, query if columns == "split" else None)
        return file.getvalue()

    return _Writer("parquet", PARQUET, body)


_WRITERS: Final = {"json": _json_writer, "csv": _csv_writer, "parquet": _parquet_writer}
