"""Rejected events in the SQLite file: kept once, listed by arrival, found by id, forgotten.

Each function works on a connection within a transaction of the caller's.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.core.accept import Reason, Rejection
from tillroll.core.batch import NameKind, Source
from tillroll.ports import Kept

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

_ID_BYTES: Final = 12


def set_aside(connection: sqlite3.Connection, rejections: Sequence[Rejection], now_s: float) -> None:
    """Keep rejections; those that are kept already stay as they are."""
    rows = [
        (
            _rejected_id(rejection),
            now_s,
            rejection.source.kind,
            rejection.source.value,
            rejection.position,
            rejection.reason.code,
            rejection.reason.field,
            rejection.reason.message,
            rejection.body,
        )
        for rejection in rejections
    ]
    connection.executemany(
        "INSERT INTO rejected (id, received_at, kind, source, position, code, field, message, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        rows,
    )


def rejected(connection: sqlite3.Connection, after: str | None, limit: int) -> list[Kept]:
    """Return what is kept, oldest first, after an id."""
    where = "seq > coalesce((SELECT seq FROM rejected WHERE id = ?), 0) ORDER BY seq LIMIT ?"
    return _kept(connection, where, (after, limit))


def find(connection: sqlite3.Connection, wanted: str) -> Kept | None:
    """Return one kept rejection, None when there is none."""
    return next(iter(_kept(connection, "id = ?", (wanted,))), None)


def settle(connection: sqlite3.Connection, wanted: Sequence[str]) -> None:
    """Forget rejections, those that there are."""
    connection.executemany("UPDATE rejected SET settled = 1 WHERE id = ?", zip(wanted))


def _kept(connection: sqlite3.Connection, where: str, values: tuple[object, ...]) -> list[Kept]:
    columns = "id, received_at, kind, source, position, code, field, message, body"
    query = f"SELECT {columns} FROM rejected WHERE settled = 0 AND {where}"  # noqa: S608 written above
    return [
        Kept(
            id=rejected_id,
            received_at=received_at,
            rejection=Rejection(Source(NameKind(kind), source), position, body, Reason(code, field, message)),
        )
        for rejected_id, received_at, kind, source, position, code, field, message, body in connection.execute(
            query, values
        )
    ]


def _rejected_id(rejection: Rejection) -> str:
    """Return an id: the same for the same bytes at the same place of one named source, else always a new one."""
    source = rejection.source
    digest = hashlib.blake2b(digest_size=_ID_BYTES)
    if source.kind is NameKind.NONE:
        return secrets.token_hex(_ID_BYTES)
    digest.update(msgspec.json.encode([source.kind, source.value, rejection.position]))
    digest.update(rejection.body)
    return digest.hexdigest()
