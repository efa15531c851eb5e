"""Answers from the aggregates table: pages, single counters, merchants, the trace of a number. No I/O.

What lies in a range comes from the index, which follows the table within moments; the counts are read from the table
itself, strongly. While a fold is under way an answer lies between the counts before it and after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tillroll.core.accept import encode_event_of
from tillroll.core.query import Aggregate, Row, answer, matches
from tillroll.core.report import REPORTS
from tillroll.errors import CountingError, StoreError
from tillroll.ports import Trace
from tillroll.stores.dynamodb.calls import NoIndex, QueryIndex, QueryTable, read_batch, run_call, run_calls
from tillroll.stores.dynamodb.ledger import damaged, decode_chunk, decode_entry, read_chunks, read_head
from tillroll.stores.dynamodb.schema import INDEX, LEDGER, OLD_INDEX, SHARDS
from tillroll.stores.dynamodb.state import read_folded, read_folders, read_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tillroll.core import query
    from tillroll.core.batch import Batch, Identity
    from tillroll.core.report import Place, Report
    from tillroll.stores.dynamodb.calls import Context, IndexReply, Procedure, QueryReply
    from tillroll.stores.dynamodb.schema import ChunkRef

_LOWEST: Final = "\x01"
_HIGHEST: Final = "\U0010ffff"
_KEYS_AT_ONCE: Final = 3_200
_KEYS_A_SHARD: Final = 10  # at least, in one request
_OLD: Final = (None,)
_MERCHANT_REPORT: Final = "merchant-method"  # the report over all time that has every merchant


def page(context: Context, asked: query.Query) -> Procedure[query.Page]:
    """Answer a query as core.query.answer does; without totals, read no more than the page where the order allows."""
    low, high = _bounds(asked)
    in_order = asked.order == "datapoint" and asked.is_whole
    rows: list[Row] = []
    if in_order and not asked.totals:
        low = max(low, asked.after or low)
        listing = _Listing(context, asked.report.name, low, high)
        while len(rows) <= asked.limit and not listing.done:
            keys = yield from listing.next(2 * asked.limit)
            while keys and len(rows) <= asked.limit:
                some, keys = keys[: 2 * asked.limit], keys[2 * asked.limit :]
                rows += yield from _read_rows(context, asked, [key for key in some if key != asked.after])
    else:
        found = yield from _list(context, asked.report.name, low, high)
        rows = yield from _read_rows(context, asked, found)
    return answer(asked, rows)


def _read_rows(context: Context, asked: query.Query, keys: Sequence[str]) -> Procedure[list[Row]]:
    """Read the counters that match a query, of some that lie in its range."""
    wanted: dict[str, Row] = {}
    for key in keys:
        at = REPORTS.place(key)
        if at is not None:
            row = Row(at.window, at.keys, 0)
            if matches(asked, row):
                wanted[key] = row
    counted = yield from read_counts(context, list(wanted))
    found = [(row, *counted[key]) for key, row in wanted.items() if key in counted]
    if asked.amounts or asked.order == "-amount":
        yield from _check_amounts(context, [amount for _, _, amount in found])
    return [row._replace(events=events, amount=amount or 0) for row, events, amount in found if events]


def get(context: Context, datapoints: Sequence[str], *, amounts: bool) -> Procedure[list[query.Aggregate]]:
    """Return the aggregate of each datapoint; see ports.Aggregates."""
    counted = yield from read_counts(context, datapoints)
    found = [(datapoint, *counted.get(datapoint, (0, 0))) for datapoint in datapoints]
    if amounts:
        yield from _check_amounts(context, [amount for _, _, amount in found])
    return [Aggregate(datapoint, events, amount or 0) for datapoint, events, amount in found]


def _check_amounts(context: Context, amounts: Sequence[int | None]) -> Procedure[None]:
    """Refuse what has no amount: it was counted by 0.1.0.

    Raises:
        CountingError: some are so.
    """
    if any(amount is None for amount in amounts):
        head = yield from read_head(context)
        raise CountingError("the amount", 0, head.number)


def _bounds(asked: query.Query) -> tuple[str, str]:
    """Return texts between which all datapoints of the query's windows lie: a datapoint begins with its window."""
    window = asked.report.window
    low, high = _LOWEST, _HIGHEST
    if window and asked.start is not None:
        low = window.text(asked.start)
    if window and asked.stop is not None:
        high = window.text(asked.stop)
    return (low, high) if low <= high else (low, low)


class _Listing:
    """The datapoints of a report between two texts, in order, some at a time."""

    def __init__(self, context: Context, report: str, low: str, high: str) -> None:
        self.done = False
        self._context = context
        self._report = report
        self._low = low
        self._high = high
        self._shards: Sequence[int | None] = ()

    def next(self, wanted: int | None = None) -> Procedure[list[str]]:
        """Return those that come next, about as many as wanted; `done` says whether these were the last.

        Raises:
            StoreError: no index has them all.
        """
        if not self._shards:
            self._shards = yield from _shards(self._context)
        limit = None if wanted is None else max(_KEYS_A_SHARD, wanted // len(self._shards))
        calls = [QueryIndex(self._report, self._low, self._high, None, shard, limit) for shard in self._shards]
        replies: list[IndexReply | NoIndex] = yield from run_calls(self._context, calls)
        found = [reply for reply in replies if not isinstance(reply, NoIndex)]
        if len(found) < len(calls):
            self._fall_back()
            return []
        upto = min((reply.last for reply in found if reply.last is not None), default=self._high)
        self.done = upto >= self._high
        self._low = upto + "\0"  # no datapoint has it
        return sorted(key for reply in found for key in reply.datapoints if key <= upto)

    def _fall_back(self) -> None:
        """Take the index of 0.1.0, which lists whatever the other does; where there is only that."""
        if self._shards == _OLD:
            remedy = f"Run tillroll rebuild, which completes {INDEX}; without that index, tillroll aws deploy makes it"
            raise StoreError(f"{OLD_INDEX} was dropped, and {INDEX} does not list all datapoints yet", remedy)
        self._shards = _OLD


def _shards(context: Context) -> Procedure[Sequence[int | None]]:
    """Return the shards of the index, if each counter is in it, else what stands for the index of 0.1.0."""
    state = yield from read_state(context)
    if state is None:
        return range(SHARDS)
    folders = yield from read_folders(context, state)
    is_complete = all(folder.position >= state.first for folder in folders)
    return range(state.shards) if state.shards and is_complete else _OLD


def _list(context: Context, report: str, low: str, high: str) -> Procedure[list[str]]:
    listing = _Listing(context, report, low, high)
    found: list[str] = []
    while not listing.done:
        found += yield from listing.next()
    return found


def read_counts(context: Context, datapoints: Sequence[str]) -> Procedure[dict[str, tuple[int, int | None]]]:
    """Return events and amount of each datapoint that was counted. Tables of 0.1.0 have no amounts at first."""
    counted: dict[str, tuple[int, int | None]] = {}
    unique = list(dict.fromkeys(datapoints))
    for at in range(0, len(unique), _KEYS_AT_ONCE):
        items = yield from read_batch(context, "aggregates", unique[at : at + _KEYS_AT_ONCE])
        for item in items:
            if "events" in item:
                amount = int(item["amount"]) if "amount" in item else None
                counted[str(item["datapoint"])] = int(item["events"]), amount
    return counted


def merchants(context: Context, containing: str, limit: int) -> Procedure[list[str]]:
    """Return merchants whose name contains a text, those that begin with it first."""
    folded = containing.casefold()
    found: dict[str, bool] = {}  # whether it begins with the text
    keys = yield from _list(context, _MERCHANT_REPORT, _LOWEST, _HIGHEST)
    for key in keys:
        at = REPORTS.place(key)
        if at is not None and folded in at.texts[0].casefold():
            found[at.texts[0]] = at.texts[0].casefold().startswith(folded)
    return sorted(found, key=lambda name: (not found[name], name))[:limit]


def trace(context: Context, text: str, after: int) -> Procedure[tuple[list[Trace], int | None]]:
    """Return the events behind a datapoint that one page of the ledger lists, and where the next page begins."""
    at = REPORTS.place(text)
    if at is None:
        return [], None
    upto = yield from read_folded(context)
    reply: QueryReply = yield from run_call(context, QueryTable(LEDGER, after, limit=_ENTRIES_A_PAGE))
    traces: list[Trace] = []
    for item in reply.items:
        number, entry = decode_entry(item)
        refs = [ref for ref in entry.chunks if _may_hold(at, ref)]
        found = yield from read_chunks(context, refs)
        for ref in refs:
            if ref not in found:
                raise damaged(f"chunk {ref.number} of {ref.log} is missing from the journal")
            batch = decode_chunk(found[ref])
            traces += _matching(batch, at.report, text, f"{ref.log} {ref.number}", folded=number <= upto)
    return traces, reply.last


_ENTRIES_A_PAGE: Final = 100


def _may_hold(at: Place, ref: ChunkRef) -> bool:
    if at.report.window is None:
        return True
    low, high = at.report.window.bounds(at.window)
    return low <= ref.minute * 60 < high


def _matching(batch: Batch, report: Report, text: str, chunk: str, *, folded: bool) -> Iterator[Trace]:
    for index, (event, identity) in enumerate(zip(batch.events(), batch.identities(), strict=True)):
        if text == report.text_of(event, batch.kept_of(index)):
            purchase = encode_event_of(batch, index)
            yield Trace(chunk=chunk, index=index, folded=folded, name=_name(identity), event=purchase)


def _name(identity: Identity | None) -> str:
    if identity is None:
        return "unnamed"
    position = "" if identity.kind.name == "ID" else f" at {identity.position}"
    return f"{identity.kind.name.lower()} {identity.value}{position}"
