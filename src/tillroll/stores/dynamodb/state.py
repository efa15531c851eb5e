"""The state of the fold: its items in the aggregates table, how they are read, written and brought from 0.1.0. No I/O.

The item `#fold` says what is counted, in which epoch, by how many folders, from where on. It changes only with a new
generation. A folder's own item `#fold/GENERATION/FOLDER` has its position, the range under way and how far that has
come. So whatever a worker of an older generation still writes there, nobody reads.

An item is written only as long as it is what was read, and none is ever wrong: a position says that all of its counters
have taken everything up to it, and the progress in a range that all up to that datapoint have taken the range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

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
    from tillroll.stores.dynamodb.calls import Context, Item, Procedure, ScanReply
    from tillroll.stores.dynamodb.ledger import Head

# In the place of the number by which 0.1.0 folds: it cannot read this, says so, and folds no more.
_FENCE: Final = f"tillroll {NEEDED_RELEASE} or later"
_LOST: Final = "lost"  # a token that no entry has


class FoldState(NamedTuple):
    """What is counted. With `first`, every folder begins with the range (0, first], which sets its counters anew."""

    generation: int = 1
    epoch: int = 1  # 0: the counters are those of 0.1.0, and have no amounts
    folders: int = 1
    begins: int = 0  # the position at which the folders of this generation begin
    token: str = ""  # of the ledger entry there
    first: int = 0
    first_token: str = ""
    shards: int = 0  # of the index in which every counter of this epoch is; 0 where some are not
    format: int = FORMAT

    @property
    def epoch_fold(self) -> int:
        """The least `fold` of the epoch."""
        return self.epoch * EPOCH

    def item(self) -> Item:
        """Return it as it is stored."""
        needs = {"upto": _FENCE, "needs": NEEDED_RELEASE}
        return {"datapoint": FOLD_KEY, "events": 0, "amount": 0, **needs, **self._asdict()}


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
    return FoldState(**{name: _plain(item[name], kind) for name, kind in _STATE if name in item})


def _parse_folder(item: Item) -> Folder:
    return Folder(**{name: _plain(item[name], kind) for name, kind in _FOLDER if name in item})


def _kinds(values: NamedTuple) -> list[tuple[str, type]]:
    return [(name, type(value)) for name, value in values._asdict().items()]


def _plain(value: Any, kind: type) -> Any:
    return kind(value)


_STATE: Final = _kinds(FoldState())
_FOLDER: Final = _kinds(Folder(0, ""))


def open_state(context: Context) -> Procedure[FoldState]:
    """Read the state. Where there is none, begin one; where it is that of 0.1.0, take it over and fence 0.1.0 out."""
    while True:
        item: Item | None = yield from run_call(context, Get(FOLD_KEY))
        state = (yield from _state_of(context, item)) or FoldState(shards=SHARDS)
        if item is not None and "format" in item:
            return state
        if (yield from put_state(context, state.item(), item)):
            return state


def read_state(context: Context) -> Procedure[FoldState | None]:
    """Read the state as it is, None when there is none. That of 0.1.0 is given as what it would become."""
    return (yield from _state_of(context, (yield from run_call(context, Get(FOLD_KEY)))))


def _state_of(context: Context, item: Item | None) -> Procedure[FoldState | None]:
    if item is None:
        return None
    return parse_state(item) if "format" in item else (yield from _of_older(context, int(item["upto"])))


def _of_older(context: Context, upto: int) -> Procedure[FoldState]:
    """Return the state that goes on from where 0.1.0 stands.

    A worker of 0.1.0 that is in the middle of a range does no harm: in epoch 0 it gives counters the very sums that we
    do, on the same condition, and those of a later epoch refuse it.
    """
    entry = yield from read_entry(context, upto)
    token = "" if not upto else _LOST if entry is None else entry.token
    return FoldState(epoch=0, begins=upto, token=token)


def take_epoch(context: Context) -> Procedure[Head]:
    """Have everything counted anew, in a new epoch, up to a mark at the head of the ledger; return that head.

    Whoever folds next does it. What workers of an older epoch still write, a counter of this one refuses, and one that
    they make is set when this epoch comes to its first event.
    """
    head = yield from append_mark(context, even_at_0=True)
    while True:
        item: Item | None = yield from run_call(context, Get(FOLD_KEY))
        state = yield from _state_of(context, item)
        epoch = 1 + max(state.epoch if state else 0, (yield from _greatest_epoch(context)))
        generation, folders = (state.generation, state.folders) if state else (0, 1)
        new = FoldState(generation + 1, epoch, folders, first=head.number, first_token=head.entry.token, shards=SHARDS)
        if (yield from put_state(context, new.item(), item)):
            yield from run_calls(context, [DropState(folder_key(generation, number)) for number in range(folders)])
            return head


def _greatest_epoch(context: Context) -> Procedure[int]:
    """Look through all counters: those of a table that was restored may be newer than its state."""
    greatest = 0
    last: str | None = None
    while True:
        reply: ScanReply = yield from run_call(context, Scan(last))
        greatest = max([greatest, *(int(item.get("fold", 0)) // EPOCH for item in reply.items)])
        last = reply.last
        if last is None:
            return greatest


def put_state(context: Context, item: Item, before: Item | None) -> Procedure[bool]:
    """Write an item of the state if it is still as it was before; tell whether it is now so."""
    try:
        yield from run_call(context, PutState(item, before))
    except ConditionFailed:
        found = yield from run_call(context, Get(str(item["datapoint"])))
        return bool(found == item)  # an earlier try of this very call did
    return True


def read_folder(context: Context, state: FoldState, number: int) -> Procedure[tuple[Item | None, Folder] | None]:
    """Read a folder's item, None when it has written none, and what it says; None when the state is another by now."""
    key = folder_key(state.generation, number)
    items = {str(item["datapoint"]): item for item in (yield from read_batch(context, "aggregates", [FOLD_KEY, key]))}
    root = items.get(FOLD_KEY)
    if root is None or "format" not in root or parse_state(root) != state:
        return None
    item = items.get(key)
    return item, _parse_folder(item) if item is not None else beginning(state)


def beginning(state: FoldState) -> Folder:
    """Return how a folder of the state begins."""
    return Folder(0, "") if state.first else Folder(state.begins, state.token)


def read_folders(context: Context, state: FoldState) -> Procedure[list[Folder]]:
    """Read all folders of a state."""
    keys = [folder_key(state.generation, number) for number in range(state.folders)]
    items = {str(item["datapoint"]): item for item in (yield from read_batch(context, "aggregates", keys))}
    return [_parse_folder(items[key]) if key in items else beginning(state) for key in keys]


def read_folded(context: Context) -> Procedure[int]:
    """Read up to which ledger entry everything is counted."""
    state = yield from read_state(context)
    if state is None:
        return 0
    folders = yield from read_folders(context, state)
    return min(folder.position for folder in folders)


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
