"""The column operations and the line parser in use: the compiled kernel where it was built, else plain Python.

Both give the same results; only the speed differs. Callers go through this module's attributes.
"""

from __future__ import annotations

from typing import Final

from tillroll.core import columns, limits, naming, rows, selection

# What the kernel repeats of the contract. One that was built from another version is left alone.
CONTRACT: Final = (
    len(limits.METHODS),
    limits.AMOUNT_MAX,
    limits.NAME_CHARACTERS_MAX,
    limits.LINE_BYTES_MAX,
)

try:
    from tillroll import _kernel

    compiled = _kernel.CONTRACT == CONTRACT
except ImportError:  # built without a compiler: every line takes the reference path
    compiled = False

MISSING: Final = columns.MISSING
if compiled:
    Dictionary = _kernel.Dictionary
    Parser = _kernel.Parser
    Selection = _kernel.Selection
    Tally = _kernel.Tally  # without a kernel `core.recount` has its own
    accepts = _kernel.accepts
    add_counts = _kernel.add_counts
    bounds = _kernel.bounds
    bucketize = _kernel.bucketize
    equal_at = _kernel.equal_at
    equal_strings_at = _kernel.equal_strings_at
    format_rows = _kernel.format_rows
    gaps_of = _kernel.gaps_of
    group = _kernel.group
    hash_name = _kernel.hash_name
    indexes_of = _kernel.indexes_of
    interleave = _kernel.interleave
    intersect = _kernel.intersect
    join_strings = _kernel.join_strings
    keep_memory = _kernel.keep_memory
    largest = _kernel.largest
    may_have_more = _kernel.may_have_more
    may_have_names = _kernel.may_have_names
    name_rows = _kernel.name_rows
    name_texts = _kernel.name_texts
    names_in_lines = _kernel.names_in_lines
    narrow = _kernel.narrow
    pack_strings = _kernel.pack_strings
    part = _kernel.part
    pick = _kernel.pick
    pick_strings = _kernel.pick_strings
    place = _kernel.place
    positions_of = _kernel.positions_of
    quote = _kernel.quote
    read_counts = _kernel.read_counts
    renumber = _kernel.renumber
    same_slots = _kernel.same_slots
    shift = _kernel.shift
    shuffle = _kernel.shuffle
    sources_of_names = _kernel.sources_of_names
    split_strings = _kernel.split_strings
    sum_counts = _kernel.sum_counts
    unpack_strings = _kernel.unpack_strings
    unshuffle = _kernel.unshuffle
    widen = _kernel.widen
    windows = _kernel.windows
else:
    Dictionary = columns.Dictionary  # type: ignore[assignment,misc]
    Selection = selection.Selection  # type: ignore[assignment,misc]
    accepts = columns.accepts
    add_counts = columns.add_counts
    bounds = columns.bounds
    bucketize = columns.bucketize
    equal_at = columns.equal_at
    equal_strings_at = columns.equal_strings_at
    format_rows = rows.format_rows
    gaps_of = columns.gaps_of
    group = columns.group
    hash_name = columns.hash_name
    indexes_of = columns.indexes_of
    interleave = columns.interleave
    intersect = columns.intersect
    join_strings = columns.join_strings
    keep_memory = columns.keep_memory
    largest = columns.largest
    may_have_names = naming.may_have_names
    name_rows = columns.name_rows
    name_texts = rows.name_texts
    names_in_lines = naming.names_in_lines
    narrow = columns.narrow
    pack_strings = columns.pack_strings
    pick = columns.pick
    pick_strings = columns.pick_strings
    place = columns.place
    positions_of = columns.positions_of
    quote = rows.quote
    read_counts = columns.read_counts
    renumber = columns.renumber
    same_slots = columns.same_slots
    shift = columns.shift
    shuffle = columns.shuffle
    sources_of_names = naming.sources_of_names
    split_strings = columns.split_strings
    sum_counts = columns.sum_counts
    unpack_strings = columns.unpack_strings
    unshuffle = columns.unshuffle
    widen = columns.widen
    windows = columns.windows
