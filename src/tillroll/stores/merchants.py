"""The merchants of a SQLite file: their numbers and names, held once for all connections of a process."""

from __future__ import annotations

import threading
import zlib
from array import array
from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.core import kernel
from tillroll.stores.damage import DamageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from tillroll.core.batch import Batch

_REBUILD: Final = "Make them and the aggregates anew from the journal with: tillroll rebuild"
_NAMES_AT_ONCE: Final = 16_384  # read while others wait
_CRCS_MAX: Final = 1_024


class Names:
    """The names of a file's merchants by number, read once for all connections of a process.

    Only committed names are here, so each transaction finds its own as the first of them. Safe to use from any thread.
    """

    def __init__(self) -> None:
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
                return Names().read(connection, generation, known, crc)
            dictionary = self._dictionary
        while len(dictionary) < known:
            with self._lock:  # given back from time to time, for commits that wait for it
                self._read_some(connection, dictionary, known)
        if self._crc(dictionary, known) != crc:
            with self._lock:
                self._begin(-1)
            raise DamageError(f"the names of the {known} merchants are not what was written", _REBUILD)
        return dictionary

    def _read_some(self, connection: sqlite3.Connection, dictionary: kernel.Dictionary, known: int) -> None:
        start, stop = len(dictionary), min(len(dictionary) + _NAMES_AT_ONCE, known)
        query = "SELECT name FROM merchant WHERE id >= ? AND id < ? ORDER BY id"
        names = [name for (name,) in connection.execute(query, (start, stop))]
        if start < stop:
            if len(names) < stop - start:
                raise DamageError(f"of the merchants from {start} to {stop - 1} some are missing", _REBUILD)
            try:
                dictionary.add(*kernel.join_strings(names))
            except (TypeError, ValueError) as error:  # damage may change what type SQLite takes a column for
                self._begin(-1)
                raise DamageError("the name of a merchant is damaged", _REBUILD) from error
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
    """The merchants by number and name, as one connection's transaction sees them."""

    def __init__(self, connection: sqlite3.Connection, shared: Names | None = None) -> None:
        self._connection = connection
        self._shared = shared or Names()
        self._generation = -1
        self.names = kernel.Dictionary()  # the first `known`; what comes after is not of this transaction
        self.known = 0
        self._crc_known = 0
        self._new = kernel.Dictionary()  # added and not committed
        self.crc = 0  # of all names, in order

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

    def find(self, name: str) -> int | None:
        """Return a merchant's number, None when there is none of this name."""
        try:
            (number,) = self._find(*kernel.join_strings([name]))
        except UnicodeEncodeError:  # from a command line that is not UTF-8
            return None
        return None if number == kernel.MISSING else number

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
        """Return the number (I) of each of a batch's merchants, giving new ones the next. Call within a transaction."""
        numbers = self._find(batch.name_ends, batch.name_bytes)
        if kernel.MISSING in numbers:
            new = array("I", [index for index, number in enumerate(numbers) if number == kernel.MISSING])
            names = kernel.split_strings(*kernel.pick_strings(batch.name_ends, batch.name_bytes, new))
            self._add(list(dict.fromkeys(names)))
            numbers = self._find(batch.name_ends, batch.name_bytes)
        return numbers

    def known_ids(self, batch: Batch) -> array[int]:
        """Return the number (I) of each of a batch's merchants.

        Raises:
            DamageError: one has none, since it was journaled while the names were damaged.
        """
        numbers = self._find(batch.name_ends, batch.name_bytes)
        if kernel.MISSING in numbers:
            raise DamageError("merchants were journaled while the names of others were damaged", _REBUILD)
        return numbers

    def _find(self, ends: array[int], heap: bytes) -> array[int]:
        numbers = self.names.find(ends, heap)
        if len(self.names) > self.known and numbers and kernel.largest(numbers) >= self.known:
            # Those of later transactions are not there yet.
            numbers = array("I", [number if number < self.known else kernel.MISSING for number in numbers])
        if self._new and kernel.MISSING in numbers:
            added = self._new.find(ends, heap)
            for index, number in enumerate(numbers):
                if number == kernel.MISSING and added[index] != kernel.MISSING:
                    numbers[index] = self.known + added[index]
        return numbers

    def _add(self, names: list[str]) -> None:
        # One statement and not one a name: each would give Python's lock away and wait for it again.
        values = (len(self), msgspec.json.encode(names).decode())
        self._connection.execute("INSERT INTO merchant SELECT key + ?, value FROM json_each(?)", values)
        self._new.add(*kernel.join_strings(names))
        self.crc = names_crc(names, self.crc)


def names_crc(names: Iterable[str], before: int = 0) -> int:
    """Return the checksum of names that follow those of a checksum; no name has a line break."""
    return zlib.crc32("".join([f"{name}\n" for name in names]).encode(), before)
