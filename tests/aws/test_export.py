"""`tillroll events` as a process, from the tables on DynamoDB: whole, with names, and in bounded memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.aws.test_dynamodb_store import Tables, tables
from tests.batches import batch_of
from tests.contract.test_store import check, purchases

from tillroll.core.batch import NameKind, Source

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

__all__ = ["tables"]
EVENTS = purchases(400, days=3)
# The peak of a child in KiB, on standard error: the child itself knows nothing of it.
MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], check=False).returncode
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def export(tables: Tables, *arguments: str) -> tuple[bytes, int]:
    """Return what the command writes, and its peak in MiB."""
    command = [sys.executable, "-m", "tillroll", "events", *arguments, "--data", tables.local.address(tables.names)]
    secrets = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], env=os.environ | secrets, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout, int(done.stderr.rsplit(b"peak", 1)[1]) // 1_024


def test_what_the_process_writes_gives_another_store_the_same_reports(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    store = tables.store()
    for first in range(0, len(EVENTS), 100):
        store.journal(batch_of(EVENTS[first : first + 100], Source(NameKind.KEY, f"batch {first}")))
    written, peak = export(tables)
    assert len({json.loads(line)["_name"] for line in written.splitlines()}) == len(EVENTS)
    assert peak < 200
    some, _ = export(tables, "--from", "2011-12-04", "--to", "2011-12-05")
    assert 0 < len(some.splitlines()) < len(EVENTS)
    path = tmp_path / "all.ndjson"
    path.write_bytes(written)
    other = Tables(tables.local)
    again = [sys.executable, "-m", "tillroll", "import", str(path), "--data", other.local.address(other.names)]
    subprocess.run(again, check=True, capture_output=True)
    check(other.store(), EVENTS)
    for made in other.opened:
        made.close()
