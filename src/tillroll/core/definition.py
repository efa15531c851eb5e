"""Definitions: how a report of one's own is written, checked and stored.

A definition is stored as JSON that holds all that counting depends on: its zone's changes of the clock, too. So two
processes with two editions of the zone data count alike.
"""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.core import limits
from tillroll.core.clocks import UTC_CLOCKS, Clocks
from tillroll.core.dimension import FIELD_PREFIX, KEYS, WINDOWS, Closed, Field, dimension
from tillroll.core.kept import ABSENT, spell
from tillroll.core.pattern import pattern
from tillroll.core.question import RESERVED
from tillroll.core.report import FIVE, Condition, Report
from tillroll.core.text import is_name, shown
from tillroll.core.zone import UTC, find_zone, zone_remedy
from tillroll.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tillroll.core.dimension import Dimension

FORMAT: Final = 1
NAME_CHARACTERS_MAX: Final = 40
TITLE_CHARACTERS_MAX: Final = 200
KEYS_MAX: Final = 4  # beside the window
BOUNDS_MAX: Final = 50
VALUES_MAX: Final = 1_000  # of one field of `where`
_NAME: Final = pattern(rf"[a-z0-9-]{{1,{NAME_CHARACTERS_MAX}}}", re.ASCII)
_FIELDS: Final = ("name", "title", "by", "zone", "where", "brackets")
_VIEWS: Final = ("overview", "operations", "reports", "purchases", "preview")  # addresses of the page, and of HTTP
_CONDITIONS: Final = ("method", "bracket", "merchant", "weekday")  # and kept fields


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A report of one's own, as it is stored.

    `where` has the values of each dimension as datapoints spell them. `changes` are those of `core.clocks`, of the
    edition `zone_data` of the IANA database; none for UTC.
    """

    format: int = FORMAT
    name: str
    title: str
    by: tuple[str, ...] = ()
    zone: str = UTC
    zone_data: str = ""
    changes: tuple[tuple[int, int], ...] = ()
    where: dict[str, tuple[str, ...]] = {}
    brackets: tuple[int, ...] = ()

    def text(self) -> str:
        """Return the definition as it is stored: the same text for the same definition."""
        return msgspec.json.encode(self, order="deterministic").decode()

    @property
    def clocks(self) -> Clocks:
        """The clocks of its windows."""
        return Clocks(self.zone, self.changes) if self.changes else UTC_CLOCKS

    def report(self, version: int) -> Report:
        """Return the report that this is, as a version."""
        clocks = self.clocks
        made = {name: dimension(name, clocks, self.brackets) for name in (*self.by, *self.where)}
        return Report(
            name=self.name,
            title=self.title,
            by=tuple(made[name] for name in self.by),
            version=version,
            where=tuple(Condition(made[name], frozenset(texts)) for name, texts in self.where.items()),
            definition=self.text(),
        )

    @property
    def fields(self) -> tuple[str, ...]:
        """The kept fields that it needs."""
        made = (dimension(name) for name in dict.fromkeys((*self.by, *self.where)))
        return tuple(each.field for each in made if isinstance(each, Field))


def read_definition(text: str) -> Definition | None:
    """Return a stored definition, None when a later tillroll wrote it in a format that this one does not know."""
    if msgspec.json.decode(text, type=_Format).format > FORMAT:
        return None
    return msgspec.json.decode(text, type=Definition)


class _Format(msgspec.Struct):
    format: int


def read_file(text: str) -> list[Definition]:
    """Return the definitions of a TOML file: its tables `[[reports]]`.

    Raises:
        DefinitionError: it is no TOML, or one of them is none.
    """
    import tomllib  # noqa: PLC0415 with definitions in a file alone

    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError("", "file", f"it is not TOML ({error})", "Write each report as [[reports]]") from error
    others = [key for key in found if key != "reports"]
    tables = found.get("reports")
    if others or not isinstance(tables, list) or not tables:
        problem = f"it has {shown(others[0])}" if others else "it has no [[reports]]"
        raise DefinitionError("", "file", problem, "Write each report as [[reports]], and nothing else")
    definitions = [define(table) for table in tables]
    names = [definition.name for definition in definitions]
    for name in names:
        if names.count(name) > 1:
            raise DefinitionError(name, "name", "it is defined twice", "Give each report a name of its own")
    return definitions


def define(table: object) -> Definition:
    """Return the definition that a TOML table or a JSON object is.

    Raises:
        DefinitionError: it is none; with the field, the value and the remedy.
    """
    if not isinstance(table, dict):
        raise DefinitionError("", "report", f"{_shown(table)} is not a table", "Write name, by and what else it needs")
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        remedy = f"Write 1 to {NAME_CHARACTERS_MAX} of a-z, 0-9 and -"
        raise DefinitionError("", "name", f"{_shown(name)} is not a valid report name", remedy)
    if any(report.name == name for report in FIVE):
        raise DefinitionError(name, "name", "it is one of the five, which never change", "Choose another name")
    if name in _VIEWS:
        raise DefinitionError(name, "name", "the page has a view of this name", "Choose another name")
    for field in table:
        if field not in _FIELDS:
            raise DefinitionError(name, str(field), "unknown field", f"There are {', '.join(_FIELDS)}")
    by = _by(name, table.get("by", []))
    brackets = _brackets(name, table["brackets"], by, table.get("where")) if "brackets" in table else ()
    zone, zone_data, changes = _zone(name, table.get("zone", UTC))
    clocks = Clocks(zone, changes) if changes else UTC_CLOCKS
    return Definition(
        name=name,
        title=_title(name, table.get("title", name)),
        by=by,
        zone=zone,
        zone_data=zone_data,
        changes=changes,
        where=_where(name, table.get("where", {}), clocks, brackets),
        brackets=brackets,
    )


def _title(name: str, title: object) -> str:
    if not isinstance(title, str) or not 0 < len(title) <= TITLE_CHARACTERS_MAX or not is_name(title[:1] + "x"):
        remedy = f"Write a text of 1 to {TITLE_CHARACTERS_MAX} characters in one line"
        raise DefinitionError(name, "title", f"{_shown(title)} is not a valid title", remedy)
    if any(not is_name(f"x{character}") for character in title):
        raise DefinitionError(name, "title", f"{_shown(title)} has a control character", "Write it in one line")
    return title


def _by(name: str, by: object) -> tuple[str, ...]:
    remedy = f"List up to one of {', '.join(WINDOWS)}, and up to {KEYS_MAX} of {', '.join(KEYS)} and kept fields"
    if not isinstance(by, list | tuple) or not all(isinstance(each, str) for each in by):
        raise DefinitionError(name, "by", f"{_shown(by)} is not a list of dimensions", remedy)
    for each in by:
        _check_dimension(name, "by", each, remedy)
        if sum(_same(each) == _same(other) for other in by) > 1:
            raise DefinitionError(name, "by", f"{shown(each)} is given twice", "Give each dimension once")
    windows = [each for each in by if each in WINDOWS]
    if len(windows) > 1:
        raise DefinitionError(name, "by", f"{' and '.join(windows)} are both windows", "Give one of them at most")
    if len(by) - len(windows) > KEYS_MAX:
        problem = f"{len(by) - len(windows)} dimensions besides the window are more than {KEYS_MAX}"
        raise DefinitionError(name, "by", problem, remedy)
    return tuple(map(_same, by))


def _same(field: str) -> str:
    """Return a kept field's name as it is written when it cannot be taken for anything else."""
    bare = field.removeprefix(FIELD_PREFIX)
    return field if bare in RESERVED or bare == field or bare.startswith(FIELD_PREFIX) else bare


def _check_dimension(name: str, field: str, each: str, remedy: str) -> None:
    bare = each.removeprefix(FIELD_PREFIX)
    if each in (*WINDOWS, *KEYS):
        return
    if bare == each and each in RESERVED:
        problem = f"{each} is a parameter of queries"
        raise DefinitionError(name, field, problem, f"A kept field of that name is written {FIELD_PREFIX}{each}")
    if not is_name(bare) or "|" in bare or "," in bare:
        raise DefinitionError(name, field, f"{_shown(each)} is not a dimension", remedy)


def _brackets(name: str, brackets: object, by: Sequence[str], where: object) -> tuple[int, ...]:
    remedy = f"Write 1 to {BOUNDS_MAX} rising bounds in cents, such as [1000, 2500, 10000]"
    if not isinstance(brackets, list | tuple) or not 0 < len(brackets) <= BOUNDS_MAX:
        raise DefinitionError(name, "brackets", f"{_shown(brackets)} is not a list of bounds", remedy)
    for bound in brackets:
        if not isinstance(bound, int) or isinstance(bound, bool) or not 0 < bound <= limits.AMOUNT_MAX:
            raise DefinitionError(name, "brackets", f"{_shown(bound)} is not a bound in cents above 0", remedy)
    for low, high in pairwise(brackets):
        if low >= high:
            raise DefinitionError(name, "brackets", f"{high} is not above {low}", remedy)
    if "bracket" not in by and not (isinstance(where, dict) and "bracket" in where):
        remedy = 'Add "bracket" to by or where, or leave them out'
        raise DefinitionError(name, "brackets", "the report does not use its brackets", remedy)
    return tuple(brackets)


def _zone(name: str, zone: object) -> tuple[str, str, tuple[tuple[int, int], ...]]:
    found = find_zone(zone) if isinstance(zone, str) else None
    if not isinstance(zone, str) or found is None:
        raise DefinitionError(name, "zone", f"{_shown(zone)} is not a time zone", zone_remedy(zone))
    if zone == UTC:
        return UTC, "", ()
    return zone, zone_edition(), tuple(found.changes())


def zone_edition() -> str:
    """Return the edition of the zone data in use, such as 2026f; the empty text when it does not say."""
    import zoneinfo  # noqa: PLC0415 with definitions alone

    for directory in zoneinfo.TZPATH:
        try:
            with open(f"{directory}/tzdata.zi", encoding="utf-8") as file:  # noqa: PTH123 a name, as zoneinfo has it
                return file.readline().removeprefix("# version ").strip()
        except OSError:
            continue
    with suppress(ImportError):
        import tzdata  # noqa: PLC0415

        return str(tzdata.IANA_VERSION)
    return ""


def _where(name: str, where: object, clocks: Clocks, bounds: Sequence[int]) -> dict[str, tuple[str, ...]]:
    remedy = f'Write fields and their values, such as {{ method = ["PAY_NOW"] }}: {", ".join(_CONDITIONS)}, kept fields'
    if not isinstance(where, dict):
        raise DefinitionError(name, "where", f"{_shown(where)} is not a table", remedy)
    found: dict[str, tuple[str, ...]] = {}
    for field, values in where.items():
        place = f"where.{shown(str(field))}"
        if field in WINDOWS or (field in KEYS and field not in _CONDITIONS):
            raise DefinitionError(name, place, "purchases cannot be filtered by it", remedy)
        _check_dimension(name, place, str(field), remedy)
        if not isinstance(values, list | tuple) or not 0 < len(values) <= VALUES_MAX:
            problem = f"{_shown(values)} is not a list of 1 to {VALUES_MAX} values"
            raise DefinitionError(name, place, problem, f'Write {field} = ["...", "..."]')
        of = dimension(_same(str(field)), clocks, bounds)
        if of.name in found:
            raise DefinitionError(name, place, "it is given twice", "Give each field once")
        found[of.name] = tuple(sorted({_value(name, place, of, value) for value in values}))
    return {field: found[field] for field in sorted(found)}


def _value(name: str, place: str, of: Dimension, value: object) -> str:
    """Return a value as datapoints spell it."""
    if isinstance(of, Field):
        text = _spelled(value)
        if text is not None:
            return text
        remedy = "Write a text, a whole number, a boolean, or { absent = true }"
    elif isinstance(value, str) and of.may_be(value):
        return value
    else:
        remedy = f"Write {', '.join(of.texts)}" if isinstance(of, Closed) else "Write a name as events have it"
    raise DefinitionError(name, place, f"{_shown(value)} is not one of its values", remedy)


def _spelled(value: object) -> str | None:
    if isinstance(value, dict):
        return ABSENT if value == {"absent": True} else None
    return spell(value) if value is None or isinstance(value, str | int | float | bool) else None


def _shown(value: object) -> str:
    return shown(repr(value))


def changed_zone(definition: Definition) -> bool:
    """Tell whether the zone's changes are others in the edition of the zone data that is in use now."""
    zone = find_zone(definition.zone)
    return bool(definition.changes) and (zone is None or tuple(zone.changes()) != definition.changes)


def same(one: Definition, other: Definition) -> bool:
    """Tell whether two definitions count alike and are called alike, whatever edition of the zone data they have."""
    return msgspec.structs.replace(one, zone_data="") == msgspec.structs.replace(other, zone_data="")


def compare(wanted: Iterable[Definition], stored: Mapping[str, Definition]) -> list[Definition]:
    """Return those of the wanted definitions that are new, or others than are stored under their names."""
    return [each for each in wanted if each.name not in stored or not same(each, stored[each.name])]
