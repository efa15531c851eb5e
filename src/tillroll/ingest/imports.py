"""The list of imports of a store: which content came in under which name, by its first 64 KiB.

A line is named by its import's name and its number. So the same content under a second name would be counted again, and
other content under a name that was used would be told from the first only by its dates. Both are asked about here.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, Self

from tillroll.core.outcome_counts import NOTHING
from tillroll.core.outcome_tally import IMPORT
from tillroll.errors import TillrollError
from tillroll.ingest.outcome_watch import OutcomeWatch
from tillroll.ports import ImportHead, ImportList, ImportRun

if TYPE_CHECKING:
    from tillroll.ingest.files import Tally
    from tillroll.ports import Clock, Store

_NOTED_S: Final = 5.0
_log: Final = logging.getLogger(__name__)


class ImportNameError(TillrollError):
    """An import's name and its content do not go together as they did before."""

    exit_code = 2


class Imports:
    """The imports of one store."""

    def __init__(self, store: ImportList) -> None:
        self._store = store

    def check(self, name: str, head: bytes) -> None:
        """Refuse a name that content of this head should not have.

        Raises:
            ImportNameError: the content came in under another name, or other content under this name.
        """
        known = self._store.imports()
        mine = [one for one in known if one.name == name]
        if any(_begins(one, head) for one in mine):
            return
        if mine:
            raise ImportNameError(
                f"{name}: content that begins otherwise was imported under this name. "
                "Give this content a name of its own with --name NAME, or import it as more of the same with --anyway"
            )
        for other in known:
            if _begins(other, head):
                raise ImportNameError(
                    f"{name}: content of the same first {other.head_bytes:,} bytes was imported under the name "
                    f"{other.name}. To continue that import, which counts nothing twice: --name '{other.name}'. "
                    "To count these purchases as well: --anyway"
                )

    def add(self, name: str, head: bytes) -> None:
        """Note durably that content of this head comes in under a name."""
        if head:
            self._store.note_import(ImportHead(name, len(head), _hash(head)))


class RunLog:
    """Notes how far a run of an import has come, for whoever watches the store. One that fails costs no import."""

    def __init__(self, store: Store, name: str, clock: Clock) -> None:
        self._list = store if isinstance(store, ImportList) else None
        self._outcomes = OutcomeWatch(IMPORT, store, clock)
        self._name = name
        self._clock = clock
        self._began_at = clock()
        self._noted = NOTHING
        self._noted_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Store what became of the events, however it ended."""
        self._outcomes.flush()

    def note(self, tally: Tally, *, done: bool = False) -> None:
        """Note what became of the events so far: every few seconds, and when it is done."""
        self._outcomes.note(tally.counts - self._noted)
        self._noted = tally.counts
        if self._list is None or not (done or time.monotonic() - self._noted_at >= _NOTED_S):
            return
        self._noted_at = time.monotonic()
        run = ImportRun(
            name=self._name,
            began_at=self._began_at,
            noted_at=self._clock(),
            done=done,
            **tally.counts.plain(),
        )
        try:
            self._list.note_run(run)
        except TillrollError as error:
            _log.debug("the progress of the import is recorded later: %s", error)


def _begins(noted: ImportHead, head: bytes) -> bool:
    """Tell whether content with this head begins as that of an import did."""
    return len(head) >= noted.head_bytes and _hash(head[: noted.head_bytes]) == noted.sha256


def name_of(head: bytes) -> str:
    """Return a name for content that came without one, from standard input: the same for the same beginning."""
    return f"sha256:{_hash(head)}"


def _hash(data: bytes) -> str:
    import hashlib  # noqa: PLC0415 it takes a while, in which an import reads its file already

    return hashlib.sha256(data).hexdigest()
