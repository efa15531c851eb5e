"""What a store says of bytes that are not what it wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tillroll.core.chunk import ChunkError
from tillroll.core.rejection import GroupError
from tillroll.errors import StoreDamagedError

if TYPE_CHECKING:
    from pathlib import Path

GO_ON: Final = "Restore the file from a copy; or go on with what is left of it: tillroll rebuild"  # what no journal has
RECOUNT: Final = "Count it again from the journal with: tillroll audit --repair"
RECOUNT_ALL: Final = "Count the aggregates again from the journal with: tillroll audit --repair"


class DamageError(ValueError):
    """Something in the file is not what was written there. Nothing is answered from it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}")
        self.problem = problem
        self.remedy = remedy


class UnfoldableError(StoreDamagedError):
    """The aggregates, or the names of the merchants, are damaged: nothing can be counted into them."""

    def __init__(self, problem: str, remedy: str, *, names: bool) -> None:
        super().__init__(problem, remedy)
        self.names = names


def damaged(path: Path, error: ValueError) -> StoreDamagedError:
    """Return the error for bytes in the file that are not what was written."""
    return StoreDamagedError(*damage_of(path, error))


def damage_of(path: Path, error: ValueError) -> tuple[str, str]:
    """Return the problem and the remedy of bytes in the file that are not what was written."""
    match error:
        case DamageError():
            return f"{path}: {error.problem}", error.remedy
        case GroupError():
            return f"{path}: {error}", "Restore the file from a copy; no count is concerned"
        case ChunkError():
            return f"{path}: {error}", "Run tillroll audit to see which chunk it is"
        case _:
            return f"{path}: an aggregate is damaged ({error})", "Count the journal again with: tillroll rebuild"
