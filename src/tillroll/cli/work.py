"""`tillroll work`: take events from an SQS queue, as the Lambda function does, for a container or a plain machine."""

import signal
from typing import Annotated, NamedTuple

import typer

from tillroll import config
from tillroll.app import open_queue
from tillroll.cli.logs import log_to_stderr
from tillroll.cli.options import ConfigFile, Data, EventsKeep, Freshness, Json, LogJson, LogLevel, opened
from tillroll.cli.output import write_json
from tillroll.core.kept import Keep
from tillroll.errors import ConfigError
from tillroll.ingest.field_watch import FieldWatch
from tillroll.ingest.worker import Worker, wall_clock


class WorkOptions(NamedTuple):
    """The settings of a worker that have a flag, by their names."""

    data: Data = None
    queue: Annotated[str | None, typer.Option("--queue", metavar="URL", help="The SQS queue to receive from.")] = None
    dead_letters: Annotated[
        str | None,
        typer.Option(
            "--dead-letters",
            metavar="URL",
            help="Queue for rejected events; by default that of the queue's own policy.",
        ),
    ] = None
    freshness_s: Freshness = None
    events_keep: EventsKeep = None
    log_level: LogLevel = None
    log_json: LogJson = None
    config: ConfigFile = None


def run(
    *,
    options: WorkOptions,
    until_empty: Annotated[bool, typer.Option("--until-empty", help="Stop when the queue is empty.")] = False,
    json: Json = False,
) -> None:
    """Process events from an SQS queue, by long polling, until SIGTERM or Ctrl-C.

    A message is deleted once all its events are in the journal, or in the dead-letter queue with the reason. Any number
    may run at once, also with the Lambda function. It finishes the current batch before it stops.
    """
    settings = config.load(options._asdict()).settings
    if not settings.queue:
        raise ConfigError("queue", "no queue is named", "Give its URL with --queue, or set TILLROLL_QUEUE")
    log_to_stderr(settings.log_level, as_json=settings.log_json)
    with opened(settings, make=True) as store:
        queue_of_events = open_queue(settings.queue, settings.dead_letters)
        fields = FieldWatch(Keep(settings.events_keep), store)
        worker = Worker(store, queue_of_events, settings.freshness_s, wall_clock, fields=fields)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        worker.run(until_empty=until_empty)
        fields.flush()
    counts = worker.counted.counts.plain()
    if json:
        write_json(counts)
    else:
        typer.echo(", ".join(f"{count:,} {name}" for name, count in counts.items()))
