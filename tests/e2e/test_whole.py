"""Everything at once, in small. `python -m tests.e2e.whole --events 1000000` is the same in large."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.whole import check_whole

if TYPE_CHECKING:
    from pathlib import Path


def test_every_report_equals_a_recount_after_an_import_beside_traffic(tmp_path: Path) -> None:
    check_whole(tmp_path, events=50_000, sent=5_000)
