# The compiled kernel. `tillroll.core.columns` describes the functions; this says what the parser takes and gives.

from array import array
from collections.abc import Sequence
from typing import Final, Self, TypeAlias, final, overload

from typing_extensions import Buffer

from tillroll.core.codes import CodeColumn
from tillroll.core.naming import NamedRuns
from tillroll.core.rows import RowPart
from tillroll.core.selection import Cut, Shape

CONTRACT: Final[tuple[int, int, int, int]]

@overload
def add_counts(
    cells: bytes,
    first: int,
    size: int,
    codes: array[int],
    counts: array[int],
    lows: array[int],
    highs: array[int],
    /,
) -> bytes: ...
@overload
def add_counts(
    cells: bytes,
    first: int,
    size: int,
    codes: array[int],
    counts: array[int],
    lows: array[int],
    highs: array[int],
    start: int,
    stop: int,
    /,
) -> bytes: ...
def bounds(values: array[int], /) -> tuple[int, int]: ...
def equal_at(values: array[int], at: array[int], others: array[int], others_at: array[int], /) -> bytes: ...
def equal_strings_at(
    ends: array[int], heap: bytes, at: array[int], other_ends: array[int], other_heap: bytes, others_at: array[int], /
) -> bytes: ...
def gaps_of(positions: array[int], counts: array[int], /) -> array[int]: ...
def accepts(codes: array[int], table: bytes | bytearray, /) -> bytes: ...
def bucketize(values: array[int], bounds: array[int], /) -> array[int]: ...
def group(
    columns: Sequence[CodeColumn], weights: array[int], groupings: Sequence[Sequence[Sequence[int]]], /
) -> list[tuple[tuple[array[int], ...], array[int], array[int]]]: ...
def hash_name(key: bytes, second: int, nanos: int, kind: int, value: bytes, position: int, /) -> int: ...
def indexes_of(mask: bytes | bytearray, /) -> array[int]: ...
def interleave(count: int, before: array[int], /) -> array[int]: ...
def intersect(rising: array[int], others: array[int], /) -> tuple[array[int], array[int]]: ...
def join_strings(texts: Sequence[str], /) -> tuple[array[int], bytes]: ...
def keep_memory() -> None: ...
def largest(values: array[int], /) -> int: ...
def may_have_more(body: bytes, events: int, /) -> bool: ...
def may_have_names(text: bytes | memoryview, /) -> bool: ...
def name_rows(
    key: bytes,
    seconds: array[int],
    nanos: array[int],
    id_ends: array[int],
    id_bytes: bytes,
    positions: array[int],
    run_events: array[int],
    run_kinds: bytes,
    run_ends: array[int],
    run_values: bytes,
    /,
) -> array[int]: ...
def name_texts(
    id_ends: array[int],
    id_bytes: bytes,
    positions: array[int],
    run_events: array[int],
    run_kinds: bytes,
    run_ends: array[int],
    run_values: bytes,
    /,
) -> tuple[array[int], bytes]: ...
def names_in_lines(
    text: bytes | memoryview, first: int, positions: array[int], /
) -> tuple[array[int], bytes, array[int]]: ...
def narrow(values: array[int], base: int, /) -> tuple[int, bytes]: ...
def pack_strings(ends: array[int], heap: bytes, /) -> bytes: ...
def part(
    text: Buffer, state: tuple[int, bool, int, int, int, int], final: bool, most: int, /
) -> tuple[array[int], array[int], array[int], int, tuple[int, bool, int, int, int, int]]: ...
def pick(values: array[int], indexes: array[int], /) -> array[int]: ...
def pick_strings(ends: array[int], heap: bytes, indexes: array[int], /) -> tuple[array[int], bytes]: ...
def place(size: int, at: array[int], values: bytes, /) -> bytes: ...
def positions_of(firsts: array[int], counts: array[int], gaps: array[int], /) -> array[int]: ...
def quote(ends: array[int], heap: bytes, csv: bool, /) -> tuple[array[int], bytes]: ...
def read_counts(cells: bytes, size: int, /) -> tuple[array[int], array[int], array[int]]: ...
def renumber(indexes: array[int], size: int, /) -> tuple[array[int], array[int]]: ...
def same_slots(rows: array[int], /) -> tuple[array[int], array[int]]: ...
def shift(values: array[int], starts: array[int], shifts: array[int], /) -> array[int]: ...
def shuffle(data: bytes, width: int, /) -> bytes: ...
def sources_of_names(ends: array[int], heap: bytes, id_ends: array[int], id_bytes: bytes, /) -> NamedRuns: ...
def split_strings(ends: array[int], heap: bytes, /) -> list[str]: ...
def sum_counts(segments: Sequence[bytes], size: int, /) -> bytes: ...
def unpack_strings(data: bytes | memoryview, count: int, /) -> tuple[array[int], bytes, int]: ...
def unshuffle(data: bytes | memoryview, width: int, /) -> bytes: ...
def widen(data: bytes | memoryview, width: int, base: int, count: int, code: str, /) -> array[int]: ...
def windows(seconds: array[int], window_s: int, /) -> tuple[int, array[int], int]: ...

Parsed: TypeAlias = tuple[
    array[int],  # seconds (q)
    array[int],  # nanos (I)
    array[int],  # amounts (q)
    array[int],  # methods (B)
    array[int],  # merchants (I), indexes into the names
    array[int],  # ends of the merchants' names (I)
    bytes,  # the names' bytes
    array[int],  # positions (Q)
    array[int],  # ends of ids (I), empty when there are none
    bytes,  # the ids' bytes
    array[int],  # events (Q) of each text
    array[int],  # fallback (Q), five numbers each: text, events before it in all, position, start, end
    int,  # bytes read of the last place
    int,  # the position after its last line that was read
    # for each field to be kept None where it is absent throughout, else: indexes (I) into its distinct values, these as
    # a string column, and the events (I) whose value could not be kept
    tuple[tuple[array[int], array[int], bytes, array[int]] | None, ...],
    bool,  # whether no event has a member that is none of the contract's five, and none fell back
]

@final
class Dictionary:
    def __len__(self) -> int: ...
    def add(self, ends: array[int], heap: bytes, /) -> None: ...
    def column(self, start: int, stop: int, /) -> tuple[array[int], bytes]: ...
    def find(self, ends: array[int], heap: bytes, /) -> array[int]: ...
    def search(self, text: bytes, known: int, limit: int, /) -> tuple[list[str], array[int]]: ...

# Gives away Python's lock while it works; names may be added to its dictionary meanwhile.
@final
class Rows:
    def __new__(cls, parts: list[RowPart], rows: int, /) -> Self: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> bytes: ...

@final
class Selection:
    def __new__(
        cls,
        names: Dictionary,
        known: int,
        shape: Shape,
        targets: Sequence[tuple[bytes, bytes, array[int]]],
        wanted: array[int] | None,
        cut: Cut,
        /,
    ) -> Self: ...
    def __len__(self) -> int: ...
    def add(
        self,
        window: bytes,
        rows: list[tuple[int, int, bytes]],
        codes: array[int],
        counts: array[int],
        lows: array[int],
        highs: array[int],
        /,
    ) -> None: ...
    def best(self) -> list[tuple[str, int, int]]: ...
    def totals(self) -> tuple[int, int, int]: ...

# Keeps its memory from call to call. Only one thread at a time may call it; it gives away Python's lock.
@final
class Parser:
    # Say once, before anything is parsed, which fields are to be kept: names, each with the number of the name in whose
    # object it is, from 1 as they stand here (0 for the event's own), and its field, -1 where it only leads to others.
    def keep(self, names: tuple[tuple[int, bytes, int], ...], fields: int, /) -> None: ...
    # Parse places in texts that nobody can write to: in text `owners[i]` from `starts[i]` to `ends[i]`. A place whose
    # flag in `single` is 1 is one JSON text, at its position in `firsts`; of any other, each line that is not blank is
    # one, at its line number counted from there. An event dated after the second `latest` falls back. Once so many have
    # fallen back, no more lines are read.
    def parse(
        self,
        texts: Sequence[Buffer],
        owners: array[int],
        firsts: array[int],
        starts: array[int],
        ends: array[int],
        single: bytes | bytearray,
        latest: int,
        fallback_stop: int,
        /,
    ) -> Parsed: ...

PackedSpelling: TypeAlias = tuple[int, bytes, bytes, bytes, tuple[bytes, ...], int]
PackedReport: TypeAlias = tuple[bytes, tuple[int, ...], tuple[tuple[int, tuple[bytes, ...]], ...]]

# Gives away Python's lock while it works; only one thread at a time may call it.
@final
class Tally:
    def __new__(cls, spellings: tuple[PackedSpelling, ...], reports: tuple[PackedReport, ...], /) -> Self: ...
    def count(
        self,
        wanted: bytes,
        seconds: array[int],
        amounts: array[int],
        methods: array[int],
        strings: Sequence[tuple[array[int], array[int], bytes]],
        /,
    ) -> None: ...
    def add(
        self,
        side: int,
        report: int,
        pieces: Sequence[tuple[array[int], array[int], bytes]],
        events: array[int],
        lows: array[int],
        highs: array[int],
        /,
    ) -> None: ...
    def size(self) -> int: ...
    def take(self, parts: int, level: int, /) -> list[bytes]: ...
    def load(self, records: bytes, /) -> None: ...
    def differing(self, amounts: bytes, most: int, /) -> tuple[int, int, list[tuple[int, str, int, int, int, int]]]: ...
