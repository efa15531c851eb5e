"""Reports, as values: a name, the dimensions that it counts by, and which events it counts.

A datapoint is the values of a report's dimensions joined by `|`. Two reports never share one: those of the five are
told apart by their values (see `merchant_is_reserved`), all others begin with `|NAME|`.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tillroll.core.dimension import BRACKET, DAY, HOUR, MERCHANT, METHOD, Closed, Dimension, Open, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tillroll.core.batch import Batch, Event

SEPARATOR: Final = "|"
DATAPOINT_BYTES_MAX: Final = 1_000  # a longer one stands under its hash: DynamoDB's keys have at most 2,048
_HASHED: Final = "#"
_OPEN: Final = "\0"  # stands for an open dimension's text, which has no such character


class Condition(NamedTuple):
    """One part of `where`: the events whose dimension has one of the texts."""

    dimension: Dimension
    texts: frozenset[str]


class Report(msgspec.Struct, frozen=True, eq=False, dict=True):
    """A report: its name, the dimensions in the order of the datapoint, and the conditions that all must hold.

    Two are equal when name and version are: a definition never changes. `definition` is the text of a report of one's
    own, and empty for the five.
    """

    name: str
    title: str
    by: tuple[Dimension, ...]
    version: int = 1
    where: tuple[Condition, ...] = ()
    definition: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Report) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @cached_property
    def key(self) -> str:
        """What stores keep its counters under."""
        return f"{self.name}.{self.version}"

    @property
    def is_own(self) -> bool:
        """Whether it is none of the five."""
        return bool(self.definition)

    @cached_property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the dimensions."""
        return tuple(dimension.name for dimension in self.by)

    @cached_property
    def window(self) -> Window | None:
        """The dimension that is a window of time, None for a report over all time."""
        return next((dimension for dimension in self.by if isinstance(dimension, Window)), None)

    @cached_property
    def opens(self) -> tuple[Open, ...]:
        """The open dimensions, in the order of the datapoint."""
        return tuple(dimension for dimension in self.by if isinstance(dimension, Open))

    @cached_property
    def closed(self) -> tuple[Closed, ...]:
        """The closed dimensions, in the order of the datapoint."""
        return tuple(dimension for dimension in self.by if isinstance(dimension, Closed))

    @cached_property
    def inner(self) -> int:
        """How many combinations the closed dimensions have. A cell's code is its open number times this, and more."""
        return prod(dimension.size for dimension in self.closed)

    def inner_code(self, codes: Iterable[int]) -> int:
        """Return the code of some values of the closed dimensions: in mixed radix, the first counting most."""
        code = 0
        for dimension, each in zip(self.closed, codes, strict=True):
            code = code * dimension.size + each
        return code

    def inner_texts(self, code: int) -> dict[str, str]:
        """Return the texts of the closed dimensions, by name, of a code. The inverse of `inner_code`."""
        texts: dict[str, str] = {}
        for dimension in reversed(self.closed):
            code, each = divmod(code, dimension.size)
            texts[dimension.name] = dimension.texts[each]
        return texts

    def text(self, texts: Iterable[str]) -> str:
        """Return the datapoint of its dimensions' texts, in full."""
        joined = SEPARATOR.join(texts)
        return f"{self.prefix}{joined}" if self.is_own else joined

    @cached_property
    def prefix(self) -> str:
        """What all its datapoints begin with."""
        return f"{SEPARATOR}{self.name}{SEPARATOR}" if self.is_own else ""

    def datapoint(self, text: str) -> str:
        """Return a datapoint as it is stored and answered: one that is very long stands under its hash."""
        if not self.is_own or len(text) * 4 <= DATAPOINT_BYTES_MAX:
            return text
        encoded = text.encode()
        if len(encoded) <= DATAPOINT_BYTES_MAX:
            return text
        return f"{self.prefix}{_HASHED}{hashlib.sha256(encoded).hexdigest()}"

    def forms(self, window: int) -> list[tuple[str, ...]]:
        """Return what stands around open dimensions' texts in a window's datapoints, by inner code."""
        told = {self.window.name: self.window.text(window)} if self.window else {}
        texts = [told | self.inner_texts(code) for code in range(self.inner)]
        return [tuple(self.text(each.get(name, _OPEN) for name in self.dimensions).split(_OPEN)) for each in texts]

    def text_of(self, event: Event, kept: Mapping[str, str]) -> str | None:
        """Return the datapoint, in full, that an event counts for; None when a condition leaves it out."""
        if any(condition.dimension.of(event, kept) not in condition.texts for condition in self.where):
            return None
        return self.text(dimension.of(event, kept) for dimension in self.by)

    def indexes_of(self, batch: Batch, datapoint: str) -> Iterator[int]:
        """Yield the indexes of a batch's events that a datapoint counts. A long one is in full, or its hash."""
        wanted = self.datapoint(datapoint)
        for index, event in enumerate(batch.events()):
            text = self.text_of(event, batch.kept_of(index))
            if text is not None and self.datapoint(text) == wanted:
                yield index

    def parse(self, datapoint: str) -> tuple[str, ...] | None:
        """Return the texts of a datapoint's dimensions, None when the report cannot have it. See `is_hashed`."""
        if not datapoint.startswith(self.prefix):
            return None
        rest = datapoint[len(self.prefix) :]
        texts = tuple(rest.split(SEPARATOR)) if rest or self.by else ()
        if len(texts) != len(self.by):
            return None
        fits = all(dimension.may_be(text) for dimension, text in zip(self.by, texts, strict=True))
        return texts if fits else None

    def is_hashed(self, datapoint: str) -> bool:
        """Tell whether a datapoint may be the hash of one that is very long."""
        rest = datapoint.removeprefix(f"{self.prefix}{_HASHED}")
        return self.is_own and len(rest) == hashlib.sha256().digest_size * 2 and rest != datapoint


FIVE: Final = (
    Report("hour-bracket", "Purchases per hour by amount bracket", (HOUR, BRACKET)),
    Report("hour-bracket-method", "Purchases per hour by amount bracket and payment method", (HOUR, BRACKET, METHOD)),
    Report("bracket-method", "Purchases by amount bracket and payment method", (BRACKET, METHOD)),
    Report("day-merchant", "Purchases per day by merchant", (DAY, MERCHANT)),
    Report("merchant-method", "Purchases by merchant and payment method", (MERCHANT, METHOD)),
)


class Place(NamedTuple):
    """Where a datapoint lies: its report, and the texts of the report's dimensions."""

    report: Report
    texts: tuple[str, ...]

    @property
    def window(self) -> int:
        """The window, 0 in a report over all time."""
        window = self.report.window
        return 0 if window is None else window.parse(self.texts[self.report.by.index(window)]) or 0

    @property
    def keys(self) -> tuple[str, ...]:
        """The texts of the dimensions that are no window."""
        pairs = zip(self.report.by, self.texts, strict=True)
        return tuple(text for dimension, text in pairs if dimension is not self.report.window)


class Reports:
    """Some reports, by name. A value: another set of reports is another one."""

    def __init__(self, reports: Sequence[Report] = FIVE) -> None:
        self._by_name = {report.name: report for report in reports}

    def __iter__(self) -> Iterator[Report]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __getitem__(self, name: str) -> Report:
        return self._by_name[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(self._by_name)

    def get(self, name: str) -> Report | None:
        """Return the report of a name, None when there is none."""
        return self._by_name.get(name)

    def place(self, datapoint: str) -> Place | None:
        """Return where a datapoint lies, None when no report could have it. Hashed ones have no texts."""
        if datapoint.startswith(SEPARATOR):
            report = self.get(datapoint[1:].partition(SEPARATOR)[0])
            if report is None or not report.is_own:
                return None
            if report.is_hashed(datapoint):
                return Place(report, ())
            texts = report.parse(datapoint)
            return None if texts is None else Place(report, texts)
        for report in self:
            texts = None if report.is_own else report.parse(datapoint)
            if texts is not None:
                return Place(report, texts)
        return None
