"""What fields events bring: which are to be kept, and, of samples, which are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tillroll.core.parse import KEEP_NOTHING

if TYPE_CHECKING:
    from tillroll.core.kept import Keep


class FieldWatch:
    """Knows which fields are to be kept."""

    def __init__(self, keep: Keep = KEEP_NOTHING) -> None:
        self.keep = keep


NO_WATCH: Final = FieldWatch()
