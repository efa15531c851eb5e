"""The use case at the heart: take bodies of events into a store, and say what became of each event."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from tillroll.core import limits
from tillroll.core.accept import Body, Rejection, accept
from tillroll.core.decode import Reason
from tillroll.core.outcome_counts import OutcomeCounts
from tillroll.ingest.field_watch import NO_WATCH
from tillroll.ports import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tillroll.core.clock_watch import ClockWatch
    from tillroll.ingest.field_watch import FieldWatch
    from tillroll.ports import Journal

CONFLICT = Reason("conflict", None, "an event of this date and name is already counted with other content")


class NotAccepted(msgspec.Struct, frozen=True):
    """An event of a body that was not counted, and why. `index` is its position, `byte` where it begins in the body."""

    index: int
    byte: int
    outcome: Literal["rejected", "conflict"]
    reason: Reason


class Receipt(OutcomeCounts, frozen=True):
    """What became of the events of one body.

    `not_accepted` is in the order of the body and stops at limits.REJECTED_LISTED_MAX; the counts are whole.
    """

    not_accepted: list[NotAccepted] = msgspec.field(default_factory=list)
    not_kept: int = 0  # of the conflicts and the rejected: there was no room, so the sender alone has them


ONE: Final = Receipt(accepted=1)  # what most bodies get


class Refused(NamedTuple):
    """A body that is journaled, with events among it that were not accepted: `keep` is still to be called."""

    body: Body
    rejections: list[Rejection]
    outcomes: bytes  # of its valid events

    @property
    def refused(self) -> int:
        """How many events are to be kept."""
        return len(self.rejections) + self.outcomes.count(Outcome.CONFLICT)

    def all(self) -> list[Rejection]:
        """Return the rejections together with the conflicts, by position."""
        if Outcome.CONFLICT not in self.outcomes:
            return self.rejections
        wrong = {rejection.position for rejection in self.rejections}
        valid = [event for event in self.body.events() if event[0] not in wrong]
        conflicts = [
            Rejection(self.body.source, position, text, CONFLICT, byte)
            for (position, byte, text), outcome in zip(valid, self.outcomes, strict=True)
            if outcome == Outcome.CONFLICT
        ]
        return sorted([*self.rejections, *conflicts], key=lambda rejection: rejection.position)


def take(
    journal: Journal,
    bodies: Sequence[Body],
    now_s: float,
    set_aside: Callable[[list[list[Rejection]]], int],
    clock_watch: ClockWatch | None = None,
    fields: FieldWatch = NO_WATCH,
) -> list[Receipt]:
    """Journal the valid events of some bodies in one commit and return a receipt for each, in order.

    `fields` says which of their fields are kept.

    What is rejected, or conflicts with what is journaled, goes to `set_aside`, a list for each body, after the commit
    and before this returns: it returns how many it kept, from the first on, and is not called when there is nothing.
    When this raises, calling it again with the same bodies counts nothing twice, as far as they are named.

    Raises:
        ClockError: the clock may be slow, says the watch; nothing of any body was taken.
    """
    taken = journal_bodies(journal, bodies, now_s, clock_watch, fields=fields)

    def of_each_body(refused: list[list[Rejection]]) -> int:
        lists = iter(refused)
        return set_aside([next(lists) if isinstance(each, Refused) else [] for each in taken])

    receipts = iter(keep([each for each in taken if isinstance(each, Refused)], of_each_body))
    return [next(receipts) if isinstance(each, Refused) else each for each in taken]


def journal_bodies(
    journal: Journal,
    bodies: Sequence[Body],
    now_s: float,
    clock_watch: ClockWatch | None = None,
    fallback_max: int = sys.maxsize,
    fields: FieldWatch = NO_WATCH,
) -> Sequence[Receipt | Refused]:
    """Do the first half of `take`, the commit. For a body of which nothing was refused that was all.

    Raises:
        FallbackError: bodies have more than `fallback_max` events that take long to judge; nothing of any was taken.
        ClockError: see `take`.
    """
    accepted = accept(bodies, now_s, fallback_max, fields.keep)
    fields.look(body.data for body in bodies)
    if clock_watch is not None:
        clock_watch.check(accepted, now_s)
    outcomes = journal.journal(accepted.batch) if len(accepted.batch) else b""
    if outcomes.count(Outcome.ACCEPTED) == len(outcomes) and not any(accepted.rejections):
        return [ONE if events == 1 else Receipt(events) for events in accepted.events]
    taken: list[Receipt | Refused] = []
    start = 0
    for body, events, rejections in zip(bodies, accepted.events, accepted.rejections, strict=True):
        mine = outcomes[start : start + events]
        start += events
        if rejections or Outcome.CONFLICT in mine:
            taken.append(Refused(body, rejections, mine))
        else:
            taken.append(Receipt(mine.count(Outcome.ACCEPTED), mine.count(Outcome.DUPLICATE)))
    return taken


def keep(refused: Sequence[Refused], set_aside: Callable[[list[list[Rejection]]], int]) -> list[Receipt]:
    """Do the second half of `take` for the bodies that need it: keep what was not accepted; return their receipts."""
    if not refused:
        return []
    rejections = [each.all() for each in refused]
    kept = set_aside(rejections)
    receipts = []
    for each, mine in zip(refused, rejections, strict=True):
        receipts.append(_receipt(each.outcomes, mine, max(0, len(mine) - kept)))
        kept = max(0, kept - len(mine))
    return receipts


def _receipt(outcomes: bytes, rejections: list[Rejection], not_kept: int) -> Receipt:
    conflicts = outcomes.count(Outcome.CONFLICT)
    return Receipt(
        outcomes.count(Outcome.ACCEPTED),
        outcomes.count(Outcome.DUPLICATE),
        conflicts,
        len(rejections) - conflicts,
        [_not_accepted(rejection) for rejection in rejections[: limits.REJECTED_LISTED_MAX]],
        not_kept,
    )


def _not_accepted(rejection: Rejection) -> NotAccepted:
    outcome: Literal["rejected", "conflict"] = "conflict" if rejection.reason is CONFLICT else "rejected"
    return NotAccepted(rejection.position, rejection.byte or 0, outcome, rejection.reason)
