"""The functions on each Python that Lambda has, as far as this machine has them; and the package for arm64."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import uuid
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from tests.aws.ministack import REGION
from tests.aws.tables import create_tables

from tillroll.app import open_store
from tillroll.aws import package
from tillroll.cli.main import run

if TYPE_CHECKING:
    from tests.aws.ministack import Ministack

pytestmark = pytest.mark.slow
GOOD = '{"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": "m"}'
PROGRAM = """
import json, sys
from tillroll.aws.functions import fold, take_batch
from tillroll.core import kernel

class Context:
    aws_request_id = "request-1"
    def get_remaining_time_in_millis(self): return 60_000

records = [{"messageId": str(number), "body": body, "attributes": {}, "messageAttributes": {}}
           for number, body in enumerate(json.loads(sys.argv[1]))]
print(json.dumps([sys.version_info[:2], kernel.compiled, take_batch({"Records": records}, Context())]))
"""
ELF_MACHINE = {"x86_64": 62, "aarch64": 183}  # e_machine, by the ELF specification


def find_python(version: str) -> str:
    """Return an interpreter of a version: one beside this one, or on the path; without any the test is skipped."""
    beside = sorted(Path(sys.base_prefix).parent.glob(f"*{version}.*/bin/python{version}"))
    for candidate in (*map(str, beside), shutil.which(f"python{version}")):
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    pytest.skip(f"there is no Python {version} here")


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_the_package_runs_on_the_python_that_it_was_built_for(version: str, aws: Ministack, tmp_path: Path) -> None:
    python = find_python(version)
    machine: package.Architecture = "x86_64" if platform.machine() == "x86_64" else "arm64"
    built = package.build(tmp_path, machine, f"python{version}")
    with zipfile.ZipFile(built.path) as archive:
        archive.extractall(tmp_path / "code")
    name = uuid.uuid4().hex[:8]
    tables = (f"aggregates-{name}", f"journal-{name}")
    create_tables(aws.client("dynamodb"), *tables)
    dead = aws.client("sqs").create_queue(QueueName=f"dead-{name}")["QueueUrl"]
    boto = Path(boto3.__file__).parents[1]  # which Lambda brings, and is Python alone
    variables = aws.environment() | {
        "PYTHONPATH": f"{tmp_path / 'code'}:{boto}",
        "TILLROLL_DATA": f"dynamodb://{REGION}/{tables[0]}/{tables[1]}",
        "TILLROLL_DEAD_LETTERS": dead,
        "TILLROLL_QUEUE": dead,
        "POWERTOOLS_SERVICE_NAME": "tillroll",
    }
    command = [python, "-c", PROGRAM, json.dumps([GOOD, f"nonsense\n{GOOD}", GOOD])]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, compiled, reply = json.loads(done.stdout.splitlines()[-1])
    assert found == [int(part) for part in version.split(".")]
    assert compiled == built.has_kernel
    assert reply == {"batchItemFailures": []}
    store = open_store(f"dynamodb://{REGION}/{tables[0]}/{tables[1]}")
    store.fold()
    [aggregate] = store.get(["2011-12-03:10|10-50|SLICE_IT"])
    assert aggregate.events == 3
    store.close()
    [letter] = aws.client("sqs").receive_message(QueueUrl=dead)["Messages"]
    assert letter["Body"] == "nonsense"


def test_a_package_for_arm64_has_nothing_of_another_machine_and_says_what_it_lacks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["aws", "deploy", "--build-only", str(tmp_path)]) == 0
    told = capfd.readouterr()
    assert told.out.strip().endswith("tillroll-python3.13-arm64.zip")
    with zipfile.ZipFile(told.out.strip()) as archive:
        names = archive.namelist()
        libraries = {name: archive.read(name) for name in names if ".so" in Path(name).name}
    assert {"tillroll/aws/functions.py", "tillroll/ingest/forwarded.py", "msgspec/__init__.py"} <= set(names)
    assert not [name for name in names if "boto" in name or name.startswith(("tillroll/cli", "tillroll/web"))]
    assert any("msgspec" in name for name in libraries)
    assert any("zstd" in name for name in libraries)
    for name, data in libraries.items():
        assert data[:4] == b"\x7fELF", name
        assert int.from_bytes(data[18:20], "little") == ELF_MACHINE["aarch64"], name
        assert "cpython-313" in name or "abi3" in name, name
    has_kernel = any(name.startswith("tillroll/_kernel") for name in names)
    assert has_kernel == (platform.machine() == "aarch64")
    assert has_kernel != ("five times as long to decode, $0.000" in told.err)
