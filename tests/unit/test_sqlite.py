"""What the embedded store promises beyond the contract suite: its file, its processes, its segments."""

from __future__ import annotations

import fcntl
import itertools
import os
import sqlite3
import subprocess
import sys
import threading
from array import array
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from tests.batches import batch_of
from tests.counted import count_datapoints
from tests.oracle import REPORTS, events_of, rows_of

from tillroll.core import kernel
from tillroll.core.accept import Rejection
from tillroll.core.batch import UNNAMED, Event, NameKind, Source
from tillroll.core.decode import Reason
from tillroll.core.query import Order, Query, Row, answer
from tillroll.core.report import FIVE, Report
from tillroll.core.zone import find_zone
from tillroll.errors import StoreDamagedError, StoreError, StoreFullError
from tillroll.ports import ImportHead, Outcome
from tillroll.stores.sqlite import audit as audit_module
from tillroll.stores.sqlite import head as head_module
from tillroll.stores.sqlite import reader, schema
from tillroll.stores.sqlite.head import Head, HeadFile
from tillroll.stores.sqlite.segments import Segments
from tillroll.stores.sqlite.store import SqliteStore

BARE_CHUNK = "CREATE TABLE chunk (first INTEGER PRIMARY KEY, events, low, high, committed_at, payload, chain)"
NOON = 1_322_913_600  # 2011-12-03T12:00:00Z


def events(count: int, merchants: int = 7, start: int = 0) -> list[Event]:
    return [
        Event(NOON + 977 * i, i % 3, i * 7919 % 60_000, i % 3, f"m{i % merchants}") for i in range(start, start + count)
    ]


def test_a_file_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / schema.FILE_NAME
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE notes (text)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is not a tillroll file"):
        SqliteStore(tmp_path)
    assert path.read_bytes() == before


def test_what_was_acknowledged_is_synced_and_folds_and_notes_wait_for_the_next_sync(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)

    def is_synced() -> bool:
        (level,) = store._connection.execute("PRAGMA synchronous").fetchone()
        return {1: False, 2: True}[level]

    store.note_import(ImportHead("a", 1, "0" * 64))
    assert not is_synced()
    for start in (0, 10):
        store.journal(batch_of(events(10, start=start)))
        assert is_synced()
        store.fold()
        assert not is_synced()
    store.set_aside([Rejection(UNNAMED, 0, b"x", Reason("not_json", None, "it is no JSON"), 0)], NOON)
    assert is_synced()
    store.fold()
    store.rebuild()
    assert is_synced()
    store.close()


def test_a_new_file_has_no_table_of_an_older_release_to_convert(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    assert store._connection.execute("SELECT name FROM sqlite_schema WHERE name = 'rejected'").fetchall() == []
    store.close()


@pytest.mark.parametrize("damaged", [b"INTEGE\xd2 NOT", b"INTEGEZ NOT", b"INTEGER N\xcfT"])
def test_a_definition_that_is_damaged_is_told_as_damage(tmp_path: Path, damaged: bytes) -> None:
    SqliteStore(tmp_path).close()
    path = tmp_path / schema.FILE_NAME
    path.write_bytes(path.read_bytes().replace(b"INTEGER NOT", damaged))
    with pytest.raises(StoreError, match="is damaged"):
        SqliteStore(tmp_path)


@pytest.mark.parametrize("far", [1 << 20, 1 << 40, (1 << 63) - 1])
def test_audit_names_aggregates_of_a_time_that_no_calendar_has(tmp_path: Path, far: int) -> None:
    store = SqliteStore(tmp_path)
    store.journal(batch_of(events(300)))
    store.fold()
    with sqlite3.connect(store.path) as connection:
        of_windows = "JOIN pragma_table_info(m.name) c WHERE c.name = 'window' AND NOT m.wr"
        tables = f"SELECT m.name FROM pragma_table_list m {of_windows}"
        names = {name for (name,) in connection.execute(tables)}
        for name in names:
            query = f"UPDATE {name} SET window = ? WHERE rowid IN (SELECT rowid FROM {name} LIMIT 1)"
            connection.execute(query, (far,))
    connection.close()
    assert names
    audit = store.audit()
    assert audit.differences_total
    assert all(each.kind == "aggregate" for each in audit.differences)
    store.close()


def test_a_tree_of_aggregates_that_sqlite_cannot_read_stops_no_commit(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.journal(batch_of(events(3)))
    store.fold()
    store.close()
    path = tmp_path / schema.FILE_NAME
    with sqlite3.connect(path) as connection:
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        tables = "SELECT m.rootpage FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE c.name = 'window'"
        roots = {root for (root,) in connection.execute(tables)}
    connection.close()
    with path.open("r+b") as file:
        for root in roots:
            file.seek((root - 1) * page_bytes)
            file.write(b"\xff" * page_bytes)
    store = SqliteStore(tmp_path)
    for _ in range(2):
        assert not any(store.journal(batch_of(events(20_000))))
    assert not any(store.journal(batch_of(events(5))))
    store.fold()
    assert store.status().events == 40_008
    with pytest.raises(StoreError, match="is damaged"):
        store.page(Query(report=FIVE[3]))
    store.close()


def test_a_store_that_cannot_be_opened_leaves_nothing_open(tmp_path: Path) -> None:
    SqliteStore(tmp_path).close()
    with sqlite3.connect(tmp_path / schema.FILE_NAME) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with sqlite3.connect(tmp_path / schema.FILE_NAME) as connection:
        connection.execute("PRAGMA user_version = 1")  # and now a migration fails
    connection.close()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(StoreError):
            SqliteStore(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("count", [3, 20_000])
def test_a_head_that_another_process_wrote_lower_is_raised_within_a_second(tmp_path: Path, count: int) -> None:
    store = SqliteStore(tmp_path)
    store.journal(batch_of(events(count)))
    head = HeadFile(tmp_path / head_module.FILE_NAME)
    said = head.read()
    assert said is not None
    assert said.events == count
    head.raise_to(Head(2, b"the chunk before".ljust(32)))  # it knows that more was said, and writes nothing
    assert head.read() == said
    head.replace(Head(2, b"the chunk before".ljust(32)))
    store.fold_if_due()
    assert head.read() == said
    head.close()
    store.close()


@pytest.mark.parametrize("count", [3, 20_000])
def test_the_head_of_the_last_commit_survives_a_power_cut_a_second_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    now = [100.0]
    monkeypatch.setattr(head_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    store = SqliteStore(tmp_path, clock=lambda: now[0])
    synced: list[bytes] = []  # what the head's file had when it was synced
    path = tmp_path / head_module.FILE_NAME
    sync = HeadFile.sync

    def noted(head: HeadFile) -> None:
        sync(head)
        synced.append(path.read_bytes())

    monkeypatch.setattr(HeadFile, "sync", noted)
    for number, later_s in enumerate((1.0, 0.5, 1.0)):
        store.journal(batch_of(events(count, start=count * number)))
        now[0] += later_s
        store.fold_if_due()  # as a server does every second
    assert synced[-1] == path.read_bytes()
    store.close()


def test_a_new_file_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def open_and_close(directory: Path) -> None:
        together.wait(60)
        SqliteStore(directory).close()

    with ThreadPoolExecutor(4) as pool:
        for number in range(50):
            list(pool.map(open_and_close, [tmp_path / str(number)] * 4))


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    SqliteStore(tmp_path).close()
    connection = sqlite3.connect(tmp_path / schema.FILE_NAME)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="version 99"):
        SqliteStore(tmp_path)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file/data"):
        SqliteStore(tmp_path / "file" / "data")


def test_two_processes_share_a_file(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    code = (
        "import sys, pathlib; from tillroll.stores.sqlite.store import SqliteStore; "
        "from tests.unit.test_sqlite import events; from tests.batches import batch_of; "
        "store = SqliteStore(pathlib.Path(sys.argv[1])); "
        "[store.journal(batch_of(events(40, start=40 * i))) for i in range(50)]"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    for i in range(50):
        store.journal(batch_of(events(40, merchants=11, start=40 * i)))
        assert store.status().events is not None
    assert other.wait(60) == 0
    expected = count_datapoints([batch_of(events(2_000)), batch_of(events(2_000, merchants=11))])
    assert events_of(store.get(list(expected))) == expected
    assert store.audit().differences == []
    store.close()


def test_a_list_of_imports_is_of_one_moment_while_another_process_adds_to_it(tmp_path: Path) -> None:
    store, other = SqliteStore(tmp_path), SqliteStore(tmp_path)
    heads = [ImportHead(f"{month}.ndjson", 10, str(month) * 64) for month in (1, 2)]
    store.note_import(heads[0])

    def add(statement: str) -> None:
        if "FROM seal" in statement:
            other.note_import(heads[1])

    store._connection.set_trace_callback(add)
    assert store.imports() == heads[:1]
    store._connection.set_trace_callback(None)
    assert store.imports() == heads
    store.close()
    other.close()


def test_a_file_that_a_newer_program_upgraded_meanwhile_is_written_to_no_more(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.journal(batch_of(events(10)))
    newer = len(schema.MIGRATIONS) + 1
    with closing(sqlite3.connect(store.path)) as other:
        other.execute(f"PRAGMA user_version = {newer}")
    for write in (lambda: store.journal(batch_of(events(10, start=10))), store.fold):
        with pytest.raises(StoreError, match=f"is of version {newer}"):
            write()
    assert store.status().events == 10
    assert store.status().folded_position == 0
    store.close()


def test_an_import_run_again_in_other_pieces_adds_nothing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    source = Source(NameKind.FILE, "november.ndjson")
    everything = events(3_000)
    store.journal(batch_of(everything[:1_000], source))
    assert set(store.journal(batch_of(everything[:1_000], source))) == {Outcome.DUPLICATE}
    outcomes = store.journal(batch_of(everything[500:2_500], source, 500))
    assert outcomes == bytes([Outcome.DUPLICATE] * 500 + [Outcome.ACCEPTED] * 1_500)
    outcomes = store.journal(batch_of(everything, source))
    assert outcomes == bytes([Outcome.DUPLICATE] * 2_500 + [Outcome.ACCEPTED] * 500)
    changed = msgspec.structs.replace(everything[1_700], amount=1)
    assert store.journal(batch_of([changed], source, 1_700)) == bytes([Outcome.CONFLICT])
    assert store.status().events == 3_000
    store.close()


def one_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give all names one hash, as if their sender knew the key."""
    name_rows = kernel.name_rows

    def same(*columns: Any) -> array[int]:
        rows = name_rows(*columns)
        each = sorted((minute, index) for index, minute in zip(rows[::3], rows[1::3], strict=True))
        return array("q", [item for minute, index in each for item in (index, minute, 7)])

    monkeypatch.setattr(kernel, "name_rows", same)
    monkeypatch.setattr(kernel, "hash_name", lambda *_: 7)


def test_names_of_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_hash(monkeypatch)
    store = SqliteStore(tmp_path)
    one, two, three = (msgspec.structs.replace(events(1)[0], id=own) for own in ("a", "b", "c"))
    assert store.journal(batch_of([one, two, one])) == bytes([0, 0, Outcome.DUPLICATE])
    assert store.journal(batch_of([two, three])) == bytes([Outcome.DUPLICATE, 0])
    assert store.journal(batch_of([msgspec.structs.replace(three, amount=5)])) == bytes([Outcome.CONFLICT])
    store.close()


def fill(store: SqliteStore) -> None:
    for i in range(1_000):
        store.journal(batch_of(events(1_000, merchants=900, start=1_000 * i)))


def test_a_full_disk_is_said_and_costs_nothing_that_was_journaled(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.journal(batch_of(events(100)))
    store._connection.execute("PRAGMA max_page_count = 40")
    with pytest.raises(StoreFullError, match="is full"):
        fill(store)
    store._connection.execute("PRAGMA max_page_count = 1000000")
    before = store.status().events
    assert before is not None
    assert before >= 100
    store.journal(batch_of(events(10)))
    assert store.status().events == before + 10
    assert store.audit().differences == []
    store.close()


def test_readers_see_what_is_not_folded_yet(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    query = Query(report=REPORTS["hour-bracket"])
    store.journal(batch_of(events(10)))
    unfolded = store.page(query)
    store.fold()
    assert store.page(query) == unfolded
    assert unfolded.totals is not None
    assert unfolded.totals.events == 10
    store.close()


def test_a_rebuild_in_another_process_is_noticed(tmp_path: Path) -> None:
    one, other = SqliteStore(tmp_path), SqliteStore(tmp_path)
    one.journal(batch_of(events(50)))
    expected = other.page(Query(report=FIVE[3]))
    one._connection.execute("UPDATE merchant SET name = 'x' || name")
    one.rebuild()
    assert other.page(Query(report=FIVE[3])) == expected
    one.journal(batch_of(events(50)))
    other.journal(batch_of(events(50)))
    assert one.audit().differences == other.audit().differences == []
    one.close()
    other.close()


@pytest.mark.parametrize(
    ("damage", "kind", "said"),
    [
        ("DELETE FROM chunk WHERE first = 21", "chunk", "events 21 to 40 are missing"),
        ("DELETE FROM chunk WHERE first = 81", "chunk", "events 81 to 100 are missing"),
        ("UPDATE chunk SET payload = flip(payload) WHERE first = 41", "chunk", "checksum"),
        ("UPDATE state SET folded = 80", "position", "add up to 100"),
        ("UPDATE state SET events = 90, folded = 90", "position", "how far the store has come is damaged"),
        ("UPDATE merchant SET name = 'other' WHERE id = 3", "aggregate", "other|PAY_NOW is stored as"),
        ("UPDATE chunk SET committed_at = committed_at + 1 WHERE first = 41", "chunk", "not what was written there"),
        ("UPDATE aggregate SET checksum = checksum + 1", "aggregate", "is damaged"),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: str, kind: str, said: str) -> None:
    store = SqliteStore(tmp_path)
    for i in range(5):
        store.journal(batch_of(events(20, start=20 * i)))
    store.fold()
    assert store.audit().differences == []
    store._connection.create_function("flip", 1, lambda data: data[:-1] + bytes([data[-1] ^ 4]))
    store._connection.execute(damage)
    found = store.audit().differences
    assert any(one.kind == kind and said in one.message for one in found), found
    store.close()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM chunk WHERE first = 41", "events 41 to 60 are missing"),
        ("UPDATE chunk SET payload = x'00' WHERE first = 61", "events 61 to 80 cannot be used"),
    ],
)
def test_damage_to_what_is_not_folded_yet_is_named(tmp_path: Path, damage: str, said: str) -> None:
    store = SqliteStore(tmp_path)
    for i in range(5):
        store.journal(batch_of(events(20, start=20 * i)))
    assert store.audit().position == 0
    assert store.audit().differences == []
    store._connection.execute(damage)
    found = store.audit().differences
    assert any(one.kind == "chunk" and said in one.message for one in found), found
    store.close()


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM chunk WHERE first = 41", "UPDATE chunk SET low = low + 100000000, high = high + 100000000"],
)
def test_explain_passes_over_no_chunk_that_is_damaged(tmp_path: Path, damage: str) -> None:
    store = SqliteStore(tmp_path)
    for i in range(5):
        store.journal(batch_of(events(20, start=20 * i)))
    store.fold()
    assert len(list(store.trace("2011-12-03|m1"))) > 0
    store._connection.execute(damage)
    with pytest.raises(StoreDamagedError, match="tillroll audit"):
        list(store.trace("2011-12-03|m1"))
    store.close()


@pytest.mark.parametrize("column", ["events", "low", "committed_at", "payload", "chain"])
@pytest.mark.parametrize("value", ["NULL", "'x'", "1.5", "x'00'", "7"])
def test_whatever_stands_in_a_row_of_the_journal_is_named(tmp_path: Path, column: str, value: str) -> None:
    store = SqliteStore(tmp_path)
    for i in range(5):
        store.journal(batch_of(events(20, start=20 * i)))
    store._connection.execute("PRAGMA writable_schema = ON")
    store._connection.execute(f"UPDATE sqlite_schema SET sql = '{BARE_CHUNK}' WHERE name = 'chunk'")
    store._connection.execute("PRAGMA writable_schema = RESET")
    store._connection.execute(f"UPDATE chunk SET {column} = {value} WHERE first = 61")
    assert any(one.kind == "chunk" and one.subject == "61" for one in store.audit().differences)
    with pytest.raises(StoreDamagedError):
        store.page(Query(report=FIVE[0]))
    store.close()


def test_an_audit_ends_where_damage_makes_a_number_of_events_infinite(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.journal(batch_of(events(20)))
    connection = store._connection
    connection.execute(
        "PRAGMA writable_schema = ON"
    )  # so that the column takes what a page written there by mistake has
    connection.execute("UPDATE sqlite_schema SET sql = replace(sql, 'STRICT', '') WHERE name = 'chunk'")
    store.close()
    with closing(sqlite3.connect(tmp_path / schema.FILE_NAME)) as connection, connection:
        connection.execute("INSERT INTO chunk VALUES (21, '9e999', 0, 0, 0, x'', x'')")
        connection.execute("UPDATE state SET checksum = 0")
    with closing(SqliteStore(tmp_path)) as store:
        assert store.audit().differences_total


def test_records_of_reports_that_are_missing_are_told_and_made_again(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.journal(batch_of([Event(1_322_913_600, 0, 999, 0, "m")]))
    store.close()
    with closing(sqlite3.connect(tmp_path / schema.FILE_NAME)) as connection, connection:
        connection.execute("DELETE FROM report")
    with closing(SqliteStore(tmp_path)) as store:
        with pytest.raises(StoreError, match=r"rows of the records of reports are missing"):
            store.catalogue()
        assert ["are missing" in difference.message for difference in store.audit().differences] == [True]
        store.rebuild()
        assert not store.audit().differences_total
        assert store.get(["<10|PAY_NOW"])[0].events == 1


def test_a_damaged_aggregate_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.journal(batch_of(events(20)))
    store.fold()
    store._connection.execute("UPDATE aggregate SET cells = x'00ff'")
    for ask in (lambda: store.page(Query(report=FIVE[0])), lambda: store.get(["10-50|SLICE_IT"])):
        with pytest.raises(StoreDamagedError, match=r"damaged.*tillroll audit --repair"):
            ask()
    assert any("cannot be read" in one.message for one in store.audit().differences)
    store.rebuild()
    assert store.audit().differences == []
    store.close()


@pytest.mark.parametrize("zone", [None, "Europe/Stockholm"])
@pytest.mark.parametrize("span", ["day", "week", "month"])
def test_hours_are_added_up_anew_when_another_process_changed_the_file(
    tmp_path: Path, span: str, zone: str | None
) -> None:
    store, other = SqliteStore(tmp_path), SqliteStore(tmp_path)
    report = REPORTS["hour-bracket"]
    query = Query(report=report, by=(span, "bracket"), zone=find_zone(zone) if zone else None, limit=1_000)
    kept: list[Event] = []
    for step in range(4):
        more = events(900, start=step * 900)
        kept += more
        other.journal(batch_of(more))
        if step % 2:
            other.fold()
        for _ in range(2):  # as it is read, and as it is held
            assert store.page(query) == answer(query, [rows_of(event)[report.name][0] for event in kept])
    store.close()
    other.close()


def test_hours_that_are_held_are_checked_again_when_the_file_was_changed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.journal(batch_of(events(900)))
    store.fold()
    query = Query(report=REPORTS["hour-bracket"], by=("week",))
    assert store.page(query).totals == store.page(query).totals
    store._connection.execute("UPDATE aggregate SET checksum = checksum + 1")
    with pytest.raises(StoreDamagedError):
        store.page(query)
    store.close()


def test_readers_hold_only_so_much_of_what_damage_keeps_from_being_folded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_TAIL_EVENTS_MAX", 40)
    store = SqliteStore(tmp_path)
    store.journal(batch_of(events(20)))
    store.fold()
    store._connection.execute("UPDATE aggregate SET checksum = checksum + 1 WHERE report = 'merchant-method.1'")
    whole = Query(report=REPORTS["bracket-method"])
    for total in (40, 60):
        store.journal(batch_of(events(20, start=total - 20)))
        assert store.fold() == 20
        assert sum(row.events for row in store.page(whole).aggregates) == total
    store.journal(batch_of(events(20, start=60)))
    with pytest.raises(StoreDamagedError, match=r"60 events wait to be folded.*tillroll audit --repair"):
        store.page(whole)
    assert store.status().journal_position == 80
    store.audit(repair=True)
    assert sum(row.events for row in store.page(whole).aggregates) == 80
    store.close()


def test_an_aggregate_changed_by_hand_is_named_and_repaired(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.journal(batch_of(events(100)))
    store.fold()
    report = REPORTS["bracket-method"]
    right = store.page(Query(report=report))
    counts, lows, highs = kernel.read_counts(store._writer.segments.cells(report, 0, 0), 15)
    counted, amount = counts[0], lows[1]
    counts[0] += 1
    lows[1] += 7
    cells = kernel.add_counts(b"", 0, 15, array("Q", range(15)), counts, lows, highs)
    store._connection.execute("BEGIN")
    store._writer.segments.put(report, 0, 0, cells)
    store._connection.execute("COMMIT")
    found = store.audit(repair=True)
    assert [(one.subject, one.stored, one.recounted) for one in found.differences] == [
        ("<10|PAY_LATER", amount + 7, amount),
        ("<10|PAY_NOW", counted + 1, counted),
    ]
    assert "the amount of <10|PAY_LATER is stored as" in found.differences[0].message
    assert store.audit().differences == []
    assert store.page(Query(report=report)) == right
    store.close()


def purchases(count: int) -> list[Event]:
    source = Random(2)
    return [
        Event(
            NOON + source.randrange(300_000),
            0,
            int(source.lognormvariate(8, 1.5)),
            source.randrange(3),
            f"m{int(source.paretovariate(0.7)) % 40}",
        )
        for _ in range(count)
    ]


def row_of(report: Report, event: Event) -> Row:
    return Row(
        report.window.at(event.seconds) if report.window else 0,
        tuple(dimension.of(event, {}) for dimension in report.by if dimension is not report.window),
        1,
        event.amount,
    )


@pytest.mark.parametrize("report", FIVE, ids=lambda report: report.name)
def test_every_page_in_every_order_is_the_references(tmp_path: Path, report: Report) -> None:
    store = SqliteStore(tmp_path)
    everything = purchases(600)
    store.journal(batch_of(everything[:400]))
    store.fold()
    store.journal(batch_of(everything[400:]))
    rows = [row_of(report, event) for event in everything]
    roll_ups: list[tuple[str, ...]] = [(), *[(one,) for one in report.dimensions], report.dimensions[::-1]]
    if report.window:
        roll_ups.append(("day",))
    orders: tuple[Order, ...] = ("datapoint", "-events", "-amount")
    for by, order, limit in itertools.product(roll_ups, orders, (1, 7, 5_000)):
        query = Query(report=report, by=by, order=order, limit=limit)
        for _ in range(6):
            page = store.page(query)
            assert page == answer(query, rows)
            if page.next is None:
                break
            query = msgspec.structs.replace(query, after=page.next)
    store.close()


@pytest.mark.parametrize("meanwhile", ["repair", "rebuild"])
def test_what_was_set_right_during_an_audit_is_not_raised_twice(
    tmp_path: Path, meanwhile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = SqliteStore(tmp_path), SqliteStore(tmp_path)
    one.journal(batch_of(events(10)))
    one.fold()
    with sqlite3.connect(one.path) as connection:
        Segments(connection).put(REPORTS["bracket-method"], 0, 0, b"\1\0\0" + b"\1" * 15)
    connection.close()
    audit = audit_module.audit

    def overtaken(*arguments: Any) -> audit_module.Found:
        found = audit(*arguments)
        monkeypatch.undo()
        other.audit(repair=True) if meanwhile == "repair" else other.rebuild()
        return found

    monkeypatch.setattr(audit_module, "audit", overtaken)
    with pytest.raises(StoreError, match="by another process"):
        one.audit(repair=True)
    assert one.audit(repair=True).differences == []
    one.close()
    other.close()


@pytest.mark.parametrize("how", ["repair", "rebuild"])
def test_names_that_the_index_lost_are_found_and_put_back(tmp_path: Path, how: str) -> None:
    store = SqliteStore(tmp_path)
    first = Source(NameKind.FILE, "a year")
    lines = batch_of([Event(at, 0, 100, 0, "m") for at in range(50)], first)
    ids = batch_of([Event(60 * at, 0, 100, 0, "m", f"order {at}") for at in range(1, 300)])
    keys = batch_of([Event(7, 0, 100, 0, "m"), Event(9, 5, 100, 0, "m")], Source(NameKind.KEY, "k"), 3)
    batches = (lines, ids, keys)
    for batch in batches:
        assert set(store.journal(batch)) == {Outcome.ACCEPTED}
    store.fold()
    assert not store.audit().differences_total
    connection = sqlite3.connect(tmp_path / "tillroll.db", isolation_level=None)
    rows = {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in ("identity", "run")}
    connection.execute("DELETE FROM identity WHERE event % 3 = 0")
    connection.execute("DELETE FROM run")
    found = store.audit()
    assert [(one.kind, one.subject, one.recounted) for one in found.differences] == [
        ("index", "1", 1),
        ("index", "51", 100),
        ("index", "350", 1),
    ]
    assert found.differences_total == 3
    assert "sent again" in found.differences[0].message
    if how == "repair":
        store.audit(repair=True)
    else:
        store.rebuild()
    assert not store.audit().differences_total
    for name, were in rows.items():
        assert connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() == were
    for batch in batches:
        assert set(store.journal(batch)) == {Outcome.DUPLICATE}
    connection.close()
    store.close()


def test_names_with_one_hash_are_put_back_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_hash(monkeypatch)
    store = SqliteStore(tmp_path)
    batch = batch_of([Event(at, 0, 100, 0, "m", f"order {at}") for at in range(5)])
    assert set(store.journal(batch)) == {Outcome.ACCEPTED}
    connection = sqlite3.connect(tmp_path / "tillroll.db", isolation_level=None)
    connection.execute("DELETE FROM identity WHERE event IN (2, 5)")
    assert [one.recounted for one in store.audit(repair=True).differences] == [2]
    assert not store.audit().differences_total
    assert connection.execute("SELECT count(*), count(DISTINCT event) FROM identity").fetchone() == (5, 5)
    assert set(store.journal(batch)) == {Outcome.DUPLICATE}
    connection.close()
    store.close()


def test_an_audit_removes_what_a_killed_one_left_and_not_what_another_works_in(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.journal(batch_of(events(10)))
    for name in ("audit-left", "recount-left", "audit-held"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recount.db").write_bytes(b"x" * 1_000)
    held = os.open(tmp_path / "audit-held", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert store.audit().differences == []
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"audit-held"}
    os.close(held)
    store.rebuild()
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    store.close()
