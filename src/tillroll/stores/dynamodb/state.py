"""The state of the fold: its items in the aggregates table, how they are read, written and brought from 0.1.0. No I/O.

The item `#fold` says what is counted, in which epoch, by which groups, from where on. A **group** owns some versions of
reports, which it counts together; its folders share their datapoints. What a group is never changes, but that a version
of it is dropped: one that joins, and another number of folders, make a new one, which begins at the least position of
the old. So the item changes only with a new generation, and a group is called by the generation it began in.

A folder's own item `#fold/GROUP/FOLDER` has its position, the range under way and how far that has come. So whatever a
worker still writes to a group that is no more, nobody reads.

An item is written only as long as it is what was read, and none is ever wrong: a position says that all of its counters
have taken everything up to it, and the progress in a range that all up to that datapoint have taken the range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tillroll.core.versions import Version
from tillroll.errors import LaterFormatError, StoreError
from tillroll.stores.dynamodb.calls import (
    ConditionFailed,
    DropState,
    Get,
    PutState,
    Scan,
    read_batch,
    run_call,
    run_calls,
)
from tillroll.stores.dynamodb.ledger import append_mark, read_entry
from tillroll.stores.dynamodb.schema import EPOCH, FOLD_KEY, FORMAT, NEEDED_RELEASE, SHARDS, folder_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tillroll.stores.dynamodb.calls import Context, Item, Procedure, ScanReply

# In the place of the number by which 0.1.0 folds: it cannot read this, says so, and folds no more.
_FENCE: Final = f"tillroll {NEEDED_RELEASE} or later"
_LOST: Final = "lost"  # a token that no entry has
UNMARKED: Final = 1 << 62  # in the place of the end of an epoch's first range, until `mark_epoch`
# A backup has of each item what it was at some moment of a minute before and a minute after it was asked for, see
# restore; these are ten minutes, and five for clocks that differ and requests that were on their way.
DOUBT_S: Final = 900.0


class FolderGroup(msgspec.Struct, frozen=True, omit_defaults=True):
    """Versions that are counted together. `own` are the keys of those of one's own; the first group counts the five.

    With `first`, every folder begins with the range (0, first], which sets its counters; nobody folds while that is
    UNMARKED. `clears` says that afterwards it deletes what an earlier epoch left.
    """

    id: int
    own: tuple[str, ...] = ()
    folders: int = 1
    begins: int = 0  # the position at which its folders begin; with `first`, up to which an earlier epoch has counted
    token: str = ""  # of the ledger entry at which they begin
    first: int = 0
    first_token: str = ""
    clears: bool = False
    began_at: float = 0.0  # where it took the place of another: what that had counted further, counters have until then
    before: int = 0  # what its folders say of it before they have moved, see Folder
    before_token: str = ""


class FoldState(NamedTuple):
    """What is counted. Of versions, the definition is the digest of its text; see definitions."""

    generation: int = 1
    epoch: int = 1  # 0: the counters are those of 0.1.0, and have no amounts
    groups: tuple[FolderGroup, ...] = (FolderGroup(1),)
    versions: tuple[Version, ...] = ()  # of reports of one's own, by name and number
    shards: int = 0  # of the index in which every counter of this epoch is; 0 where some are not
    format: int = FORMAT

    @property
    def epoch_fold(self) -> int:
        """The least `fold` of the epoch."""
        return self.epoch * EPOCH

    @property
    def main(self) -> FolderGroup:
        """The group that counts the five, and what is read."""
        return self.groups[0]

    def standing(self, group: FolderGroup) -> list[Version]:
        """Return the versions of one's own that a group counts."""
        return [version for version in self.versions if version.stands and version.key in group.own]

    def item(self) -> Item:
        """Return it as it is stored."""
        needs: Item = {"upto": _FENCE, "needs": NEEDED_RELEASE, "format": self.format}
        counted = {"generation": self.generation, "epoch": self.epoch, "shards": self.shards}
        lists = {"groups": self.groups, "versions": self.versions}
        texts = {name: msgspec.json.encode(each).decode() for name, each in lists.items()}
        return {"datapoint": FOLD_KEY, "events": 0, "amount": 0, **needs, **counted, **texts}


class Folder(NamedTuple):
    """How far a folder has come: its position, the range under way (`until` 0: none), and how far in that."""

    position: int
    token: str  # of the ledger entry at the position
    until: int = 0
    until_token: str = ""
    slices: int = 0  # into how many the range's datapoints are cut
    slice: int = 0  # those before it are done
    after: str = ""  # and in it every datapoint up to this one
    worker: str = ""  # who is at it, until when; this only saves work
    worker_until: float = 0.0
    folded_at: float = 0.0
    before: int = 0  # a position that was reached at least DOUBT_S before this was written; 0: none
    before_token: str = ""
    between: int = 0  # one that was reached at `between_at`, and takes the place of the other in time
    between_token: str = ""
    between_at: float = 0.0

    def moved(self, position: int, token: str, now: float) -> Folder:
        """Return it at a position that all its counters have reached."""
        past = *self.past, self.between, self.between_token, self.between_at
        if now - self.between_at >= DOUBT_S:
            past = self.between, self.between_token, position, token, now
        return Folder(position, token, 0, "", 0, 0, "", "", 0.0, now, *past)

    @property
    def past(self) -> tuple[int, str]:
        """The position that was reached some time before, and its token."""
        return self.before, self.before_token

    def item(self, key: str) -> Item:
        """Return it as it is stored."""
        return {"datapoint": key, "events": 0, "amount": 0, **self._asdict()}


def parse_state(item: Item) -> FoldState:
    """Return the state in its item.

    Raises:
        LaterFormatError: a later release wrote it.
    """
    written = int(item["format"])
    if written > FORMAT:
        raise LaterFormatError(f"these tables are of tillroll {item.get('needs', '')!s} or later")
    return FoldState(
        int(item["generation"]),
        int(item["epoch"]),
        msgspec.json.decode(str(item["groups"]), type=tuple[FolderGroup, ...]),
        msgspec.json.decode(str(item["versions"]), type=tuple[Version, ...]),
        int(item.get("shards", 0)),
        written,
    )


def _parse_folder(item: Item) -> Folder:
    return Folder(**{name: kind(item[name]) for name, kind in _FOLDER if name in item})


_FOLDER: Final[list[tuple[str, Any]]] = [(name, type(value)) for name, value in Folder(0, "")._asdict().items()]


def open_state(context: Context) -> Procedure[FoldState]:
    """Read the state. Where there is none, begin one; where it is that of 0.1.0, take it over and fence 0.1.0 out."""
    while True:
        item: Item | None = yield from run_call(context, Get(FOLD_KEY))
        state = yield from _state_of(context, item)
        if item is not None and "format" in item:
            return state
        if (yield from put_state(context, state.item(), item)):
            return state


def read_state(context: Context) -> Procedure[FoldState]:
    """Read the state as it is. Where there is none, or that of 0.1.0, it is given as what it would become."""
    return (yield from _state_of(context, (yield from run_call(context, Get(FOLD_KEY)))))


def change_state(context: Context, before: FoldState, after: FoldState) -> Procedure[bool]:
    """Write a later generation of a state that was read, unless there is one; tell whether it is this."""
    after = after._replace(generation=max(before.generation + 1, after.generation))
    return (yield from put_state(context, after.item(), {"datapoint": FOLD_KEY, "generation": before.generation}))


def _state_of(context: Context, item: Item | None) -> Procedure[FoldState]:
    if item is None:
        return FoldState(shards=SHARDS)
    return parse_state(item) if "format" in item else (yield from _of_older(context, int(item["upto"])))


def _of_older(context: Context, upto: int) -> Procedure[FoldState]:
    """Return the state that goes on from where 0.1.0 stands.

    A worker of 0.1.0 that is in the middle of a range does no harm: in epoch 0 it gives counters the very sums that we
    do, on the same condition, and those of a later epoch refuse it.
    """
    entry = yield from read_entry(context, upto)
    token = "" if not upto else _LOST if entry is None else entry.token
    return FoldState(epoch=0, groups=(FolderGroup(1, begins=upto, token=token),))


def take_epoch(context: Context, state: FoldState) -> Procedure[bool]:
    """Have everything counted anew, in a new epoch, unless the state is another by now; tell whether it is so.

    Whoever folds next does it, and begins with `mark_epoch`. What workers of an older epoch still write, a counter of
    this one refuses, and one that they make is set when this epoch comes to its first event.
    """
    epoch, generation = yield from _greatest(context)
    generation = max(state.generation, generation) + 1
    own = tuple(version.key for version in state.versions if version.stands)
    least = yield from read_least(context, state.main)
    begins = max(least.position, state.main.begins)
    group = FolderGroup(generation, own, state.main.folders, begins, first=UNMARKED, clears=True)
    epoch = 1 + max(state.epoch, epoch)
    after = state._replace(generation=generation, epoch=epoch, groups=(group,), shards=SHARDS)
    if not (yield from change_state(context, state, after)):
        return False
    yield from drop_folders(context, state.groups)
    return True


def mark_epoch(context: Context, state: FoldState) -> Procedure[None]:
    """Have the first range of an epoch end at a mark that is made now, unless the state is another by now.

    So it ends after every range that a worker of an older epoch may be at: what has no event in it, no counter has.
    """
    head = yield from append_mark(context, anew=True)
    main = msgspec.structs.replace(state.main, first=head.number, first_token=head.entry.token)
    yield from change_state(context, state, state._replace(groups=(main, *state.groups[1:])))


def share(context: Context, folders: int) -> Procedure[None]:
    """Have the datapoints of every group shared by so many folders from now on.

    Each of them begins where the least of the old ones stands; what these do meanwhile counters have, and refuse.
    """
    while True:
        state = yield from open_state(context)
        if all(group.folders == folders for group in state.groups):
            return
        groups = []
        for group in state.groups:
            begun = yield from begun_anew(context, group)
            groups.append(msgspec.structs.replace(begun, folders=folders))
        if (yield from replace_groups(context, state, groups, state.generation)):
            return


def begun_anew(context: Context, group: FolderGroup) -> Procedure[FolderGroup]:
    """Return a group that begins at the least position of another."""
    folders = yield from read_folders(context, group)
    least = least_of(folders)
    return begun_at(group, least.position, least.token, context.clock(), folders)


def begun_at(group: FolderGroup, position: int, token: str, now: float, folders: Sequence[Folder]) -> FolderGroup:
    """Return a group that goes on with what some folders have counted, from a position on, or its first range."""
    before = min(folders, key=lambda folder: folder.before)
    if position < group.first:
        return msgspec.structs.replace(group, began_at=round(now, 3))
    return FolderGroup(
        group.id,
        group.own,
        group.folders,
        position,
        token,
        began_at=round(now, 3),
        before=before.before,
        before_token=before.before_token,
    )


def replace_groups(
    context: Context, before: FoldState, groups: Sequence[FolderGroup], generation: int
) -> Procedure[bool]:
    """Write a state with these in the place of its groups, called by generations after one; tell whether it is so."""
    called = tuple(msgspec.structs.replace(group, id=generation + at) for at, group in enumerate(groups, 1))
    after = before._replace(generation=generation + len(called), groups=called)
    if not (yield from change_state(context, before, after)):
        return False
    yield from drop_folders(context, before.groups)
    return True


def drop_folders(context: Context, groups: Sequence[FolderGroup]) -> Procedure[None]:
    """Delete the items of groups that are no more."""
    keys = [folder_key(group.id, number) for group in groups for number in range(group.folders)]
    yield from run_calls(context, [DropState(key) for key in keys])


def _greatest(context: Context) -> Procedure[tuple[int, int]]:
    """Return the greatest epoch and generation of any item: of a restored table's some may be later than its state."""
    epoch = generation = 0
    last: str | None = None
    while True:
        reply: ScanReply = yield from run_call(context, Scan(last))
        for item in reply.items:
            epoch = max(epoch, int(item.get("fold", 0)) // EPOCH)
            generation = max(generation, generation_of(item))
        last = reply.last
        if last is None:
            return epoch, generation


def generation_of(item: Item) -> int:
    """Return the generation that an item of the state is of: it says so, or a group is called by it; else 0."""
    key = str(item["datapoint"])
    folder = key.removeprefix(f"{FOLD_KEY}/") if key.startswith(f"{FOLD_KEY}/") else ""
    return int(folder.partition("/")[0] or item.get("generation", 0))


def put_state(context: Context, item: Item, before: Item | None) -> Procedure[bool]:
    """Write an item of the state if it is still as it was before; tell whether it is now so."""
    try:
        yield from run_call(context, PutState(item, before))
    except ConditionFailed:
        found = yield from run_call(context, Get(str(item["datapoint"])))
        return bool(found == item)  # an earlier try of this very call did
    return True


def read_folder(context: Context, group: FolderGroup, number: int) -> Procedure[tuple[Item | None, Folder] | None]:
    """Read a folder's item, None when it has written none, and what it says; None when its group is no more."""
    key = folder_key(group.id, number)
    items = {str(item["datapoint"]): item for item in (yield from read_batch(context, "aggregates", [FOLD_KEY, key]))}
    root = items.get(FOLD_KEY)
    if root is None or "format" not in root or group not in parse_state(root).groups:
        return None
    item = items.get(key)
    return item, _parse_folder(item) if item is not None else beginning(group)


def beginning(group: FolderGroup) -> Folder:
    """Return how a folder of a group begins."""
    if group.first:
        return Folder(0, "")
    past = group.before, group.before_token, group.begins, group.token, group.began_at
    return Folder(group.begins, group.token, 0, "", 0, 0, "", "", 0.0, 0.0, *past)


def read_folders(context: Context, group: FolderGroup) -> Procedure[list[Folder]]:
    """Read all folders of a group."""
    folders, _ = yield from _folders(context, group)
    return folders


def _folders(context: Context, group: FolderGroup) -> Procedure[tuple[list[Folder], bool]]:
    """Do the same, and tell whether each has written something."""
    keys = [folder_key(group.id, number) for number in range(group.folders)]
    items = {str(item["datapoint"]): item for item in (yield from read_batch(context, "aggregates", keys))}
    found = [_parse_folder(items[key]) if key in items else beginning(group) for key in keys]
    return found, len(items) == len(keys)


def read_main(context: Context) -> Procedure[tuple[FoldState, list[Folder]]]:
    """Read the state, and all folders of its main group, which may be replaced and deleted between the two."""
    while True:
        state = yield from read_state(context)
        folders, is_whole = yield from _folders(context, state.main)
        if is_whole or (yield from read_state(context)).main == state.main:
            return state, folders


def least_of(folders: Iterable[Folder]) -> Folder:
    """Return the folder that has come least far."""
    return min(folders, key=lambda folder: folder.position)


def read_least(context: Context, group: FolderGroup) -> Procedure[Folder]:
    """Read the folder of a group that has come least far."""
    return least_of((yield from read_folders(context, group)))


def read_folded(context: Context) -> Procedure[int]:
    """Read up to which ledger entry everything that is read is counted."""
    _, folders = yield from read_main(context)
    return least_of(folders).position


def check_token(found: str | None, expected: str, position: int) -> None:
    """Refuse a journal that has not, at a position, the entry that the aggregates were counted from.

    Raises:
        StoreError: it has not.
    """
    if found == expected:
        return
    said = "is missing" if found is None else "is another"
    problem = f"ledger entry {position}, up to which the aggregates were counted, {said}: the journal was restored"
    remedy = (
        "Run tillroll restored, which cuts off what a copy has in part and counts again; the steps are in docs/aws.md"
    )
    raise StoreError(problem, remedy)
