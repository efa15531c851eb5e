"""Proof and repair: the whole journal counted again, compared with the aggregates, and these set right."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from tillroll.errors import StoreError
from tillroll.stores.sqlite import audit as audit_module
from tillroll.stores.sqlite.chunks import chunk_of
from tillroll.stores.sqlite.schema import check_pages, connect, translated
from tillroll.stores.sqlite.segments import Segments

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tillroll.ports import Audit, Clock, Progress
    from tillroll.stores.sqlite.writer import Writer


class Repair:
    """Audits, repairs and rebuilds one store, see ports.Journal."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._path = writer.files.path
        self._clock = clock

    def audit(self, since: int, progress: Progress | None, *, repair: bool) -> Audit:
        """See ports.Journal."""
        with translated(self._path):
            found = audit_module.audit(self._path, self._writer.files.head.read(), since, progress)
        if repair and (found.damaged or found.deltas or found.unindexed):
            self._check_pages()
            if found.damaged:
                self._rebuild(progress)
            elif found.deltas:
                self._apply(found)
            self._index_again(found.unindexed)
        return found.audit

    def _apply(self, found: audit_module.Found) -> None:
        """Set right what an audit found, unless the aggregates were set right since: they would be raised twice."""
        writer = self._writer
        with writer.write():
            state = writer.state()
            if state.generation != found.generation:
                problem = f"{self._path} was repaired or rebuilt by another process while this one audited it"
                raise StoreError(problem, "Run tillroll audit --repair again; nothing was changed")
            audit_module.apply(writer.segments, Segments(writer.connection), found.deltas)
            writer.save(state._replace(generation=state.generation + 1))

    def _index_again(self, chunks: Iterable[int]) -> None:
        """Put back what the index lacks of the chunks that begin with these events."""
        writer = self._writer
        for first in chunks:
            with writer.write():
                writer.dedupe.restore(chunk_of(writer.connection, first).batch(), first - 1)

    def rebuild(self, progress: Progress | None) -> int:
        """See ports.Journal. Traffic goes on until the recount is taken over, which is one transaction."""
        self._check_pages()
        return self._rebuild(progress)

    def _rebuild(self, progress: Progress | None) -> int:
        writer = self._writer
        with translated(self._path), audit_module.recounted(self._path, progress) as recount, writer.write():
            if recount.problems:
                raise StoreError(recount.problems[0].message, "Restore the file from a copy; nothing was changed")
            audit_module.take_over(writer.connection, recount, self._clock())
            writer.forget()
        self._index_again(recount.unindexed)
        return recount.events

    def _check_pages(self) -> None:
        with translated(self._path), closing(connect(self._path)) as connection:
            check_pages(connection)
