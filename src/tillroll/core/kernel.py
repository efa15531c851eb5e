"""The column operations and the line parser in use: the compiled kernel where it was built, else plain Python.

Both give the same results; only the speed differs. Callers go through this module's attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tillroll.core import columns, limits

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
if TYPE_CHECKING or compiled:
    from tillroll._kernel import *  # noqa: F403 its stub names them all
else:
    from tillroll.core.columns import *  # noqa: F403
    from tillroll.core.naming import *  # noqa: F403
    from tillroll.core.rows import *  # noqa: F403
    from tillroll.core.selection import *  # noqa: F403
