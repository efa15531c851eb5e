"""Indexing the journal of a file anew under the file's own key, which one that release 0.1.0 wrote needs once.

The migration has dropped the old index, so an older tillroll that still runs can no longer journal what has a name.
The journal is indexed stretch by stretch, each in a transaction of its own that notes how far it came: a process that
is killed, or another one, goes on from there. Opening a store ends here, so nobody journals before the index is whole.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from tillroll.stores.sqlite.chunks import read_chunks
from tillroll.stores.sqlite.dedupe import Dedupe
from tillroll.stores.sqlite.naming import read_naming, write_naming
from tillroll.stores.sqlite.schema import transaction
from tillroll.stores.sqlite.state import read_state

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_STRETCH_EVENTS: Final = 250_000
_log: Final = logging.getLogger(__name__)


def index_again(connection: sqlite3.Connection, path: Path) -> None:
    """Index what the file's index lacks since it was upgraded.

    Raises:
        DamageError: a chunk of the journal, or the key, is not what was written, so that the names cannot be indexed.
    """
    (indexed,) = connection.execute("SELECT indexed FROM naming").fetchone() or (None,)
    while indexed is not None:
        with transaction(connection):
            naming = read_naming(connection)
            if naming.indexed is None:  # another process was quicker
                return
            events = read_state(connection).events
            _log.info("%s: reindexed the names of %d of %d events", path, naming.indexed, events)
            reached = _index_stretch(connection, naming.indexed, events)
            indexed = reached if reached < events else None
            write_naming(connection, naming._replace(indexed=indexed))


def _index_stretch(connection: sqlite3.Connection, upto: int, events: int) -> int:
    """Index the chunks after an event, until a stretch is done; return the last event of them."""
    dedupe = Dedupe(connection)
    reached = upto
    for row in read_chunks(connection, upto, events):
        dedupe.index(row.batch(), row.first - 1)
        reached = row.last
        if reached - upto >= _STRETCH_EVENTS:
            break
    return reached
