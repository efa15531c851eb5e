"""Kept fields: the values that an operator has the journal keep beside the contract's own, and how they are spelled.

A value is known by its JSON type and text: text, a whole number, a boolean or null. Its spelling is what datapoints
have, and tells any two values apart: bare where it is text that can be taken for nothing else, else its JSON text.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tillroll.core import limits
from tillroll.core.grammar import Raw, is_json_text, members, whole_number
from tillroll.core.pattern import pattern
from tillroll.core.text import is_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ABSENT: Final = "(absent)"  # what an event has that came without the field, or before it was kept
UNKEPT: Final = "#"  # what stands, in memory alone, for a value that is none of these; no value is spelled so
OWN_FIELDS: Final = frozenset({"date", "amount", "paymentMethod", "merchantId", "id", "_name"})
_SEGMENT: Final = pattern(r'"(?:[^"\\\x00-\x1f]|\\.)*+"|[^".]++')
_BARE_STEP: Final = pattern(r'[^".]+')
_UNBARE: Final = pattern(r"[\x00-\x1f\x7f-\x9f|]")


class KeepError(ValueError):
    """A list of fields to be kept is not one."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}")
        self.problem = problem
        self.remedy = remedy


class Node(NamedTuple):
    """Names of one object: which field each is, None for a step on the way to others, and the names within it."""

    field: int | None
    names: dict[str, Node]


class Keep:
    """The fields to be kept, by name, in the order in which they are listed.

    A name is the field's own; a dot reaches into an object: `customer.country`. A step that has a dot or a quote in it,
    or nothing, is written as a JSON string: `"a.b"`, `""`, `customer."street.name"`.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Take a list of names.

        Raises:
            KeepError: one is no name, is given twice, or is the event's own; or they are too many.
        """
        self.names: Final = tuple(names)
        self.paths: Final = tuple(_path(name) for name in self.names)
        if len(self.names) > limits.KEPT_FIELDS_MAX:
            problem = f"{len(self.names)} fields are listed, and at most {limits.KEPT_FIELDS_MAX} are kept"
            raise KeepError(problem, "List those that reports need")
        for name, path in zip(self.names, self.paths, strict=True):
            if self.paths.count(path) > 1:
                raise KeepError(f"{name} is listed twice", "List each field once")

    def __bool__(self) -> bool:
        return bool(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keep) and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.names)

    def __repr__(self) -> str:
        return f"Keep({list(self.names)})"

    @cached_property
    def root(self) -> Node:
        """The names as a tree, by what stands in what."""
        root = Node(None, {})
        for field, path in enumerate(self.paths):
            node = root
            for step in path[:-1]:
                node = node.names.setdefault(step, Node(None, {}))
            last = node.names.get(path[-1])
            node.names[path[-1]] = Node(field, {} if last is None else last.names)
        return root

    def nodes(self) -> tuple[tuple[int, bytes, int], ...]:
        """Return the names of the tree as the kernel takes them: each with the number of the one that it is in."""
        nodes: list[tuple[int, bytes, int]] = []
        waiting = [(0, self.root)]
        for parent, node in waiting:
            for name, below in node.names.items():
                nodes.append((parent, name.encode(), -1 if below.field is None else below.field))
                waiting.append((len(nodes), below))
        return tuple(nodes)

    def add_to(self, event: bytes, values: Sequence[str]) -> bytes:
        """Return an event's JSON with spelled values at its end, each where its name says, without what is absent.

        Read again with the same fields kept, it gives the same values.
        """
        tree: dict[str, Any] = {}
        for path, spelling in sorted(zip(self.paths, values, strict=True), key=lambda one: -len(one[0])):
            text = json_of(spelling)
            if text is None:
                continue
            inner = tree
            for step in path[:-1]:
                inner = inner.setdefault(step, {})
            inner.setdefault(path[-1], Raw(text))
        ordered = {path[0]: tree[path[0]] for path in self.paths if path[0] in tree}
        return event[:-1] + b"," + _object(ordered)[1:].encode() if ordered else event

    def values(self, event: str) -> list[str]:
        """Return the spelling of each field's value in an event's JSON text; ABSENT, or UNKEPT.

        A name that is given twice in one object says nothing for certain: what it names is UNKEPT.
        """
        values = [ABSENT] * len(self.names)
        if values:
            _collect(event, self.root, values)
        return values


def spell_name(step: str) -> str | None:
    """Return a name of one object as a list of fields has it; None for what no list can have."""
    spelled = step if _SEGMENT.fullmatch(step) and not step.startswith('"') else json.dumps(step, ensure_ascii=False)
    return spelled if is_name(spelled) else None


def _path(name: str) -> tuple[str, ...]:
    remedy = 'Write a name, names joined by dots, or, where one has a dot in it, "a.b" with the quotes'
    if not is_name(name):
        raise KeepError(f"{name!r} is not a valid field name (at most {limits.NAME_CHARACTERS_MAX} characters)", remedy)
    steps = []
    at = 0
    while True:
        step = _SEGMENT.match(name, at)
        if step is None:
            raise KeepError(f"{name!r} is not a valid field name", remedy)
        steps.append(_step(step[0], name, remedy))
        at = step.end()
        if at == len(name):
            break
        if name[at] != ".":
            raise KeepError(f"{name!r} is not a valid field name", remedy)
        at += 1
    if len(steps) == 1 and steps[0] in OWN_FIELDS:
        raise KeepError(f"{name} is a field of every event", "List others: those of the contract are always there")
    return tuple(steps)


def path_text(path: Sequence[str]) -> str:
    """Return the name of a field that is reached by these steps."""
    return ".".join(step if _BARE_STEP.fullmatch(step) else json.dumps(step, ensure_ascii=False) for step in path)


def _step(text: str, name: str, remedy: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        step = json.loads(text)
        step.encode()
    except ValueError as error:
        raise KeepError(f"{name!r} has an invalid string", remedy) from error
    return str(step)


def _collect(text: str, node: Node, values: list[str]) -> None:
    seen: set[str] = set()
    for name, value in members(text, node.names):
        below = node.names[name]
        if name in seen:
            _unkeep(below, values)
            continue
        seen.add(name)
        if below.field is not None:
            values[below.field] = _spelled(value)
        if below.names and isinstance(value, Raw) and value.startswith("{"):
            _collect(value, below, values)


def _unkeep(node: Node, values: list[str]) -> None:
    if node.field is not None:
        values[node.field] = UNKEPT
    for below in node.names.values():
        _unkeep(below, values)


def _spelled(value: object) -> str:
    """Return the spelling of what `members` gives."""
    if isinstance(value, Raw):
        number = whole_number(value, limits.KEPT_NUMBER_MAX)
        return UNKEPT if number is None or abs(number) > limits.KEPT_NUMBER_MAX else str(number)
    if value is None or isinstance(value, str | bool):
        return spell(value) or UNKEPT
    raise TypeError(f"{type(value)} is not what a member is")


def spell(value: str | float | bool | None) -> str | None:  # noqa: FBT001 a value of JSON
    """Return how a value is spelled, None for one that is not kept: too long, no Unicode, or too large a number."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if not isinstance(value, str):
        if isinstance(value, float):
            if not value.is_integer():
                return None
            value = int(value)
        return str(value) if abs(value) <= limits.KEPT_NUMBER_MAX else None
    text = json.dumps(value, ensure_ascii=False)
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # half a surrogate pair is JSON, and no text
        return None
    if size > limits.KEPT_VALUE_BYTES_MAX:
        return None
    is_bare = value and value[0] not in '"#' and value != ABSENT and not _UNBARE.search(value)
    return value if is_bare and not is_json_text(value) else text.replace("|", "\\u007c")


def json_of(spelling: str) -> str | None:
    """Return the JSON text of a spelled value, None for ABSENT."""
    if spelling == ABSENT:
        return None
    return spelling if is_json_text(spelling) else json.dumps(spelling, ensure_ascii=False)


def _object(tree: dict[str, Any]) -> str:
    pairs = (
        f"{json.dumps(name, ensure_ascii=False)}:{value if isinstance(value, Raw) else _object(value)}"
        for name, value in tree.items()
    )
    return f"{{{','.join(pairs)}}}"
