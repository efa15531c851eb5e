"""`tillroll serve`: take events and answer questions over HTTP."""

import logging
import stat
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

from tillroll import config
from tillroll.app import open_queue
from tillroll.cli.logs import log_to_stderr
from tillroll.cli.options import ConfigFile, Data, EventsKeep, Freshness, LogJson, LogLevel, opened
from tillroll.web.auth import read_tokens_file
from tillroll.web.server import serve
from tillroll.web.settings import ServerSettings

_log: Final = logging.getLogger(__name__)


class ServeOptions(NamedTuple):
    """The settings of a server that have a flag, by their names."""

    data: Data = None
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="Listen on this address; loopback by default.")
    ] = None
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="PORT", min=0, max=65_535, help="Listen on this port; 0 takes a free one."),
    ] = None
    tokens_file: Annotated[
        str | None, typer.Option("--tokens-file", metavar="FILE", help="Tokens and their rights, one token a line.")
    ] = None
    open_to_all: Annotated[
        bool | None, typer.Option("--open-to-all", help="Listen beyond loopback without tokens.")
    ] = None
    queue: Annotated[
        str | None, typer.Option("--queue", metavar="URL", help="Put events on this SQS queue, for workers to count.")
    ] = None
    freshness_s: Freshness = None
    events_keep: EventsKeep = None
    log_level: LogLevel = None
    log_json: LogJson = None
    config: ConfigFile = None


def run(*, options: ServeOptions) -> None:
    """Accept events and answer queries over HTTP, with a web page.

    Listens on loopback by default, and beyond it only with tokens or --open-to-all. SIGTERM and Ctrl-C finish accepted
    events, then stop.
    """
    found = config.load(options._asdict())
    settings = found.settings
    server = _server_settings(settings)
    server.check()
    log_to_stderr(settings.log_level, as_json=settings.log_json)
    _warn_of_readers(found)
    with opened(settings, make=True) as store:
        serve(store, server, queue=open_queue(settings.queue) if settings.queue else None)


def _warn_of_readers(found: config.Config) -> None:
    """Warn of files that anyone on this machine may read or change, and should not."""
    for path in found.files_with_secrets():
        if _is_open(Path(path)):
            _log.warning(
                "%s has tokens in it, and anyone on this machine may read or change it: chmod o= %s", path, path
            )
    data = Path(found.settings.data)
    if data.is_dir() and _is_open(data) and any(_is_open(file) for file in data.iterdir()):
        _log.warning("%s has files that anyone on this machine may read or change: chmod -R go= %s", data, data)


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH))
    except FileNotFoundError:  # another process has just done with it
        return False


def _server_settings(settings: config.Settings) -> ServerSettings:
    send, read, manage = settings.send_tokens, settings.read_tokens, settings.manage_tokens
    if settings.tokens_file:
        listed = read_tokens_file(settings.tokens_file)
        send, read, manage = send + listed.send, read + listed.read, manage + listed.manage
    return ServerSettings(
        host=settings.host,
        port=settings.port,
        send_tokens=send,
        read_tokens=read,
        manage_tokens=manage,
        open_to_all=settings.open_to_all,
        cors_origins=settings.cors_origins,
        peer_connections_max=settings.peer_connections_max,
        events_keep=settings.events_keep,
        audit_at=settings.audit_at,
        merchants=settings.merchants,
        zone=settings.zone,
    )
