from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.aws.end_to_end import WAYS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("way", "messages"), [("rie", 200), ("deployed", 100)])
def test_every_report_is_right_although_handlers_are_killed_and_replies_lost(
    way: str, messages: int, tmp_path: Path
) -> None:
    seen = WAYS[way](messages, 7, tmp_path, kill_every_s=10.0)
    assert seen.faults["reply lost"] > 0
