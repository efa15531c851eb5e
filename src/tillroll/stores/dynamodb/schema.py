"""The two DynamoDB tables: their keys, attributes and logs, in one place for the store, the template and the docs.

**Aggregates**, keyed by the string `datapoint` alone, as the report frontend reads it. An item has `datapoint`,
`events`, `amount` (the sum in cents), `fold` and `report`. `fold` is epoch x 10^15 + the ledger entry up to which it is
counted; a recount of the whole journal takes the next epoch. Tables of release 0.1.0 are in epoch 0, and have no
`amount` until they are counted again.

The index `shard-datapoint` (KEYS_ONLY, by `shard`, then `datapoint`) lists the datapoints of a range of windows, since
a datapoint begins with its window; it costs a write only when a datapoint is new. `shard` is `REPORT#0` to `REPORT#f`,
by hash of the datapoint: a key of an index takes 1,000 writes a second, and at midnight every merchant is new. The
index `report-datapoint` of 0.1.0 lists the same by `report` alone, until it is dropped.

A counter of a report of one's own is of a version, `|NAME.VERSION|...`, and its `report` is `NAME.VERSION`; one that is
called by a hash has its datapoint in `text`. The item `|NAME|` says in `version` which one is to be read, 0 for none.

The items `#fold` and `#fold/GROUP/FOLDER` are the state of the fold (state), `#definition/DIGEST` the texts of
definitions. They and `|NAME|` have no `report`, so they are in no index, no datapoint can be called so, and they carry
`events` 0 and `amount` 0, so that a frontend that scans adds nothing.

**Journal**, keyed by the string `log` and the number `number`. Its logs:

- `2011-12-03T10:15`: the chunks of that minute, from 1, each with `chunk` (core.chunk) and `entry` (the ledger entry
  that lists it), and `offers`, the numbers of the offers that are in it, if any. Never changed.
- `ledger`: one item a commit, from 1 without a gap, with `entry` (JSON, see LedgerEntry). Never changed.
- `offers`: chunks of small batches that wait to be committed by others (offers), for a moment; no part of the journal.
- `rejected/groups`: groups of what was not accepted, by time of arrival; `rejected/part/NUMBER`: a group's bytes;
  `rejected/source/HASH`: where the groups of a source are. Release 0.1.0 had `rejected` and `rejected/ID`.

Both tables want point-in-time recovery. What is to be done after a restore: docs/aws.md.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Final
from zlib import crc32

import msgspec

from tillroll.core.report import SEPARATOR

if TYPE_CHECKING:
    from tillroll.core.report import Report

INDEX: Final = "shard-datapoint"
OLD_INDEX: Final = "report-datapoint"  # of 0.1.0; tables that were made later have none
SHARDS: Final = 16
FOLD_KEY: Final = "#fold"
FORMAT: Final = 2  # of the aggregates and the fold's state; 0.1.0 wrote none
JOURNAL_FORMAT: Final = 1  # as 0.1.0 writes it; chunks have a format of their own (core.chunk)
NEEDED_RELEASE: Final = "0.2.0"  # the first that reads this format
STATE_PREFIX: Final = "#"  # of what is no aggregate in that table
LOWEST: Final = "\x01"  # texts between which all datapoints lie
HIGHEST: Final = "\U0010ffff"
EPOCH: Final = 10**15  # entries that an epoch has room for
ANY_FOLD: Final = 10**30  # above every fold: whatever a counter has
LEDGER: Final = "ledger"
OFFERS: Final = "offers"
REJECTED: Final = "rejected"
REJECTED_GROUPS: Final = f"{REJECTED}/groups"
_EPOCH: Final = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 minutes are UTC by definition; naive text is the key


class ChunkRef(msgspec.Struct, frozen=True, array_like=True):
    """Where a chunk is: its minute since 1970, its number there; and how many events it holds. The lane is always 0."""

    minute: int
    lane: int
    number: int
    events: int

    @property
    def log(self) -> str:
        """The log of the journal table that the chunk is in."""
        return minute_log(self.minute)


class LedgerEntry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One commit, as it stands in the ledger. What is said of the whole journal is as of this entry.

    A `mark` declares that a range of the fold ends here: ranges are what lies between two marks, so that every worker,
    whenever it looks, folds the same ranges. An entry that only marks has no chunks.
    """

    chunks: tuple[ChunkRef, ...] = ()
    at: float = 0.0  # when, by the clock of the worker; for people and for freshness only
    token: str = ""  # drawn by the worker, which so recognises its own commit after a lost reply
    events: int = 0  # in the journal
    mark: bool = False
    marked_at: float = 0.0  # when the last mark was made
    marked_events: int = 0  # in the journal at the last mark
    lanes: tuple[msgspec.Raw, ...] = ()  # how 0.1.0 could split minutes; nothing of this release does
    format: int = 1  # of the journal from here on; of a greater one than JOURNAL_FORMAT nothing is read or written
    needs: str = ""  # the first release that knows it


def folder_key(group: int, folder: int) -> str:
    """Return the key of a folder's state."""
    return f"{FOLD_KEY}/{group}/{folder}"


def definition_key(digest: str) -> str:
    """Return the key of the item that holds the text of a definition."""
    return f"{STATE_PREFIX}definition/{digest}"


def pointer_key(name: str) -> str:
    """Return the key of the item that says which version of a report is to be read."""
    return f"{SEPARATOR}{name}{SEPARATOR}"


def index_key(report: Report) -> str:
    """Return what the counters of a report are indexed by: of one's own each version by itself."""
    return report.key if report.is_own else report.name


def key_of(report: Report, datapoint: str) -> str:
    """Return the key of a datapoint's counter: of a report of one's own each version has keys of its own."""
    return f"{key_prefix(report)}{datapoint[len(report.prefix) :]}" if report.is_own else datapoint


def key_prefix(report: Report) -> str:
    """Return what the keys of a report's counters begin with."""
    return pointer_key(report.key) if report.is_own else ""


def datapoint_of(report: Report, key: str) -> str:
    """Return the datapoint that a counter of a report counts. The inverse of `key_of`."""
    return f"{report.prefix}{key[len(key_prefix(report)) :]}"


def is_state(key: str) -> bool:
    """Tell whether an item of the aggregates table is no counter: the fold's state, or what says which version is read.

    A version has a point in its key, which no name has.
    """
    return key.startswith(STATE_PREFIX) or (key.startswith(SEPARATOR) and "." not in version_of(key))


def version_of(key: str) -> str:
    """Return the version of a report of one's own that a counter is of; the empty text for the five."""
    return key[1:].partition(SEPARATOR)[0] if key.startswith(SEPARATOR) else ""


def minute_log(minute: int) -> str:
    """Return the log that holds the chunks of a minute since 1970."""
    return (_EPOCH + datetime.timedelta(minutes=minute)).isoformat(timespec="minutes")


def shard_key(report: str, shard: int) -> str:
    """Return what the index has a shard of a report under."""
    return f"{report}#{shard:x}"


def shard_of(report: str, datapoint: str) -> str:
    """Return the shard of a datapoint. By the hash's highest bits: a folder goes by the lowest, a slice at a time."""
    return shard_key(report, crc32(datapoint.encode()) >> _SHARD_SHIFT)


_SHARD_SHIFT: Final = 28  # of 32 bits: what is left is below SHARDS


def rejected_log(rejected_id: str) -> str:
    """Return the log in which release 0.1.0 put the bytes of a rejected event."""
    return f"{REJECTED}/{rejected_id}"


def rejected_parts(number: int) -> str:
    """Return the log that holds the bytes of a group of rejected events."""
    return f"{REJECTED}/part/{number}"


def rejected_source(digest: str) -> str:
    """Return the log that says where the groups of a source are."""
    return f"{REJECTED}/source/{digest}"
