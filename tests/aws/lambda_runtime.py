"""Runs a function's package as Lambda does: Amazon's Runtime Interface Emulator, and awslambdaric in it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import urllib.error
import urllib.request
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.aws.deployed import RUNTIME, wait_until
from tests.aws.fetch_environments import install
from tests.ports import free_port

from tillroll.aws import package

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PATH = "/2015-03-31/functions/function/invocations"


class Runtime:
    """A running emulator with one function."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self._process = process
        self._url = f"http://127.0.0.1:{port}{_PATH}"
        self.log = log

    def invoke(self, event: Mapping[str, Any], *, within_s: float = 120) -> Any:
        """Call the function and return what it returned, or the error that Lambda would report."""
        request = urllib.request.Request(self._url, json.dumps(event).encode())
        try:
            with urllib.request.urlopen(request, timeout=within_s) as reply:
                body = reply.read()
        except urllib.error.HTTPError as error:
            with error:
                body = error.read()
        try:
            return json.loads(body)
        except ValueError:
            return {"errorType": "Runtime", "errorMessage": body.decode(errors="replace")}

    def pid(self) -> int | None:
        """Return the process id of the function's Python, None when there is none just now."""
        for entry in Path("/proc").iterdir():
            try:
                if not entry.name.isdigit() or b"awslambdaric" not in (entry / "cmdline").read_bytes():
                    continue
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == self._process.pid:
                return int(entry.name)
        return None


def unpack(directory: Path) -> Path:
    """Build the package for this machine and unpack it, as Lambda does."""
    architecture: package.Architecture = "x86_64" if platform.machine() == "x86_64" else "arm64"
    built = package.build(directory, architecture, RUNTIME)
    code = directory / "code"
    with zipfile.ZipFile(built.path) as archive:
        archive.extractall(code)
    return code


@contextmanager
def running(code: Path, handler: str, log: Path, given: Mapping[str, str], *, timeout_s: int = 60) -> Iterator[Runtime]:
    """Run a handler of an unpacked package until the block ends."""
    environment = install("rie")
    machine = "x86_64" if platform.machine() == "x86_64" else "arm64"
    samcli = next(environment.glob("lib/python*/site-packages/samcli/local/rapid"))
    port, api = free_port(), free_port()
    command = [
        str(samcli / f"aws-lambda-rie-{machine}"),
        *("--log-level", "error"),
        *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{api}"),
        str(environment / "bin" / "python"),
        *("-m", "awslambdaric", handler),
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TILLROLL_"))}
    variables = {
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_s),
        "AWS_LAMBDA_FUNCTION_NAME": "take-batch",
        "POWERTOOLS_SERVICE_NAME": "tillroll",
        "PYTHONPATH": str(code),
        "LAMBDA_TASK_ROOT": str(code),
        **given,
    }
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=kept | variables, stdout=output, stderr=output, cwd=code)
    try:
        wait_until(lambda: _listens(port), "the emulator's port")
        yield Runtime(process, port, log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
    return True
