"""Where technologies are chosen: the only module that names concrete stores and queues."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from tillroll.config import FRESHNESS_S
from tillroll.core.rejection import CAPACITY
from tillroll.errors import ConfigError, MissingPackageError, StoreError
from tillroll.ports import Opening

if TYPE_CHECKING:
    from tillroll.core.rejection import Capacity
    from tillroll.ports import Backup, Progress, Queue, Store


# The module of each kind of store, by the scheme of its address: "" for a directory. Each has `open_address`.
_STORES: Final = {"": "tillroll.stores.sqlite.store", "dynamodb": "tillroll.stores.dynamodb.store"}


def open_store(
    address: str,
    *,
    make: bool = True,
    freshness_s: float = FRESHNESS_S,
    capacity: Capacity = CAPACITY,
    commit_s: float = math.inf,
    count_write_units: int = 0,
) -> Store:
    """Return the store at an address: a directory, or dynamodb://REGION/AGGREGATES_TABLE/JOURNAL_TABLE.

    See ports.Opening for the rest.

    Raises:
        ConfigError: the address is of no form that is known, or the store's extra is not installed.
        StoreError: there is no such store, or it cannot be used.
    """
    scheme = address.partition("://")[0] if "://" in address else ""
    if scheme not in _STORES:
        remedy = "Give a directory, or dynamodb://REGION/AGGREGATES_TABLE/JOURNAL_TABLE"
        raise ConfigError("data", f"{address} is not a store address that tillroll knows", remedy)
    try:
        opening = Opening(make, freshness_s, capacity, commit_s, count_write_units)
        opened: Store = import_module(_STORES[scheme]).open_address(address, opening)
    except ModuleNotFoundError as error:
        raise _aws_missing("data", error) from error
    return opened


def open_server(url: str, token: str) -> Store:
    """Return the store of a server at an address of HTTP: what it offers of it, which is not to write.

    Raises:
        ConfigError: the address is not one of HTTP.
    """
    from tillroll.stores.http.store import HttpStore  # noqa: PLC0415 only when it is used

    return cast("Store", HttpStore(url, token))


def restore_store(address: str, source: Path, progress: Progress | None = None) -> Backup:
    """Make a store at an address, a directory without one, out of a copy.

    Raises:
        StoreError: there is a store, or the copy is not whole; or it is no directory.
        OSError: the directory cannot be written.
    """
    if "://" in address:
        raise StoreError(f"{address} is not a directory", "Restore tables on AWS to a point in time there")
    from tillroll.stores.sqlite.backup import restore  # noqa: PLC0415 sqlite3 only when it is used

    return restore(source, Path(address), progress)


def open_queue(url: str, dead_letters: str = "") -> Queue:
    """Return the queue at an SQS queue URL. `dead_letters` is the URL where rejected events go, if not its own.

    Raises:
        ConfigError: the AWS extra is not installed.
        QueueError: there is no such queue, or it cannot be used.
    """
    try:
        from tillroll.queues.sqs.queue import open_sqs_queue  # noqa: PLC0415 boto3 only when it is used
    except ModuleNotFoundError as error:
        raise _aws_missing("queue", error) from error
    return open_sqs_queue(url, dead_letters)


def _aws_missing(setting: str, error: ModuleNotFoundError) -> ConfigError:
    return MissingPackageError(setting, error.name or "boto3")
