"""Names of merchants, for people: a file of `id,name` lines that the operator keeps. Numbers never depend on it."""

from __future__ import annotations

import csv
import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tillroll.core.text import is_name, shown
from tillroll.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

_log: Final = logging.getLogger(__name__)
_LOOK_S: Final = 1.0
_SETTING: Final = "merchants"
_HEAD: Final = ["id", "name"]


class MerchantNames:
    """The names in a file, read again when it has changed. Safe to call from any thread."""

    def __init__(self, path: str) -> None:
        """Read the file; an empty path is no names.

        Raises:
            ConfigError: it cannot be read, or a line is not an id and a name.
        """
        self._path = path
        self._lock = threading.Lock()
        self._stamp = _stamp(path) if path else None
        self._names = _read(path) if path else {}
        self._looked_at = time.monotonic()

    def __bool__(self) -> bool:
        return bool(self._path)

    def of(self, ids: Iterable[str]) -> dict[str, str]:
        """Return the names of those that have one."""
        names = self._now()
        return {each: names[each] for each in ids if each in names}

    def find(self, containing: str, limit: int) -> list[str]:
        """Return ids whose names contain a text, whatever the case: those whose begin with it first, then by name."""
        wanted = containing.casefold()
        found = [(name.casefold(), each) for each, name in self._now().items() if wanted in name.casefold()]
        return [each for _, each in sorted(found, key=lambda one: (not one[0].startswith(wanted), *one))[:limit]]

    def _now(self) -> dict[str, str]:
        if self._path and time.monotonic() - self._looked_at > _LOOK_S:
            with self._lock:
                self._look()
        return self._names

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._names, self._stamp = _read(self._path), stamp
        except ConfigError as error:  # the names of before stay
            _log.warning("%s", error)


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return found.st_mtime_ns, found.st_size


def _read(path: str) -> dict[str, str]:
    names: dict[str, str] = {}
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.reader(file, strict=True), 1):
                if not row or (number == 1 and [each.strip().lower() for each in row] == _HEAD):
                    continue
                if len(row) != len(_HEAD) or not all(is_name(each.strip()) for each in row):
                    problem = f"line {number} of {path} is {shown(','.join(row))!r}"
                    raise ConfigError(_SETTING, problem, "Write an id and a name, separated by a comma, on each line")
                names[row[0]] = row[1].strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error
    return names


def _unreadable(path: str, error: Exception) -> ConfigError:
    return ConfigError(_SETTING, f"{path} cannot be read ({error})", "Name a CSV file of lines id,name, in UTF-8")
