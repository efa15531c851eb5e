"""`tillroll work`: take events from an SQS queue, as the Lambda function does, for a container or a plain machine."""

import signal
from typing import Annotated

import typer

from tillroll import config
from tillroll.app import open_queue
from tillroll.cli.logs import log_to_stderr
from tillroll.cli.options import ConfigFile, Data, EventsKeep, Freshness, Json, opened
from tillroll.cli.output import write_json
from tillroll.core.kept import Keep
from tillroll.errors import ConfigError
from tillroll.ingest.field_watch import FieldWatch
from tillroll.ingest.worker import Worker, wall_clock


def run(
    *,
    data: Data = None,
    queue: Annotated[str | None, typer.Option("--queue", metavar="URL", help="The SQS queue to receive from.")] = None,
    dead_letters: Annotated[
        str | None,
        typer.Option(
            "--dead-letters",
            metavar="URL",
            help="Where rejected events go; what the queue's own policy says, if not given.",
        ),
    ] = None,
    freshness_s: Freshness = None,
    events_keep: EventsKeep = None,
    until_empty: Annotated[bool, typer.Option("--until-empty", help="Stop when the queue has nothing more.")] = False,
    log_level: Annotated[
        str | None,
        typer.Option("--log-level", metavar="debug|info|warning|error", help="The least that is logged."),
    ] = None,
    log_json: Annotated[bool | None, typer.Option("--log-json", help="Log one JSON object a line.")] = None,
    config_file: ConfigFile = None,
    json: Json = False,
) -> None:
    """Take events from an SQS queue, by long polling, until SIGTERM or Ctrl-C.

    A message is deleted once all its events are in the journal, or in the dead-letter queue with the reason. Any number
    may work at once, and beside the Lambda function. The batch at hand is finished before it stops.
    """
    flags = {
        "data": data,
        "queue": queue,
        "dead_letters": dead_letters,
        "freshness_s": freshness_s,
        "events_keep": events_keep,
        "log_level": log_level,
        "log_json": log_json,
        "config": config_file,
    }
    settings = config.load(flags).settings
    if not settings.queue:
        raise ConfigError("queue", "no queue is named", "Give its URL with --queue, or set TILLROLL_QUEUE")
    log_to_stderr(settings.log_level, as_json=settings.log_json)
    with opened(settings.data, config_file, make=True, freshness_s=settings.freshness_s) as store:
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
