"""Fold: count ranges of the ledger into the counters, exactly once, whoever does it and however often. No I/O.

A range lies between two marks of the ledger, which is immutable: so every worker that folds it computes the same sums.
Each counter takes its sum on condition that it has not been folded so far, and only when all have does the state move.
What is half done is completed by whoever comes next; a sleeper that wakes up late finds every condition failing.
"""

from __future__ import annotations

from array import array
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tillroll.core.fold import codes_of, fold
from tillroll.core.report import REPORTS
from tillroll.stores.dynamodb_ledger import append_mark, damaged, decode_chunk, decode_entry, read_chunks
from tillroll.stores.dynamodb_protocol import ConditionFailed, Count, Get, MoveFold, Query, ask, ask_all
from tillroll.stores.dynamodb_schema import FOLD_KEY, LEDGER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tillroll.core.batch import Batch
    from tillroll.stores.dynamodb_protocol import Context, Protocol, QueryReply
    from tillroll.stores.dynamodb_schema import ChunkRef, LedgerEntry

_CHUNKS_AT_ONCE: Final = 25  # of at most limits.CHUNK_BYTES_MAX each
_UPDATES_AT_ONCE: Final = 2_000
_ENTRIES_AT_ONCE: Final = 5_000

Totals = Counter[tuple[str, str]]  # events by (report, datapoint)


class _Stride:
    """The entries of the ledger that are not folded: those of the next range, and whether it has an end."""

    def __init__(self, entries: Sequence[tuple[int, LedgerEntry]]) -> None:
        self.marked = False
        self.refs: list[ChunkRef] = []
        self.upto = 0
        self.entries = 0
        for number, entry in entries:
            self.upto = number
            self.entries += 1
            self.refs.extend(entry.chunks)
            if entry.mark:
                self.marked = True
                break


def fold_marked(context: Context) -> Protocol[int]:
    """Fold every range that has an end; returns the folded position."""
    return (yield from _fold(context, to_head=False))


def fold_all(context: Context) -> Protocol[int]:
    """Fold everything journaled so far; returns the folded position."""
    return (yield from _fold(context, to_head=True))


def _fold(context: Context, *, to_head: bool) -> Protocol[int]:
    entries: list[tuple[int, LedgerEntry]] = []
    read_to_end = False
    while True:
        upto = yield from read_folded(context)
        entries = [pair for pair in entries if pair[0] > upto]
        stride = _Stride(entries)
        if stride.marked:
            yield from fold_range(context, upto, stride.upto, stride.refs)
        elif not read_to_end:
            entries, read_to_end = yield from read_unfolded(context, upto)
        elif to_head and entries:
            yield from append_mark(context)
            to_head = False  # what is journaled after this mark is not asked for
            read_to_end = False
        else:
            return upto


def read_folded(context: Context) -> Protocol[int]:
    """Read up to which ledger entry everything is counted."""
    state = yield from ask(context, Get(FOLD_KEY))
    return int(state["upto"]) if state else 0


def read_unfolded(context: Context, upto: int) -> Protocol[tuple[list[tuple[int, LedgerEntry]], bool]]:
    """Read the ledger after a position as far as is handy, at least to a mark; the flag says whether to its end.

    Raises:
        StoreError: an entry is missing.
    """
    entries: list[tuple[int, LedgerEntry]] = []
    marked = False
    last: int | None = upto
    while last is not None and not (marked and len(entries) >= _ENTRIES_AT_ONCE):
        reply: QueryReply = yield from ask(context, Query(LEDGER, last))
        for number, entry in map(decode_entry, reply.items):
            if number != upto + len(entries) + 1:
                raise damaged(f"ledger entry {upto + len(entries) + 1} is missing")
            entries.append((number, entry))
            marked = marked or entry.mark
        last = reply.last
    return entries, last is None


def fold_range(context: Context, start: int, upto: int, refs: Sequence[ChunkRef]) -> Protocol[None]:
    """Count a range of the ledger, then move the state past it."""
    totals = yield from count_chunks(context, refs)
    yield from _write(context, totals, upto)
    with suppress(ConditionFailed):  # somebody else moved it, or an earlier try of this very call did
        yield from ask(context, MoveFold(start, upto, context.clock()))


def count_chunks(context: Context, refs: Sequence[ChunkRef]) -> Protocol[Totals]:
    """Return how many events of the chunks each datapoint counts."""
    totals: Totals = Counter()
    for at in range(0, len(refs), _CHUNKS_AT_ONCE):
        wanted = refs[at : at + _CHUNKS_AT_ONCE]
        found = yield from read_chunks(context, wanted)
        for ref in wanted:
            if ref not in found:
                raise damaged(f"chunk {ref.number} of {ref.log} is missing from the journal")
            add_batch(totals, decode_chunk(found[ref]))
    return totals


def add_batch(totals: Totals, batch: Batch) -> None:
    """Count a batch into all reports."""
    names = batch.merchant_names
    codes = codes_of(batch, array("I", range(len(names))))
    for report, counts in zip(REPORTS, fold(list(REPORTS), codes), strict=True):
        window_before: int | None = None
        forms: list[tuple[str, str]] = []
        for window, code, count in counts.rows():
            if window != window_before:
                forms = report.forms(window)
                window_before = window
            number, inner = divmod(code, report.inner)
            before, after = forms[inner]
            totals[report.name, f"{before}{names[number]}{after}" if report.opens else before] += count


def _write(context: Context, totals: Totals, upto: int) -> Protocol[None]:
    counts = [Count(key, report, events, upto) for (report, key), events in totals.items()]
    for at in range(0, len(counts), _UPDATES_AT_ONCE):
        # A condition that fails says that another worker, or an earlier try, was here.
        yield from ask_all(context, counts[at : at + _UPDATES_AT_ONCE])
