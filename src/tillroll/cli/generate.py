"""`tillroll generate`: realistic purchases from a seed."""

import datetime as dt
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer

from tillroll import config
from tillroll.cli.options import ConfigFile, Json, Token
from tillroll.cli.output import write_json
from tillroll.cli.progress import event_progress
from tillroll.core import limits
from tillroll.errors import ConfigError
from tillroll.export.whole_file import output_file
from tillroll.ingest.files import InputError
from tillroll.load import sender
from tillroll.load.generator import Generator, Plan

_ADDRESS = re.compile(r"(localhost|[\d.]+|\[[\da-fA-F:]+\]):\d+(/.*)?")
_HOUR_S = 3_600
_DAY_S = 86_400


class PlanOptions(NamedTuple):
    """What to generate, save when it is dated: see Plan."""

    events: Annotated[
        int, typer.Option("--events", metavar="LINES", min=0, help="Lines, repeated and invalid ones among them.")
    ] = 10_000
    seed: Annotated[
        int, typer.Option("--seed", metavar="NUMBER", help="The same seed and options give the same lines.")
    ] = 1
    merchants: Annotated[
        int, typer.Option("--merchants", metavar="COUNT", min=1, max=200_000, help="Merchants, by a Zipf law.")
    ] = 1_000
    duplicates: Annotated[
        float, typer.Option("--duplicates", metavar="SHARE", help="Lines that repeat one; 0.01 is 1 %.")
    ] = 0
    late: Annotated[float, typer.Option("--late", metavar="SHARE", help="Lines that come hours or days late.")] = 0
    invalid: Annotated[float, typer.Option("--invalid", metavar="SHARE", help="Lines that are not purchases.")] = 0
    ids: Annotated[bool, typer.Option("--ids", help="Give each purchase an id; implied by --duplicates.")] = False


def run(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE|-|URL", help="A file (.gz and .zst are compressed), - for standard output, or a server."
        ),
    ] = "-",
    *,
    options: PlanOptions,
    start: Annotated[
        str | None, typer.Option("--from", metavar="DAY|INSTANT", help="Start; by default --days before --to.")
    ] = None,
    stop: Annotated[
        str | None, typer.Option("--to", metavar="DAY|INSTANT", help="End, exclusive; now by default.")
    ] = None,
    days: Annotated[
        float, typer.Option("--days", metavar="DAYS", min=0.001, help="Length, without --from and --to.")
    ] = 30,
    summary: Annotated[
        str | None, typer.Option("--summary", metavar="FILE", help="Write what every report must then show, as JSON.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="EVENTS", min=0.001, help="Maximum events a second, to a server."),
    ] = None,
    batch: Annotated[
        int, typer.Option("--batch", metavar="EVENTS", min=1, max=100_000, help="Events in one request, to a server.")
    ] = 100,
    connections: Annotated[
        int, typer.Option("--connections", metavar="COUNT", min=1, max=256, help="Requests at once, to a server.")
    ] = 4,
    token: Token = None,
    config_file: ConfigFile = None,
    json: Json = False,
) -> None:
    """Write realistic purchases from a seed, to a file or to a server.

    Their times, merchants, amounts and payment methods have realistic distributions. --summary writes what every report
    must show, counted independently. Each request to a server has an Idempotency-Key, and is sent again until it is
    answered.
    """
    to_server = _is_server(target, rate)
    if summary is not None and not Path(summary).absolute().parent.is_dir():
        raise InputError(summary, "cannot be written (there is no such directory)", "Name another file")
    start_s, stop_s = _range(start, stop, days)
    if stop_s > time.time() + limits.FUTURE_S_MAX:
        until = dt.datetime.fromtimestamp(stop_s, dt.UTC).isoformat()
        typer.echo(f"this continues until {until}: events dated more than a day ahead are not accepted", err=True)
    generator = Generator(Plan(**options._asdict(), start_s=start_s, stop_s=stop_s))
    sent = None
    with event_progress("generate") as progress:

        def on_events(done: int) -> None:
            if progress is not None:
                progress(done, options.events)

        if to_server:
            settings = config.load({"token": token, "config": config_file}).settings
            bodies = _bodies(generator, batch)
            server = sender.Target(target, settings.token)
            sent = sender.send(
                server,
                bodies,
                rate,
                connections,
                on_answer=lambda sent: on_events(sent.counts.events),
                on_trouble=lambda problem: typer.echo(f"{problem}; tried again for two minutes", err=True),
            )
        else:
            _write(generator, target, on_events)
    if summary is not None:
        Path(summary).write_bytes(msgspec.json.format(msgspec.json.encode(generator.summary())) + b"\n")
    _print_summary(generator, sent, json=json and target != "-")


def _is_server(target: str, rate: float | None) -> bool:
    """Tell whether purchases go to a server, and not to a file."""
    if "://" in target:
        return True
    if _ADDRESS.fullmatch(target):
        raise ConfigError(target, "this is neither a file nor the address of a server", f"Write http://{target}")
    if rate is not None:
        raise ConfigError("--rate", "a file is written as fast as can be", "Name a server, such as http://HOST:PORT")
    return False


def _range(start: str | None, stop: str | None, days: float) -> tuple[int, int]:
    """Return the range in seconds since 1970. Where nothing says when, it ends with the last full hour."""
    start_s = None if start is None else _second("--from", start)
    stop_s = None if stop is None else _second("--to", stop)
    length = int(days * _DAY_S)
    if stop_s is None:
        stop_s = int(time.time()) // _HOUR_S * _HOUR_S if start_s is None else start_s + length
    return (stop_s - length if start_s is None else start_s), stop_s


def _second(flag: str, text: str) -> int:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        remedy = "Write 2026-11-24 or 2026-11-24T10:00:00Z"
        raise ConfigError(flag, f"{text} is neither a day nor an instant", remedy) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return int(moment.timestamp())


def _write(generator: Generator, target: str, on_events: Callable[[int], None]) -> None:
    written = 0
    with output_file(target) as out:
        for lines in generator.blocks():
            out.write("\n".join(lines).encode() + b"\n")
            written += len(lines)
            on_events(written)
        out.flush()


def _bodies(generator: Generator, size: int) -> Iterator[sender.RequestBody]:
    """Yield the lines in bodies of a size, each with a key that the same plan and size always give it."""
    waiting: list[str] = []
    number = 0
    for lines in generator.blocks():
        waiting += lines
        while len(waiting) >= size:
            yield sender.RequestBody(f"{generator.plan.run}-{size}-{number}", waiting[:size])
            del waiting[:size]
            number += 1
    if waiting:
        yield sender.RequestBody(f"{generator.plan.run}-{size}-{number}", waiting)


def _print_summary(generator: Generator, sent: sender.Sent | None, *, json: bool) -> None:
    totals = generator.totals()
    if json:
        write_json({**totals, "sent": None if sent is None else sent.plain()})
        return
    parts = [f"{count:,} {name}" for name, count in totals.items() if count]
    typer.echo(f"generated: {', '.join(parts)}", err=True)
    if sent is not None:
        parts = [f"{count:,} {name}" for name, count in sent.plain().items()]
        typer.echo(f"the server: {', '.join(parts)}", err=True)
