"""Planted faults of what is done after a restore, and of recounts: each leaves out one step."""

from __future__ import annotations

from typing import Any, Final

from tests.simulation.dynamodb_model import Unguarded
from tests.simulation.planted import Planted
from tests.simulation.restores import DEFINED, REBUILT, SKEWED

from tillroll.stores.dynamodb import fold, restore, state
from tillroll.stores.dynamodb.calls import Count
from tillroll.stores.dynamodb.fold import _FolderWork
from tillroll.stores.dynamodb.state import Folder

_call = _FolderWork._call


def _nothing(*_: Any) -> Any:
    yield from ()


def _zero(*_: Any) -> Any:
    yield from ()
    return 0


def _zeros(*_: Any) -> Any:
    yield from ()
    return 0, 0


def _yes(*_: Any) -> Any:
    yield from ()
    return True


def _no_generation(_: Any) -> int:
    return 0


def _none(_: str) -> str:
    return ""


_just_now: Final = property(lambda folder: (folder.position, folder.token))


def _unchecked(*_: Any) -> None:
    pass


def _older_added_to(self: _FolderWork, key: str, found: Any, until: int, *, anew: bool) -> Count:
    """Add to a counter of an older epoch, though that has another journal's events."""
    count = _call(self, key, found, until, anew=anew)
    return Count(key, count.report, count.events, count.amount, count.fold, 0, anew=anew)


PLANTED: Final = (
    Planted(
        "a restored journal is not noticed",
        60,
        (
            (fold, "check_token", _unchecked),
            (fold, "_check_declared", _unchecked),
            (restore, "_is_counted_from_here", _yes),
        ),
    ),
    Planted("the position does not go back after a restore", 60, ((Folder, "past", _just_now),), SKEWED),
    Planted("what is of a later generation is taken over", 300, ((restore, "generation_of", _no_generation),), DEFINED),
    Planted("counters of a version that there is not are left", 300, ((restore, "version_of", _none),), DEFINED),
    Planted("a ledger in parts is not cut", 60, ((restore, "_cut_ledger", _zero),)),
    Planted("chunks that no entry lists are left", 60, ((restore, "_delete_chunks_after", _nothing),)),
    Planted("the epoch of a counter is not checked", 60, ((_FolderWork, "_call", _older_added_to),)),
    Planted("a recount leaves what it lacks", 60, ((_FolderWork, "_discard_older", _nothing),)),
    Planted("an epoch that counters have is taken again", 1_500, ((state, "_greatest", _zeros),), REBUILT),
    Planted("the guard is left out", 60, ((fold, "Count", Unguarded),)),
)
