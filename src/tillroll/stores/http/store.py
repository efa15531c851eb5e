"""A store behind a server: what `--url` asks for. It reads, has reports made, and corrects what was rejected."""

from __future__ import annotations

import base64
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from tillroll.core import limits
from tillroll.core.accept import Rejection
from tillroll.core.batch import Batch, NameKind, Source
from tillroll.core.decode import Reason
from tillroll.core.definition import Definition, read_definition
from tillroll.core.dimension import Field
from tillroll.core.dimension import dimension as make_dimension
from tillroll.core.export import ALL_EVENTS, end_of
from tillroll.core.kept import json_of
from tillroll.core.query import Aggregate, Page, Totals
from tillroll.core.question import instant_text
from tillroll.core.rejection import EVERY, RejectedSummary
from tillroll.core.report import FIVE, Reports
from tillroll.core.spans import day_text
from tillroll.errors import ServerError
from tillroll.ports import Audit, JournalPart, ReportState, Status, StoredRejection, Trace
from tillroll.stores.http.client import Client
from tillroll.stores.http.events import batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tillroll.core.export import Chosen
    from tillroll.core.query import Query
    from tillroll.core.rejection import RejectedFilter
    from tillroll.core.report import Report
    from tillroll.ports import Progress
    from tillroll.stores.http.client import Answer

_TRACES: Final = 1_000  # of a datapoint, that are asked for at once
_AUDIT_LOOK_S: Final = 0.2
# How much of the journal is asked for at once, by positions: they count events, or entries of a ledger, of many each.
_EVENTS_AT_ONCE: Final = 1 << 17
_ENTRIES_AT_ONCE: Final = 1 << 10


class HttpStore:
    """What a server offers of ports.Store, by its HTTP interface; and ports.Served."""

    def __init__(self, url: str, token: str) -> None:
        """Connect when something is asked.

        Raises:
            ConfigError: the address is not one of HTTP.
        """
        self._client = Client(url, token)

    def close(self) -> None:
        """See ports.Store."""
        self._client.close()

    def status(self) -> Status:
        """See ports.Journal. Of what the server does not tell nothing is said."""
        found = self._client.request("GET", ["status"]).value
        return Status(
            events=found["events"],
            journal_position=found["journal_position"],
            folded_position=found["folded_position"],
            visible_position=found["visible_position"],
            folded_at=None,
            unfolded_since=time.time() - found["freshness_ms"] / 1_000 if found["freshness_ms"] else None,
            rejected=found["rejected"],
            rejected_full=found["rejected_full"],
        )

    # Reports.

    def catalogue(self) -> Reports:
        """See ports.Definitions."""
        return Reports(tuple(state.report for state in self.report_states() if state.readable))

    def report_states(self) -> list[ReportState]:
        """See ports.Definitions."""
        states = self._client.request("GET", ["reports"], {"definitions": "1"}).value
        return [
            ReportState(
                _report(state),
                readable=state["readable"],
                position=state["position"],
                journal_position=state["journal_position"],
                datapoints=state["datapoints"],
                stored_bytes=state["bytes"],
                sized_position=state["sized_position"],
            )
            for state in states
        ]

    def apply(self, definitions: Sequence[Definition]) -> None:
        """See ports.Definitions, save that it is one after another: an error leaves those before it applied."""
        for definition in definitions:
            self._client.request("PUT", ["reports", definition.name], body=msgspec.json.encode(_written(definition)))

    def drop(self, name: str) -> bool:
        """See ports.Definitions."""
        return self._unless("unknown_report", "DELETE", ["reports", name]) is not None

    def count_some(self, seconds: float, *, beside_traffic: bool = False) -> bool:  # noqa: ARG002 as it says
        """Wait: the server counts. See ports.Definitions."""
        time.sleep(seconds)
        return not all(state.whole for state in self.report_states())

    def last_events(self, count: int) -> Iterator[Batch]:
        """See ports.Definitions."""
        upto = self.status().journal_position
        found: deque[Batch] = deque()
        held = 0
        for part in self.read(max(0, upto - count), upto):
            found.append(part.batch)
            held += len(part.batch)
            while held - len(found[0]) >= count:
                held -= len(found.popleft())
        yield from found

    def page(self, query: Query) -> Page:
        """See ports.Aggregates."""
        rows: list[Aggregate] = []
        totals, after = None, query.after
        while True:
            limit = min(query.limit - len(rows), limits.PAGE_MAX)
            answer = self._client.request("GET", ["reports", query.report.name], _parameters(query, after, limit))
            rows += map(_aggregate, answer.value)
            if query.after is None and after is None and query.totals:
                counts = (answer.headers.get(f"Tillroll-{name}", "0") for name in ("Datapoints", "Events", "Amount"))
                totals = Totals(*map(int, counts))
            after = _cursor(answer.headers.get("Link"))
            if after is None or len(rows) >= query.limit:
                return Page(rows, after, totals)

    def get(self, datapoints: Sequence[str], *, amounts: bool = False) -> list[Aggregate]:
        """See ports.Aggregates."""
        asked = {"measures": "events,amount"} if amounts else {}
        body = msgspec.json.encode({"datapoints": datapoints})
        return [_aggregate(row) for row in self._client.request("POST", ["aggregates"], asked, body).value]

    # The journal.

    def read(self, after: int = 0, upto: int | None = None, chosen: Chosen = ALL_EVENTS) -> Iterator[JournalPart]:
        """See ports.Journal."""
        status = self.status()
        upto = end_of(status.journal_position, after, upto)
        step = _ENTRIES_AT_ONCE if status.events is None else _EVENTS_AT_ONCE
        asked: dict[str, Any] = {} if chosen.merchants is None else {"merchant": sorted(chosen.merchants)}
        for name, second in (("from", chosen.start), ("to", chosen.stop)):
            if second is not None:
                asked[name] = instant_text(second)
        while after < upto:
            until = min(after + step, upto)
            for text in self._client.lines(["events"], asked | {"after": after, "until": until}):
                for batch in batches(text):
                    yield JournalPart(batch, after)
            yield JournalPart(Batch(), until)
            after = until

    def fold(self, seconds: float | None = None) -> int:  # noqa: ARG002 the server does it by itself
        """See ports.Aggregates."""
        return self.status().folded_position

    def audit(self, *, since: int = 0, progress: Progress | None = None, repair: bool = False) -> Audit:
        """See ports.Journal. It waits for an audit that is under way, and has another made.

        Raises:
            ServerError: it is to repair, or could not be made.
        """
        if repair:
            raise ServerError("--repair: a server repairs nothing. Run it where the store is, with --data", 2)
        self._audited(progress)
        self._client.request("POST", ["audit"], {"since": day_text(since)} if since else {})
        found = self._audited(progress)
        if found["error"] is not None:
            raise ServerError(found["error"], 4)
        last: dict[str, Any] = found["last"]
        return msgspec.convert({name: last[name] for name in Audit.__struct_fields__}, Audit)

    def _audited(self, progress: Progress | None) -> dict[str, Any]:
        """Return what is known of audits once none runs."""
        while True:
            found: dict[str, Any] = self._client.request("GET", ["audit"]).value
            if not found["running"]:
                return found
            if progress is not None and found["progress"] is not None:
                progress(found["progress"]["done"], found["progress"]["of"])
            time.sleep(_AUDIT_LOOK_S)

    def trace(self, datapoint: str, after: int = 0) -> Iterator[Trace]:
        """See ports.Journal."""
        following: str | None = str(after)
        while following is not None:
            asked = {"datapoint": datapoint, "after": following, "limit": _TRACES}
            found: _Explained = self._client.request("GET", ["explain"], asked, kind=_Explained).value
            for each in found.purchases:
                event = bytes(each.event)
                yield Trace(chunk=each.chunk, index=each.index, folded=each.folded, name=each.name, event=event)
            following = found.next

    def fields(self) -> dict[str, Any]:
        """See ports.Served."""
        found: dict[str, Any] = self._client.request("GET", ["fields"]).value
        return found

    # What was not accepted.

    def rejected(
        self, *, after: str | None = None, limit: int = 100, which: RejectedFilter = EVERY
    ) -> list[StoredRejection]:
        """See ports.RejectedStore."""
        asked = _which(which, after) | {"limit": min(limit, limits.REJECTED_LISTED_MAX)}
        return [_stored(each) for each in self._client.request("GET", ["rejected"], asked).value]

    def find_rejected(self, rejected_id: str) -> StoredRejection | None:
        """See ports.RejectedStore."""
        found = self._unless("unknown_rejected", "GET", ["rejected", rejected_id])
        return None if found is None else _stored(found.value)

    def rejected_summary(self) -> RejectedSummary:
        """See ports.RejectedStore."""
        return msgspec.convert(self._client.request("GET", ["rejected", "summary"]).value, RejectedSummary)

    def discard(self, rejected_ids: Sequence[str]) -> None:
        """See ports.RejectedStore."""
        for rejected_id in rejected_ids:
            self._unless("unknown_rejected", "DELETE", ["rejected", rejected_id])

    def retry(self, rejected_id: str, body: bytes | None) -> dict[str, Any] | None:
        """See ports.Served."""
        try:
            found = self._unless("unknown_rejected", "POST", ["rejected", rejected_id, "retry"], body or b"")
        except ServerError as error:
            if error.code != "not_accepted":
                raise
            told: dict[str, Any] = msgspec.json.decode(error.answer)
            return told
        return None if found is None else found.value

    def retry_some(self, which: RejectedFilter, after: str | None) -> dict[str, Any]:
        """See ports.Served."""
        found: dict[str, Any] = self._client.request("POST", ["rejected", "retry"], _which(which, after), b"").value
        return found

    def _unless(self, code: str, method: str, path: Sequence[str], body: bytes | None = None) -> Answer | None:
        """Return the answer to a request, None where it is a problem of this code."""
        try:
            return self._client.request(method, path, body=body)
        except ServerError as error:
            if error.code == code:
                return None
            raise


class _Purchase(msgspec.Struct):
    chunk: str
    index: int
    folded: bool
    name: str
    event: msgspec.Raw


class _Explained(msgspec.Struct):
    purchases: list[_Purchase]
    next: str | None


def _aggregate(row: dict[str, Any]) -> Aggregate:
    return Aggregate(row["datapoint"], row["events"], row.get("amount", 0), row.get("text"))


def _report(state: dict[str, Any]) -> Report:
    if not state["own"]:
        return next(report for report in FIVE if report.name == state["name"])
    definition = read_definition(msgspec.json.encode(state["definition"]).decode())
    if definition is None:
        raise ServerError(f"report {state['name']} is of a later format. Run the newest tillroll", 4)
    return definition.report(state["version"])


def _written(definition: Definition) -> dict[str, Any]:
    """Return a definition as people write it."""
    where = {}
    for name, texts in definition.where.items():
        is_field = isinstance(make_dimension(name), Field)
        where[name] = [_value(text) if is_field else text for text in texts]
    zone = {"zone": definition.zone} if definition.changes else {}
    brackets = {"brackets": definition.brackets} if definition.brackets else {}
    return {"name": definition.name, "title": definition.title, "by": definition.by, "where": where} | zone | brackets


def _value(spelling: str) -> Any:
    text = json_of(spelling)
    return {"absent": True} if text is None else msgspec.Raw(text.encode())


def _parameters(query: Query, after: str | None, limit: int) -> dict[str, Any]:
    """Return the parameters that put a query: the inverse of `core.question.question`."""
    asked: dict[str, Any] = {name: sorted(values) for name, values in query.filters.items()}
    if query.report.window is not None:
        for name, window in (("from", query.start), ("to", query.stop)):
            if window is not None:
                asked[name] = instant_text(query.report.window.begins(window))
    if query.by:
        asked["by"] = ",".join(query.by)
    if query.zone is not None:
        asked["zone"] = query.zone.name
    if query.amounts:
        asked["measures"] = "events,amount"
    if after is not None:
        asked["cursor"] = after
    return asked | {"order": query.order, "limit": limit}


def _cursor(link: str | None) -> str | None:
    """Return where the next page begins, from the header that names it."""
    if link is None:
        return None
    return parse_qs(urlsplit(link[1 : link.index(">")]).query)["cursor"][0]


def _which(which: RejectedFilter, after: str | None) -> dict[str, Any]:
    asked: dict[str, Any] = {} if after is None else {"after": after}
    if which.code is not None:
        asked["code"] = which.code
    if which.sources:
        asked["source"] = which.sources
    return asked


def _stored(found: dict[str, Any]) -> StoredRejection:
    source = Source(NameKind[found["source"]["kind"].upper()], found["source"]["value"])
    body = base64.b64decode(found["body_base64"]) if "body_base64" in found else found["body"].encode()
    reason = Reason(found["code"], found["field"], found["message"])
    rejection = Rejection(source, found["position"], body, reason, found["byte"])
    return StoredRejection(id=found["id"], received_at=found["received_at"], rejection=rejection)
