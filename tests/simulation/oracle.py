"""The oracle: what the reports must show, by plain Python that shares no code with the product.

It knows the contract only: an event's identity, its five datapoints, and that one identity counts once.
"""

from __future__ import annotations

import datetime
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.brackets import bracket

if TYPE_CHECKING:
    from collections.abc import Iterable

METHODS: Final = ("PAY_NOW", "PAY_LATER", "SLICE_IT")
Name = tuple[str, str, int]  # kind, value, position


class Purchase(NamedTuple):
    """A purchase as its producer knows it."""

    second: int
    nanos: int
    cents: int
    method: str
    merchant: str
    id: str = ""

    def text(self) -> bytes:
        """Return it as the contract's JSON."""
        at = datetime.datetime.fromtimestamp(self.second, datetime.UTC)
        fraction = f".{self.nanos:09}" if self.nanos else ""
        fields: dict[str, Any] = {
            "date": f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z",
            "amount": self.cents,
            "paymentMethod": self.method,
            "merchantId": self.merchant,
        }
        return json.dumps(fields | ({"id": self.id} if self.id else {})).encode()


class Identity(NamedTuple):
    """What makes two purchases one."""

    second: int
    nanos: int
    name: Name


def identity_of(purchase: Purchase, carrier: Name | None) -> Identity | None:
    """Return the identity of a purchase that came in a carrier at a position; None when nothing names it."""
    name = ("id", purchase.id, 0) if purchase.id else carrier
    return None if name is None else Identity(purchase.second, purchase.nanos, name)


def datapoints(purchase: Purchase) -> tuple[str, str, str, str, str]:
    """Return the five datapoints that a purchase counts for."""
    at = datetime.datetime.fromtimestamp(purchase.second, datetime.UTC)
    hour, day, amount = f"{at:%Y-%m-%d:%H}", f"{at:%Y-%m-%d}", bracket(purchase.cents)
    return (
        f"{hour}|{amount}",
        f"{hour}|{amount}|{purchase.method}",
        f"{amount}|{purchase.method}",
        f"{day}|{purchase.merchant}",
        f"{purchase.merchant}|{purchase.method}",
    )


def reports(purchases: Iterable[Purchase]) -> Counter[str]:
    """Return the events of every datapoint of the five reports."""
    counted: Counter[str] = Counter()
    for purchase in purchases:
        counted.update(datapoints(purchase))
    return counted


class Ledger:
    """Everything that was sent, and what must therefore be counted.

    An identity that was sent with several contents counts once, as whichever of them came first; the others must be
    among the rejected.
    """

    def __init__(self) -> None:
        self.contents: dict[Identity, set[Purchase]] = {}
        self.sure: dict[
            Identity, set[Purchase]
        ] = {}  # those that a queue took, so that they must all come to something
        self.unnamed: Counter[Purchase] = Counter()  # sent so often
        self.unnamed_acknowledged: Counter[Purchase] = Counter()  # and acknowledged so often
        self.acknowledged: dict[Identity, set[Purchase]] = {}

    def send(self, purchase: Purchase, carrier: Name | None, *, sure: bool = False) -> None:
        """Note a purchase that was sent, in a carrier at a position; `sure` when a queue has taken it."""
        identity = identity_of(purchase, carrier)
        if identity is None:
            self.unnamed[purchase] += 1
        else:
            self.contents.setdefault(identity, set()).add(purchase)
            if sure:
                self.sure.setdefault(identity, set()).add(purchase)

    def acknowledge(self, purchase: Purchase, carrier: Name | None) -> None:
        """Note that a purchase was acknowledged, as new or as a repeat."""
        identity = identity_of(purchase, carrier)
        if identity is None:
            self.unnamed_acknowledged[purchase] += 1
        else:
            self.acknowledged.setdefault(identity, set()).add(purchase)

    def problems(self, journaled: Iterable[tuple[Identity | None, Purchase]]) -> list[str]:
        """Return what is wrong with a journal: twice, altered, never sent, or acknowledged and not there."""
        found: dict[Identity, Purchase] = {}
        unnamed: Counter[Purchase] = Counter()
        wrong = []
        for identity, purchase in journaled:
            if identity is None:
                unnamed[purchase] += 1
            elif identity in found:
                wrong.append(f"{identity} is journaled twice")
            elif purchase not in self.contents.get(identity, ()):
                wrong.append(f"{identity} is journaled as {purchase}, which nobody sent")
            else:
                found[identity] = purchase
        lost = self.acknowledged.keys() - found.keys()
        wrong.extend(f"{identity} was acknowledged, and is not journaled" for identity in lost)
        for purchase in unnamed.keys() | self.unnamed_acknowledged.keys():
            least, most = self.unnamed_acknowledged[purchase], self.unnamed[purchase]
            if not least <= unnamed[purchase] <= most:
                wrong.append(f"{purchase} is journaled {unnamed[purchase]} times, not {least} to {most}")
        return wrong
