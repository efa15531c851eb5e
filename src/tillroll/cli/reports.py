"""`tillroll reports`: the reports there are, and those of one's own: planned, applied, previewed and dropped."""

import sys
import time
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from tillroll.cli.options import Json, StoreOptions, WriteUnits
from tillroll.cli.output import console, euro, table, write_aggregates_json, write_json
from tillroll.cli.progress import event_progress
from tillroll.core.definition import Definition, changed_zone, compare, read_definition, read_file
from tillroll.core.dimension import KEYS, WINDOWS
from tillroll.core.kept import Keep
from tillroll.core.preview import EVENTS, preview
from tillroll.core.query import MEASURES
from tillroll.definitions import definition_object, planned, state_object, stored_definitions
from tillroll.errors import ConfigError, DefinitionError, QueryError
from tillroll.ports import Paced, Progress, ReportState, Store

app = typer.Typer(invoke_without_command=True, add_completion=False, rich_markup_mode=None)
_SLICE_S: Final = 0.05
_PREVIEW_ROWS: Final = 50
_NOTHING_CODE: Final = 1
File = Annotated[str, typer.Argument(metavar="FILE|-", help="Definitions: TOML, [[reports]] for each.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The report's name.")]


@app.callback()
def list_reports(
    context: typer.Context,
    *,
    where: StoreOptions,
    json: Json = False,
) -> None:
    """List the reports: how far each is counted, its size, and whether it can be read."""
    if context.invoked_subcommand is not None:
        _refuse_before(context.invoked_subcommand, {**where._asdict(), "json": json or None})
        return
    with where.opened() as store:
        states = store.report_states()
    if json:
        write_json([state_object(state) for state in states])
        return
    rows = table(
        "report",
        "version",
        "counted",
        "datapoints",
        "bytes",
        "state",
        right=("version", "counted", "datapoints", "bytes"),
    )
    for state in states:
        counts = ("" if each is None else f"{each:,}" for each in (state.datapoints, state.stored_bytes))
        rows.add_row(state.report.name, str(state.report.version), _share(state), *counts, _said(state))
    console().print(rows)


def _refuse_before(command: str, options: dict[str, object]) -> None:
    """Refuse options that stand before a command, which does not see them."""
    for name, value in options.items():
        if value is not None:
            problem = f"it stands before {command}, which does not see it"
            raise ConfigError(f"--{name}", problem, f"Write tillroll reports {command} ... --{name}")


def _share(state: ReportState) -> str:
    return "whole" if state.whole else f"{100 * state.position // max(1, state.journal_position)} %"


def _said(state: ReportState) -> str:
    stored = read_definition(state.report.definition) if state.report.is_own else None
    said = "readable" if state.readable else "is being counted"
    if stored is not None and changed_zone(stored):
        said += f"; the clocks of {stored.zone} have changed since: apply it again"
    return said


@app.command()
def plan(
    file: File,
    *,
    count_write_units: WriteUnits = None,
    where: StoreOptions,
    json: Json = False,
) -> None:
    """Show what applying a file would change, how long it would take here, and what it would cost on AWS."""
    definitions = _read(file)
    _tell_not_kept(definitions, where)
    with where.opened(count_write_units=count_write_units) as store:
        changed = compare(definitions, stored_definitions(store))
        events = store.status().events
        found = [planned(definition, store, events) for definition in changed]
    if json:
        write_json({"unchanged": [each.name for each in definitions if each not in changed], "changes": found})
        return
    for each in found:
        size = "all events" if events is None else f"{events:,} events"
        typer.echo(f"{each['name']}: {each['change']}; {size} to count, about {each['seconds']:,} s here")
        units = f"{each['write_units_min']:,} write units at least"
        pace = f", {each['write_units_a_second']:,} a second" if each["write_units_a_second"] else ""
        typer.echo(f"  on AWS: two write units a datapoint, {units}{pace} (${each['dollars_min']:.2f})")
    if not found:
        typer.echo("nothing changes")


@app.command()
def apply(
    file: File,
    *,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Leave the counting to the store's servers and workers.")
    ] = False,
    rate: Annotated[
        int | None, typer.Option("--rate", metavar="EVENTS", min=1, help="Maximum events counted a second.")
    ] = None,
    count_write_units: WriteUnits = None,
    where: StoreOptions,
    json: Json = False,
) -> None:
    """Make the reports of a file, and count them from the journal's beginning, while traffic goes on.

    Unchanged reports stay as they are. After a kill, run it again: it continues. The previous version is used until a
    report is complete, then replaced in one step.
    """
    definitions = _read(file)
    _tell_not_kept(definitions, where)
    with where.opened(count_write_units=count_write_units) as store:
        if rate is not None and isinstance(store, Paced):
            remedy = "Give --count-write-units UNITS, or set count_write_units"
            raise ConfigError("rate", "DynamoDB counts by write units, not by events", remedy)
        changed = compare(definitions, stored_definitions(store))
        store.apply(changed)
        if not no_wait:
            with event_progress("count") as progress:
                count(store, [each.name for each in definitions], rate, progress)
        states = [state for state in store.report_states() if state.report.name in {each.name for each in definitions}]
    if json:
        write_json([state_object(state) for state in states])
        return
    for state in states:
        typer.echo(f"{state.report.name}: version {state.report.version} {_said(state)}, {_share(state)}")


def _tell_not_kept(definitions: list[Definition], where: StoreOptions) -> None:
    """Remark on fields that reports count by and the settings do not list. A server has a list of its own."""
    settings = where.settings()
    if where.asks_server(settings):
        return
    kept = Keep(settings.events_keep).names
    for field in dict.fromkeys(field for each in definitions for field in each.fields if field not in kept):
        listed = ", ".join((*WINDOWS, *KEYS))
        problem = f"{field} is neither a dimension ({listed}) nor a kept field of these settings"
        remedy = "events are (absent) there unless the processes that accept them list it in events_keep"
        typer.echo(f"{problem}: {remedy}. See `tillroll fields`", err=True)


def count(store: Store, names: list[str], rate: int | None, progress: Progress | None) -> None:
    """Count the versions of some reports until they are whole, at most so many events a second."""
    while True:
        began, before = time.monotonic(), _counted(store, names)
        more = store.count_some(_SLICE_S)
        done, total = _counted(store, names)
        if progress is not None:
            progress(done, total)
        if not more or all(state.readable for state in _newest(store, names)):
            return
        if rate is not None:
            time.sleep(max(0.0, (done - before[0]) / rate - (time.monotonic() - began)))


def _newest(store: Store, names: list[str]) -> list[ReportState]:
    newest = {state.report.name: state for state in store.report_states() if state.report.name in names}
    return list(newest.values())


def _counted(store: Store, names: list[str]) -> tuple[int, int]:
    states = _newest(store, names)
    return min((state.position for state in states), default=0), max(
        (state.journal_position for state in states), default=0
    )


@app.command()
def show(
    name: Name,
    *,
    where: StoreOptions,
    json: Json = False,
) -> None:
    """Show a report: its definition, and each version's state."""
    with where.opened() as store:
        states = [state for state in store.report_states() if state.report.name == name]
    if not states:
        raise QueryError("NAME", f"there is no report {name}", "See them with: tillroll reports")
    report = states[-1].report
    if json:
        write_json({"definition": definition_object(report), "versions": [state_object(state) for state in states]})
        return
    typer.echo(f"{report.title}\nby {', '.join(report.dimensions) or 'nothing: one datapoint'}")
    for field, value in definition_object(report).items():
        if field in ("zone", "where", "brackets", "zone_data"):
            typer.echo(f"{field}: {msgspec.json.encode(value).decode()}")
    for state in states:
        typer.echo(f"version {state.report.version}: {_said(state)}, {_share(state)}")


@app.command()
def drop(name: Name, *, where: StoreOptions) -> int:
    """Delete a report of one's own, and its aggregates."""
    with where.opened() as store:
        dropped = store.drop(name)
        while dropped and store.count_some(_SLICE_S):
            pass
    typer.echo(
        f"{name} is dropped" if dropped else f"there is no own report {name}: see `tillroll reports`",
        err=not dropped,
    )
    return 0 if dropped else _NOTHING_CODE


@app.command(name="preview")
def preview_file(
    file: File,
    *,
    events: Annotated[
        int, typer.Option("--events", metavar="EVENTS", min=1, max=1_000_000, help="Number of newest events to count.")
    ] = EVENTS,
    where: StoreOptions,
    json: Json = False,
) -> None:
    """Show the reports of a file over the newest events. Stores nothing."""
    definitions = _read(file)
    with where.opened() as store:
        for definition in definitions:
            aggregates, seen = preview(definition.report(0), store.last_events(events))
            if json:
                write_aggregates_json([aggregates], MEASURES)
                continue
            rows = table("datapoint", "events", "amount", right=("events", "amount"))
            for each in aggregates[:_PREVIEW_ROWS]:
                rows.add_row(each.text or each.datapoint, f"{each.events:,}", euro(each.amount))
            console().print(rows)
            typer.echo(f"{len(aggregates):,} datapoints of the newest {seen:,} events", err=True)


def _read(file: str) -> list[Definition]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return read_file(text)
    except (OSError, UnicodeDecodeError) as error:
        problem = f"it cannot be read ({getattr(error, 'strerror', None) or error})"
        raise DefinitionError("", file, problem, "Name a readable TOML file") from error
    except DefinitionError as error:
        if error.field != "file":
            raise
        raise DefinitionError("", file, error.problem, error.remedy) from error
