"""Versions of reports, and what becomes of them when definitions are applied, dropped, and counted to the end. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from tillroll.core.definition import Definition, read_definition, same
from tillroll.core.report import FIVE

if TYPE_CHECKING:
    from collections.abc import Sequence

VersionState = Literal["counting", "readable", "dropped", "gone"]
_FIVE = frozenset(report.name for report in FIVE)


class Version(NamedTuple):
    """One version of a report."""

    name: str
    version: int
    definition: str
    state: VersionState
    position: int | None = None  # the events up to this one are counted; None where the store says so elsewhere

    @property
    def key(self) -> str:
        """What its aggregates are kept under; see Report."""
        return f"{self.name}.{self.version}"

    @property
    def stands(self) -> bool:
        """Whether it is counted."""
        return self.state in {"counting", "readable"}


def applied(versions: Sequence[Version], definitions: Sequence[Definition]) -> list[Version]:
    """Return the versions that are new or changed when definitions are applied.

    One that says the same as the newest of its name changes nothing; one that says the same as what is read ends the
    counting of another. Any other is a new version, and ends it too.
    """
    changed = []
    for definition in definitions:
        numbers = [version.version for version in versions if version.name == definition.name]
        stands = [version for version in versions if version.name == definition.name and version.stands]
        if stands and _says(stands[-1], definition):
            continue
        counting = [version for version in stands if version.state == "counting"]
        changed += [version._replace(state="dropped") for version in counting]
        if not any(_says(version, definition) for version in stands if version.state == "readable"):
            text, number = definition.text(), max(numbers, default=0) + 1
            changed.append(Version(definition.name, number, text, "counting", 0))
    return changed


def dropped(versions: Sequence[Version], name: str) -> list[Version]:
    """Return the versions that change when a report of one's own is dropped."""
    own = (version for version in versions if version.name == name and version.name not in _FIVE)
    return [version._replace(state="dropped") for version in own if version.stands]


def swapped(versions: Sequence[Version], whole: Sequence[Version]) -> list[Version]:
    """Return the versions that change when some become readable: these, and what was read under their names."""
    names = {version.name for version in whole}
    before = [version for version in versions if version.name in names and version.state == "readable"]
    readable = [
        version._replace(state="readable", position=None if version.name in _FIVE else version.position)
        for version in whole
    ]
    return [*(version._replace(state="dropped") for version in before), *readable]


def _says(version: Version, definition: Definition) -> bool:
    stored = read_definition(version.definition)
    return stored is not None and same(stored, definition)
