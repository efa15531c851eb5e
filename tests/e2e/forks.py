"""Processes of the command, forked from one that has imported it: to start from nothing takes each half a second.

A forked process is one of its own, with its directory, environment, pipes and signals. It ends as any does, but leaves
to the system what it has in memory. How the command starts from nothing, and how Python ends, is seen by the tests
that start it otherwise.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_MESSAGE_BYTES_MAX: Final = 1 << 20
_ROOMS: Final = ("cli", "web", "stores.sqlite")
_ROOMS_OF_AWS: Final = ("stores.dynamodb", "queues.sqs")
_OF_AWS: Final = {"tillroll.cli.work", "tillroll.aws.cli"}  # these need boto3


def _import(*, aws: bool) -> None:
    for room in _ROOMS + (_ROOMS_OF_AWS if aws else ()):
        package = importlib.import_module(f"tillroll.{room}")
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if found.name not in _OF_AWS:
                importlib.import_module(found.name)
    for name in _OF_AWS if aws else ():
        importlib.import_module(name)


def _serve(asked: socket.socket) -> None:
    """Fork for each that asks, until nobody can any more. Returns in the forked process, as what was asked for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()  # what a forked process does not write to, it does not copy
    while True:
        message, files, _, _ = socket.recv_fds(asked, _MESSAGE_BYTES_MAX, 4)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # those that have ended
                pass
        if not message:
            os._exit(0)
        if os.fork() == 0:
            asked.close()
            _watch(files)
            _become(json.loads(message), files)
            return
        for file in files:
            os.close(file)


def _watch(files: list[int]) -> None:
    """Tell who asked the number of a process, in which this returns, and how it ended."""
    with socket.socket(fileno=files.pop()) as told:
        number = os.fork()
        if number == 0:
            return
        for file in files:
            os.close(file)
        told.send(str(number).encode())
        _, status = os.waitpid(number, 0)
        told.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(what: dict[str, Any], files: list[int]) -> None:
    """Make this process as one that was started so."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, encoding=sys.stdin.encoding, errors=sys.stdin.errors, closefd=False)  # noqa: SIM115
    for name, number in (("stdout", 1), ("stderr", 2)):
        old = getattr(sys, name)
        new = open(number, "w", 1 if number == 2 else -1, old.encoding, old.errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, new)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(what["environment"])
    os.chdir(what["directory"])
    sys.argv[1:] = what["arguments"]


def _end(code: int) -> NoReturn:
    """End as Python does, but for taking apart all that was imported: it takes longer than most commands."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(
    arguments: Sequence[str], environment: Mapping[str, str], timeout_s: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    process = Forked(arguments, environment)
    try:
        out, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode or 0, out.decode(), errors.decode())


@cache
def _asks(*, aws: bool) -> socket.socket:
    """Start the process that is forked; it ends when this one has. One has what commands need on AWS besides."""
    asks, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("TILLROLL_")}
    with asked:
        command = [sys.executable, "-m", "tests.e2e.forks", str(asked.fileno()), *["aws"] * aws]
        paths = os.pathsep.join(path for path in sys.path if path)
        forked = subprocess.Popen(
            command,
            env=variables | {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
            pass_fds=[asked.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def end() -> None:
        asks.close()
        forked.wait()

    atexit.register(end)
    return asks


class Forked(subprocess.Popen[bytes]):
    """A forked process of the command, to be used as what `subprocess.Popen` returns."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        directory: Path | None = None,
        stdin: int | None = None,
        stderr: int | IO[bytes] = subprocess.PIPE,
    ) -> None:
        self.args, self.returncode = list(arguments), None
        self.stdin = self.stdout = self.stderr = None
        self._told, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        given, taken = os.pipe() if stdin == subprocess.PIPE else (os.open(os.devnull, os.O_RDONLY), -1)
        out, written = os.pipe()
        errors, errors_written = -1, -1
        if stderr == subprocess.PIPE:
            errors, errors_written = os.pipe()
        elif stderr == subprocess.DEVNULL:
            errors_written = os.open(os.devnull, os.O_WRONLY)
        else:
            errors_written = os.dup(stderr if isinstance(stderr, int) else stderr.fileno())
        what = {"arguments": self.args, "environment": dict(environment), "directory": str(directory or os.getcwd())}  # noqa: PTH109
        files = [given, written, errors_written]
        with told:
            asks = _asks(aws="AWS_ACCESS_KEY_ID" in environment)
            socket.send_fds(asks, [json.dumps(what).encode()], [*files, told.fileno()])
        for file in files:
            os.close(file)
        self.stdin = open(taken, "wb") if taken >= 0 else None  # noqa: PTH123, SIM115
        self.stdout = open(out, "rb")  # noqa: PTH123, SIM115
        self.stderr = open(errors, "rb") if errors >= 0 else None  # noqa: PTH123, SIM115
        self.pid = int(self._told.recv(32))

    def poll(self) -> int | None:
        """Return how it ended, None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Return how it ended. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                self.returncode = int(self._told.recv(32))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            self._told.close()
        return self.returncode

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def communicate(self, input: bytes | None = None, timeout: float | None = None) -> tuple[bytes, bytes]:  # noqa: A002
        """Write, read both outputs to their ends, and wait. Raises subprocess.TimeoutExpired."""
        got: dict[str, bytes] = {}

        def write() -> None:
            with suppress(BrokenPipeError), self.stdin or open(os.devnull, "wb") as file:  # noqa: PTH123
                file.write(input or b"")

        def read(name: str, file: IO[bytes] | None) -> None:
            if file is not None:
                with file:
                    got[name] = file.read()

        work = [
            threading.Thread(target=write, daemon=True),
            *[
                threading.Thread(target=read, args=(name, getattr(self, name)), daemon=True)
                for name in ("stdout", "stderr")
            ],
        ]
        for each in work:
            each.start()
        for each in work:
            each.join(timeout)
            if each.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(timeout)
        return got.get("stdout", b""), got.get("stderr", b"")

    def __del__(self) -> None:
        """Nothing is left to be waited for: who watches it does."""


if __name__ == "__main__":
    _import(aws=sys.argv[2:] == ["aws"])
    _serve(socket.socket(fileno=int(sys.argv[1])))
    from tillroll.cli.main import main

    try:
        main()
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        _end(ended.code or 0)
