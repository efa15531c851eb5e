"""The use case at the heart: take bodies of events into a store, and say what became of each event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from tillroll.core import limits
from tillroll.core.accept import Accepted, Body, Reason, Rejection, accept
from tillroll.ports import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tillroll.core.clock_watch import ClockWatch
    from tillroll.ports import Journal

CONFLICT = Reason("conflict", None, "an event of this date and name is already counted with other content")


class NotAccepted(msgspec.Struct, frozen=True):
    """An event of a body that was not counted, and why. `index` is its position, `byte` where it begins in the body."""

    index: int
    byte: int
    outcome: Literal["rejected", "conflict"]
    reason: Reason


class Receipt(msgspec.Struct):
    """What became of the events of one body.

    `not_accepted` is in the order of the body and stops at limits.REJECTED_LISTED_MAX; the counts are whole.
    """

    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0
    not_accepted: list[NotAccepted] = []
    not_kept: int = 0  # of the conflicts and the rejected: there was no room, so the sender alone has them

    @property
    def events(self) -> int:
        """How many events the body had."""
        return self.accepted + self.duplicates + self.conflicts + self.rejected


ONE: Final = Receipt(accepted=1)  # what most bodies get


def take(
    journal: Journal,
    bodies: Sequence[Body],
    now_s: float,
    set_aside: Callable[[list[list[Rejection]]], int],
    clock_watch: ClockWatch | None = None,
) -> list[Receipt]:
    """Journal the valid events of some bodies in one commit and return a receipt for each, in order.

    What is rejected, or conflicts with what is journaled, goes to `set_aside`, a list for each body, after the commit
    and before this returns: it returns how many it kept, from the first on, and is not called when there is nothing.
    When this raises, calling it again with the same bodies counts nothing twice, as far as they are named.

    Raises:
        ClockError: the clock may be slow, says the watch; nothing of any body was taken.
    """
    accepted = accept(bodies, now_s)
    if clock_watch is not None:
        clock_watch.check(accepted, now_s)
    outcomes = journal.journal(accepted.batch) if len(accepted.batch) else b""
    refused = accepted.rejections
    if any(outcomes):
        refused = _with_conflicts(bodies, accepted, outcomes)
    elif not any(refused):
        return [ONE if events == 1 else Receipt(events) for events in accepted.events]
    receipts = _receipts(accepted, outcomes, refused)
    if any(refused):
        _note_not_kept(receipts, set_aside(refused))
    return receipts


def _note_not_kept(receipts: list[Receipt], kept: int) -> None:
    for receipt in receipts:
        refused = receipt.conflicts + receipt.rejected
        receipt.not_kept = max(0, refused - kept)
        kept = max(0, kept - refused)


def _with_conflicts(bodies: Sequence[Body], accepted: Accepted, outcomes: bytes) -> list[list[Rejection]]:
    """Return the rejections of each body together with its conflicts, by position."""
    refused = []
    start = 0
    for body, events, mine in zip(bodies, accepted.events, accepted.rejections, strict=True):
        rejections = mine
        became = outcomes[start : start + events]
        start += events
        if Outcome.CONFLICT in became:
            wrong = {rejection.position for rejection in mine}
            valid = [event for event in body.events() if event[0] not in wrong]
            conflicts = [
                Rejection(body.source, position, text, CONFLICT, byte)
                for (position, byte, text), outcome in zip(valid, became, strict=True)
                if outcome == Outcome.CONFLICT
            ]
            rejections = sorted([*mine, *conflicts], key=lambda rejection: rejection.position)
        refused.append(rejections)
    return refused


def _receipts(accepted: Accepted, outcomes: bytes, refused: list[list[Rejection]]) -> list[Receipt]:
    receipts = []
    start = 0
    for events, rejections in zip(accepted.events, refused, strict=True):
        mine = outcomes[start : start + events]
        start += events
        conflicts = mine.count(Outcome.CONFLICT)
        receipts.append(
            Receipt(
                mine.count(Outcome.ACCEPTED),
                mine.count(Outcome.DUPLICATE),
                conflicts,
                len(rejections) - conflicts,
                [_not_accepted(rejection) for rejection in rejections[: limits.REJECTED_LISTED_MAX]],
            )
        )
    return receipts


def _not_accepted(rejection: Rejection) -> NotAccepted:
    outcome: Literal["rejected", "conflict"] = "conflict" if rejection.reason is CONFLICT else "rejected"
    return NotAccepted(rejection.position, rejection.byte or 0, outcome, rejection.reason)
