"""The process whose writes are recorded: takes deliveries into a store, and acknowledges each by a write to a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from tests.simulation.deliveries import Delivery, Senders
from tests.simulation.scheduler import STARTED_AT

from tillroll.ingest.take import take
from tillroll.stores.sqlite import schema
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    import sqlite3

    from tillroll.core.accept import Rejection

ACKNOWLEDGEMENTS: Final = "/acknowledged"
_DELIVERIES: Final = 40
_CHECKPOINT_PAGES: Final = 12  # so few that checkpoints, too, are cut


def deliveries(seed: int) -> list[Delivery]:
    """Return what is delivered, in order. Nothing is unnamed: whether that was taken, only an answer can say."""
    senders = Senders(Random(seed), unnamed=0.0)
    return [senders.draw() for _ in range(_DELIVERIES)]


def main(directory: Path, seed: int, synchronous: str) -> None:
    """Take everything, folding and rebuilding now and then."""
    _change(synchronous)
    store = SqliteStore(directory / "data")
    acknowledged = os.open(str(directory) + ACKNOWLEDGEMENTS, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def set_aside(rejections: list[list[Rejection]]) -> int:
        return store.set_aside([each for part in rejections for each in part], STARTED_AT)

    for number, delivery in enumerate(deliveries(seed)):
        take(store, [delivery.body], STARTED_AT, set_aside)
        os.write(acknowledged, bytes([number]))
        if number % 7 == 6:
            store.fold()
    store.rebuild()
    store.close()


def _change(synchronous: str) -> None:
    """Make checkpoints frequent, and plant another way to sync if asked."""
    open_file = schema.connect

    def connect(path: Path) -> sqlite3.Connection:
        connection = open_file(path)
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        return connection

    schema.connect = connect
    if synchronous:
        schema.SYNCED = f"PRAGMA synchronous = {synchronous}"  # type: ignore[misc]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
