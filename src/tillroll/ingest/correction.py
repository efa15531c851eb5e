"""Rejected events, shown and corrected: sent again as they should have been, under the name they came with."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tillroll.core.accept import Body
from tillroll.core.batch import UNNAMED, BatchBuilder, NameKind, Source
from tillroll.core.decode import Reason, decode_event
from tillroll.core.grammar import InvalidJsonError
from tillroll.core.named import name_in, source_of
from tillroll.core.outcome_counts import NOTHING, OutcomeCounts
from tillroll.core.parse import BOM, KEEP_NOTHING
from tillroll.core.rejection import may_go_on
from tillroll.errors import TillrollError
from tillroll.ingest.take import CONFLICT
from tillroll.ports import Outcome, Served, StoredRejection

if TYPE_CHECKING:
    from tillroll.core.accept import Rejection
    from tillroll.core.batch import Event
    from tillroll.core.kept import Keep
    from tillroll.core.rejection import RejectedFilter
    from tillroll.ports import Store

RETRIED_AT_ONCE: Final = 1_000
_SPACE: Final = b" \t\r\n"  # JSON's, which is less than Python's


class NoSuchRejectedError(TillrollError):
    """No rejected event of this id is kept."""

    exit_code = 2

    def __init__(self, rejected_id: str) -> None:
        super().__init__(
            f"{rejected_id}: no rejected event of this id is kept; it may have been corrected or dropped. "
            "List them with: tillroll rejected list"
        )


class Corrected(NamedTuple):
    """What became of a correction: counted, or counted before (a success as well), or why it still is not."""

    outcome: Outcome | None  # ACCEPTED when any of its events is new; None: one is still no valid event
    reason: Reason | None
    counts: OutcomeCounts = NOTHING

    @property
    def word(self) -> str:
        """What became of it, as JSON and people have it."""
        return "rejected" if self.outcome is None else self.outcome.name.lower()

    def plain(self, rejected_id: str) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"id": rejected_id, "outcome": self.word, **self.told()}

    def told(self) -> dict[str, int]:
        """Return how many events are new and how many are not, where the outcome does not say so."""
        accepted, duplicates = self.counts.accepted, self.counts.duplicates
        taken = accepted + duplicates
        said = taken == 1 and self.reason is None
        return {} if said or not taken else {"accepted": accepted, "duplicates": duplicates}


def find(store: Store, rejected_id: str) -> StoredRejection:
    """Return what is kept under an id.

    Raises:
        NoSuchRejectedError: nothing is.
    """
    kept = store.find_rejected(rejected_id)
    if kept is None:
        raise NoSuchRejectedError(rejected_id)
    return kept


def plain(kept: StoredRejection) -> dict[str, Any]:
    """Return a kept rejection as JSON has it. A body that is not UTF-8 goes as `body_base64`."""
    rejection = kept.rejection
    fields = {
        "id": kept.id,
        "received_at": kept.received_at,
        "source": {"kind": rejection.source.kind.name.lower(), "value": rejection.source.value},
        "position": rejection.position,
        "byte": rejection.byte,
        **msgspec.structs.asdict(rejection.reason),
    }
    try:
        return fields | {"body": rejection.body.decode()}
    except UnicodeDecodeError:
        return fields | {"body_base64": base64.b64encode(rejection.body).decode()}


def retry(store: Store, rejected_id: str, body: bytes | None, now_s: float, keep: Keep = KEEP_NOTHING) -> Corrected:
    """Take a rejected event again, with another body if one is given, under its own source and position.

    A body may hold several events, as any body does. When one is not valid none is counted; when one conflicts, the
    others are counted. Once none is left the rejected event is no longer kept. Calling this again after a crash counts
    nothing twice: an event that nothing named is named by the rejection.

    Raises:
        NoSuchRejectedError: nothing is kept under the id.
        StoreError: the store cannot take it now.
    """
    if isinstance(store, Served):
        told = store.retry(rejected_id, body)
        if told is None:
            raise NoSuchRejectedError(rejected_id)
        return _told(told)
    kept = find(store, rejected_id)
    events = _events_of(kept, body, now_s, keep)
    if isinstance(events, Reason):
        return Corrected(None, events, OutcomeCounts(rejected=1))
    builder = BatchBuilder(keep.names)
    for index, (event, values) in enumerate(events):
        builder.add(event, *_name_of(kept, index), values)
    outcomes = store.journal(builder.build())
    counts = OutcomeCounts(*map(outcomes.count, (Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.CONFLICT)))
    if counts.conflicts:
        return Corrected(Outcome.CONFLICT, CONFLICT, counts)
    store.discard([rejected_id])
    return Corrected(Outcome.ACCEPTED if counts.accepted else Outcome.DUPLICATE, None, counts)


def _told(answer: dict[str, Any]) -> Corrected:
    """Return what a server says became of a correction: the inverse of `Corrected.plain`."""
    word, reason = answer["outcome"], answer.get("reason")
    outcome = None if word == "rejected" else Outcome[word.upper()]
    single = {"accepted": int(outcome is Outcome.ACCEPTED), "duplicates": int(outcome is Outcome.DUPLICATE)}
    counts = {name: answer.get(name, 0 if reason or "accepted" in answer else one) for name, one in single.items()}
    return Corrected(outcome, None if reason is None else Reason(**reason), OutcomeCounts(**counts))


def _events_of(
    kept: StoredRejection, body: bytes | None, now_s: float, keep: Keep
) -> list[tuple[Event, list[str]]] | Reason:
    """Return the events of a correction, or of what was rejected, or why the first that is wrong is so.

    Each with the values of the fields to be kept.
    """
    text = kept.rejection.body if body is None else body
    line = text.removeprefix(BOM).strip(_SPACE)
    alone = decode_event(line, now_s)
    if not isinstance(alone, Reason):
        return [(alone, keep.values(line.decode()))]
    texts = [event for _, _, event in Body(text, UNNAMED).events()]
    if len(texts) < 2 and not _is_array(text):  # or it is wrong as a whole, whatever it has in it
        return alone
    events = []
    for number, each in enumerate(texts, 1):
        found = decode_event(each, now_s)
        if isinstance(found, Reason):
            return Reason(found.code, found.field, f"event {number} of {len(texts)}: {found.message}")
        events.append((found, keep.values(each.decode())))
    return events or alone


def _name_of(kept: StoredRejection, index: int = 0) -> tuple[Source, int]:
    """Return the source and the position under which an event of a rejected one is taken again.

    The first has those that the rejected one came with. Those that follow are named by the rejection, for the positions
    after it are other events' own. Release 0.1.0 kept whole arrays: their elements have the positions they had.
    """
    rejection = kept.rejection
    exported = _exported_name(rejection) if index == 0 else None
    if exported is not None:
        return exported
    was_array = rejection.byte is None and _is_array(rejection.body)
    if rejection.source.kind is NameKind.NONE or (index and not was_array):
        return Source(NameKind.KEY, f"rejected:{kept.id}"), index
    return rejection.source, rejection.position + index


def _exported_name(rejection: Rejection) -> tuple[Source, int] | None:
    """Return what the `_name` of a line of an export says, which `import` alone takes; None where there is none."""
    if rejection.source.kind is not NameKind.FILE:
        return None
    try:
        name = name_in(rejection.body.removeprefix(BOM).strip(_SPACE))
    except (InvalidJsonError, UnicodeDecodeError):
        return None
    named = source_of(name, "") if isinstance(name, str) and name else None
    return None if named is None or named[0].kind in (NameKind.NONE, NameKind.ID) else named


def _is_array(text: bytes) -> bool:
    return text.removeprefix(BOM).lstrip().startswith(b"[")


class Retried(NamedTuple):
    """What became of some rejected events that were taken again as they were, and the id to go on after."""

    counts: OutcomeCounts  # rejected: those that still are, for whatever reason
    after: str | None  # None: there are no more


def retried_counts(counts: OutcomeCounts) -> dict[str, int]:
    """Return what became of events that were taken again, as JSON has it."""
    return {"accepted": counts.accepted, "duplicates": counts.duplicates, "still_rejected": counts.rejected}


def retry_some(
    store: Store, which: RejectedFilter, after: str | None, now_s: float, keep: Keep = KEEP_NOTHING
) -> Retried:
    """Take rejected events again as they were, at most RETRIED_AT_ONCE in one commit, each as `retry` does.

    What is still not accepted stays as it is.

    Raises:
        StoreError: the store cannot take it now.
    """
    if isinstance(store, Served):
        told = store.retry_some(which, after)
        counts = OutcomeCounts(told["accepted"], told["duplicates"], rejected=told["still_rejected"])
        return Retried(counts, told["after"])
    page = store.rejected(after=after, limit=RETRIED_AT_ONCE, which=which)
    builder = BatchBuilder(keep.names)
    valid = []
    for kept in page:
        events = _events_of(kept, None, now_s, keep)
        if not isinstance(events, Reason):
            for index, (event, values) in enumerate(events):
                builder.add(event, *_name_of(kept, index), values)
            valid.append((kept.id, len(events)))
    outcomes = store.journal(builder.build()) if valid else b""
    settled = []
    start = 0
    for rejected_id, count in valid:
        if Outcome.CONFLICT not in outcomes[start : start + count]:
            settled.append(rejected_id)
        start += count
    store.discard(settled)
    accepted, duplicates = outcomes.count(Outcome.ACCEPTED), outcomes.count(Outcome.DUPLICATE)
    return Retried(
        OutcomeCounts(accepted, duplicates, rejected=len(page) - len(settled)),
        page[-1].id if may_go_on([kept.rejection for kept in page], RETRIED_AT_ONCE) else None,
    )
