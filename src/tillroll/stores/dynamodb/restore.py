"""Take tables that were restored from a backup into use again. No I/O.

A backup need not be of one instant for all items: updates that it has and updates that it lacks may be less than a
second apart (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CreateBackup.html). So of each table the
last ten minutes are taken for what may be there in part. The ledger is cut after the last entry that is there with all
before it and all its chunks. The position goes back by ten minutes and the fold does these again, which the counters
that have taken them refuse. Where the journal is not the one that was counted, everything is counted again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.stores.dynamodb.calls import Delete, QueryTable, Scan, ScanChunks, read_batch, run_call, run_calls
from tillroll.stores.dynamodb.fold import rebuild
from tillroll.stores.dynamodb.ledger import decode_entry, read_entry, read_head
from tillroll.stores.dynamodb.schema import EPOCH, FOLD_KEY, LEDGER, is_state
from tillroll.stores.dynamodb.state import open_state, put_state, read_folders, read_least

if TYPE_CHECKING:
    from tillroll.stores.dynamodb.calls import ChunksReply, Context, Procedure, QueryReply, ScanReply
    from tillroll.stores.dynamodb.schema import LedgerEntry
    from tillroll.stores.dynamodb.state import FoldState, Group

_DOUBT_S: Final = 600.0
_DELETES_AT_ONCE: Final = 500


def accept_restored(context: Context) -> Procedure[int]:
    """Make tables that were restored agree; return how many events of the journal were there in part, and are cut off.

    Nobody else may use the tables meanwhile. Killed anywhere and called again, it goes on. Folding is left to the next.

    Raises:
        StoreError: the journal is damaged, other than by a restore.
    """
    lost = yield from _cut_ledger(context)
    state = yield from open_state(context)
    if (yield from _is_counted_from_here(context, state)):
        yield from _go_back(context, state)
    else:
        yield from rebuild(context, None)
    return lost


def _cut_ledger(context: Context) -> Procedure[int]:
    head = yield from read_head(context)
    entries = yield from _last_entries(context, head.number, head.entry.at)
    numbers = sorted(entries)
    is_older = bool(numbers) and entries[numbers[0]].at < head.entry.at - _DOUBT_S
    end = numbers.pop(0) if is_older else 0
    for number in numbers:
        if number != end + 1 or not (yield from _has_chunks(context, entries[number])):
            break
        end = number
    yield from _delete_chunks_after(context, end)
    lost = [number for number in reversed(numbers) if number > end]
    for number in lost:  # from the last on: the ledger never has a gap that was not there
        yield from run_call(context, Delete(LEDGER, number))
    before = entries[end].events if end in entries else 0
    return max(0, head.entry.events - before) if lost else 0


def _last_entries(context: Context, head: int, at: float) -> Procedure[dict[int, LedgerEntry]]:
    """Read the entries of the last minutes, and one that is older."""
    entries: dict[int, LedgerEntry] = {}
    last: int | None = head + 1
    while last is not None:
        reply: QueryReply = yield from run_call(context, QueryTable(LEDGER, last, falling=True))
        for number, entry in map(decode_entry, reply.items):
            entries[number] = entry
            if entry.at < at - _DOUBT_S:
                return entries
        last = reply.last
    return entries


def _has_chunks(context: Context, entry: LedgerEntry) -> Procedure[bool]:
    keys = [(ref.log, ref.number) for ref in entry.chunks]
    found = yield from read_batch(context, "journal", keys)
    return len(found) == len(keys)


def _delete_chunks_after(context: Context, end: int) -> Procedure[None]:
    """Delete what no entry lists: repeats of it would be taken for what is counted."""
    last: tuple[str, int] | None = None
    while True:
        reply: ChunksReply = yield from run_call(context, ScanChunks(end, last))
        for at in range(0, len(reply.keys), _DELETES_AT_ONCE):
            some = reply.keys[at : at + _DELETES_AT_ONCE]
            yield from run_calls(context, [Delete(log, number) for log, number in some])
        last = reply.last
        if last is None:
            return


def _is_counted_from_here(context: Context, state: FoldState) -> Procedure[bool]:
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
    least = yield from read_least(context, state.main)
    for number in (yield from _folds_after(context, state, least.position)):
        entry = yield from read_entry(context, number)
        if entry is None or not entry.mark:
            return False
    return True


def _folds_after(context: Context, state: FoldState, position: int) -> Procedure[set[int]]:
    """Return the entries after a position up to which counters are folded; 0 for what is of a later epoch."""
    found: set[int] = set()
    last: str | None = None
    while True:
        reply: ScanReply = yield from run_call(context, Scan(last))
        for item in reply.items:
            epoch, number = divmod(int(item.get("fold", 0)), EPOCH)
            if is_state(str(item["datapoint"])) or epoch < state.epoch:
                continue
            if epoch > state.epoch:
                found.add(0)
            elif number > position:
                found.add(number)
        last = reply.last
        if last is None:
            return found


def _go_back(context: Context, state: FoldState) -> Procedure[None]:
    """Begin groups ten minutes before the positions of these; what was noted of ranges is void in them."""
    groups: list[Group] = []
    generation = state.generation
    for group in state.groups:
        generation += 1
        begun = yield from _begun_before(context, group)
        groups.append(msgspec.structs.replace(begun, id=generation))
    new = state._replace(generation=generation, groups=tuple(groups))
    yield from put_state(context, new.item(), {"datapoint": FOLD_KEY, "generation": state.generation})


def _begun_before(context: Context, group: Group) -> Procedure[Group]:
    least = yield from read_least(context, group)
    number, token = 0, ""
    entry = yield from read_entry(context, least.position)
    at = entry.at if entry is not None else 0.0
    last: int | None = least.position or None
    while last is not None:
        reply: QueryReply = yield from run_call(context, QueryTable(LEDGER, last, falling=True))
        found = map(decode_entry, reply.items)
        marks = [(each, entry) for each, entry in found if entry.mark and entry.at <= at - _DOUBT_S]
        if marks:
            number, token = marks[0][0], marks[0][1].token
            break
        last = reply.last
    if number < group.first:
        return group
    return msgspec.structs.replace(group, begins=number, token=token, first=0, first_token="", clears=False)
