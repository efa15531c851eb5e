"""Take tables that were restored from a backup into use again. No I/O.

A backup is not of one instant for all items: it has all that was written a minute before it was asked for, nothing of a
minute after, and of what lies between any part
(https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateBackup.html). So of each table the last
quarter of an hour is taken for what may be there in part.

The ledger is cut after the last entry that is there with all before it and all its chunks. The fold goes back to a
position that was reached so long ago that all counters have it (`state.Folder.before`), and does again what came after,
which the counters that have it refuse. Where there is no such position, or the journal is not the one that was counted,
everything is counted again. What is of a later moment than the state of the fold - folders, counters of versions that
it does not know - goes, and no generation is used twice. So do rejected events of which some bytes are missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.stores.dynamodb import rejected
from tillroll.stores.dynamodb.calls import (
    Delete,
    Discard,
    DropState,
    QueryTable,
    Scan,
    ScanChunks,
    read_batch,
    run_call,
    run_calls,
)
from tillroll.stores.dynamodb.definitions import point_all
from tillroll.stores.dynamodb.fold import rebuild
from tillroll.stores.dynamodb.ledger import decode_entry, read_entry, read_head
from tillroll.stores.dynamodb.schema import (
    ANY_FOLD,
    EPOCH,
    FOLD_KEY,
    LEDGER,
    LedgerEntry,
    folder_key,
    is_state,
    pointer_key,
    version_of,
)
from tillroll.stores.dynamodb.state import (
    DOUBT_S,
    begun_at,
    generation_of,
    open_state,
    read_folders,
    read_least,
    replace_groups,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from tillroll.stores.dynamodb.calls import Call, ChunksReply, Context, Item, Procedure, QueryReply, ScanReply
    from tillroll.stores.dynamodb.state import Folder, FolderGroup, FoldState

# By the time that an entry says: its writer's, whose request may have been on its way for as long again.
_LEDGER_DOUBT_S: Final = 2 * DOUBT_S
_DELETES_AT_ONCE: Final = 500


class _Found(NamedTuple):
    """What a table has: the greatest generation, and up to which entries counters are folded beyond the position.

    An entry 0 stands for counters of a later epoch.
    """

    generation: int
    folds: set[int]


def accept_restored(context: Context) -> Procedure[int]:
    """Make tables that were restored agree; return how many events of the journal were there in part, and are cut off.

    Nobody else may use the tables meanwhile. Killed anywhere and called again, it goes on. Folding is left to the next.

    Raises:
        StoreError: the journal is damaged, other than by a restore.
    """
    lost = yield from _cut_ledger(context)
    yield from rejected.drop_partial(context)
    state = yield from open_state(context)
    found = yield from _clean(context, state)
    begun = None
    if (yield from _is_counted_from_here(context, state, found)):
        begun = yield from _groups_before(context, state)
    if begun is None:
        yield from rebuild(context, None)
    else:
        yield from replace_groups(context, state, begun, found.generation)
        yield from point_all(context)
    return lost


def _cut_ledger(context: Context) -> Procedure[int]:
    head = yield from read_head(context)
    entries = yield from _last_entries(context, head.number, head.entry.at)
    numbers = sorted(entries)
    is_older = bool(numbers) and entries[numbers[0]].at < head.entry.at - _LEDGER_DOUBT_S
    certain = end = numbers.pop(0) if is_older else 0
    last = entries.get(end, LedgerEntry())
    for number in numbers:
        if number != end + 1 or not (yield from _is_whole(context, number, last, entries[number])):
            break
        end, last = number, entries[number]
    listed = {(ref.log, ref.number) for number in numbers if number <= end for ref in entries[number].chunks}
    yield from _delete_chunks_after(context, certain, listed)
    lost = [number for number in reversed(numbers) if number > end]
    for number in lost:  # from the last on: the ledger never has a gap that was not there
        yield from run_call(context, Delete(LEDGER, number))
    return max(0, head.entry.events - last.events) if lost else 0


def _last_entries(context: Context, head: int, at: float) -> Procedure[dict[int, LedgerEntry]]:
    """Read the entries of the last minutes, and one that is older."""
    entries: dict[int, LedgerEntry] = {}
    last: int | None = head + 1
    while last is not None:
        reply: QueryReply = yield from run_call(context, QueryTable(LEDGER, last, falling=True))
        for number, entry in map(decode_entry, reply.items):
            entries[number] = entry
            if entry.at < at - _LEDGER_DOUBT_S:
                return entries
        last = reply.last
    return entries


def _is_whole(context: Context, number: int, before: LedgerEntry, entry: LedgerEntry) -> Procedure[bool]:
    """Tell whether an entry follows the one before, and all its chunks are there."""
    if entry.events != before.events + sum(ref.events for ref in entry.chunks):
        return False
    keys = [(ref.log, ref.number) for ref in entry.chunks]
    found = yield from read_batch(context, "journal", keys)
    return [int(item["entry"]) for item in found] == [number] * len(keys)


def _delete_chunks_after(context: Context, entry: int, listed: AbstractSet[tuple[str, int]]) -> Procedure[None]:
    """Delete what no entry lists: repeats of it would be taken for what is counted."""
    last: tuple[str, int] | None = None
    while True:
        reply: ChunksReply = yield from run_call(context, ScanChunks(entry, last))
        keys = [key for key in reply.keys if key not in listed]
        for at in range(0, len(keys), _DELETES_AT_ONCE):
            yield from run_calls(context, [Delete(log, number) for log, number in keys[at : at + _DELETES_AT_ONCE]])
        last = reply.last
        if last is None:
            return


def _is_counted_from_here(context: Context, state: FoldState, found: _Found) -> Procedure[bool]:
    """Tell whether every counter was counted from the journal as it is now."""
    ends: set[tuple[int, str]] = set()
    for group in state.groups:
        folders = yield from read_folders(context, group)
        ends |= {(folder.position, folder.token) for folder in folders}
        ends |= {(folder.until, folder.until_token) for folder in folders if folder.until}
        ends |= {(group.first, group.first_token)} if group.first else set()
    for number, token in ends:
        entry = yield from read_entry(context, number)
        if number and (entry is None or entry.token != token):
            return False
    for number in found.folds:
        entry = yield from read_entry(context, number)
        if entry is None or not entry.mark:
            return False
    return True


def _clean(context: Context, state: FoldState) -> Procedure[_Found]:
    """Delete what a later moment than the state's has left, and return what else the table has."""
    least = yield from read_least(context, state.main)
    stands = {version.key for version in state.versions if version.state != "gone"}
    known = {FOLD_KEY} | {folder_key(group.id, number) for group in state.groups for number in range(group.folders)}
    known |= {pointer_key(version.name) for version in state.versions}
    generation, folds = state.generation, set[int]()
    last: str | None = None
    while True:
        reply: ScanReply = yield from run_call(context, Scan(last))
        going: list[Call] = []
        for item in reply.items:
            key = str(item["datapoint"])
            generation = max(generation, generation_of(item))
            if is_state(key):
                going += [DropState(key)] if generation_of(item) and key not in known else []
            elif version_of(key) and version_of(key) not in stands:
                going.append(Discard(key, ANY_FOLD))
            else:
                folds |= _fold_after(state, least.position, item)
        yield from run_calls(context, going)
        last = reply.last
        if last is None:
            return _Found(generation, folds)


def _fold_after(state: FoldState, position: int, item: Item) -> set[int]:
    epoch, number = divmod(int(item.get("fold", 0)), EPOCH)
    if epoch > state.epoch:
        return {0}
    return {number} if epoch == state.epoch and number > position else set()


def _groups_before(context: Context, state: FoldState) -> Procedure[Sequence[FolderGroup] | None]:
    """Return groups that begin where all counters of these have come for certain; None when that is not known."""
    groups: list[FolderGroup] = []
    for group in state.groups:
        folders: list[Folder] = yield from read_folders(context, group)
        before, token = min(folder.past for folder in folders)
        if before or before < group.first or not max(folder.position for folder in folders):
            groups.append(begun_at(group, before, token, context.clock(), folders))
        else:
            return None
    return groups
