"""Definitions: the versions of reports of one's own, as they are stored and read. No I/O.

The state of the fold lists the versions (`state`), so that whatever becomes of one is one write, on condition
that nobody else has changed the list. The text of a definition has an item of its own, under its digest: what a version
counts cannot change.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tillroll.core.definition import FORMAT, read_definition
from tillroll.core.report import FIVE, Report, Reports
from tillroll.core.versions import Version, applied, dropped
from tillroll.errors import LaterFormatError, StoreError
from tillroll.ports import ReportState
from tillroll.stores.dynamodb.calls import ConditionFailed, Get, PutState, read_batch, run_call, run_calls
from tillroll.stores.dynamodb.ledger import append_mark, read_head
from tillroll.stores.dynamodb.schema import definition_key, pointer_key
from tillroll.stores.dynamodb.state import (
    FolderGroup,
    FoldState,
    change_state,
    least_of,
    open_state,
    read_folders,
    read_main,
    read_state,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tillroll.core.definition import Definition
    from tillroll.stores.dynamodb.calls import Context, Item, Procedure
    from tillroll.stores.dynamodb.state import Folder

_DIGEST_BYTES: Final = 16


def digest_of(text: str) -> str:
    """Return what the text of a definition is stored under."""
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def apply(context: Context, definitions: Sequence[Definition]) -> Procedure[None]:
    """Store definitions; see ports.Definitions. Of two who do so at once the second sees what the first has done.

    Raises:
        StoreError: the tables are of 0.1.0, and have no amounts yet.
    """
    while True:
        state = yield from open_state(context)
        changed = applied((yield from _with_texts(context, state)), definitions)
        if not changed:
            return
        if not state.epoch:
            problem = "these tables are of tillroll 0.1.0, and are counted again first, for amounts"
            raise StoreError(problem, "Wait for the next fold; of a large journal run tillroll rebuild (docs/aws.md)")
        head = yield from append_mark(context, even_at_0=True)
        yield from _put_texts(context, [version.definition for version in changed])
        changed = [each._replace(definition=digest_of(each.definition), position=None) for each in changed]
        own = tuple(version.key for version in changed if version.stands)
        group = FolderGroup(
            state.generation + 1, own, state.main.folders, first=head.number, first_token=head.entry.token
        )
        groups = (*state.groups, group) if own else state.groups
        after = state._replace(groups=groups, versions=merged(state.versions, changed))
        if (yield from change_state(context, state, after)):
            return


def drop(context: Context, name: str) -> Procedure[bool]:
    """Forget a report; see ports.Definitions."""
    while True:
        state = yield from open_state(context)
        changed = dropped(state.versions, name)
        if not changed:
            return False
        after = state._replace(versions=merged(state.versions, changed))
        if (yield from change_state(context, state, after)):
            yield from point(context, state.generation + 1, name, 0)
            return True


def catalogue(context: Context) -> Procedure[Reports]:
    """Return the reports that can be read: the five, and those of one's own that are whole."""
    state = yield from read_state(context)
    found = yield from _reports(context, (each for each in state.versions if each.state == "readable"))
    return Reports([*FIVE, *(report for report in found.values() if report is not None)])


def reports_of(context: Context, state: FoldState, group: FolderGroup) -> Procedure[list[Report]]:
    """Return the reports that a group counts.

    Raises:
        LaterFormatError: a later release defined one so that this one cannot count it.
    """
    found = yield from _reports(context, state.standing(group))
    unknown = sorted(version.name for version, report in found.items() if report is None)
    if unknown:
        problem = f"a later tillroll defined {', '.join(unknown)} in a format that this one cannot count"
        raise LaterFormatError(f"{problem} (it knows formats up to {FORMAT}), so nothing is folded")
    own = [report for report in found.values() if report is not None]
    return [*FIVE, *own] if group == state.main else own


def report_states(context: Context) -> Procedure[list[ReportState]]:
    """Return every version; see ports.Definitions."""
    head = yield from read_head(context)
    state, main_folders, positions = yield from _read_progress(context)
    main = least_of(main_folders)
    found = yield from _reports(context, (version for version in state.versions if version.stands))
    five = [ReportState(report, readable=True, position=main.position, journal_position=head.number) for report in FIVE]
    return five + [
        ReportState(report, version.state == "readable", positions[version.key], head.number)
        for version, report in found.items()
        if report is not None
    ]


def _read_progress(context: Context) -> Procedure[tuple[FoldState, list[Folder], dict[str, int]]]:
    """Read the state, the folders of its main group, and about how far each version is, all of one state.

    A group that joins another meanwhile has no folders any more, and would seem to begin.
    """
    while True:
        state, main_folders = yield from read_main(context)
        positions = dict.fromkeys(state.main.own, min(map(_progress, main_folders)))
        for group in state.groups[1:]:
            positions |= dict.fromkeys(group.own, min(map(_progress, (yield from read_folders(context, group)))))
        if len(state.groups) == 1 or (yield from read_state(context)).groups == state.groups:
            return state, main_folders, positions


def _progress(folder: Folder) -> int:
    """Return about how far a folder is: its slices are equal parts of the range under way."""
    return folder.position + (folder.until - folder.position) * folder.slice // max(1, folder.slices)


def point(context: Context, generation: int, name: str, version: int, *, is_next: bool = False) -> Procedure[None]:
    """Have the item `|NAME|` name the version that is read, 0 for none.

    It has the generation of the state that says so: an earlier decision cannot come after a later one. `is_next` says
    that this state does not say so yet, but the next will: that comes after what it does say.
    """
    key = pointer_key(name)
    item: Item = {"datapoint": key, "events": 0, "amount": 0, "version": version, "generation": generation}
    while True:
        before: Item | None = yield from run_call(context, Get(key))
        if before is not None and (int(before["generation"]) >= generation + is_next or before == item):
            return
        try:
            yield from run_call(context, PutState(item, before))
        except ConditionFailed:
            continue


def point_all(context: Context) -> Procedure[None]:
    """Have every item `|NAME|` say what the state says, after a restore in which they may be of other moments."""
    state = yield from open_state(context)
    read = {version.name: version.version for version in state.versions if version.state == "readable"}
    for name in {version.name for version in state.versions}:
        yield from point(context, state.generation, name, read.get(name, 0))


def merged(versions: Sequence[Version], changed: Iterable[Version]) -> tuple[Version, ...]:
    """Return versions with some new or changed. Of those that are gone the last of a name stays: its number is used."""
    every = {(each.name, each.version): each for each in (*versions, *changed)}
    last = {each.name: each.version for _, each in sorted(every.items())}
    return tuple(each for _, each in sorted(every.items()) if each.state != "gone" or each.version == last[each.name])


def _put_texts(context: Context, texts: Sequence[str]) -> Procedure[None]:
    """Store the texts of definitions under their digests; who finds one there finds the same."""
    calls = [
        PutState({"datapoint": definition_key(digest_of(text)), "events": 0, "amount": 0, "text": text}, None)
        for text in texts
    ]
    yield from run_calls(context, calls)


def _with_texts(context: Context, state: FoldState) -> Procedure[list[Version]]:
    """Return the versions with the texts of their definitions in the place of the digests, where they stand."""
    stands = [version for version in state.versions if version.stands]
    yield from _read_texts(context, stands)
    texts = context.definitions
    return [each._replace(definition=texts[each.definition]) if each.stands else each for each in state.versions]


def _reports(context: Context, versions: Iterable[Version]) -> Procedure[dict[Version, Report | None]]:
    """Return the reports that versions are, None of a later format."""
    wanted = list(versions)
    yield from _read_texts(context, wanted)
    return {version: _report(context.definitions[version.definition], version.version) for version in wanted}


@lru_cache(1_000)
def _report(text: str, version: int) -> Report | None:
    definition = read_definition(text)
    return None if definition is None else definition.report(version)


def _read_texts(context: Context, versions: Sequence[Version]) -> Procedure[None]:
    """Have the texts of versions' definitions at hand.

    Raises:
        StoreError: one is missing, or is not what was stored.
    """
    unknown = {version.definition for version in versions} - context.definitions.keys()
    items = (yield from read_batch(context, "aggregates", sorted(map(definition_key, unknown)))) if unknown else []
    for text in (str(item["text"]) for item in items):
        context.definitions[digest_of(text)] = text
    for version in versions:
        if version.definition not in context.definitions:
            problem = f"the definition of {version.name} is missing or damaged ({definition_key(version.definition)})"
            raise StoreError(problem, "Drop the report and apply it again, or restore the aggregates table")
