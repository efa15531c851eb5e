"""Rejected events in the SQLite file: kept once and compressed, listed by arrival, found by id, discarded.

A row is a group of rejections (core.rejection). Each function works on a connection within a transaction of the
caller's. What is discarded is overwritten: see `erasing`.
"""

from __future__ import annotations

import json
import os
import zlib
from collections import deque
from contextlib import closing, contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tillroll.core import rejection as groups
from tillroll.core.accept import Rejection
from tillroll.core.batch import NameKind, Source
from tillroll.core.decode import Reason
from tillroll.core.rejection import Capacity, RejectedFilter, RejectedSummary, SourceCount, place_of
from tillroll.ports import StoredRejection
from tillroll.stores.sqlite.damage import GO_ON, DamageError
from tillroll.stores.sqlite.schema import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from tillroll.core.rejection import Group

_TOKEN_BYTES: Final = 4
_SEQ_MAX: Final = 2**63 - 1
_ROW: Final = "seq, token, kind, source, low, high, waiting, codes, substr(payload, 1, 8), checksum"
_SEAL: Final = "31 * (31 * (31 * waiting + bytes) + refused) + with_ids"
_KEPT: Final = (
    "SELECT coalesce(sum(waiting), 0), coalesce(sum(iif(waiting > 0, length(payload), 0)), 0) FROM rejected_group"
)
_RESTORE: Final = "Run tillroll audit; the events are in backups of the file, or with their senders"


class Total(NamedTuple):
    """The row of `rejected_total`."""

    waiting: int
    stored_bytes: int  # of the groups with any that waits
    refused: int
    with_ids: int


class Row(NamedTuple):
    """A group as it is stored, but for what is known only then."""

    kind: NameKind
    source: str
    low: int
    high: int
    waiting: int
    codes: str
    payload: bytes


def _row_of(group: Group) -> Row:
    positions, codes = group.positions, json.dumps(group.codes(), sort_keys=True)
    low, high = min(positions), max(positions)
    return Row(group.kind, group.source, low, high, group.waiting_count, codes, group.encode())


class Prepared(NamedTuple):
    """Rejections of one source that are to be kept, made ready while others write."""

    given: int  # for how many it stands
    rejections: list[Rejection]  # those that were not kept yet
    row: Row | None  # of these; None when there are none
    seen: int  # the last group that was there then


def prepare(connection: sqlite3.Connection, rejections: Sequence[Rejection], now_s: float) -> list[Prepared]:
    """Do all of `set_aside` that takes time and changes nothing. Call in a transaction, which need not write."""
    (seen,) = connection.execute("SELECT coalesce(max(seq), 0) FROM rejected_group").fetchone()
    prepared = []
    for some in groups.in_groups(rejections):
        new = _new(connection, groups.once(some), 0)
        prepared.append(Prepared(len(some), new, _row_of(groups.group_of(new, now_s)) if new else None, seen))
    return prepared


def set_aside(connection: sqlite3.Connection, prepared: Sequence[Prepared], now_s: float, capacity: Capacity) -> int:
    """Keep rejections from the first on while there is room; return how many are kept now, or were before."""
    done = 0
    for given, rejections, row, seen in prepared:
        if row is not None:
            new = _new(connection, rejections, seen)
            if len(new) < len(rejections):  # others, or the same a moment ago, brought some of them
                row = _row_of(groups.group_of(new, now_s)) if new else None  # noqa: PLW2901
        if row is not None and not _add(connection, row, capacity):
            connection.execute("UPDATE rejected_total SET refused = 1 WHERE id = 0")
            _seal(connection)
            return done
        done += given
    return done


def _new(connection: sqlite3.Connection, rejections: list[Rejection], after: int) -> list[Rejection]:
    """Return those of some rejections of one source that are not kept in the groups after one."""
    source = rejections[0].source
    if source.kind is NameKind.NONE:
        return rejections
    positions = [rejection.position for rejection in rejections]
    query = (
        "SELECT payload FROM rejected_group WHERE source = ? AND kind = ? AND low <= ? AND high >= ? AND seq > ?"
        " ORDER BY low DESC, seq DESC LIMIT ?"
    )
    values = (source.value, source.kind, max(positions), min(positions), after, groups.SOUGHT_MAX)
    left = groups.SOUGHT_BYTES_MAX
    with closing(connection.execute(query, values)) as overlapping:
        for (payload,) in overlapping:
            left -= groups.size_of(payload)
            if left < 0:
                break
            rejections = groups.decode(payload).new(rejections)
    return rejections


def _add(connection: sqlite3.Connection, row: Row, capacity: Capacity | None) -> bool:
    """Add a group, unless there is no room for it."""
    waiting, size, *_ = read_total(connection)
    if capacity and (waiting + row.waiting > capacity.rejections or size + len(row.payload) > capacity.stored_bytes):
        return False
    cursor = connection.execute(
        "INSERT INTO rejected_group (token, kind, source, low, high, waiting, codes, payload, checksum)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
        (os.urandom(_TOKEN_BYTES).hex(), *row),
    )
    _sign(connection, cursor.lastrowid or 0)
    _count(connection, row.waiting, len(row.payload) if row.waiting else 0)
    return True


def _count(connection: sqlite3.Connection, waiting: int, size: int) -> None:
    connection.execute(
        "UPDATE rejected_total SET waiting = waiting + ?, bytes = bytes + ? WHERE id = 0", (waiting, size)
    )
    _seal(connection)


def _seal(connection: sqlite3.Connection) -> None:
    """Say what the totals are a second time. Call after any change of them."""
    connection.execute(f"UPDATE rejected_total SET seal = {_SEAL} WHERE id = 0")  # noqa: S608 names, above


def _sign(connection: sqlite3.Connection, seq: int) -> None:
    """Give a row its checksum. Call after any change of it."""
    row = connection.execute(f"SELECT {_ROW} FROM rejected_group WHERE seq = ?", (seq,)).fetchone()  # noqa: S608
    connection.execute("UPDATE rejected_group SET checksum = ? WHERE seq = ?", (_checksum(row[:-1]), seq))


def _checksum(row: tuple[object, ...]) -> int:
    return zlib.crc32(repr(row).encode())


def _check(row: tuple[Any, ...]) -> None:
    """Find a row as it was written.

    Raises:
        DamageError: it is not.
    """
    if _checksum(row[:-1]) != row[-1]:
        raise DamageError(f"rejected events are damaged (group {row[0]})", _RESTORE)


def _payload(connection: sqlite3.Connection, seq: int, token: str) -> bytes | None:
    """Return the payload of a group, checked; None when there is none of this number and token."""
    query = f"SELECT {_ROW}, payload FROM rejected_group WHERE seq = ?"  # noqa: S608 names, above
    found = connection.execute(query, (seq,)).fetchone()
    if found is None:
        return None
    _check(found[:-1])
    return bytes(found[-1]) if found[1] == token else None


def damage(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield what is wrong with what is kept, having read all of it. What all of it adds up to: see `check_total`."""
    for found in connection.execute(f"SELECT {_ROW}, payload FROM rejected_group"):  # noqa: S608 names, above
        try:
            _check(found[:-1])
            groups.decode(found[-1])
        except (TypeError, ValueError) as error:
            yield str(error)


def check_total(connection: sqlite3.Connection) -> None:
    """Find as many groups as are recorded: a lost page takes some away, or brings back what was discarded.

    Raises:
        DamageError: there are others.
    """
    total, kept = read_total(connection)[:2], connection.execute(_KEPT).fetchone()
    if total != kept:
        kinds = "{} rejected events of {} bytes"
        problem = f"{kinds.format(*kept)} are kept, and {kinds.format(*total)} are recorded"
        raise DamageError(problem, GO_ON)


def read_total(connection: sqlite3.Connection) -> Total:
    """Return what all groups add up to.

    Raises:
        DamageError: they are not what was written.
    """
    query = f"SELECT waiting, bytes, refused, with_ids, seal = {_SEAL} FROM rejected_total"  # noqa: S608 names, above
    *total, whole = connection.execute(query).fetchone() or (0, 0, 0, 0, 0)
    if not whole:
        raise DamageError("how many rejected events are kept is missing or damaged", GO_ON)
    return Total(*total)


def put_total(connection: sqlite3.Connection) -> None:
    """Have the groups as they stand there be what was kept. Call within a transaction."""
    try:
        _, _, refused, with_ids = read_total(connection)
    except DamageError:
        (with_ids,) = connection.execute("SELECT coalesce(max(seq), 0) FROM rejected_group").fetchone()
        refused = 0
    values = (*connection.execute(_KEPT).fetchone(), refused, with_ids)
    connection.execute("INSERT OR REPLACE INTO rejected_total VALUES (0, ?, ?, ?, ?, 0)", values)
    _seal(connection)


def rejected(
    connection: sqlite3.Connection, after: str | None, limit: int, which: RejectedFilter
) -> list[StoredRejection]:
    """Return what is waiting, oldest first, after an id."""
    found = _listed(connection, after, limit, which)
    if after is None or len(found) < limit:  # who reads all pages comes here, and a page need not read the table
        check_total(connection)
    return found


def _listed(
    connection: sqlite3.Connection, after: str | None, limit: int, which: RejectedFilter
) -> list[StoredRejection]:
    seq, after_index, _ = _find(connection, after) if after is not None else _NOWHERE
    wanted = "waiting > 0 AND seq >= ? AND instr(codes, ?) > 0"
    values: list[object] = [seq, "" if which.code is None else json.dumps(which.code)]
    if which.sources:
        wanted += f" AND source IN ({', '.join('?' * len(which.sources))})"
        values += which.sources
    query = f"SELECT {_ROW}, payload, {wanted} FROM rejected_group WHERE seq >= ? ORDER BY seq"  # noqa: S608 above
    found: list[StoredRejection] = []
    size = 0
    with closing(connection.execute(query, [*values, seq])) as rows:
        for *row, payload, is_wanted in rows:
            _check(tuple(row))  # of the others too: damage may hide one that is wanted
            if not is_wanted:
                continue
            number, token = row[:2]
            group = groups.decode(payload)
            for index, rejection in group.waiting():
                past = number > seq or index > after_index
                if past and (which.code is None or rejection.reason.code == which.code):
                    size += len(rejection.body)
                    if found and size > groups.PAGE_BYTES_MAX:
                        return found
                    found.append(_kept(number, token, group, index, rejection))
                    if len(found) == limit:
                        return found
    return found


def find(connection: sqlite3.Connection, wanted: str) -> StoredRejection | None:
    """Return one rejection that is waiting, None when there is none of this id."""
    seq, index, token = _find(connection, wanted)
    payload = _payload(connection, seq, token)
    if payload is None:
        check_total(connection)
        return None
    group = groups.decode(payload)
    found = next((rejection for at, rejection in group.waiting() if at == index), None)
    return None if found is None else _kept(seq, token, group, index, found)


def discard(connection: sqlite3.Connection, wanted: Sequence[str]) -> None:
    """Forget rejections, those that there are: of each only a hash stays, by which a repeat is known."""
    read_total(connection)
    places = sorted(_find(connection, each) for each in wanted)
    for (seq, token), some in groupby(places, key=lambda place: (place.seq, place.token)):
        before = _payload(connection, seq, token)
        if before is None:
            continue
        group = groups.decode(before)
        done = group.discard(each.place for each in some)
        if not done:
            continue
        waiting = group.waiting_count
        payload = group.encode()
        if not waiting and group.kind is NameKind.NONE and not group.ids:
            connection.execute("DELETE FROM rejected_group WHERE seq = ?", (seq,))
        else:
            codes = json.dumps(group.codes(), sort_keys=True)
            change = "UPDATE rejected_group SET waiting = ?, codes = ?, payload = ? WHERE seq = ?"
            connection.execute(change, (waiting, codes, payload, seq))
            _sign(connection, seq)
        _count(connection, -done, (len(payload) if waiting else 0) - len(before))
        connection.execute("UPDATE rejected_total SET refused = 0 WHERE id = 0")
        _seal(connection)


def summary(connection: sqlite3.Connection) -> RejectedSummary:
    """Return how many are waiting, by reason and of the sources with the most."""
    check_total(connection)
    for row in connection.execute(f"SELECT {_ROW} FROM rejected_group"):  # noqa: S608 names, above
        _check(row)
    query = (
        "SELECT kind, source, sum(waiting), count(*) OVER () FROM rejected_group NOT INDEXED WHERE waiting > 0"
        " GROUP BY source, kind ORDER BY 3 DESC, 2, 1 LIMIT ?"
    )
    rows = connection.execute(query, (groups.SOURCES_MAX,)).fetchall()
    by_codes = "SELECT codes, count(*) FROM rejected_group NOT INDEXED WHERE waiting > 0"
    sources = [
        SourceCount(
            NameKind(kind).name.lower(),
            source,
            waiting,
            _added(connection.execute(f"{by_codes} AND source = ? AND kind = ? GROUP BY codes", (source, kind))),
        )
        for kind, source, waiting, _ in rows
    ]
    codes = _added(connection.execute(f"{by_codes} GROUP BY codes"))
    return RejectedSummary(sum(codes.values()), codes, sources, rows[0][3] if rows else 0)


def _added(rows: Iterable[tuple[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for codes, times in rows:
        for code, count in json.loads(codes).items():
            total[code] = total.get(code, 0) + count * times
    return groups.falling(total)


def erasing(connection: sqlite3.Connection) -> AbstractContextManager[None]:
    """Overwrite what is deleted, for the body's time. Call outside of a transaction; then `empty_log`."""
    return _having(connection, "secure_delete", 1)


def empty_log(connection: sqlite3.Connection, patience_s: float = 0.0) -> bool:
    """Move the log into the file and cut it to nothing, unless somebody reads in it; return whether that was done.

    Whoever reads is waited for so long, and nobody can commit meanwhile.
    """
    with _having(connection, "busy_timeout", round(patience_s * 1_000)):
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


@contextmanager
def _having(connection: sqlite3.Connection, pragma: str, value: int) -> Iterator[None]:
    (before,) = connection.execute(f"PRAGMA {pragma}").fetchone()
    connection.execute(f"PRAGMA {pragma} = {value}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA {pragma} = {before}")


class _Place(NamedTuple):
    """Where a rejection is."""

    seq: int
    place: int  # in its group
    token: str


_NOWHERE: Final = _Place(0, -1, "")  # before all that there are


def _find(connection: sqlite3.Connection, wanted: str) -> _Place:
    """Return the place that an id names, whether there is such or not."""
    place = place_of(wanted)
    if place is None:
        return _find_old(connection, wanted)
    name, index = place
    token_at = max(0, len(name) - 2 * _TOKEN_BYTES)
    try:
        return _Place(min(int(name[:token_at], 16), _SEQ_MAX), index, name[token_at:])
    except ValueError:
        return _NOWHERE


def _find_old(connection: sqlite3.Connection, wanted: str) -> _Place:
    """Return the place of an id that release 0.1.0 gave."""
    with_ids = read_total(connection).with_ids
    query = "SELECT seq, token, payload FROM rejected_group WHERE seq <= ? ORDER BY seq"
    with closing(connection.execute(query, (with_ids,))) as rows:
        for seq, token, payload in rows:
            ids = groups.decode(payload).ids
            if wanted in ids:
                return _Place(seq, ids.index(wanted), token)
    return _NOWHERE


def _kept(seq: int, token: str, group: Group, index: int, rejection: Rejection) -> StoredRejection:
    name = group.id_of(f"{seq:x}{token}", index)
    return StoredRejection(id=name, received_at=group.received_at, rejection=rejection)


def convert(connection: sqlite3.Connection) -> None:
    """Bring what release 0.1.0 kept, a row each, into groups. What it had dropped goes as well, and its bytes with it.

    Repeated after a kill: it is one transaction.
    """
    if not _has_rows(connection):
        return
    with erasing(connection):
        with transaction(connection):
            if not _has_rows(connection):  # another process was quicker
                return
            query = (
                "SELECT id, received_at, kind, source, position, code, field, message, body, settled"
                " FROM rejected ORDER BY seq"
            )
            with closing(connection.cursor()) as rows:
                rows.execute(query)
                for received_at, some in groupby(rows, key=lambda row: row[1]):
                    _convert(connection, received_at, some)
            connection.execute(
                "UPDATE rejected_total SET with_ids = (SELECT coalesce(max(seq), 0) FROM rejected_group)"
            )
            _seal(connection)
            connection.execute("DROP TABLE rejected")
        empty_log(connection)


def _convert(connection: sqlite3.Connection, received_at: float, rows: Iterable[tuple[Any, ...]]) -> None:
    names: deque[tuple[str, int]] = deque()

    def rejections() -> Iterator[Rejection]:
        for name, _, kind, source, position, code, field, message, body, settled in rows:
            names.append((name, settled))
            yield Rejection(Source(NameKind(kind), source), position, body, Reason(code, field, message))

    for some in groups.in_groups(rejections()):
        known = [names.popleft() for _ in some]
        group = groups.group_of(some, received_at, [name for name, _ in known])
        group.discard(index for index, (_, settled) in enumerate(known) if settled)
        _add(connection, _row_of(group), None)


def _has_rows(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'rejected'").fetchone() is not None
