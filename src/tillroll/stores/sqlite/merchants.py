"""The dictionaries of a SQLite file: the numbers and texts of merchants and of kept fields' values.

A dictionary is held once for all connections of a process. Merchants are numbered by the commit that brings them; the
values of a kept field once a report counts by it, by commits and by the counting of what came before.
"""

from __future__ import annotations

import threading
import zlib
from array import array
from itertools import count
from operator import sub
from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.core import kernel
from tillroll.core.dimension import MERCHANT
from tillroll.core.fold import values_of
from tillroll.stores.sqlite.damage import DamageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from tillroll.core.batch import Batch

_KNOWN: Final = "SELECT coalesce(max(id) + 1, 0) FROM value WHERE dictionary = ?"
_REBUILD: Final = "Rebuild them and the aggregates from the journal: tillroll rebuild"
VALUE_TABLES: Final = """
CREATE TABLE dictionary (
  name TEXT PRIMARY KEY,               -- of a kept field
  size INTEGER NOT NULL,
  crc INTEGER NOT NULL,                -- of its texts in order
  checksum INTEGER NOT NULL            -- of all other columns
) STRICT;
CREATE TABLE value (
  dictionary TEXT NOT NULL,
  id INTEGER NOT NULL,                 -- in order of first sight, from 0
  text TEXT NOT NULL,                  -- as datapoints spell it
  PRIMARY KEY (dictionary, id),
  UNIQUE (dictionary, text)
) STRICT;
"""
_NAMES_AT_ONCE: Final = 16_384  # read while others wait
_CRCS_MAX: Final = 1_024


class UnnumberedError(Exception):
    """Values were journaled that a dictionary has no numbers for: by a process that did not know that it is needed."""

    def __init__(self, dictionary: str) -> None:
        super().__init__(dictionary)
        self.dictionary = dictionary


class Names:
    """The texts of one of a file's dictionaries by number, read once for all connections of a process.

    Only committed names are here, so each transaction finds its own as the first of them. Safe to use from any thread.
    """

    def __init__(self, dictionary: str = MERCHANT.dictionary) -> None:
        self.dictionary = dictionary
        self._lock = threading.Lock()
        self._begin(-1)

    def _begin(self, generation: int) -> None:
        self._generation = generation
        self._dictionary = kernel.Dictionary()
        self._crcs = {0: 0}  # the checksum of the first so many, where a transaction or a read ended

    def read(self, connection: sqlite3.Connection, generation: int, known: int, crc: int) -> kernel.Dictionary:
        """Return a dictionary that begins with the names a transaction sees. Call within it, at its start.

        Raises:
            DamageError: the names are not what was written.
        """
        with self._lock:
            if generation > self._generation:  # a rebuild renumbered them
                self._begin(generation)
            if generation < self._generation:  # this transaction began before a rebuild's end: it reads its own
                return Names(self.dictionary).read(connection, generation, known, crc)
            dictionary = self._dictionary
        while len(dictionary) < known:
            with self._lock:  # given back from time to time, for commits that wait for it
                self._read_some(connection, dictionary, known)
        if self._crc(dictionary, known) != crc:
            with self._lock:
                self._begin(-1)
            raise DamageError(
                f"the texts of the {known} values of {self.dictionary} are not what was written", _REBUILD
            )
        return dictionary

    def _read_some(self, connection: sqlite3.Connection, dictionary: kernel.Dictionary, known: int) -> None:
        start, stop = len(dictionary), min(len(dictionary) + _NAMES_AT_ONCE, known)
        if self.dictionary == MERCHANT.dictionary:
            query = "SELECT name FROM merchant WHERE id >= ? AND id < ? ORDER BY id"
            found = connection.execute(query, (start, stop))
        else:
            query = "SELECT text FROM value WHERE dictionary = ? AND id >= ? AND id < ? ORDER BY id"
            found = connection.execute(query, (self.dictionary, start, stop))
        names = [name for (name,) in found]
        if start < stop:
            if len(names) < stop - start:
                raise DamageError(
                    f"of the values of {self.dictionary} from {start} to {stop - 1} some are missing", _REBUILD
                )
            try:
                dictionary.add(*kernel.join_strings(names))
            except (TypeError, ValueError) as error:  # damage may change what type SQLite takes a column for
                self._begin(-1)
                raise DamageError(f"the text of a value of {self.dictionary} is damaged", _REBUILD) from error
            if dictionary is self._dictionary:
                self._note(names_crc(names, self._crcs[start]))

    def _note(self, crc: int) -> None:
        self._crcs[len(self._dictionary)] = crc
        if len(self._crcs) > _CRCS_MAX:
            del self._crcs[next(iter(self._crcs))]

    def _crc(self, dictionary: kernel.Dictionary, known: int) -> int:
        found = self._crcs.get(known) if dictionary is self._dictionary else None
        return names_crc(kernel.split_strings(*dictionary.column(0, known))) if found is None else found

    def extend(self, generation: int, known: int, new: kernel.Dictionary, crc: int) -> None:
        """Take in the names that a transaction has committed, unless another has read them meanwhile."""
        with self._lock:
            if generation == self._generation and known == len(self._dictionary):
                self._dictionary.add(*new.column(0, len(new)))
                self._note(crc)


class Merchants:
    """The merchants, or a kept field's values, by number and text, as one connection's transaction sees them."""

    def __init__(self, connection: sqlite3.Connection, shared: Names | None = None) -> None:
        self._connection = connection
        self._shared = shared or Names()
        self._dictionary = self._shared.dictionary
        self._generation = -1
        self.names = kernel.Dictionary()  # the first `known`; what comes after is not of this transaction
        self.known = 0
        self._crc_known = 0
        self._new = kernel.Dictionary()  # added and not committed
        self.crc = 0  # of all names, in order
        self._longest = (-1, 0, 0)  # of which generation, and how many of its texts, is the longest of what length

    def begin(self, generation: int, known: int, crc: int) -> None:
        """See what is committed: so many, with this checksum of their names. Call at the start of each transaction.

        Raises:
            DamageError: the names are not what was written.
        """
        if (generation, known, crc) != (self._generation, self.known, self._crc_known):
            self.names = self._shared.read(self._connection, generation, known, crc)
            self._generation, self.known, self._crc_known = generation, known, crc
        self.forget()

    def commit(self) -> None:
        """Let others see what was added. Call after the transaction's commit."""
        if self._new:
            self._shared.extend(self._generation, self.known, self._new, self.crc)
            self.forget()

    def forget(self) -> None:
        """Drop what was added and is not committed."""
        if self._new:
            self._new = kernel.Dictionary()
        self.crc = self._crc_known

    def __len__(self) -> int:
        return self.known + len(self._new)

    def longest_bytes(self) -> int:
        """Return how many bytes the longest committed text has."""
        generation, known, longest = self._longest
        if generation != self._generation:
            known = longest = 0
        if known < self.known:
            ends, _ = self.names.column(known, self.known)
            longest = max(longest, ends[0], max(map(sub, ends[1:], ends), default=0))
        self._longest = self._generation, self.known, longest
        return longest

    def find(self, name: str) -> int | None:
        """Return a merchant's number, None when there is none of this name."""
        try:
            (number,) = self._find(*kernel.join_strings([name]))
        except UnicodeEncodeError:  # from a command line that is not UTF-8
            return None
        return None if number == kernel.MISSING else number

    def text(self, number: int) -> str:
        """Return the text of a number."""
        if number >= self.known:
            raise DamageError(f"a value of {self._dictionary} has no text", _REBUILD)
        (text,) = kernel.split_strings(*self.names.column(number, number + 1))
        return text

    def search(self, containing: str, limit: int) -> list[str]:
        """Return merchants by a part of their name, case folded, those that begin with it first."""
        wanted = containing.casefold()
        found, others = self.names.search(wanted.encode("utf-8", "surrogatepass"), self.known, limit)
        if others:
            ends, heap = self.names.column(0, self.known)
            for start in range(0, len(others), _NAMES_AT_ONCE):
                names = kernel.split_strings(*kernel.pick_strings(ends, heap, others[start : start + _NAMES_AT_ONCE]))
                found += [name for name in names if wanted in name.casefold()]
        found.sort(key=lambda name: (not name.casefold().startswith(wanted), name))
        return found[:limit]

    def ids(self, batch: Batch) -> array[int]:
        """Return the number (I) of each of a batch's values, giving new ones the next. Call within a transaction."""
        _, ends, heap = values_of(batch, self._dictionary)
        return self.number(ends, heap)

    def number(self, ends: array[int], heap: bytes) -> array[int]:
        """Do the same for texts as a string column."""
        numbers = self._find(ends, heap)
        if _has_missing(numbers):
            new = array("I", [index for index, number in enumerate(numbers) if number == kernel.MISSING])
            names = kernel.split_strings(*kernel.pick_strings(ends, heap, new))
            given = dict(zip(dict.fromkeys(names), count(len(self)), strict=False))
            self._add(list(given))
            for index, name in zip(new, names, strict=True):
                numbers[index] = given[name]
        return numbers

    def known_ids(self, batch: Batch) -> array[int]:
        """Return the number (I) of each of a batch's values.

        Raises:
            DamageError: a merchant has none, since it was journaled while the names were damaged.
            UnnumberedError: a value has none.
        """
        _, ends, heap = values_of(batch, self._dictionary)
        numbers = self._find(ends, heap)
        if _has_missing(numbers):
            if self._dictionary == MERCHANT.dictionary:
                raise DamageError("merchants were journaled while the names of others were damaged", _REBUILD)
            raise UnnumberedError(self._dictionary)
        return numbers

    def unknown(self, batch: Batch) -> list[str]:
        """Return the values of a batch that have no number."""
        _, ends, heap = values_of(batch, self._dictionary)
        missing = [index for index, number in enumerate(self._find(ends, heap)) if number == kernel.MISSING]
        return kernel.split_strings(*kernel.pick_strings(ends, heap, array("I", missing)))

    def _find(self, ends: array[int], heap: bytes) -> array[int]:
        numbers = self.names.find(ends, heap)
        if len(self.names) > self.known and numbers and kernel.largest(numbers) >= self.known:
            # Those of later transactions are not there yet.
            numbers = array("I", [number if number < self.known else kernel.MISSING for number in numbers])
        if self._new and _has_missing(numbers):
            added = self._new.find(ends, heap)
            for index, number in enumerate(numbers):
                if number == kernel.MISSING and added[index] != kernel.MISSING:
                    numbers[index] = self.known + added[index]
        return numbers

    def _add(self, names: list[str]) -> None:
        # One statement and not one a name: each would give Python's lock away and wait for it again.
        values = (len(self), msgspec.json.encode(names).decode())
        own = self._dictionary != MERCHANT.dictionary
        if own:
            query = "INSERT INTO value SELECT ?, key + ?, value FROM json_each(?)"
            self._connection.execute(query, (self._dictionary, *values))
        else:
            self._connection.execute("INSERT INTO merchant SELECT key + ?, value FROM json_each(?)", values)
        self._new.add(*kernel.join_strings(names))
        self.crc = names_crc(names, self.crc)
        if own:
            row = (self._dictionary, len(self), self.crc)
            self._connection.execute("INSERT OR REPLACE INTO dictionary VALUES (?, ?, ?, ?)", (*row, _row_crc(row)))


def _has_missing(numbers: array[int]) -> bool:
    """Tell whether a value has no number: MISSING is above all of them."""
    return bool(numbers) and kernel.largest(numbers) == kernel.MISSING


class Dictionaries:
    """The dictionaries of a file, as one connection's transaction sees them."""

    def __init__(self, connection: sqlite3.Connection, shared: SharedNames | None = None) -> None:
        self._connection = connection
        self._shared = shared or SharedNames()
        self._held: dict[str, Merchants] = {}
        self._begun: set[str] = set()
        self._at: tuple[int, int, int] | None = None

    def begin(self, generation: int, known: int, crc: int) -> None:
        """See Merchants, of the merchants. A dictionary is read when it is asked for: what needs none is answered."""
        self._at = (generation, known, crc)
        self._begun.clear()

    @property
    def merchants(self) -> Merchants:
        """The merchants; see `of`."""
        return self.of(MERCHANT.dictionary)

    def of(self, dictionary: str) -> Merchants:
        """Return a dictionary.

        Raises:
            DamageError: it is not what was written.
        """
        found = self._held.get(dictionary)
        if found is None:
            found = self._held[dictionary] = Merchants(self._connection, self._shared.of(dictionary))
        if dictionary not in self._begun and self._at is not None:
            found.begin(*(self._at if dictionary == MERCHANT.dictionary else (self._at[0], *self._size(dictionary))))
            self._begun.add(dictionary)
        return found

    def _size(self, dictionary: str) -> tuple[int, int]:
        """Return how many values a kept field's dictionary has, and the checksum of their texts."""
        query = "SELECT name, size, crc, checksum FROM dictionary WHERE name = ?"
        row = self._connection.execute(query, (dictionary,)).fetchone()
        size, crc = (0, 0) if row is None else row[1:3]
        (known,) = self._connection.execute(_KNOWN, (dictionary,)).fetchone()
        if known != size or (row is not None and _row_crc(row[:3]) != row[3]):
            raise DamageError(f"the record of the values of {dictionary} is not what was written", _REBUILD)
        return size, crc

    def find(self, dictionary: str, text: str) -> int | None:
        """Return the number of a text in a dictionary, None when it has none."""
        return self.of(dictionary).find(text)

    def commit(self) -> None:
        """See Merchants."""
        for each in self._held.values():
            each.commit()
        self._begun.clear()

    def forget(self) -> None:
        """See Merchants."""
        for each in self._held.values():
            each.forget()
        self._begun.clear()


class SharedNames:
    """The texts of all dictionaries of a file, for all connections of a process. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, Names] = {}

    def of(self, dictionary: str) -> Names:
        """Return those of a dictionary."""
        with self._lock:
            return self._names.setdefault(dictionary, Names(dictionary))


def _row_crc(row: Sequence[object]) -> int:
    return zlib.crc32(repr(tuple(row)).encode())


def names_crc(names: Iterable[str], before: int = 0) -> int:
    """Return the checksum of names that follow those of a checksum; no name has a line break."""
    return zlib.crc32("".join([f"{name}\n" for name in names]).encode(), before)
