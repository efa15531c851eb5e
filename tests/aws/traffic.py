"""Messages for the end-to-end tests, and what must come of them, counted here and by no code of the product."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field

from tests.brackets import bracket

METHODS = ("PAY_NOW", "PAY_LATER", "SLICE_IT")
_DATE = "2011-12-03T10:15:30Z"


def _invalid(date: object, amount: object, method: object, merchant: object) -> str:
    event = {"date": date, "amount": amount, "paymentMethod": method, "merchantId": merchant, "n": 0}
    return json.dumps(event).replace('"n": 0', '"n": %d')


INVALID = (
    (_invalid("2011-12-03", 1, "PAY_NOW", "m"), "invalid_date"),
    (_invalid(_DATE, 12.5, "PAY_NOW", "m"), "invalid_amount"),
    (_invalid(_DATE, 1, "BARTER", "m"), "unknown_method"),
    (_invalid(_DATE, 1, "PAY_NOW", "10-50"), "reserved_merchant"),
    ("not JSON at all, number %d", "not_json"),
)


@dataclass
class Traffic:
    """What is sent, in order, and what must come of it."""

    messages: list[tuple[bytes, str | None]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    events: int = 0
    invalid: Counter[tuple[str, str]] = field(default_factory=Counter)  # (body, reason)


def traffic(messages: int, seed: int) -> Traffic:
    """Return so many messages, then 2 % again under their eventIds. 1 % are invalid, 5 % hold several events."""
    draw = random.Random(seed)
    made = Traffic()
    for number in range(messages):
        if number % 100 == 99:
            _add_invalid(made, draw, number)
            continue
        lines = [_purchase(made, draw, number, line) for line in range(draw.randint(2, 9) if number % 20 == 0 else 1)]
        key = None if number % 10 == 5 else f"checkout-{seed}-{number}"
        made.messages.append(("\n".join(lines).encode(), key))
    keyed = [message for message in made.messages if message[1] is not None]
    made.messages.extend(draw.sample(keyed, messages // 50))
    return made


def _purchase(made: Traffic, draw: random.Random, number: int, line: int) -> str:
    day, hour, minute = draw.choice((3, 4)), draw.randrange(24), draw.randrange(0, 60, 20)
    cents = draw.choice((0, 999, 1_000, 4_999, 5_000, 10_000, 50_000, 50_001, draw.randrange(100_000)))
    method = draw.choice(METHODS)
    merchant = f"m-{int(draw.paretovariate(1.0)) % 97}"
    date = f"2011-12-{day:02}T{hour:02}:{minute:02}:{draw.randrange(60):02}Z"
    event = {"date": date, "amount": cents, "paymentMethod": method, "merchantId": merchant}
    if number % 10 == 7:
        event["id"] = f"purchase-{number}-{line}"
    window, size = f"2011-12-{day:02}:{hour:02}", bracket(cents)
    made.events += 1
    made.counts.update(
        [
            f"{window}|{size}",
            f"{window}|{size}|{method}",
            f"{size}|{method}",
            f"2011-12-{day:02}|{merchant}",
            f"{merchant}|{method}",
        ]
    )
    return json.dumps(event)


def _add_invalid(made: Traffic, draw: random.Random, number: int) -> None:
    text, reason = draw.choice(INVALID)
    body = text % number
    made.invalid[body, reason] += 1
    made.messages.append((body.encode(), f"bad-{number}" if draw.random() < 0.5 else None))
