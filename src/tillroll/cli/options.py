"""The options that several commands share, and how settings and the store come from them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from tillroll import config
from tillroll.app import open_server, open_store
from tillroll.core.kept import Keep
from tillroll.core.rejection import Capacity
from tillroll.errors import ConfigError
from tillroll.ports import Store

Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DIR|ADDRESS",
        help="The store: a directory, or dynamodb://REGION/AGGREGATES_TABLE/JOURNAL_TABLE.",
    ),
]
ConfigFile = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="A TOML file of settings, instead of ./tillroll.toml.")
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="Ask a server, such as http://127.0.0.1:8080, instead of a store on this machine."
    ),
]
Token = Annotated[
    str | None,
    typer.Option("--token", metavar="TOKEN", help="The token the server wants; better given as TILLROLL_TOKEN."),
]
Freshness = Annotated[
    float | None,
    typer.Option("--freshness-s", metavar="SECONDS", help="How old reports may be on DynamoDB; longer is cheaper."),
]
EventsKeep = Annotated[
    str | None,
    typer.Option(
        "--events-keep",
        "--keep",
        metavar="NAMES",
        help="Fields to keep beside the contract's, parted by commas: country,customer.segment",
    ),
]
WriteUnits = Annotated[
    int | None,
    typer.Option("--count-write-units", metavar="UNITS", min=0, help="On DynamoDB, so many a second; 0 is no bound."),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for a script.")]


def kept_fields(config_file: str | None, events_keep: str | None = None) -> Keep:
    """Return the fields that the settings say are kept."""
    return Keep(config.load({"events_keep": events_keep, "config": config_file}).settings.events_keep)


@contextmanager
def opened(
    data: str | None,
    config_file: str | None,
    *,
    make: bool = False,
    freshness_s: float | None = None,
    count_write_units: int | None = None,
) -> Iterator[Store]:
    """Open the store that the settings name, for the body's time. A directory that is missing is only made if asked.

    Raises:
        ConfigError: the address names no store.
        StoreError: there is no such store.
    """
    flags = {
        "data": data,
        "freshness_s": freshness_s,
        "count_write_units": count_write_units,
        "config": config_file,
    }
    settings = config.load(flags).settings
    store = open_store(
        settings.data,
        make=make,
        freshness_s=settings.freshness_s,
        capacity=Capacity(settings.rejected_max, settings.rejected_bytes_max),
        count_write_units=settings.count_write_units,
    )
    try:
        yield store
    finally:
        store.close()


@contextmanager
def reached(
    data: str | None,
    url: str | None,
    token: str | None,
    config_file: str | None,
    count_write_units: int | None = None,
) -> Iterator[Store]:
    """Open the store, or the server's, for the body's time: a flag comes before what a file or the environment names.

    Raises:
        ConfigError: the addresses are both given, or name none.
        StoreError: there is no such store.
    """
    if data is not None and url is not None:
        raise ConfigError("url", f"--data {data} is given too", "Give one of them")
    settings = config.load({"url": url, "token": token, "config": config_file}).settings
    if data is None and settings.url:
        store = open_server(settings.url, settings.token)
        try:
            yield store
        finally:
            store.close()
        return
    with opened(data, config_file, count_write_units=count_write_units) as own:
        yield own
