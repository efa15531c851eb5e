"""The tillroll that is attacked: the one here, or that of another tree."""

from __future__ import annotations

import itertools
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from tests.e2e import http_server
from tests.e2e.command import command, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.http_server import Running


class BrokenError(Exception):
    """An attack has succeeded."""


def holds(holding: bool, broken: str) -> None:  # noqa: FBT001
    """Go on if what should hold does.

    Raises:
        BrokenError: it does not; with what was seen.
    """
    if not holding:
        raise BrokenError(broken)


class Target:
    """A tree to be attacked, and a directory for each attack."""

    def __init__(self, directory: Path, tree: Path | None = None) -> None:
        self._directory = directory
        self._variables = {} if tree is None else {"PYTHONPATH": str(tree / "src")}
        self._numbers = itertools.count()

    def directory(self) -> Path:
        """Return a new directory."""
        made = self._directory / str(next(self._numbers))
        made.mkdir(parents=True)
        return made

    @contextmanager
    def serving(
        self, *flags: str, directory: Path | None = None, code: str | None = None, **variables: str
    ) -> Iterator[Running]:
        """Serve for the body's time, by some code if it is given."""
        directory = self.directory() if directory is None else directory
        with http_server.serving(directory, *flags, code=code, **self._variables, **variables) as running:
            yield running

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment of a process of the target's."""
        return environment(**self._variables, **variables)

    def run(self, *arguments: str | Path, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end."""
        return subprocess.run(
            command(*arguments),
            input=stdin,
            capture_output=True,
            env=self.environment(**variables),
            check=False,
            timeout=50,
        )

    def starts(self, **variables: str) -> bool:
        """Tell whether a server starts under some settings."""
        directory = self.directory()
        try:
            with self.serving(directory=directory, **variables):
                return True
        except AssertionError:  # it said why in its log
            return False


class Attack(NamedTuple):
    """One attack: the row of the threats it is of, what it tries, and how. It returns what was seen if it fails."""

    row: int
    tries: str
    attempt: Callable[[Target], str]
