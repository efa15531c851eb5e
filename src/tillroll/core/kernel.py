"""The column operations and the line parser in use: the compiled kernel where it was built, else plain Python.

Both give the same results; only the speed differs. Callers go through this module's attributes.
"""

from __future__ import annotations

from tillroll.core import columns

try:
    from tillroll import _kernel

    compiled = True
except ImportError:  # built without a compiler: every line takes the reference path
    compiled = False

if compiled:
    add_counts = _kernel.add_counts
    group = _kernel.group
    hash_ids = _kernel.hash_ids
    narrow = _kernel.narrow
    pack_strings = _kernel.pack_strings
    read_counts = _kernel.read_counts
    unpack_strings = _kernel.unpack_strings
    widen = _kernel.widen
else:
    add_counts = columns.add_counts
    group = columns.group
    hash_ids = columns.hash_ids
    narrow = columns.narrow
    pack_strings = columns.pack_strings
    read_counts = columns.read_counts
    unpack_strings = columns.unpack_strings
    widen = columns.widen
hash_name = columns.hash_name
