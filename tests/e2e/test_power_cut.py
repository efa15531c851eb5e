"""What was acknowledged survives a power cut at every write and sync of a run, whatever was not synced."""

from __future__ import annotations

import shutil
from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.e2e import power_cut
from tests.e2e.power_cut_writer import deliveries
from tests.oracle import REPORTS
from tests.simulation import figures
from tests.simulation.oracle import Ledger, reports
from tests.simulation.scheduler import STARTED_AT
from tests.simulation.witness import journaled

from tillroll.core.query import Query
from tillroll.errors import StoreError
from tillroll.ingest.take import take
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tillroll.core.accept import Rejection

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="the recorder is built with gcc"),
]
SEED = 4
PARTS = 12  # to run beside each other
PARTS_SHORT = 2  # of these, in a short run: a sixth of the calls


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return power_cut.build(tmp_path_factory.mktemp("power_cut"))


def _cuts(records: list[power_cut.Record], root: Path, part: int) -> Iterator[tuple[list[int], Path]]:
    """Yield what was acknowledged and what the disk holds, for a cut after each call of a part."""
    disk = power_cut.Disk()
    for number, record in enumerate(records):
        disk.take(record)
        if number % PARTS != part - 1:
            continue
        directory = root / f"cut {number}"
        directory.mkdir()
        disk.cut(directory, Random(number))
        yield disk.acknowledged, directory
        shutil.rmtree(directory)


def _problems(acknowledged: list[int], directory: Path) -> list[str]:
    """Return what is wrong with a store after a cut: at once, and when its senders have sent everything again."""
    ledger = Ledger()
    sent = deliveries(SEED)
    for number, delivery in enumerate(sent):
        delivery.sent(ledger)
        if number in acknowledged:
            delivery.acknowledged(ledger)
    try:
        store = SqliteStore(directory / "data")
        problems = _wrong(store, ledger)
        for delivery in sent:
            take(store, [delivery.body], STARTED_AT, lambda rejections: _keep(store, rejections))
            delivery.acknowledged(ledger)
        store.fold()
        problems += _wrong(store, ledger)
        store.close()
    except StoreError as error:
        return [str(error)]
    return problems


def _keep(store: SqliteStore, rejections: list[list[Rejection]]) -> int:
    return store.set_aside([each for part in rejections for each in part], STARTED_AT)


def _wrong(store: SqliteStore, ledger: Ledger) -> list[str]:
    found = store.audit()
    problems = [difference.message for difference in found.differences]
    chunks = store._connection.execute("SELECT payload FROM chunk ORDER BY first").fetchall()
    from tillroll.core import chunk

    journal = [event for (payload,) in chunks for event in journaled(chunk.decode(payload))]
    problems += ledger.problems(journal)
    shown = {x.datapoint: x.events for report in REPORTS for x in store.page(Query(report=report)).aggregates}
    if shown != reports(purchase for _, purchase in journal):
        problems.append("the reports are not the journal's")
    return problems


@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=[pytest.mark.long] * (part > PARTS_SHORT)) for part in range(1, PARTS + 1)]
)
def test_what_was_acknowledged_survives_a_power_cut_at_any_write(part: int, library: Path, tmp_path: Path) -> None:
    records = power_cut.record(library, tmp_path / "run", SEED)
    syncs = sum(record.op == "S" for record in records)
    assert syncs > 40, "the recorder sees the syncs"
    cuts = 0
    for acknowledged, directory in _cuts(records, tmp_path, part):
        problems = _problems(acknowledged, directory)
        assert not problems, f"cut {cuts}: {problems}"
        cuts += 1
    figures.count(f"SQLite, power cut, a run with {syncs} syncs", cuts=cuts, wrong=0)


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_a_store_that_syncs_less_is_found_out(synchronous: str, library: Path, tmp_path: Path) -> None:
    records = power_cut.record(library, tmp_path / "run", SEED, synchronous)
    cuts = (cut for part in range(1, PARTS_SHORT + 1) for cut in _cuts(records, tmp_path, part))
    found = next((problems for cut in cuts if (problems := _problems(*cut))), None)
    assert found is not None
    figures.note("SQLite, power cut", f"planted: synchronous = {synchronous}: caught")
