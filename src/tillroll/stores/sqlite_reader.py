"""Reading reports from SQLite: segments, plus the tail of the journal that is not folded yet, at one moment."""

from __future__ import annotations

from array import array
from contextlib import contextmanager
from itertools import groupby, islice
from operator import add
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import chunk, kernel
from tillroll.core.fold import Cell, cell_of, code_of, fold
from tillroll.core.query import DAY_S, Aggregate, Page, Query, Row, Totals, cursor, label, paginate
from tillroll.core.report import BRACKETS, METHODS, REPORTS, SEPARATOR, Coordinates, Report, window_text
from tillroll.ports import Status
from tillroll.stores.segments import PART_MERCHANTS, Merchants, Segments, part_size, radix
from tillroll.stores.sqlite_schema import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

Parts = dict[int, "array[int]"]  # the counters (Q) of a group's segments, by part
_ALL_TIME: Final = 0


class _Group(NamedTuple):
    """Counters that are answered together: of one window, of one day, or of all time."""

    window: int
    parts: Parts


class Tail:
    """The journal's events that are not folded yet, counted in memory."""

    def __init__(self) -> None:
        self.folded = 0
        self.events = 0
        self.since: float | None = None
        self._counts: dict[str, dict[int, dict[int, int]]] = {}
        self.clear(0)

    def clear(self, folded: int) -> None:
        """Begin anew after a fold."""
        self.folded = self.events = folded
        self.since = None
        self._counts = {report.name: {} for report in REPORTS}

    def catch_up(self, connection: sqlite3.Connection, merchants: Merchants, folded: int, events: int) -> None:
        """Hold exactly the events after `folded`, up to `events`."""
        if folded != self.folded or events < self.events:
            self.clear(folded)
        if events == self.events:
            return
        query = "SELECT payload, committed_at FROM chunk WHERE first > ? ORDER BY first"
        for payload, committed_at in connection.execute(query, (self.events,)):
            batch = chunk.decode(payload)
            ids = merchants.ids(batch.merchant_names)
            self.since = committed_at if self.since is None else self.since
            for report in REPORTS:
                counts = self._counts[report.name]
                for window, code, count in zip(*fold(report, batch, ids), strict=True):
                    codes = counts.setdefault(window, {})
                    codes[code] = codes.get(code, 0) + count
        self.events = events

    def windows(self, report: Report, query: Query) -> list[int]:
        """Return the windows in a query's range that have events here."""
        counts = self._counts[report.name]
        return sorted(window for window in counts if _in_range(query, window))

    def counts(self, report: Report, window: int) -> dict[int, int]:
        """Return events by code of one window."""
        return self._counts[report.name].get(window, {})


class Reader:
    """Answers from one connection. Use within `transaction`, one at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._merchants = Merchants(connection)
        self._segments = Segments(connection)
        self._tail = Tail()
        self._generation = -1

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Read from one moment, for the body's time."""
        with transaction(self.connection, "DEFERRED"):
            query = "SELECT events, folded, generation FROM state"
            events, folded, generation = self.connection.execute(query).fetchone()
            if generation != self._generation:
                self._merchants.forget()
                self._tail.clear(-1)
                self._generation = generation
            self._merchants.refresh()
            self._tail.catch_up(self.connection, self._merchants, folded, events)
            yield

    def status(self) -> Status:
        """Return where the store stands."""
        query = "SELECT events, folded_at, (SELECT count(*) FROM rejected WHERE settled = 0) FROM state"
        events, folded_at, rejected = self.connection.execute(query).fetchone()
        return Status(
            events=events,
            journal_position=events,
            folded_position=events,  # readers count the tail themselves
            folded_at=folded_at,
            unfolded_since=None,
            rejected=rejected,
        )

    def count(self, at: Coordinates | None) -> int:
        """Return the events of one datapoint; of None, 0."""
        if at is None:
            return 0
        merchant = 0
        if "merchant" in at.report.keys:
            found = self._merchants.find(at.merchant)
            if found is None:
                return 0
            merchant = found
        code = code_of(at.report, Cell(at.bracket, at.method, merchant))
        size = part_size(at.report)
        part, index = divmod(code, size)
        cells = self._segments.cells(at.report, at.window, part)
        stored = kernel.read_counts(cells, size)[index] if cells else 0
        return stored + self._tail.counts(at.report, at.window).get(code, 0)

    def search(self, containing: str, limit: int) -> list[str]:
        """Return merchants by a part of their name, those that begin with it first."""
        wanted = containing.casefold()
        found = [name for name in self._merchants.names() if wanted in name.casefold()]
        found.sort(key=lambda name: (not name.casefold().startswith(wanted), name))
        return found[:limit]

    def page(self, query: Query) -> Page:
        """Return one page of a report."""
        merchants = self._wanted_merchants(query)
        if merchants is not None and not merchants:
            return paginate(query, [])
        groups = self._groups(query, merchants)
        if query.by in {(), query.report.dimensions} and query.order == "datapoint":
            return self._page_in_order(query, groups)
        return paginate(query, self._rolled_up(query, groups))

    def _wanted_merchants(self, query: Query) -> list[int] | None:
        """Return the numbers of the merchants that the query filters by, None when it does not."""
        names = query.filters.get("merchant")
        if names is None:
            return None
        numbers = [self._merchants.find(name) for name in names]
        return sorted(number for number in numbers if number is not None)

    def _groups(self, query: Query, merchants: list[int] | None) -> Iterator[_Group]:
        """Yield the counters of each group that the query tells apart, filters applied, by rising window."""
        report = query.report
        parts = None if merchants is None else sorted({number // PART_MERCHANTS for number in merchants})
        by = query.by or report.dimensions

        def group_of(window: int) -> int:
            if report.window is None or report.window in by:
                return window
            return window * report.window_s // DAY_S if "day" in by else _ALL_TIME

        tail = {key: list(windows) for key, windows in groupby(self._tail.windows(report, query), group_of)}
        mask = _Mask(query, merchants)
        stored = self._segments.read(report, query.start, query.stop, parts)
        for key, rows in groupby(stored, lambda row: group_of(row[0])):
            for early in [other for other in tail if other < key]:
                yield self._group(query, early, [], tail.pop(early), mask)
            yield self._group(query, key, rows, tail.pop(key, []), mask)
        for key in sorted(tail):
            yield self._group(query, key, [], tail[key], mask)

    def _group(
        self,
        query: Query,
        key: int,
        rows: Iterator[tuple[int, int, bytes]] | list[tuple[int, int, bytes]],
        tail_windows: list[int],
        mask: _Mask,
    ) -> _Group:
        size = part_size(query.report)
        parts: Parts = {}
        for _, part, cells in rows:
            values = kernel.read_counts(cells, size)
            before = parts.get(part)
            parts[part] = values if before is None else array("Q", map(add, before, values))
        for window in tail_windows:
            for code, count in self._tail.counts(query.report, window).items():
                part, index = divmod(code, size)
                if part not in parts:
                    parts[part] = array("Q", bytes(8 * size))
                parts[part][index] += count
        return _Group(key, {part: mask.applied(part, values) for part, values in sorted(parts.items())})

    def _page_in_order(self, query: Query, groups: Iterator[_Group]) -> Page:
        """Return a page in the order of datapoints, making no more of them than the page needs."""
        report = query.report
        after = query.after or ""
        after_window = after.partition(SEPARATOR)[0] if report.window else ""
        page: list[Aggregate] = []
        datapoints = events = 0
        for window, parts in groups:
            if query.totals:
                for values in parts.values():
                    datapoints += len(values) - values.count(0)
                    events += sum(values)
            elif len(page) > query.limit:
                break
            prefix = f"{window_text(report.window_s, window)}{SEPARATOR}" if report.window else ""
            if len(page) <= query.limit and prefix[:-1] >= after_window:
                found = self._ordered(report, prefix, parts, after)
                page.extend(islice(found, query.limit + 1 - len(page)))
        more = len(page) > query.limit
        page = page[: query.limit]
        totals = Totals(datapoints, events) if query.totals else None
        return Page(page, cursor(query, page[-1]) if more else None, totals)

    def _ordered(self, report: Report, prefix: str, parts: Parts, after: str) -> Iterator[Aggregate]:
        """Yield one window's aggregates after a datapoint, in the order of datapoints."""
        step = radix(report)
        texts = _residue_texts(report)
        residues = sorted(range(step), key=texts.__getitem__)
        if "merchant" not in report.keys:
            values = parts.get(0, array("Q"))
            for residue in residues if values else ():
                datapoint = prefix + texts[residue]
                if values[residue] and datapoint > after:
                    yield Aggregate(datapoint, values[residue])
            return
        names = self._merchants.names()
        order = self._merchants.order(SEPARATOR if step > 1 else "")
        # A merchant's datapoints lie together; begin with the one that the cursor is of.
        start = order.first_not_below(after[len(prefix) :].partition(SEPARATOR)[0]) if after > prefix else 0
        for number in order.numbers[start:]:
            part, index = divmod(number, PART_MERCHANTS)
            found = parts.get(part)
            if found is None:
                continue
            for residue in residues:
                count = found[index * step + residue]
                if count:
                    datapoint = prefix + names[number] + texts[residue]
                    if datapoint > after:
                        yield Aggregate(datapoint, count)

    def _rows(self, report: Report, window: int, parts: Parts) -> Iterator[Row]:
        names = self._merchants.names()
        size = part_size(report)
        has_merchant = "merchant" in report.keys
        for part, values in parts.items():
            for index, count in enumerate(values):
                if count:
                    bracket, method, merchant = cell_of(report, part * size + index)
                    yield Row(window, bracket, method, names[merchant] if has_merchant else "", count)

    def _rolled_up(self, query: Query, groups: Iterator[_Group]) -> list[Aggregate]:
        """Return everything that matches, rolled up, in no order."""
        report = query.report
        by = query.by or report.dimensions
        if not set(by) & set(report.keys):  # windows alone: nothing to tell apart inside one
            sums = [(group.window, sum(map(sum, group.parts.values()))) for group in groups]
            return [Aggregate(_window_label(query, window), events) for window, events in sums if events]
        totals: dict[str, int] = {}
        for window, parts in groups:
            start = window * DAY_S // report.window_s if "day" in by and report.window == "hour" else window
            for row in self._rows(report, start, parts):
                key = label(query, row)
                totals[key] = totals.get(key, 0) + row.events
        return [Aggregate(key, events) for key, events in totals.items()]


class _Mask:
    """Sets to 0 the counters that a query's filters exclude."""

    def __init__(self, query: Query, merchants: list[int] | None) -> None:
        report = query.report
        self._radix = radix(report)
        self._merchants = merchants
        self._excluded = []
        for residue in range(self._radix):
            cell = cell_of(report, residue)
            brackets, methods = query.filters.get("bracket"), query.filters.get("method")
            if (brackets is not None and BRACKETS[cell.bracket] not in brackets) or (
                methods is not None and METHODS[cell.method] not in methods
            ):
                self._excluded.append(residue)

    def applied(self, part: int, values: array[int]) -> array[int]:
        if self._merchants is not None:
            kept = array("Q", bytes(8 * len(values)))
            for number in self._merchants:
                if number // PART_MERCHANTS == part:
                    start = number % PART_MERCHANTS * self._radix
                    kept[start : start + self._radix] = values[start : start + self._radix]
            values = kept
        zeros = array("Q", bytes(8 * (len(values) // self._radix)))
        for residue in self._excluded:
            values[residue :: self._radix] = zeros
        return values


def _in_range(query: Query, window: int) -> bool:
    return (query.start is None or window >= query.start) and (query.stop is None or window < query.stop)


def _residue_texts(report: Report) -> list[str]:
    """Return what each code of one merchant adds to a datapoint; of a report without merchants, what each code is."""
    keys = [key for key in report.keys if key != "merchant"]
    texts = []
    for residue in range(radix(report)):
        cell = cell_of(report, residue)
        parts = [BRACKETS[cell.bracket] if key == "bracket" else METHODS[cell.method] for key in keys]
        texts.append(SEPARATOR.join(parts) if len(keys) == len(report.keys) else "".join(SEPARATOR + x for x in parts))
    return texts


def _window_label(query: Query, window: int) -> str:
    report = query.report
    start = window * DAY_S // report.window_s if "day" in query.by and report.window == "hour" else window
    return label(query, Row(start, 0, 0, "", 0))
