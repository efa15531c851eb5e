"""What AWS asks, in dollars, in eu-west-1 (Ireland), before any free tier: the only place that names a price.

List prices as of November 2024, when DynamoDB's on-demand prices were halved. They change, and a region or a contract
has others: look at https://aws.amazon.com/pricing before a decision rests on them, and give your own in a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tillroll.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MILLION: Final = 1_000_000


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price list: dollars for one of each."""

    as_of: str = "2024-11"
    region: str = "eu-west-1"
    write_unit: float = 0.7068 / MILLION  # DynamoDB on demand
    read_unit: float = 0.1415 / MILLION
    provisioned_write_hour: float = 0.000735  # of one write unit a second
    provisioned_read_hour: float = 0.000147
    stored_gigabyte_month: float = 0.283
    recovery_gigabyte_month: float = 0.2265  # point-in-time recovery
    sqs_request: float = 0.40 / MILLION  # of up to 64 KiB, standard queue
    lambda_request: float = 0.20 / MILLION
    lambda_gigabyte_second_arm64: float = 0.0000133334
    lambda_gigabyte_second_x86_64: float = 0.0000166667
    api_request: float = 3.50 / MILLION  # REST API
    log_gigabyte: float = 0.57  # ingested by CloudWatch
    metric_month: float = 0.30
    alarm_month: float = 0.10  # of a metric
    dashboard_month: float = 3.00  # the fourth of an account, and each more


PRICES: Final = Prices()
WRITE_UNIT: Final = PRICES.write_unit


def read_prices(file: Path | None, given: Mapping[str, str]) -> Prices:
    """Return the list with the prices of a TOML file, and those given one by one, in place of its own.

    Raises:
        ConfigError: the file is none, or names what is no price.
    """
    found: dict[str, object] = {}
    try:
        if file is not None:
            found |= msgspec.toml.decode(file.read_bytes(), type=dict[str, object])
        found |= given
        prices = msgspec.convert(msgspec.structs.asdict(PRICES) | found, Prices, strict=False)
    except OSError as error:
        raise ConfigError("prices", f"{file} cannot be read: {error.strerror}", "Give a TOML file") from error
    except msgspec.MsgspecError as error:
        known = ", ".join(Prices.__struct_fields__)
        raise ConfigError(
            "prices", str(error), f"Write lines such as write_unit = 0.0000007; there are {known}"
        ) from error
    for name in Prices.__struct_fields__:
        price = getattr(prices, name)
        if isinstance(price, float) and not 0 <= price < MILLION:
            raise ConfigError("prices", f"{name} is {price}", "A price is a number of dollars, 0 or more")
    return prices
