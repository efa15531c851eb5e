"""Counting in a process of its own: working out a stride there keeps no thread of this one waiting.

That process only reads. It is asked for one stride at a time through a pipe, ends where the pipe does, and lets
everything else on the machine go first. It cannot hold up a commit: it takes no lock that one needs.
"""

from __future__ import annotations

import logging
import os
import pickle
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from tillroll.errors import TillrollError
from tillroll.stores.sqlite.counting import Stride, Strides, Unnumbered
from tillroll.stores.sqlite.files import Files
from tillroll.stores.sqlite.merchants import SharedNames
from tillroll.stores.sqlite.readers import Readers
from tillroll.stores.sqlite.reports import Catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from tillroll.stores.sqlite.counting import Bounds

    Found: TypeAlias = Stride | Unnumbered | None

_log: Final = logging.getLogger(__name__)
_NICE: Final = 10  # gets on where the machine is never at rest, and takes a tenth of what others do
_PATIENCE_S: Final = 5.0  # with one that only has what nobody else wants,
_LEAST_SHARE: Final = 0.25  # and is to have so much of a processor
_AGAIN_S: Final = 60.0  # after which another process is tried where one failed
_IDLE_S: Final = 5.0  # after which one that has nothing to do is ended
_MAIN: Final = "import sys; sys.path[:] = {path!r}; from {module} import main; main(*sys.argv[1:])"


class CounterProcess:
    """A process that works out strides, started when it is first asked. One thread at a time uses it, save `close`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._asked_at = 0.0
        self._asked_s = 0.0  # how long the process was waited for
        self._failed_at = -_AGAIN_S
        self._idles = hasattr(os, "SCHED_IDLE")  # has only what nobody else wants, while it gets on so

    @property
    def pid(self) -> int | None:
        """The number of the process, None while there is none."""
        process = self._process
        return None if process is None else process.pid

    def next(self, bounds: Bounds, *, all_behind: bool, otherwise: Callable[[], Found]) -> Found:
        """Return the next stride as `Strides.next` does; where no process can be had, what another way gives."""
        if time.monotonic() - self._failed_at < _AGAIN_S:
            return otherwise()
        try:
            found = self._ask((bounds, all_behind))
        except (OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
            self.end()
            if self._closed:
                return None
            self._failed_at = time.monotonic()
            _log.warning("reports are counted within this process for a while: the one for it failed (%r)", error)
            return otherwise()
        self._asked_at = time.monotonic() if found is not None else self._asked_at
        if found is None and time.monotonic() - self._asked_at >= _IDLE_S:
            self.end()
        return otherwise() if isinstance(found, str) else found  # an error: it is raised here

    def _ask(self, request: tuple[Bounds, bool]) -> Found | str:
        process = self._process = self._process or self._start()
        if process.stdin is None or process.stdout is None:
            raise EOFError
        began = time.monotonic()
        pickle.dump(request, process.stdin)
        process.stdin.flush()
        if self._idles and not select.select([process.stdout], [], [], _PATIENCE_S)[0]:
            self._be_firmer()
            return self._ask(request)
        found: Found | str
        found, worked_s = pickle.load(process.stdout)  # noqa: S301 from this program, through a pipe of its own
        self._asked_s += time.monotonic() - began
        if self._idles and self._asked_s - worked_s > _PATIENCE_S and worked_s < self._asked_s * _LEAST_SHARE:
            self._be_firmer()
        return found

    def _be_firmer(self) -> None:
        """Have the next process take some of what others want."""
        self.end()
        self._idles = False

    def _start(self) -> subprocess.Popen[bytes]:
        main = _MAIN.format(path=sys.path, module=__name__)  # not by -m, which would look in the working directory
        command = [sys.executable, "-P", "-c", main, str(self._directory), "idle" if self._idles else "nice"]
        self._asked_s = 0.0
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 our own words

    def close(self) -> None:
        """End the process for good, from any thread."""
        self._closed = True
        self.end()

    def end(self) -> None:
        """End the process, whatever it does; it has nothing to lose."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # what was not sent yet
                        pipe.close()


def main(directory: str, priority: str) -> None:
    """Work out strides of the store in a directory as long as somebody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, which is for who asks
    os.nice(_NICE)
    if priority == "idle":
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    readers, strides = Readers(Files(Path(directory)), SharedNames(), Catalogue()), Strides()
    while True:
        try:
            bounds, all_behind = pickle.load(sys.stdin.buffer)  # noqa: S301 from this program
        except EOFError:
            return
        found: Found | str
        try:
            with readers.lend() as reader:
                found = strides.next(reader, bounds, all_behind=all_behind)
        except TillrollError as error:
            found = str(error)
        try:
            pickle.dump((found, time.process_time()), sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            os._exit(0)  # without a word on what cannot be written
