"""Planted faults of the protocols on AWS: each leaves out, or turns around, one step that the proof says is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from tests.simulation import aws_world, dynamodb_model
from tests.simulation.planted import Planted

from tillroll.aws import functions
from tillroll.core.versions import swapped
from tillroll.ingest import envelope, worker
from tillroll.ingest.worker import Taken, Worker
from tillroll.ports import Outcome
from tillroll.queues.sqs import queue
from tillroll.stores.dynamodb import audit, commit, counting, definitions, fold, state, store
from tillroll.stores.dynamodb.calls import (
    Count,
    Get,
    Put,
    PutState,
    QueryTable,
    Throttled,
    read_batch,
    run_call,
    run_calls,
)
from tillroll.stores.dynamodb.commit import Committed, Known, _Attempt
from tillroll.stores.dynamodb.fold import Range, Share, _FolderWork
from tillroll.stores.dynamodb.ledger import append_mark, decode_chunk, read_head, read_ledger
from tillroll.stores.dynamodb.schema import LEDGER, definition_key, minute_log
from tillroll.stores.dynamodb.state import (
    Folder,
    FolderGroup,
    begun_at,
    change_state,
    open_state,
    read_folders,
    read_least,
    take_epoch,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_transaction = _Attempt._transaction
_classify = _Attempt._classify
_judge = _Attempt._judge
_write = _Attempt._write
_open_envelope = envelope.open_envelope
_take_messages = worker.take_messages
_worker_take = Worker._take


def _number_only(known: Known, number: int, batch: Any, _: bytes) -> None:
    """Know how long a log is, and not what is in it."""
    known.last = number
    known.events += len(batch)


def _unconditional(which: Callable[[Put], bool]) -> Callable[..., Any]:
    """Put some items whether their key is free or not."""

    def transaction(self: _Attempt, head: Any, fresh: Any) -> Any:
        written = _transaction(self, head, fresh)
        if written is None:
            return None
        writes = tuple(
            dynamodb_model.Unconditional(put.item) if which(put) else put
            for put in written.call.writes
            if isinstance(put, Put)
        )
        return written._replace(call=msgspec.structs.replace(written.call, writes=writes))

    return transaction


def _undeclared(context: Any, _state: Any, folder: Any) -> Any:
    """A range that ends where the ledger happens to end when somebody looks."""
    entries = yield from read_ledger(context, folder.position)
    if not entries:
        return Range(folder.position, folder.position, "", 0)
    events = sum(ref.events for _, entry in entries for ref in entry.chunks)
    return Range(folder.position, entries[-1][0], entries[-1][1].token, events, [entry for _, entry in entries])


def _unchecked(*_: Any) -> Any:
    """An audit that does not notice by the position alone: the counts must show it."""
    yield from ()


def _moved_early(self: _FolderWork, stride: Any) -> Any:
    """Move the position, then count."""
    yield from self._put(Folder(stride.until, stride.token))
    totals = yield from fold.count_range(self.context, stride, self.reports, Share())
    yield from self._count(totals, stride.until, anew=False)


_put_on = _FolderWork._put_on


def _progress_kept(self: _FolderWork, folder: Any) -> Any:
    """Take how far the last range had come for how far the next one has."""
    if not folder.until:
        folder = folder._replace(slice=self.folder.slice, after="\U0010ffff" if self.folder.slice else "2011-12-04")
    yield from _put_on(self, folder)


def _stop_moves(self: _FolderWork, done: Any) -> Any:
    """Take a range for done when the time is up."""
    if self.may_go_on():
        return
    yield from self._put_on(Folder(done.until, done.until_token))
    raise fold._StoppedError


def _stop_forgets(self: _FolderWork, done: Any) -> Any:
    """Stop when the time is up, and note nothing."""
    if not self.may_go_on():
        raise fold._StoppedError
    yield from _go_on(self, done)


class _NotAfter(dynamodb_model.Tables):
    """A guard that lets a counter take a range that it has: `<=`."""

    def _count(self, call: Count) -> bool:
        has_it = self.aggregates.get(call.datapoint, {}).get("fold") == call.fold
        return super()._count(dynamodb_model.Unguarded(*msgspec.structs.astuple(call)) if has_it else call)


def _progress_ahead(self: _FolderWork, done: Any) -> Any:
    """Note the batch that is still to be made as done."""
    yield from _go_on(self, done._replace(slice=done.slice + 1, after="") if done.slice + 1 < done.slices else done)


_go_on = _FolderWork._go_on


def _counted_before_commit(self: _Attempt, written: Any) -> Any:
    """Take a commit that was refused for one that was made."""
    fault = yield from _write(self, written)
    return None if isinstance(fault, Throttled) else fault


def _repeats_inside(self: _Attempt, doubtful: Any, firsts: Any) -> Any:
    """Compare with what is journaled, and not with the batch itself."""
    sources = list(self.batch.sources())
    named = {index: self.batch.identity(index, sources[index]) for index in doubtful}
    return _judge(self, [index for index in doubtful if named[index] in firsts], firsts)


def _content_not_compared(self: _Attempt, doubtful: Any, firsts: Any) -> Any:
    """Take a conflict for a repeat."""
    return dict.fromkeys(_judge(self, doubtful, firsts), Outcome.DUPLICATE)


def _hash_decides(self: _Attempt, doubtful: Any, firsts: Any) -> Any:
    """Take what shares a hash for a repeat, whatever its name."""
    return dict.fromkeys(doubtful, Outcome.DUPLICATE) | _judge(self, doubtful, firsts)


def _weak_rows(batch: Any, key: bytes) -> Any:
    """Hashes that many names share."""
    return ((index, minute, hashed % 3) for index, minute, hashed in _hash_names(batch, key))


_hash_names = commit.hash_names


def _takes_any(self: _Attempt) -> Any:
    """Take every offer of a minute that was read, whatever is journaled."""
    mine = [offer for offer in self.others if offer.batch is not None and offer.minute in self.groups]
    return {minute: [offer for offer in mine if offer.minute == minute] for minute in self.groups}, []


def _taken_once_made(self: _Attempt) -> None:
    """Take an offer that was made for one that was taken."""
    self.logs.taken.update(self.offered.numbers.values())
    _leave_out_taken(self)


_leave_out_taken = _Attempt._leave_out_taken


def _offers_all(self: _Attempt, fresh: Any) -> bool:
    """Offer what has no name as well."""
    return not self.offered.are_made and not self.lost and sum(map(len, fresh.values())) == len(self.piece)


def _conflict_is_new(self: _Attempt) -> Any:
    """Take a conflict for another purchase."""
    outcomes, _ = yield from _classify(self)
    by_index = dict(zip(self.piece, outcomes, strict=True))
    fresh = {
        minute: [index for index in indexes if by_index[index] != Outcome.DUPLICATE]
        for minute, indexes in self.groups.items()
    }
    return outcomes, fresh


def _first_log_only(context: Any, logs: Any, minutes: Any, beside: Any = (), _: Any = None) -> Any:
    """Read what was never read, and trust what was: another worker's chunks are not seen."""
    unread = [minute for minute in minutes if not logs.of(minute).last]
    yield from _read_logs(context, logs, unread)
    for minute in minutes:
        if minute not in unread:
            reply = yield from run_calls(context, [QueryTable(minute_log(minute), falling=True, limit=1)])
            logs.of(minute).last = int(reply[0].items[0]["number"])
    return (yield from run_calls(context, list(beside)))


_read_logs = commit.read_logs


class _NothingLost(dict[int, Committed]):
    """Remembers no attempt whose reply was lost."""

    def __setitem__(self, number: int, done: Committed) -> None:
        pass


def _forgets_attempts(self: _Attempt, *values: Any) -> None:
    _attempt_init(self, *values)
    self.lost = _NothingLost()
    self.token = ""


_attempt_init = _Attempt.__init__


def _skip_missing(context: Any, refs: Any) -> Any:
    """Count the chunks that are visible, once looked."""
    return [(ref, decode_chunk(item)) for ref, item in (yield from _look_once(context, refs)).items()]


def _look_once(context: Any, refs: Any) -> Any:
    wanted = {(ref.log, ref.number): ref for ref in refs}
    items = yield from read_batch(context, "journal", list(wanted))
    return {wanted[str(item["log"]), int(item["number"])]: item for item in items}


def _one_page(context: Any, logs: Any, minutes: Any, beside: Any = (), _: Any = None) -> Any:
    """Read the first page of a log, and take it for the log."""
    minutes = list(minutes)
    calls = [QueryTable(minute_log(minute), logs.of(minute).last) for minute in minutes]
    replies = yield from run_calls(context, calls)
    for minute, reply in zip(minutes, replies, strict=True):
        commit._take(logs, minute, reply.items)
        if reply.last is not None:
            newest = yield from run_calls(context, [QueryTable(minute_log(minute), falling=True, limit=1)])
            logs.of(minute).last = int(newest[0].items[0]["number"])
    return (yield from run_calls(context, list(beside)))


def _errors_leave_nothing(*values: Any, **settings: Any) -> Taken:
    """Have every message deleted, whatever became of it."""
    taken = _take_messages(*values, **settings)
    taken.left = []
    return taken


def _deleted_first(self: Worker, messages: Any) -> Taken:
    """Delete, then take."""
    self.queue.delete(messages)
    return _worker_take(self, messages)


def _new_ids(message_id: str, receipt: str, text: str, attributes: Any, sent_at: Any) -> Any:
    """Name every delivery by the id it has now."""
    return _open_envelope(message_id, receipt, text, attributes, sent_at)._replace(id=message_id)


class _Stale(dynamodb_model.Tables):
    """Strong reads that are not."""

    def __init__(self, scheduler: Any) -> None:
        super().__init__(scheduler)
        self.stale = True


def _unburied(*_: Any) -> set[str]:
    """Bury nothing, and say it was done."""
    return set()


def _joined(begun: Callable[[Any, Any, Any], Any]) -> Callable[..., Any]:
    """Join a group to the main one, which so becomes what `begun` makes of both and of the folder that is ahead."""

    def join(context: Any, state: Any, _: Any) -> Any:
        lagging = [group for group in state.groups[1:] if state.standing(group)]
        main = state.main
        for group in lagging:
            if (yield from counting._stands(context, group, state.main)):
                keys = tuple(version.key for each in (state.main, group) for version in state.standing(each))
                ahead = yield from read_least(context, group)
                main = begun(state, msgspec.structs.replace(state.main, own=keys), ahead)
                lagging.remove(group)
                break
        yield from change_state(context, state, state._replace(groups=(main, *lagging)))

    return join


def _past_the_least(state: Any, main: Any, ahead: Folder) -> Any:
    """A group that begins where the one that is ahead stands."""
    return FolderGroup(state.generation + 1, main.own, main.folders, ahead.position, ahead.token)


def _in_the_middle(_state: Any, main: Any, _ahead: Folder) -> Any:
    """A group that takes in a version, and keeps its progress in the range under way."""
    return main


def _shared_in_place(context: Any, folders: int) -> Any:
    """Another number of folders, which take the progress of the old ones for theirs."""
    state = yield from open_state(context)
    groups = tuple(msgspec.structs.replace(group, folders=folders) for group in state.groups)
    yield from change_state(context, state, state._replace(groups=groups))


def _begun_at_the_furthest(context: Any, group: FolderGroup) -> Any:
    """A group that begins where the folder that is ahead stands."""
    folders = yield from read_folders(context, group)
    furthest = max(folders, key=lambda folder: folder.position)
    return begun_at(group, furthest.position, furthest.token, context.clock(), folders)


def _cut_where_it_ends(context: Any, _: Any) -> Any:
    """A first range that ends with the ledger, when somebody looks."""
    head = yield from read_head(context)
    return Range(0, head.number, head.entry.token, head.entry.events)


def _read_early(context: Any, state: Any, _: Any) -> Any:
    """Let a version be read that is still counted by itself."""
    early = [version for version in state.versions if version.state == "counting"]
    if early:
        versions = definitions.merged(state.versions, swapped(state.versions, early))
        yield from change_state(context, state, state._replace(versions=versions))


def _marked_before(context: Any, now: Any) -> Any:
    """Have the first range of an epoch end at a mark from before it."""
    head = yield from append_mark(context, even_at_0=True)
    if not (yield from take_epoch(context, now)):
        return False
    after = yield from open_state(context)
    main = msgspec.structs.replace(after.main, first=head.number, first_token=head.entry.token)
    yield from change_state(context, after, after._replace(groups=(main, *after.groups[1:])))
    return True


def _stands_anyhow(*_: Any) -> Any:
    """Take a group for one that has come as far as the reports."""
    yield from ()
    return True


def _named(text: str) -> str:
    """Store a definition under the name of its report."""
    return str(msgspec.json.decode(text)["name"])


def _put_over(context: Any, texts: Any) -> Any:
    for text in texts:
        key = definition_key(_named(text))
        before = yield from run_call(context, Get(key))
        yield from run_calls(context, [PutState({"datapoint": key, "events": 0, "amount": 0, "text": text}, before)])


PLANTED: Final = (
    Planted(
        "a folder begins past the least position",
        300,
        ((counting, "_join", _joined(_past_the_least)),),
        aws_world.DEFINITIONS,
    ),
    Planted("folders changed in the middle of a range", 300, ((store, "share", _shared_in_place),), aws_world.SHARED),
    Planted(
        "other folders begin past the least position",
        300,
        ((state, "begun_anew", _begun_at_the_furthest),),
        aws_world.SHARED,
    ),
    Planted(
        "a report joins in the middle of a range",
        600,
        ((counting, "_join", _joined(_in_the_middle)),),
        aws_world.DEFINITIONS,
        first=73,
    ),
    Planted(
        "a first range that two workers cut differently",
        300,
        ((fold, "_first_range", _cut_where_it_ends),),
        aws_world.DEFINITIONS,
    ),
    Planted("an epoch begins at an earlier mark", 100, ((fold, "take_epoch", _marked_before),), aws_world.RECOUNTS),
    Planted("a version readable too early", 100, ((counting, "_let_read", _read_early),), aws_world.DEFINITIONS),
    Planted("a swap before the catching up", 300, ((counting, "_stands", _stands_anyhow),), aws_world.DEFINITIONS),
    Planted(
        "a definition changed under its name",
        300,
        ((definitions, "digest_of", _named), (definitions, "_put_texts", _put_over)),
        aws_world.DEFINITIONS,
    ),
    Planted("no dedupe read", 50, ((Known, "add", _number_only),)),
    Planted("a repeat is looked for in the first page of a log", 400, ((commit, "read_logs", _one_page),)),
    Planted("a warm cache is trusted", 200, ((commit, "read_logs", _first_log_only),)),
    Planted("in-batch repeats not collapsed", 100, ((_Attempt, "_judge", _repeats_inside),)),
    Planted("content not compared", 200, ((_Attempt, "_judge", _content_not_compared),)),
    Planted(
        "a shared hash taken for a repeat",
        50,
        ((_Attempt, "_judge", _hash_decides), (commit, "hash_names", _weak_rows)),
    ),
    Planted("a conflict is journaled", 200, ((_Attempt, "_classify", _conflict_is_new),)),
    Planted(
        "an offer taken though it is journaled", 2_000, ((_Attempt, "_sort_offers", _takes_any),), aws_world.CROWDED
    ),
    Planted(
        "an offer taken for journaled once it is made",
        2_000,
        ((_Attempt, "_leave_out_taken", _taken_once_made),),
        aws_world.CROWDED,
    ),
    Planted("unnamed events offered", 3_000, ((_Attempt, "_may_offer", _offers_all),), aws_world.CROWDED, first=73),
    Planted(
        "unconditional chunk put",
        1000,
        ((_Attempt, "_transaction", _unconditional(lambda put: put.item["log"] != LEDGER)),),
        aws_world.LOST_REPLIES,
    ),
    Planted(
        "unconditional ledger put",
        200,
        ((_Attempt, "_transaction", _unconditional(lambda put: put.item["log"] == LEDGER)),),
    ),
    Planted("lost reply of unnamed events committed again", 600, ((_Attempt, "__init__", _forgets_attempts),)),
    Planted(
        "a repeat is answered before the commit is durable",
        300,
        ((_Attempt, "_write", _counted_before_commit),),
        aws_world.REFUSALS,
    ),
    Planted(
        "fold range not declared",
        400,
        ((fold, "next_range", _undeclared), (audit._Audit, "_check_position", _unchecked)),
    ),
    Planted("counter guard missing", 50, ((fold, "Count", dynamodb_model.Unguarded),)),
    Planted("a guard that says `<=`", 50, ((aws_world, "Tables", _NotAfter),)),
    Planted("progress of one range taken for the next", 200, ((_FolderWork, "_put_on", _progress_kept),)),
    Planted("progress noted before it is made", 200, ((_FolderWork, "_go_on", _progress_ahead),)),
    Planted("a stop at the deadline moves the position", 200, ((_FolderWork, "_go_on", _stop_moves),)),
    Planted("a stop at the deadline forgets how far it has come", 100, ((_FolderWork, "_go_on", _stop_forgets),)),
    Planted("upto moved early", 50, ((_FolderWork, "_fold_range", _moved_early),)),
    Planted(
        "a chunk that is not visible yet is left out",
        3_000,
        ((fold, "require_chunks", _skip_missing),),
        aws_world.FOLDS,
        first=50,
    ),
    Planted("a stale read is trusted", 200, ((aws_world, "Tables", _Stale),)),
    Planted(
        "message deleted though its commit failed",
        2_500,
        ((functions, "take_messages", _errors_leave_nothing), (worker, "take_messages", _errors_leave_nothing)),
        aws_world.REFUSALS,
        first=32,
    ),
    Planted("message deleted before its commit", 800, ((Worker, "_take", _deleted_first),), aws_world.KILLED_WORKERS),
    Planted("rejected events not buried", 50, ((queue.SqsQueue, "bury", _unburied),)),
    Planted(
        "redrive under new ids",
        400,
        ((functions, "open_envelope", _new_ids), (envelope, "open_envelope", _new_ids)),
        aws_world.REDRIVES,
    ),
)
