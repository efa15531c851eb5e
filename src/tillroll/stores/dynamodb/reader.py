"""Answers from the aggregates table: pages, single counters, merchants, the trace of a number. No I/O.

What lies in a range comes from the index, which follows the table within moments; the counts are read from the table
itself, strongly. While a fold is under way an answer lies between the counts before it and after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tillroll.core.batch import told
from tillroll.core.decode import encode_event_of
from tillroll.core.fold import indexes_behind
from tillroll.core.query import Aggregate, Row, answer, matches
from tillroll.core.report import SEPARATOR, Place, Reports
from tillroll.core.smallest import smallest
from tillroll.errors import CountingError, VersionGoneError
from tillroll.ports import Trace
from tillroll.stores.dynamodb.calls import read_batch
from tillroll.stores.dynamodb.definitions import catalogue, report_states
from tillroll.stores.dynamodb.ledger import read_head, read_page, require_chunks
from tillroll.stores.dynamodb.listing import Listing, list_keys
from tillroll.stores.dynamodb.schema import HIGHEST, LOWEST, datapoint_of, index_key, key_of, key_prefix
from tillroll.stores.dynamodb.state import read_folded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tillroll.core import query
    from tillroll.core.report import Report
    from tillroll.stores.dynamodb.calls import Context, Item, Procedure
    from tillroll.stores.dynamodb.schema import ChunkRef

_KEYS_AT_ONCE: Final = 3_200
_ENTRIES_A_PAGE: Final = 100
_HASHED: Final = "#"  # begins what stands in the place of very long values
_DIGIT: Final = "0"  # begins the least window
_MERCHANT_REPORT: Final = "merchant-method"  # the report over all time that has every merchant


def page(context: Context, asked: query.Query) -> Procedure[query.Page]:
    """Answer a query as core.query.answer does; without totals, read no more than the page where the order allows.

    Raises:
        CountingError: the report, or the amounts that are asked for, are not counted yet.
        VersionGoneError: there is no such version any more.
    """
    asked = smallest(asked, (yield from _check_readable(context, asked.report)))
    report = asked.report
    in_order = asked.order == "datapoint" and asked.is_whole
    rows: list[Row] = []
    if in_order and not asked.totals:
        after = key_of(report, asked.after) if asked.after else None
        for low, high in _ranges(asked):
            listing = Listing(context, index_key(report), max(low, after or low), high)
            while len(rows) <= asked.limit and not listing.done and high >= (after or low):
                keys = yield from listing.next(2 * asked.limit)
                while keys and len(rows) <= asked.limit:
                    some, keys = keys[: 2 * asked.limit], keys[2 * asked.limit :]
                    rows += yield from _read_rows(context, asked, [key for key in some if key != after])
    else:
        found: list[str] = []
        for low, high in _ranges(asked):
            found += yield from list_keys(context, index_key(report), low, high)
        rows = yield from _read_rows(context, asked, found)
    yield from _check_readable(context, report)  # else some of it may have been deleted meanwhile
    return answer(asked, rows)


def _check_readable(context: Context, report: Report) -> Procedure[Reports]:
    """Return the reports that are read now. Refuse one of one's own that is not.

    Raises:
        CountingError: it is not whole yet.
        VersionGoneError: there is no such version any more.
    """
    reports = yield from catalogue(context)
    if not report.is_own or report in list(reports):
        return reports
    for state in (yield from report_states(context)):
        if state.report.name == report.name and not state.readable:
            raise CountingError(report.name, state.position, state.journal_position)
    raise VersionGoneError(report.name)


def _read_rows(context: Context, asked: query.Query, keys: Sequence[str]) -> Procedure[list[Row]]:
    """Read the counters that match a query, of some that lie in its range."""
    wanted = [key for key in keys if _may_match(asked, key)]
    counted = yield from read_counters(context, wanted)
    rows = []
    for key in wanted:
        item = counted.get(key)
        if item is None or not int(item["events"]):
            continue
        text = str(item.get("text", datapoint_of(asked.report, key)))
        row = _row(asked.report, text, int(item["events"]), int(item.get("amount", 0)))
        if row is not None and matches(asked, row):
            rows.append(row)
    if asked.amounts or asked.order == "-amount":
        yield from _check_amounts(context, counted)
    return rows


def _may_match(asked: query.Query, key: str) -> bool:
    """Tell whether a counter may match a query, by its key; of a hash the item itself says."""
    datapoint = datapoint_of(asked.report, key)
    row = _row(asked.report, datapoint, 0, 0)
    return asked.report.is_hashed(datapoint) or (row is not None and matches(asked, row))


def _row(report: Report, datapoint: str, events: int, amount: int) -> Row | None:
    texts = report.parse(datapoint)
    if texts is None:
        return None
    at = Place(report, texts)
    return Row(at.window, at.keys, events, amount)


def get(context: Context, datapoints: Sequence[str], *, amounts: bool) -> Procedure[list[query.Aggregate]]:
    """Return the aggregate of each datapoint; see ports.Aggregates."""
    own = any(datapoint.startswith(SEPARATOR) for datapoint in datapoints)
    reports = (yield from catalogue(context)) if own else Reports()
    while True:
        places = {datapoint: reports.place(datapoint) for datapoint in datapoints}
        keys = {datapoint: key_of(at.report, datapoint) for datapoint, at in places.items() if at is not None}
        counted = yield from read_counters(context, list(keys.values()))
        before, reports = reports, (yield from catalogue(context)) if own else reports
        if list(before) == list(reports):  # else some of it may have been deleted meanwhile
            break
    if amounts:
        yield from _check_amounts(context, counted)
    return [_aggregate(datapoint, counted.get(keys.get(datapoint, ""), {})) for datapoint in datapoints]


def _aggregate(datapoint: str, item: Item) -> query.Aggregate:
    text = str(item["text"]) if "text" in item else None
    return Aggregate(datapoint, int(item.get("events", 0)), int(item.get("amount", 0)), text)


def _check_amounts(context: Context, counted: Mapping[str, Item]) -> Procedure[None]:
    """Refuse what has no amount: it was counted by 0.1.0.

    Raises:
        CountingError: some are so.
    """
    if any("amount" not in item for item in counted.values()):
        head = yield from read_head(context)
        raise CountingError("the amount", 0, head.number)


def _ranges(asked: query.Query) -> list[tuple[str, str]]:
    """Return the ranges of keys that all counters of the query's windows lie in, in order.

    A datapoint begins with its window, unless it is called by a hash.
    """
    report, window = asked.report, asked.report.window
    prefix = key_prefix(report)
    everything = (prefix or LOWEST, f"{prefix}{HIGHEST}")
    if window is None or report.by[0] is not window or not window.texts_rise or asked.start is asked.stop is None:
        return [everything]
    low = prefix + (_DIGIT if asked.start is None else window.text(asked.start))
    high = prefix + (HIGHEST if asked.stop is None else window.text(asked.stop))
    hashed = [(f"{prefix}{_HASHED}", f"{prefix}{_HASHED}{HIGHEST}")] if report.is_own else []
    return [*hashed, (low, max(low, high))]


def read_counters(context: Context, keys: Sequence[str]) -> Procedure[dict[str, Item]]:
    """Return the counters that exist of some keys. Those of 0.1.0 have no amounts at first."""
    counted: dict[str, Item] = {}
    unique = list(dict.fromkeys(keys))
    for at in range(0, len(unique), _KEYS_AT_ONCE):
        items = yield from read_batch(context, "aggregates", unique[at : at + _KEYS_AT_ONCE])
        counted |= {str(item["datapoint"]): item for item in items if "events" in item}
    return counted


def merchants(context: Context, containing: str, limit: int) -> Procedure[list[str]]:
    """Return merchants whose name contains a text, those that begin with it first."""
    folded = containing.casefold()
    found: dict[str, bool] = {}  # whether it begins with the text
    keys = yield from list_keys(context, _MERCHANT_REPORT, LOWEST, HIGHEST)
    reports = Reports()
    for key in keys:
        at = reports.place(key)
        if at is not None and folded in at.texts[0].casefold():
            found[at.texts[0]] = at.texts[0].casefold().startswith(folded)
    return sorted(found, key=lambda name: (not found[name], name))[:limit]


def trace(context: Context, text: str, after: int) -> Procedure[tuple[list[Trace], int | None]]:
    """Return the events behind a datapoint that one page of the ledger lists, and where the next page begins."""
    at = (yield from catalogue(context)).place(text)
    if at is None:
        return [], None
    upto = yield from read_folded(context)
    entries, last = yield from read_page(context, after, _ENTRIES_A_PAGE)
    traces: list[Trace] = []
    for number, entry in entries:
        refs = [ref for ref in entry.chunks if _may_hold(at, ref)]
        for ref, batch in (yield from require_chunks(context, refs)):
            sources, chunk, folded = list(batch.sources()), f"{ref.log} {ref.number}", number <= upto
            for index in indexes_behind(at.report, batch, text):
                name, event = told(batch.identity(index, sources[index])), encode_event_of(batch, index)
                traces.append(Trace(chunk=chunk, index=index, folded=folded, name=name, event=event))
    return traces, last


def _may_hold(at: Place, ref: ChunkRef) -> bool:
    if at.report.window is None or not at.texts:
        return True
    low, high = at.report.window.bounds(at.window)
    return low <= ref.minute * 60 < high
