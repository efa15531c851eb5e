"""The errors of an operation as a whole. What is wrong with one event is data, not an error.

Each carries what a person should do; entry points print it and exit with the code given here.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Final

AWS_EXTRA: Final = ("boto3>=1.44", "aws-lambda-powertools>=3.37")  # as pyproject.toml has it
PARQUET_EXTRA: Final = ("pyarrow>=26",)


class TillrollError(Exception):
    """Anything tillroll refuses or cannot do, with the remedy in its message."""

    exit_code = 1


class ConfigError(TillrollError):
    """A setting is missing, unknown or contradicts another."""

    exit_code = 2

    def __init__(self, setting: str, problem: str, remedy: str) -> None:
        super().__init__(f"{setting}: {problem}. {remedy}")
        self.setting = setting


class MissingPackageError(ConfigError):
    """A package of the AWS extra is needed and not installed."""

    def __init__(self, setting: str, package: str) -> None:
        super().__init__(setting, f"AWS needs {package}, which is not installed", f"Run {_install(AWS_EXTRA)}")


class ParquetMissingError(ConfigError):
    """A package of the Parquet extra is needed and not installed."""

    def __init__(self, package: str) -> None:
        problem = f"Parquet needs {package}, which is not installed"
        super().__init__("--format", problem, f"Run {_install(PARQUET_EXTRA)}")


class FieldsError(ConfigError):
    """A field that was kept with some events has no column."""

    def __init__(self, field: str) -> None:
        problem = f"some of these events have the kept field {field}, which has no column"
        super().__init__("--keep", problem, "Name every kept field, or write NDJSON, which has them all")


def _install(packages: tuple[str, ...]) -> str:
    """Return a command. Not by the extra's name: that would need to say where tillroll itself was installed from."""
    import shlex  # noqa: PLC0415 for this message alone

    return f"{shlex.quote(sys.executable)} -m pip install {' '.join(map(repr, packages))}"


class QueryError(TillrollError):
    """A question that no report can answer."""

    exit_code = 2

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        super().__init__(f"{field}: {problem}. {remedy}")
        self.field = field
        self.problem = problem
        self.remedy = remedy


class VersionGoneError(QueryError):
    """A question to a version of a report that was read a moment ago, and is no more."""

    def __init__(self, name: str) -> None:
        super().__init__("report", f"{name} was dropped or replaced by another version", "Try again")


class OutputError(TillrollError):
    """A file cannot be written."""

    exit_code = 2

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: cannot be written ({problem}). Name another file")


class DefinitionError(TillrollError):
    """A definition of a report that is none."""

    exit_code = 2

    def __init__(self, report: str, field: str, problem: str, remedy: str) -> None:
        where = f"report {report}: {field}" if report else field
        super().__init__(f"{where}: {problem}. {remedy}")
        self.report = report
        self.field = field
        self.problem = problem
        self.remedy = remedy


class CountingError(TillrollError):
    """A question to a report, or for a measure, that is being counted from the journal still."""

    exit_code = 5

    def __init__(self, name: str, done: int, total: int) -> None:
        share = f"{done:,} of {total:,}"
        super().__init__(
            f"{name} is being counted: {share} so far. Try again when `tillroll reports` says it is complete"
        )
        self.name = name
        self.done = done
        self.total = total


class StoreError(TillrollError):
    """The store cannot do it, now or at all."""

    exit_code = 4

    def __init__(self, problem: str, remedy: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{problem}. {remedy}")
        self.retry_after_s = retry_after_s


class BusyError(StoreError):
    """Others wrote first, every time. Nothing is wrong but that so many write at once."""


class StoreFullError(StoreError):
    """The disk under the store is full. Nothing that was acknowledged is lost."""


class StoreDamagedError(StoreError):
    """Something in the store is not what was written. Nothing is answered from it."""


class LaterFormatError(StoreError):
    """Something in the store is of a format that this tillroll does not know. It is not damaged, and left as it is."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, "Run the newest tillroll that has written to this store")


class StoreGoneError(StoreError):
    """A file of the store was deleted or replaced while it was open: what is written now, nobody would find."""

    def __init__(self, path: str, became: str) -> None:
        remedy = "Put the directory back, or restore it from a copy, then start tillroll again"
        super().__init__(f"{path} was {became} while it was open; nothing more is accepted", remedy)


class ServerError(TillrollError):
    """A server is not there, or refuses. `code` and `answer` are its problem's, where it has told one."""

    def __init__(self, message: str, exit_code: int, code: str = "", answer: bytes = b"") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.code = code
        self.answer = answer


class QueueError(TillrollError):
    """The queue cannot do it, now or at all."""

    exit_code = 4

    def __init__(self, problem: str, remedy: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{problem}. {remedy}")
        self.retry_after_s = retry_after_s


class ClockError(TillrollError):
    """Most of what comes is dated in the future: it may be this machine's clock that is wrong."""

    exit_code = 4

    def __init__(self, bodies: list[int], now_s: float) -> None:
        clock = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="seconds")
        problem = f"most events of the last minute are dated in the future, and this machine's clock says {clock}"
        super().__init__(f"{problem}. Nothing of them is kept: correct the clock, or the dates, then send again")
        self.bodies = bodies  # indexes of those concerned
        self.retry_after_s = 10.0


class OverloadedError(TillrollError):
    """More waits to be journaled than the server will hold."""

    exit_code = 4

    def __init__(self, bodies: int, size: int) -> None:
        super().__init__(f"{bodies} bodies of {size} bytes wait to be journaled. Send again in a second")
        self.retry_after_s = 1.0
