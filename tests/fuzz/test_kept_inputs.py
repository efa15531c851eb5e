"""What fuzzing found worth keeping holds, under sanitizers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fuzz import native

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.mark.skipif(native.compiler() is None, reason="no C compiler")
def test_the_bare_kernel_takes_every_kept_input_without_a_step_outside_its_memory(tmp_path: Path) -> None:
    summary = native.fuzz(native.build(tmp_path, "-O0"), native.CORPUS, 0, 0)
    assert "ERROR" not in summary
