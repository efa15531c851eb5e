"""Definitions that a store counts answer what DuckDB and SQLite count, and its audit finds nothing to say."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.differential.databases import Databases, Totals
from tests.differential.definitions import ZONES, batch_of, folded, random_purchases, random_table
from tests.differential.test_planted_faults import FAULTS

from tillroll.core.definition import define
from tillroll.core.query import Query
from tillroll.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from tillroll.core.report import Report

DEFINITIONS = 40


def answered(store: SqliteStore, report: Report) -> Totals:
    page = store.page(Query(report=report, limit=10_000, amounts=True))
    return {each.text or each.datapoint: (each.events, each.amount) for each in page.aggregates}


def test_random_definitions_of_a_store_count_what_other_databases_count(tmp_path: Path) -> None:
    source = Random(11)
    purchases = random_purchases(source, 400)
    tables = [random_table(source, f"own-{number}") for number in range(DEFINITIONS)]
    databases = Databases(purchases, ZONES)
    store = SqliteStore(tmp_path)
    store.journal(batch_of(purchases[:250]))
    store.fold()
    store.apply([define(table) for table in tables])
    store.journal(batch_of(purchases[250:]))
    store.fold()
    while store.count_some(1.0):
        pass
    reports = store.catalogue()
    for table in tables:
        expected, _ = databases.ask(table)
        assert answered(store, reports[table["name"]]) == expected, table
    audit = store.audit()
    assert (audit.differences, audit.events) == ([], len(purchases))
    store.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_audit_names_what_a_planted_fault_counts_wrong_in_a_definition(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, module, name, planted = FAULTS[fault]
    own = f"planted-{[*FAULTS].index(fault)}"
    batch = batch_of([each for each in random_purchases(Random(3), 500) if each[4] in {"SE", "NO", "(absent)"}])
    store = SqliteStore(tmp_path)
    store.journal(batch)
    store.fold()
    store.apply([define({"name": own, **table})])
    with monkeypatch.context() as patched:
        patched.setattr(module, name, planted)
        while store.count_some(1.0):
            pass
        report = store.catalogue()[own]
        stored = answered(store, report)
        found = store.audit()
    right = folded(report, batch)
    wrong = {text for text in right.keys() | stored.keys() if right.get(text) != stored.get(text)}
    assert wrong
    assert {difference.subject for difference in found.differences} == wrong
    store.audit(repair=True)
    assert store.audit().differences == []
    assert answered(store, report) == right
    store.close()
