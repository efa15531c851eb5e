"""The oracle: the simplest store that can be right. In memory, by event, without the product's fold."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from copy import deepcopy
from itertools import islice
from typing import TYPE_CHECKING, Final

from tests.brackets import bracket

from tillroll.core.batch import BatchBuilder, NameKind, Source
from tillroll.core.decode import encode_event
from tillroll.core.export import ALL_EVENTS, Chosen
from tillroll.core.field_tally import FieldTally
from tillroll.core.limits import METHODS
from tillroll.core.outcome_tally import OutcomeTally
from tillroll.core.query import Aggregate, Page, Query, Row, answer
from tillroll.core.rejection import (
    CAPACITY,
    EVERY,
    PAGE_BYTES_MAX,
    Capacity,
    RejectedFilter,
    RejectedSummary,
    SourceCount,
)
from tillroll.core.report import FIVE, Reports
from tillroll.errors import CountingError, StoreError
from tillroll.ports import (
    Audit,
    Difference,
    JournalPart,
    Outcome,
    Progress,
    ReportState,
    Status,
    StoredRejection,
    Trace,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tillroll.core.accept import Rejection
    from tillroll.core.batch import Batch, Event, Identity
    from tillroll.core.definition import Definition
    from tillroll.core.report import Report

REPORTS: Final = Reports(FIVE)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def events_of(aggregates: Sequence[Aggregate]) -> dict[str, int]:
    """Return the events of aggregates by datapoint."""
    found = {each.datapoint: each.events for each in aggregates}
    assert len(found) == len(aggregates)
    return found


def rows_of(event: Event) -> dict[str, tuple[Row, str]]:
    """Return by report where an event is counted, and the datapoint it counts for."""
    at = EPOCH + datetime.timedelta(seconds=event.seconds)
    since = at - EPOCH
    hour, day = since // datetime.timedelta(hours=1), since.days
    where = bracket(event.amount)
    day_text = f"{at.year:04}-{at:%m-%d}"
    hour_text = f"{day_text}:{at:%H}"
    method, merchant = METHODS[event.method], event.merchant
    return {
        "hour-bracket": (Row(hour, (where,), 1, event.amount), f"{hour_text}|{where}"),
        "hour-bracket-method": (Row(hour, (where, method), 1, event.amount), f"{hour_text}|{where}|{method}"),
        "bracket-method": (Row(0, (where, method), 1, event.amount), f"{where}|{method}"),
        "day-merchant": (Row(day, (merchant,), 1, event.amount), f"{day_text}|{merchant}"),
        "merchant-method": (Row(0, (merchant, method), 1, event.amount), f"{merchant}|{method}"),
    }


def counted(events: Sequence[Event]) -> Counter[str]:
    """Return what every datapoint must show for these events."""
    return Counter(key for event in events for _, key in rows_of(event).values())


class Oracle:
    """The store port, by lists and loops."""

    def __init__(self, capacity: Capacity = CAPACITY) -> None:
        self.fields = FieldTally()
        self.outcomes = OutcomeTally()
        self.capacity = capacity
        self.refused = False
        self.gone: set[str] = set()
        self.journaled: list[tuple[Event, Identity | None]] = []
        self.by_identity: dict[Identity, Event] = {}
        self.aggregates: Counter[str] = Counter()
        self.folded = 0
        self.kept: dict[str, StoredRejection] = {}
        self.versions: dict[str, list[tuple[Report, int]]] = {}  # of one's own, and how far each is counted
        self.last_versions: Counter[str] = Counter()

    def close(self) -> None:
        pass

    def journal(self, batch: Batch) -> bytes:
        outcomes = []
        for event, identity in zip(batch.events(), batch.identities(), strict=True):
            known = self.by_identity.get(identity) if identity else None
            if identity and identity.value == f"journal:{id(self)}":
                known = self.journaled[identity.position - 1][0]
            if known is None:
                self.journaled.append((event, identity))
                if identity:
                    self.by_identity[identity] = event
                outcomes.append(Outcome.ACCEPTED)
            else:
                outcomes.append(Outcome.DUPLICATE if known == event else Outcome.CONFLICT)
        return bytes(outcomes)

    def read(self, after: int = 0, upto: int | None = None, chosen: Chosen = ALL_EVENTS) -> Iterator[JournalPart]:
        upto = len(self.journaled) if upto is None else upto
        if max(after, upto) > len(self.journaled):
            raise StoreError("the journal ends before", "Give another")
        builder = BatchBuilder()
        for number, (event, identity) in enumerate(self.journaled[after:upto], after + 1):
            in_time = (chosen.start is None or event.seconds >= chosen.start) and (
                chosen.stop is None or event.seconds < chosen.stop
            )
            if not in_time or (chosen.merchants is not None and event.merchant not in chosen.merchants):
                continue
            if identity is None:
                builder.add(event, Source(NameKind.FILE, f"journal:{id(self)}"), number)
            elif identity.kind is NameKind.ID:
                builder.add(event)
            else:
                builder.add(event, Source(identity.kind, identity.value), identity.position)
        yield JournalPart(builder.build(), upto)

    def events(self) -> list[Event]:
        return [event for event, _ in self.journaled]

    def status(self) -> Status:
        size = len(self.journaled)
        since = None if self.folded == size else 0.0
        return Status(
            events=size,
            journal_position=size,
            folded_position=self.folded,
            visible_position=self.folded,
            folded_at=0.0 if self.folded else None,
            unfolded_since=since,
            rejected=len(self.waiting()),
            rejected_full=self.refused,
        )

    def fold(self, seconds: float | None = None) -> int:  # noqa: ARG002 the port's
        self.aggregates.update(counted(self.events()[self.folded :]))
        self.folded = len(self.journaled)
        return self.folded

    def fold_if_due(self, seconds: float | None = None) -> int | None:
        del seconds
        return self.fold()

    def page(self, query: Query) -> Page:
        report = query.report
        if not report.is_own:
            rows = [rows_of(event)[report.name][0] for event in self.events()[: self.folded]]
            return answer(query, rows)
        if report not in list(self.catalogue()):
            states = [state for state in self.report_states() if state.report == report]
            raise CountingError(report.name, sum(state.position for state in states), len(self.journaled))
        rows = []
        for event in self.events()[: self.folded]:
            if report.text_of(event, {}) is not None:
                texts = tuple(each.of(event, {}) for each in report.by if each is not report.window)
                rows.append(Row(report.window.at(event.seconds) if report.window else 0, texts, 1, event.amount))
        return answer(query, rows)

    def catalogue(self) -> Reports:
        readable = [
            next((report for report, position in reversed(versions) if position >= 0), None)
            for _, versions in sorted(self.versions.items())
        ]
        return Reports([*FIVE, *(report for report in readable if report is not None)])

    def report_states(self) -> list[ReportState]:
        five = [(report, self.folded) for report in FIVE]
        own = [version for _, versions in sorted(self.versions.items()) for version in versions]
        readable, end = list(self.catalogue()), len(self.journaled)
        return [ReportState(report, report in readable, max(0, position), end) for report, position in [*five, *own]]

    def apply(self, definitions: Sequence[Definition]) -> None:
        for definition in definitions:
            versions = self.versions.setdefault(definition.name, [])
            if not versions or versions[-1][0].definition != definition.text():
                self.last_versions[definition.name] += 1
                versions.append((definition.report(self.last_versions[definition.name]), -1))

    def drop(self, name: str) -> bool:
        return self.versions.pop(name, None) is not None

    def count_some(self, seconds: float, *, beside_traffic: bool = False) -> bool:  # noqa: ARG002 the port has it
        for name, versions in self.versions.items():
            self.versions[name] = [(versions[-1][0], len(self.journaled))]
        return False

    def last_events(self, count: int) -> Iterator[Batch]:
        builder = BatchBuilder()
        for event in self.events()[-count:]:
            builder.add(event)
        yield builder.build()

    def get(self, datapoints: Sequence[str], *, amounts: bool = False) -> list[Aggregate]:
        folded = [rows_of(event).values() for event in self.events()[: self.folded]] if amounts else []
        cents = Counter[str]()
        for row, key in (each for rows in folded for each in rows):
            cents[key] += row.amount
        return [Aggregate(datapoint, self.aggregates[datapoint], cents[datapoint]) for datapoint in datapoints]

    def merchants(self, containing: str, limit: int) -> list[str]:
        wanted = containing.casefold()
        names = {event.merchant for event in self.events()[: self.folded] if wanted in event.merchant.casefold()}
        return sorted(names, key=lambda name: (not name.casefold().startswith(wanted), name))[:limit]

    def set_aside(self, rejections: Sequence[Rejection], now_s: float) -> int:
        for index, rejection in enumerate(rejections):
            source = rejection.source
            name = json.dumps([source.kind, source.value, rejection.position, rejection.body.hex()])
            if not source.value:
                name = f"unnamed {len(self.kept)} {now_s}"
            if name not in self.kept and len(self.waiting()) >= self.capacity.rejections:
                self.refused = True
                return index
            self.kept.setdefault(name, StoredRejection(id=name, received_at=now_s, rejection=rejection))
        return len(rejections)

    def waiting(self, which: RejectedFilter = EVERY) -> list[StoredRejection]:
        return [
            kept
            for kept in self.kept.values()
            if kept.id not in self.gone
            and which.code in {None, kept.rejection.reason.code}
            and (not which.sources or kept.rejection.source.value in which.sources)
        ]

    def rejected(
        self, *, after: str | None = None, limit: int = 100, which: RejectedFilter = EVERY
    ) -> list[StoredRejection]:
        places = {name: place for place, name in enumerate(self.kept)}
        start = places.get(after or "", -1)
        page: list[StoredRejection] = []
        size = 0
        for kept in self.waiting(which):
            if places[kept.id] > start and len(page) < limit:
                size += len(kept.rejection.body)
                if page and size > PAGE_BYTES_MAX:
                    break
                page.append(kept)
        return page

    def find_rejected(self, rejected_id: str) -> StoredRejection | None:
        return None if rejected_id in self.gone else self.kept.get(rejected_id)

    def rejected_summary(self) -> RejectedSummary:
        waiting = [kept.rejection for kept in self.waiting()]
        sources = Counter(each.source for each in waiting)
        most = sorted(sources.items(), key=lambda item: (-item[1], item[0].value, item[0].kind))
        return RejectedSummary(
            len(waiting),
            _by_code(waiting),
            [
                SourceCount(
                    source.kind.name.lower(), source.value, count, _by_code([x for x in waiting if x.source == source])
                )
                for source, count in most
            ],
            len(sources),
        )

    def note_fields(self, tally: FieldTally) -> None:
        self.fields.add(tally)

    def noted_fields(self) -> FieldTally:
        return self.fields

    def note_outcomes(self, tally: OutcomeTally) -> None:
        self.outcomes.add(tally)

    def noted_outcomes(self) -> OutcomeTally:
        return deepcopy(self.outcomes)

    def discard(self, rejected_ids: Sequence[str]) -> None:
        waiting = len(self.waiting())
        self.gone.update(rejected_ids)
        self.refused = self.refused and len(self.waiting()) == waiting

    def audit(self, *, since: int = 0, progress: Progress | None = None, repair: bool = False) -> Audit:
        events = [event for event in self.events()[: self.folded] if event.seconds // 86_400 >= since or not since]
        recount = Counter(
            key
            for event in events
            for report, (_, key) in rows_of(event).items()
            if not since or report.startswith(("hour", "day"))
        )
        compared = self.aggregates if not since else {key: self.aggregates[key] for key in recount}
        differences = [
            Difference("aggregate", key, self.aggregates[key], recount[key], f"{key} differs")
            for key in sorted(recount.keys() | compared.keys())
            if self.aggregates[key] != recount[key]
        ]
        if repair:
            self.aggregates.update({each.subject: (each.recounted or 0) - (each.stored or 0) for each in differences})
        if progress is not None:
            progress(len(events), len(events))
        return Audit(
            position=self.folded,
            events=len(events),
            datapoints=len(recount),
            differences=differences,
            differences_total=len(differences),
        )

    def rebuild(self, progress: Progress | None = None) -> int:
        self.aggregates.clear()
        self.folded = 0
        self.fold()
        if progress is not None:
            progress(self.folded, self.folded)
        return self.folded

    def trace(self, datapoint: str, after: int = 0) -> Iterator[Trace]:
        yield from islice(self._traces(datapoint), after, None)

    def _traces(self, datapoint: str) -> Iterator[Trace]:
        for index, (event, identity) in enumerate(self.journaled):
            if datapoint in {key for _, key in rows_of(event).values()}:
                name = "unnamed" if identity is None else f"{identity.kind.name.lower()} {identity.value}"
                yield Trace(
                    chunk="memory", index=index, folded=index < self.folded, name=name, event=encode_event(event)
                )


def _by_code(rejections: Sequence[Rejection]) -> dict[str, int]:
    counts = Counter(each.reason.code for each in rejections)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
