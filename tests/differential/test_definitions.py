"""Definitions of reports count what DuckDB and SQLite count."""

from __future__ import annotations

import pytest
from tests.differential.definitions import check


@pytest.mark.parametrize("seed", [1, 2])
def test_random_definitions_count_what_other_databases_count(seed: int) -> None:
    assert check(definitions=100, events=300, seed=seed) > 100
