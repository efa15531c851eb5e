"""Where technologies are chosen: the only module that names concrete stores and queues."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tillroll.config import FRESHNESS_S
from tillroll.core.rejection import CAPACITY
from tillroll.errors import ConfigError, MissingPackageError, StoreError

if TYPE_CHECKING:
    from tillroll.core.rejection import Capacity
    from tillroll.ports import Backup, Progress, Queue, Store


def open_store(
    address: str, *, make: bool = True, freshness_s: float = FRESHNESS_S, capacity: Capacity = CAPACITY
) -> Store:
    """Return the store at an address: a directory, or dynamodb://REGION/AGGREGATES_TABLE/JOURNAL_TABLE.

    `make` says whether a directory without a store becomes one; tables are made by a deployment. `freshness_s` is the
    setting of that name. Readers of a directory are always up to date, and need none. `capacity` is that of what is
    not accepted.

    Raises:
        ConfigError: the address is of neither form, or the AWS extra is not installed.
        StoreError: there is no such store, or it cannot be used.
    """
    if address.startswith("dynamodb://"):
        try:
            from tillroll.stores.dynamodb.store import open_dynamodb_store  # noqa: PLC0415 boto3 only when it is used
        except ModuleNotFoundError as error:
            raise _aws_missing("data", error) from error
        return open_dynamodb_store(address, freshness_s=freshness_s, capacity=capacity)
    if "://" in address:
        remedy = "Give a directory, or dynamodb://REGION/AGGREGATES_TABLE/JOURNAL_TABLE"
        raise ConfigError("data", f"{address} is no store that tillroll knows", remedy)
    from tillroll.stores.sqlite.store import SqliteStore  # noqa: PLC0415 sqlite3 only when it is used

    if not make and not SqliteStore.is_in(Path(address)):
        remedy = "Name another with --data, or make one with `tillroll import` or `tillroll serve`"
        raise StoreError(f"there is no store in {address}", remedy)
    return SqliteStore(Path(address), capacity=capacity)


def restore_store(address: str, source: Path, progress: Progress | None = None) -> Backup:
    """Make a store at an address, a directory without one, out of a copy.

    Raises:
        StoreError: there is a store, or the copy is not whole; or it is no directory.
        OSError: the directory cannot be written.
    """
    if "://" in address:
        raise StoreError(f"{address} is no directory", "Restore tables on AWS to a point in time there")
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
