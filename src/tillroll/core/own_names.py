"""Events that come back to the journal that named them by their place in it: repeats of what is there."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.core import kernel
from tillroll.core.batch import NameKind
from tillroll.core.export import JOURNAL
from tillroll.core.identity import compare, named_events, without_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tillroll.core.batch import Batch, Run

NEW: Final = 0  # these three are of ports.Outcome
_DUPLICATE: Final = 1
_CONFLICT: Final = 2


class Piece(NamedTuple):
    """Consecutive events of a journal, and the number by which it names the first."""

    batch: Batch
    first: int


def outcomes_of(batch: Batch, look: Callable[[str, int], Piece | None]) -> bytes | None:
    """Return an Outcome for each event, for those that this journal itself named; None when there is none.

    `look` returns the events around the one of a number in the commit of a token, None where there is no such commit.
    """
    named = list(_named_by_a_journal(batch))
    if not named:  # as nearly always
        return None
    outcomes = bytearray(len(batch))
    for start, stop, run in named:
        token = run.source.value.removeprefix(JOURNAL)
        while start < stop:
            number = batch.positions[start]
            piece = look(token, number)
            if piece is None:
                start += 1  # noqa: PLW2901
                continue
            end = start + 1
            while end < stop and batch.positions[end] < piece.first + len(piece.batch):
                end += 1
            outcomes[start:end] = _compared(batch, start, end, piece)
            start = end  # noqa: PLW2901
    return bytes(outcomes) if any(outcomes) else None


def _named_by_a_journal(batch: Batch) -> Iterator[tuple[int, int, Run]]:
    start = 0
    for run in batch.runs:
        if run.source.kind is NameKind.FILE and run.source.value.startswith(JOURNAL):
            yield start, start + run.events, run
        start += run.events


def _compared(batch: Batch, start: int, end: int, piece: Piece) -> bytes:
    at = array("I", range(start, end))
    there = array("I", [number - piece.first for number in batch.positions[start:end]])
    named = named_events(piece.batch)
    same = zip(
        kernel.equal_at(batch.seconds, at, piece.batch.seconds, there),
        kernel.equal_at(batch.nanos, at, piece.batch.nanos, there),
        without_id(batch, at),
        (not named[index] for index in there),
        strict=True,
    )
    content = compare(batch, at, piece.batch, there).content
    return bytes(
        (_DUPLICATE if alike else _CONFLICT) if all(each) else NEW for each, alike in zip(same, content, strict=True)
    )


def with_rest(batch: Batch, known: bytes | None, journal: Callable[[Batch], bytes]) -> bytes:
    """Return the outcomes of a batch of which some are known, or None, having the rest journaled."""
    if known is None:
        return journal(batch)
    mask = bytes(outcome == NEW for outcome in known)
    if 1 not in mask:
        return known
    rest = iter(journal(batch.masked(mask)))
    return bytes(next(rest) if is_new else outcome for outcome, is_new in zip(known, mask, strict=True))
