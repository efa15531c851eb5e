"""One page of a report out of segments and the tail: no datapoint is made that the page does not show."""

from __future__ import annotations

from array import array
from collections import Counter
from itertools import chain, groupby, islice
from operator import add
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tillroll.core import kernel
from tillroll.core.fold import cell_of
from tillroll.core.query import DAY_S, Aggregate, Page, Query, Row, Totals, cursor, label, paginate
from tillroll.core.report import BRACKETS, METHODS, SEPARATOR, Report, window_text
from tillroll.stores.segments import PART_MERCHANTS, Merchants, Segments, part_size, radix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tillroll.stores.sqlite_reader import Tail

_ALL_TIME: Final = 0
_SUMMED_AT_ONCE: Final = 64  # segments of one part that are held before they are added up


class _Group(NamedTuple):
    """Segments that are answered together, by part: of one window, of one day, or of all time."""

    window: int
    cells: dict[int, list[bytes]]


class _Column(NamedTuple):
    """The counters of one bracket and method, for consecutive merchants from a number on; for one value, without."""

    window: int
    bracket: int
    method: int
    merchant: int
    counts: array[int]


class Pager:
    """Answers one query. Use within the reader's transaction."""

    def __init__(self, query: Query, merchants: Merchants, segments: Segments, tail: Tail) -> None:
        self._query = query
        self._report = query.report
        self._by = query.by or query.report.dimensions
        self._size = part_size(query.report)
        self._step = radix(query.report)
        self._merchants = merchants
        self._segments = segments
        self._tail = tail
        self._wanted = self._wanted_merchants()
        self._residues = self._wanted_residues()

    def page(self) -> Page:
        """Return the page."""
        query = self._query
        if self._wanted == []:
            return paginate(query, [])
        if not set(self._by) & set(self._report.keys):
            return paginate(query, self._sums())
        if query.order == "-events":
            return self._largest()
        if self._by == self._report.dimensions:
            return self._in_order()
        return paginate(query, [x for column in self._columns() for x in self._labelled(column, 1)])

    # What the filters let through.

    def _wanted_merchants(self) -> list[int] | None:
        names = self._query.filters.get("merchant")
        if names is None:
            return None
        numbers = [self._merchants.find(name) for name in names]
        return sorted(number for number in numbers if number is not None)

    def _wanted_residues(self) -> list[int]:
        """Return which codes of a merchant, or of a report without, pass the filters of bracket and method."""
        brackets = self._query.filters.get("bracket", BRACKETS)
        methods = self._query.filters.get("method", METHODS)
        cells = [cell_of(self._report, residue) for residue in range(self._step)]
        return [
            residue
            for residue, cell in enumerate(cells)
            if BRACKETS[cell.bracket] in brackets and METHODS[cell.method] in methods
        ]

    def _values(self, part: int, cells: list[bytes]) -> array[int]:
        """Return the counters (Q) of a part, 0 where the filters exclude them."""
        one = len(cells) == 1
        values = kernel.read_counts(cells[0], self._size) if one else kernel.sum_counts(cells, self._size)
        if self._wanted is not None:
            kept = array("Q", bytes(8 * self._size))
            for number in self._wanted:
                if number // PART_MERCHANTS == part:
                    start = number % PART_MERCHANTS * self._step
                    kept[start : start + self._step] = values[start : start + self._step]
            values = kept
        if len(self._residues) < self._step:
            zeros = array("Q", bytes(8 * (self._size // self._step)))
            for residue in range(self._step):
                if residue not in self._residues:
                    values[residue :: self._step] = zeros
        return values

    @property
    def _filtered(self) -> bool:
        return self._wanted is not None or len(self._residues) < self._step

    # Segments and tail, grouped.

    def _groups(self) -> Iterator[_Group]:
        """Yield the segments of each group that the query tells apart, by rising window."""
        query, report = self._query, self._report
        parts = None if self._wanted is None else sorted({number // PART_MERCHANTS for number in self._wanted})
        tail = {key: list(windows) for key, windows in groupby(self._tail.windows(report, query), self._group_of)}
        stored = self._segments.read(report, query.start, query.stop, parts)
        for key, rows in groupby(stored, lambda row: self._group_of(row[0])):
            for early in [other for other in tail if other < key]:
                yield self._group(early, (), tail.pop(early))
            yield self._group(key, rows, tail.pop(key, []))
        for key in sorted(tail):
            yield self._group(key, (), tail[key])

    def _group_of(self, window: int) -> int:
        if self._report.window is None or self._report.window in self._by:
            return window
        return window * self._report.window_s // DAY_S if "day" in self._by else _ALL_TIME

    def _group(self, key: int, rows: Iterable[tuple[int, int, bytes]], tail_windows: list[int]) -> _Group:
        cells: dict[int, list[bytes]] = {}
        for _, part, data in rows:
            held = cells.setdefault(part, [])
            held.append(data)
            if len(held) >= _SUMMED_AT_ONCE:
                held[:] = [self._packed(kernel.sum_counts(held, self._size))]
        counted: dict[int, array[int]] = {}
        for window in tail_windows:
            for code, count in self._tail.counts(self._report, window).items():
                part, index = divmod(code, self._size)
                counted.setdefault(part, array("Q", bytes(8 * self._size)))[index] += count
        for part, values in counted.items():
            cells.setdefault(part, []).append(self._packed(values))
        return _Group(key, dict(sorted(cells.items())))

    def _packed(self, values: array[int]) -> bytes:
        return kernel.narrow(values, 0)[1] or bytes(self._size)

    # By windows alone.

    def _sums(self) -> list[Aggregate]:
        """Return what each group adds up to."""
        found = []
        for group in self._groups():
            events = sum(self._measured(part, cells)[1] for part, cells in group.cells.items())
            if events:
                found.append(Aggregate(self._label(group.window, 0, 0, ""), events))
        return found

    def _measured(self, part: int, cells: list[bytes]) -> tuple[int, int]:
        """Return how many counters of a part are above 0, and what they add up to."""
        if len(cells) == 1 and not self._filtered:
            return kernel.measure_counts(cells[0], self._size)
        values = self._values(part, cells)
        return len(values) - values.count(0), sum(values)

    def _label(self, window: int, bracket: int, method: int, merchant: str) -> str:
        if "day" in self._by and self._report.window == "hour":
            window = window * DAY_S // self._report.window_s
        return label(self._query, Row(window, bracket, method, merchant, 0))

    # By all dimensions, in the order of datapoints.

    def _in_order(self) -> Page:
        query, report = self._query, self._report
        after = query.after or ""
        after_window = after.partition(SEPARATOR)[0] if report.window else ""
        page: list[Aggregate] = []
        datapoints = events = 0
        for group in self._groups():
            if query.totals:
                for part, cells in group.cells.items():
                    above_zero, total = self._measured(part, cells)
                    datapoints += above_zero
                    events += total
            elif len(page) > query.limit:
                break
            prefix = f"{window_text(report.window_s, group.window)}{SEPARATOR}" if report.window else ""
            if len(page) <= query.limit and prefix[:-1] >= after_window:
                page.extend(islice(self._ordered(prefix, group, after), query.limit + 1 - len(page)))
        more = len(page) > query.limit
        page = page[: query.limit]
        totals = Totals(datapoints, events) if query.totals else None
        return Page(page, cursor(query, page[-1]) if more else None, totals)

    def _ordered(self, prefix: str, group: _Group, after: str) -> Iterator[Aggregate]:
        """Yield one window's aggregates after a datapoint."""
        parts = {part: self._values(part, cells) for part, cells in group.cells.items()}
        texts = _residue_texts(self._report)
        residues = sorted(self._residues, key=texts.__getitem__)
        if "merchant" not in self._report.keys:
            for residue in residues:
                datapoint = prefix + texts[residue]
                if parts[0][residue] and datapoint > after:
                    yield Aggregate(datapoint, parts[0][residue])
            return
        names = self._merchants.names()
        for number in self._merchants_from(after[len(prefix) :] if after > prefix else ""):
            part, index = divmod(number, PART_MERCHANTS)
            found = parts.get(part)
            if found is None:
                continue
            for residue in residues:
                count = found[index * self._step + residue]
                if count:
                    datapoint = prefix + names[number] + texts[residue]
                    if datapoint > after:
                        yield Aggregate(datapoint, count)

    def _merchants_from(self, rest: str) -> list[int]:
        """Return merchants in the order of their datapoints, from the one on whose datapoint has this rest."""
        suffix = SEPARATOR if self._step > 1 else ""
        names = self._merchants.names()
        if self._wanted is not None:
            return sorted(self._wanted, key=lambda number: names[number] + suffix)
        order = self._merchants.order(suffix)
        return order.numbers[order.first_not_below(rest.partition(SEPARATOR)[0]) if rest else 0 :]

    # Rolled up, or by falling events.

    def _columns(self) -> Iterator[_Column]:
        """Yield all counters of the query, dimensions that it does not tell apart added up."""
        targets: dict[tuple[int, int], list[int]] = {}
        for residue in self._residues:
            cell = cell_of(self._report, residue)
            bracket = cell.bracket if "bracket" in self._by else 0
            method = cell.method if "method" in self._by else 0
            targets.setdefault((bracket, method), []).append(residue)
        by_merchant = "merchant" in self._by
        for group in self._groups():
            parts = {part: self._values(part, cells) for part, cells in group.cells.items()}
            for (bracket, method), residues in targets.items():
                whole = 0
                for part, values in parts.items():
                    counts = _added([values[residue :: self._step] for residue in residues])
                    if by_merchant:
                        yield _Column(group.window, bracket, method, part * PART_MERCHANTS, counts)
                    else:
                        whole += sum(counts)
                if not by_merchant:
                    yield _Column(group.window, bracket, method, 0, array("Q", [whole]))

    def _labelled(self, column: _Column, least: int, most: int | None = None) -> Iterator[Aggregate]:
        """Yield the aggregates of a column that have at least and at most so many events."""
        names = self._merchants.names() if "merchant" in self._by else [""]
        if max(column.counts) < least:
            return
        for number, count in enumerate(column.counts, column.merchant):
            if count >= least and (most is None or count <= most):
                datapoint = self._label(column.window, column.bracket, column.method, names[number])
                yield Aggregate(datapoint, count)

    def _largest(self) -> Page:
        """Return the page by falling events, making only the datapoints that could be on it."""
        query = self._query
        columns = list(self._columns())
        histogram = Counter(chain.from_iterable(column.counts for column in columns))
        del histogram[0]
        events, after = None, ""
        if query.after is not None:
            before, _, after = query.after.partition(SEPARATOR)
            events = int(before)
        found = [] if events is None else self._tied(columns, events, after, query.limit + 1)
        least, wanted = 0, query.limit + 1 - len(found)
        for least in sorted((count for count in histogram if events is None or count < events), reverse=True):
            if histogram[least] >= wanted:
                break
            wanted -= histogram[least]
        if wanted > 0 and least:
            most = None if events is None else events - 1
            found += [x for column in columns for x in self._labelled(column, least + 1, most)]
            found += self._tied(columns, least, "", query.limit + 1 - len(found))
        page = paginate(msgspec.structs.replace(query, totals=False), found)
        if not query.totals:
            return page
        total = sum(count * datapoints for count, datapoints in histogram.items())
        return page._replace(totals=Totals(histogram.total(), total))

    def _tied(self, columns: list[_Column], events: int, after: str, limit: int) -> list[Aggregate]:
        """Return the first datapoints after one that have exactly so many events, in their order."""
        found: list[Aggregate] = []
        windowed = self._by[0] in {"hour", "day"}  # then those of an earlier window come first
        for _, group in groupby(columns, lambda column: column.window):
            if windowed and len(found) >= limit:
                break
            tied = (x for column in group for x in self._labelled(column, events, events))
            found += [x for x in tied if x.datapoint > after]
        return sorted(found)[:limit]


def _added(columns: list[array[int]]) -> array[int]:
    total = columns[0]
    for column in columns[1:]:
        total = array("Q", map(add, total, column))
    return total


def _residue_texts(report: Report) -> list[str]:
    """Return what each code of one merchant adds to a datapoint; of a report without merchants, what each code is."""
    keys = [key for key in report.keys if key != "merchant"]
    texts = []
    for residue in range(radix(report)):
        cell = cell_of(report, residue)
        parts = [BRACKETS[cell.bracket] if key == "bracket" else METHODS[cell.method] for key in keys]
        texts.append(SEPARATOR.join(parts) if len(keys) == len(report.keys) else "".join(SEPARATOR + x for x in parts))
    return texts
