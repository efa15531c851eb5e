"""Count versions of reports that lag behind, let those that are whole be read, and delete what was dropped. No I/O.

A new version is counted by a group of its own: the range (0, H] first, H being a mark that stands in the group, then
mark by mark. When it stands where the reports do it joins the main group, which so begins anew, at its least position:
what the version has taken of that already its counters refuse. Then the item `|NAME|` names it, then the state says
that it is read, and only after that what was read before is deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.core.versions import swapped
from tillroll.stores.dynamodb.calls import Discard, Sleep, run_calls
from tillroll.stores.dynamodb.definitions import merged, point
from tillroll.stores.dynamodb.fold import StaleError, fold_group, is_taken
from tillroll.stores.dynamodb.listing import Listing
from tillroll.stores.dynamodb.pace import UNITS_A_WRITE
from tillroll.stores.dynamodb.schema import ANY_FOLD, HIGHEST, LOWEST
from tillroll.stores.dynamodb.state import (
    begun_at,
    change_state,
    drop_folders,
    read_folders,
    read_least,
    read_state,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tillroll.core.versions import Version
    from tillroll.stores.dynamodb.calls import Context, Procedure
    from tillroll.stores.dynamodb.state import Folder, FolderGroup, FoldState

_DELETES_AT_ONCE: Final = 500
_PAUSE_S: Final = 0.5  # when others do what is to be done


def count_some(context: Context, may_go_on: Callable[[], bool]) -> Procedure[bool]:
    """Do some of what is to be done for versions that lag or were dropped; see ports.Definitions."""
    state = yield from read_state(context)
    if not _is_left(state):
        return False
    worker = context.token()
    lagging = [group for group in state.groups[1:] if state.standing(group)]
    if context.pace is not None and (yield from _is_counted_by_another(context, lagging)):
        yield Sleep(_PAUSE_S)
        lagging = []
    for group in lagging:
        before = yield from read_folders(context, group)
        try:
            yield from fold_group(context, state, group, worker, may_go_on, to_head=False, alone=True)
        except StaleError:
            return True
        if may_go_on() and (yield from read_folders(context, group)) == before:
            yield Sleep(_PAUSE_S)
    for step in (_join, _let_read, _delete_dropped):
        state = yield from read_state(context)
        if _is_left(state):
            yield from step(context, state, may_go_on)
    return _is_left((yield from read_state(context)))


def _is_counted_by_another(context: Context, groups: Sequence[FolderGroup]) -> Procedure[bool]:
    folders = yield from _all_folders(context, groups)
    return any(is_taken(folder, "", context.clock()) for folder in folders)


def _is_left(state: FoldState) -> bool:
    """Tell whether there is something to do. Tables of 0.1.0 have no versions."""
    return len(state.groups) > 1 or any(version.state in {"counting", "dropped"} for version in state.versions)


def _join(context: Context, state: FoldState, _: Callable[[], bool]) -> Procedure[None]:
    """Let versions that stand where the reports do be counted with them, by a group that begins at the least."""
    main = yield from read_least(context, state.main)
    lagging = [group for group in state.groups[1:] if state.standing(group)]
    joining = []
    for group in lagging:
        stands = yield from _stands(context, group, state.main)
        joining += [group] if stands else []
    begun = state.main
    if joining:
        keys = tuple(version.key for group in (state.main, *joining) for version in state.standing(group))
        new = msgspec.structs.replace(state.main, id=state.generation + 1, own=keys)
        folders = yield from _all_folders(context, (state.main, *joining))
        begun = begun_at(new, main.position, main.token, context.clock(), folders)
    groups = (begun, *(group for group in lagging if group not in joining))
    if groups != state.groups and (yield from change_state(context, state, state._replace(groups=groups))):
        yield from drop_folders(context, [group for group in state.groups if group not in groups])


def _all_folders(context: Context, groups: Sequence[FolderGroup]) -> Procedure[list[Folder]]:
    found: list[Folder] = []
    for group in groups:
        found += yield from read_folders(context, group)
    return found


def _stands(context: Context, group: FolderGroup, main: FolderGroup) -> Procedure[bool]:
    """Tell whether a group has come as far as the main one, and neither is in its first range."""
    least = yield from read_least(context, group)
    others = yield from read_least(context, main)
    return bool(others.position >= main.first and least.position >= max(others.position, group.first))


def _let_read(context: Context, state: FoldState, _: Callable[[], bool]) -> Procedure[None]:
    """Let versions be read that are counted with the reports."""
    whole = [version for version in state.standing(state.main) if version.state == "counting"]
    main = yield from read_least(context, state.main)
    if not whole or main.position < state.main.first:
        return
    for version in whole:
        yield from point(context, state.generation, version.name, version.version, is_next=True)
    after = state._replace(versions=merged(state.versions, swapped(state.versions, whole)))
    yield from change_state(context, state, after)


def _delete_dropped(context: Context, state: FoldState, may_go_on: Callable[[], bool]) -> Procedure[None]:
    """Delete the counters of dropped versions, having seen to it that nobody is told to read them.

    What the index had none of is gone. What a late worker still writes there meets nobody: the number is never used
    again.
    """
    gone = []
    for version in [each for each in state.versions if each.state == "dropped"]:
        names = (each.version for each in state.versions if each.name == version.name and each.state == "readable")
        yield from point(context, state.generation, version.name, next(names, 0))
        if not (yield from _delete(context, version, may_go_on)):
            gone.append(version._replace(state="gone"))
    if gone:
        yield from change_state(context, state, state._replace(versions=merged(state.versions, gone)))


def _discard(context: Context, keys: Sequence[str]) -> Procedure[None]:
    at_once = len(keys) if context.pace is None else context.pace.writes_at_once
    for at in range(0, len(keys), at_once or 1):
        calls = [Discard(key, ANY_FOLD) for key in keys[at : at + at_once]]
        if context.pace is not None:
            yield from context.pace.wait()
            context.pace.took(UNITS_A_WRITE * len(calls))
        yield from run_calls(context, calls)


def _delete(context: Context, version: Version, may_go_on: Callable[[], bool]) -> Procedure[bool]:
    """Delete counters of a version; return whether there were any."""
    listing, found = Listing(context, version.key, LOWEST, HIGHEST), False
    while not listing.done:
        keys = yield from listing.next(_DELETES_AT_ONCE)
        yield from _discard(context, keys)
        found = found or bool(keys)
        if not may_go_on():
            return found or not listing.done
    return found
