"""The options that several commands share, and how settings and the store come from them.

A command takes a group of them as one parameter: see cli/spread.py.
"""

from contextlib import AbstractContextManager, closing
from typing import Annotated, NamedTuple

import typer

from tillroll import config
from tillroll.app import open_server, open_store
from tillroll.config import Settings
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
        "--url", metavar="URL", help="Query a server, such as http://127.0.0.1:8080, instead of a local store."
    ),
]
Token = Annotated[
    str | None,
    typer.Option("--token", metavar="TOKEN", help="The token for the server; prefer the variable TILLROLL_TOKEN."),
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
        help="Fields to keep besides the contract's, separated by commas: country,customer.segment",
    ),
]
WriteUnits = Annotated[
    int | None,
    typer.Option(
        "--count-write-units", metavar="UNITS", min=0, help="On DynamoDB, write units a second; 0 is no limit."
    ),
]
LogLevel = Annotated[
    str | None, typer.Option("--log-level", metavar="debug|info|warning|error", help="Minimum level to log.")
]
LogJson = Annotated[bool | None, typer.Option("--log-json", help="Log one JSON object a line.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for a script.")]


class LocalOptions(NamedTuple):
    """Where the store is, for what is done beside it."""

    data: Data = None
    config: ConfigFile = None

    def opened(self) -> AbstractContextManager[Store]:
        """Open the store, for the body's time. See `opened`."""
        return opened(config.load(self._asdict()).settings)


class StoreOptions(NamedTuple):
    """Where the store is, or the server that is asked instead."""

    data: Data = None
    url: Url = None
    token: Token = None
    config: ConfigFile = None

    def settings(self, **flags: object) -> Settings:
        """Return the settings in force, with flags of the command's own. See `config.load`."""
        return config.load(self._asdict() | flags).settings

    def opened(self, **flags: object) -> AbstractContextManager[Store]:
        """Open the store, or the server's, for the body's time: a flag comes before what a file or a variable names.

        Raises:
            ConfigError: the addresses are both given, or name none.
            StoreError: there is no such store.
        """
        if self.data is not None and self.url is not None:
            raise ConfigError("url", f"--data {self.data} is given too", "Give one of them")
        settings = self.settings(**flags)
        if self.asks_server(settings):
            return closing(open_server(settings.url, settings.token))
        return opened(settings)

    def asks_server(self, settings: Settings) -> bool:
        """Tell whether a server is asked, and not a store of this machine."""
        return self.data is None and bool(settings.url)


def opened(settings: Settings, *, make: bool = False) -> AbstractContextManager[Store]:
    """Open the store that the settings name, for the body's time. A directory that is missing is only made if asked.

    Raises:
        ConfigError: the address names no store.
        StoreError: there is no such store.
    """
    return closing(
        open_store(
            settings.data,
            make=make,
            freshness_s=settings.freshness_s,
            capacity=Capacity(settings.rejected_max, settings.rejected_bytes_max),
            count_write_units=settings.count_write_units,
        )
    )
