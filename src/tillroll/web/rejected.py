"""The routes of events that were not accepted: list, correct, drop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response

from tillroll.core import limits
from tillroll.core.question import whole_number
from tillroll.core.rejection import RejectedFilter
from tillroll.errors import QueryError
from tillroll.ingest import correction
from tillroll.ingest.group_commit import Committed
from tillroll.ingest.take import Receipt
from tillroll.web.answers import (
    json_answer,
    parameters_of,
    refuse_others,
    single_parameters,
    single_values,
    small_body,
)
from tillroll.web.problem import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

    from tillroll.core.outcome_counts import OutcomeCounts
    from tillroll.ingest.correction import Corrected, Retried
    from tillroll.ports import StoredRejection
    from tillroll.web.state import ServerState


_SECONDS_MAX: Final = 10**11  # since 1970, as far as times are kept


class RejectedRoutes:
    """Shows what was set aside, and takes it again once it is right."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._store = state.store

    async def list_rejected(self, request: Request) -> Response:
        """GET /rejected."""
        given, which = _asked(request, "after", "limit")
        limit = whole_number("limit", given.get("limit", "100"), 1, limits.REJECTED_LISTED_MAX)
        kept = await self._state.read(self._store.rejected, after=given.get("after"), limit=limit, which=which)
        return await self._state.read(json_answer, request, [correction.plain(each) for each in kept])

    async def summary(self, request: Request) -> Response:
        """GET /rejected/summary."""
        single_parameters(request)
        return json_answer(request, await self._state.read(self._store.rejected_summary))

    async def retry_some(self, request: Request) -> Response:
        """POST /rejected/retry: those of a reason or a source, as they were, so many at once."""
        given, which = _asked(request, "after")
        retried = await self._state.read(self._take_some, which, given.get("after"))
        return json_answer(request, {**correction.retried_counts(retried.counts), "after": retried.after})

    def _take_some(self, which: RejectedFilter, after: str | None) -> Retried:
        started = time.perf_counter()
        retried = correction.retry_some(self._store, which, after, self._state.clock(), self._state.fields.keep)
        self._note(retried.counts, time.perf_counter() - started)
        return retried

    def _note(self, counts: OutcomeCounts, seconds: float) -> None:
        """Count what became of events that were taken again, as of any that come, and fold what is new."""
        if counts.events:
            self._state.metrics.note_commit(Committed(1, [Receipt(*msgspec.structs.astuple(counts))], seconds))
        if counts.accepted:
            self._store.fold()

    async def drop_some(self, request: Request) -> Response:
        """DELETE /rejected: those of a reason or a source that had come by a moment, so many at once."""
        given, which = _asked(request, "before")
        if "before" not in given:
            raise QueryError("before", "it is not given", "Give the time up to which events were received")
        before = whole_number("before", given["before"], 0, _SECONDS_MAX)
        dropped = await self._state.read(self._drop_some, which, before)
        return json_answer(request, {"dropped": dropped})

    def _drop_some(self, which: RejectedFilter, before: int) -> int:
        found = self._store.rejected(after=None, limit=limits.REJECTED_LISTED_MAX, which=which)
        ids = [each.id for each in found if each.received_at < before]
        if ids:
            self._store.discard(ids)
        return len(ids)

    async def show(self, request: Request) -> Response:
        """GET /rejected/{id}."""
        return json_answer(request, correction.plain(await self._find(request)))

    async def retry(self, request: Request) -> Response:
        """POST /rejected/{id}/retry: the body is the event as it should have been, or the events; empty, as it was."""
        kept = await self._find(request)
        body = await small_body(request, self._state)
        corrected = await self._state.read(self._take, kept.id, body or None)
        if corrected.reason is not None:
            reason = corrected.reason
            members = {"outcome": corrected.word, "reason": reason, **corrected.told()}
            raise Problem("not_accepted", f"It is still not accepted: {reason.message}", members=members)
        return json_answer(request, corrected.plain(kept.id))

    def _take(self, rejected_id: str, body: bytes | None) -> Corrected:
        started = time.perf_counter()
        try:
            corrected = correction.retry(self._store, rejected_id, body, self._state.clock(), self._state.fields.keep)
        except correction.NoSuchRejectedError as error:  # somebody else was quicker
            raise _unknown(rejected_id) from error
        self._note(corrected.counts, time.perf_counter() - started)
        return corrected

    async def drop(self, request: Request) -> Response:
        """DELETE /rejected/{id}."""
        kept = await self._find(request)
        await self._state.read(self._store.discard, [kept.id])
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    async def _find(self, request: Request) -> StoredRejection:
        rejected_id = request.path_params["id"]
        kept = await self._state.read(self._store.find_rejected, rejected_id)
        if kept is None:
            raise _unknown(rejected_id)
        return kept


def _asked(request: Request, *names: str) -> tuple[dict[str, str], RejectedFilter]:
    """Return the parameters of these names, each given once, and which rejected events are meant: of several sources.

    Raises:
        QueryError: there is another parameter, or one is given twice.
    """
    parameters = parameters_of(request)
    sources = tuple(parameters.pop("source", ()))
    refuse_others(parameters, *names, "code", "source")
    given = single_values(parameters)
    return given, RejectedFilter(given.get("code"), sources)


def _unknown(rejected_id: str) -> Problem:
    return Problem(
        "unknown_rejected",
        f"No rejected event {rejected_id[:80]!r} is kept. It may have been corrected or discarded already",
    )
