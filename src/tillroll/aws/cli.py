"""`tillroll aws`: deploy and look after tillroll on AWS."""

import os
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import boto3
import typer

from tillroll.app import open_queue, open_store
from tillroll.aws import cost as costs
from tillroll.aws import package as packages
from tillroll.aws import prices, redrive, release, stack
from tillroll.aws import status as statuses
from tillroll.aws.cost import Load, dollars_a_month, five_adds, floor, markers, predict, write_units
from tillroll.aws.errors import explained
from tillroll.aws.measured import Measured, measure
from tillroll.aws.own_cost import Shares, made_a_second, touched
from tillroll.aws.shell import Shell
from tillroll.cli.options import Json
from tillroll.cli.output import console, table, write_json
from tillroll.cli.output import explained as reason_line
from tillroll.config import load as load_config
from tillroll.core.definition import read_file
from tillroll.core.kept import Keep
from tillroll.core.report import Report
from tillroll.errors import ConfigError
from tillroll.ingest.field_watch import FieldWatch
from tillroll.ingest.worker import wall_clock
from tillroll.ports import Foldered
from tillroll.queues.sqs.session import open_session

_RUNTIMES = ("python3.11", "python3.12", "python3.13")
_STILL_REJECTED_CODE = 3
_SHOWN_CHARACTERS = 60
_FOLDERS_MAX = 64  # each reads all of the journal
# What botocore takes before AWS_PROFILE, and does not where a session is given a profile.
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_DEFAULT_PROFILE",
)
_TOO_OFTEN = "received too often without success"  # the queue's own redrive policy moved it

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
Stack = Annotated[str, typer.Option("--stack", metavar="NAME", help="The CloudFormation stack.")]
Profile = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="A profile of ~/.aws/credentials.")]
Region = Annotated[
    str | None, typer.Option("--region", metavar="REGION", help="Instead of AWS_REGION, or the profile's.")
]


def _session(profile: str | None, region: str | None) -> boto3.Session:
    if profile is not None:
        _use(profile)
    with explained("opening a session"):
        session = open_session(profile, region)
    if session.region_name is None:
        raise ConfigError("AWS_REGION", "no region is set", "Set it, for example to eu-west-1, or give --region")
    return session


def _use(profile: str) -> None:
    """Have all clients go by a profile: stores and queues are opened by their address, and take what is in force."""
    for name in _CREDENTIALS:
        os.environ.pop(name, None)
    os.environ["AWS_PROFILE"] = profile


@app.command()
def deploy(
    *,
    architecture: Annotated[
        str, typer.Option("--architecture", metavar="arm64|x86_64", help="Of the functions.")
    ] = "arm64",
    runtime: Annotated[
        str, typer.Option("--runtime", metavar="|".join(_RUNTIMES), help="Of the functions.")
    ] = "python3.13",
    bucket: Annotated[
        str,
        typer.Option(
            "--bucket",
            metavar="NAME",
            help="Bucket of the package; by default tillroll-code-ACCOUNT-REGION, created if missing.",
        ),
    ] = "",
    bucket_owner: Annotated[
        str, typer.Option("--bucket-owner", metavar="ACCOUNT", help="Account of the bucket, if not this one.")
    ] = "",
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A parameter of the template; may be repeated."),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="NAME=VALUE", help="A tag of the stack and all in it; may be repeated."),
    ] = None,
    role_arn: Annotated[str, typer.Option("--role-arn", metavar="ARN", help="Role for CloudFormation.")] = "",
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take over the tables of a deleted stack, with their contents.")
    ] = False,
    no_execute: Annotated[
        bool, typer.Option("--no-execute", help="Show what would change, and leave the change set.")
    ] = False,
    termination_protection: Annotated[
        bool | None,
        typer.Option(
            "--termination-protection/--no-termination-protection",
            help="Protect the stack from deletion; unchanged by default, on for a new stack.",
        ),
    ] = None,
    build_only: Annotated[
        Path | None, typer.Option("--build-only", metavar="DIR", help="Build the package into DIR and stop.")
    ] = None,
    stack_name: Stack = stack.STACK,
    profile: Profile = None,
    region: Region = None,
    json: Json = False,
) -> None:
    """Build the functions' package, create or update the stack, and print what it has for each team.

    A parameter that is not given keeps its value; so do the tags, when none is given.
    """
    if architecture not in ("arm64", "x86_64"):
        raise ConfigError("architecture", f"{architecture} is not an architecture of Lambda", "Give arm64 or x86_64")
    if runtime not in _RUNTIMES:
        raise ConfigError(
            "runtime", f"{runtime} is not a runtime that tillroll supports", f"Give {' or '.join(_RUNTIMES)}"
        )
    given = _pairs("parameter", parameter or [], "FreshnessSeconds=30")
    options = stack.Options(
        tags=None if tag is None else _pairs("tag", tag, "team=checkout"),
        role_arn=role_arn,
        adopt=adopt,
        protected=termination_protection,
    )
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) if build_only is None else build_only
        target.mkdir(parents=True, exist_ok=True)
        built = packages.build(target, "arm64" if architecture == "arm64" else "x86_64", runtime)
        typer.echo(f"package: {built.unpacked_bytes / 2**20:.1f} MiB unpacked, for {architecture}, {runtime}", err=True)
        if not built.has_kernel:
            typer.echo(_without_kernel(architecture), err=True)
        if build_only is not None:
            typer.echo(str(built.path))
            return
        session = _session(profile, region)
        given |= {"Architecture": architecture, "Runtime": runtime}
        mark = stack.mark(session, stack_name, given)
        given["CodeBucket"], given["CodeKey"] = stack.upload(session, built, bucket, bucket_owner, mark)
    if no_execute:
        _show_plan(stack.plan(session, stack_name, given, options), stack_name, json=json)
        return
    outputs = stack.deploy(session, stack_name, given, _print_change, options)
    if release.is_rolled_back(session, outputs):
        typer.echo(
            "the functions' newest versions are not active: `tillroll aws rollback --undo` activates the newest",
            err=True,
        )
    if json:
        write_json(outputs)
        return
    rows = table("output", "value", whole=("output",))
    for name, value in outputs.items():
        rows.add_row(name, value)
    console().print(rows)


def _without_kernel(architecture: str) -> str:
    dollars = costs.dollars_without_kernel("arm64" if architecture == "arm64" else "x86_64")
    return (
        f"the package has no compiled kernel for {architecture}: an event takes five times as long to decode, "
        f"${dollars:.4f} a million more. To include it, deploy from such a machine"
    )


def _show_plan(planned: stack.ChangeSet | None, stack_name: str, *, json: bool) -> None:
    if json:
        write_json(None if planned is None else planned._asdict() | {"changes": [x._asdict() for x in planned.changes]})
        return
    if planned is None:
        typer.echo("nothing would change")
        return
    rows = table("action", "resource", "type", "replaced", whole=("resource",))
    for change in planned.changes:
        rows.add_row(*change)
    console().print(rows)
    for name in planned.dropped:
        typer.echo(f"the parameter {name} no longer exists", err=True)
    typer.echo(f"do it: aws cloudformation execute-change-set --change-set-name {planned.id}")
    typer.echo(f"or not: aws cloudformation delete-change-set --change-set-name {planned.id}")
    if planned.is_first:
        typer.echo(f"the empty stack {stack_name} remains, in review")


@app.command()
def rollback(
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Activate the newest versions again.")] = False,
    stack_name: Stack = stack.STACK,
    profile: Profile = None,
    region: Region = None,
    json: Json = False,
) -> None:
    """Activate the functions' previous package, at once, without a deployment, with its settings.

    Tables, queues and roles stay as they are. Deploying another package ends it.
    """
    session = _session(profile, region)
    outputs = stack.outputs(session, stack_name)
    moves = release.undo(session, outputs) if undo else release.rollback(session, outputs)
    if json:
        write_json([move._asdict() for move in moves])
        return
    for move in moves:
        before, after = move.before, move.after
        typer.echo(f"{move.function}: version {before.name} -> {after.name}, published {after.published_at}")
    if not moves:
        typer.echo("the newest versions are active")


def _pairs(what: str, words: list[str], example: str) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ConfigError(what, f"{word!r} is not NAME=VALUE", f"Write: --{what} {example}")
        found[name] = value
    return found


def _print_change(resource: str, state: str, reason: str) -> None:
    typer.echo(f"{state:<28} {resource}{f'  {reason}' if reason else ''}", err=True)


@app.command()
def status(
    *, stack_name: Stack = stack.STACK, profile: Profile = None, region: Region = None, json: Json = False
) -> None:
    """Show the state of the queues, what is journaled, and how far it is counted."""
    session = _session(profile, region)
    outputs = stack.outputs(session, stack_name)
    store = open_store(outputs["Store"], freshness_s=float(outputs["FreshnessSeconds"]))
    try:
        found = statuses.status(session, outputs, store, wall_clock)
    finally:
        store.close()
    if json:
        write_json(found)
        return
    rows = table("", "", right=())
    for name, queue in (("queue", found.queue), ("dead letters", found.dead_letters)):
        age = "" if queue.oldest_s is None else f", the oldest {queue.oldest_s:,.0f} s old"
        rows.add_row(name, f"{queue.waiting:,} waiting, {queue.in_flight:,} in flight{age}")
    events = "" if found.store.events is None else f"{found.store.events:,} events, "
    rows.add_row("journal", f"{events}position {found.store.journal_position:,}")
    rows.add_row("counted", f"to position {found.store.folded_position:,}; behind by {found.lag_s:,.1f} s")
    rows.add_row("last fold", "never" if found.fold_age_s is None else f"{found.fold_age_s:,.1f} s ago")
    rows.add_row("freshness", f"{outputs['FreshnessSeconds']} s")
    console().print(rows)


@app.command()
def folders(
    count: Annotated[
        int | None,
        typer.Argument(metavar="N", min=1, max=_FOLDERS_MAX, help="New number of folders; by default shows it."),
    ] = None,
    *,
    data: Annotated[
        str | None, typer.Option("--data", metavar="ADDRESS", help="The tables (dynamodb://...), instead of a stack's.")
    ] = None,
    stack_name: Stack = stack.STACK,
    profile: Profile = None,
    region: Region = None,
    json: Json = False,
) -> None:
    """Divide the fold among N folders, which work in parallel, at any time.

    Each counts its part of the datapoints and reads all of the journal: `tillroll aws cost --folders N` has the price.
    """
    store = open_store(data or stack.outputs(_session(profile, region), stack_name)["Store"], make=False)
    try:
        if not isinstance(store, Foldered):
            raise ConfigError("data", f"{data} has no folders", "Give the address of tables: dynamodb://...")
        if count is not None:
            store.share_fold(count)
        found = store.folders()
    finally:
        store.close()
    if json:
        write_json({"folders": found})
    else:
        typer.echo(f"{found:,} folder{'s share' if found > 1 else ' has'} the datapoints")


@app.command()
def cost(
    *,
    rate: Annotated[float, typer.Option("--rate", metavar="EVENTS", min=0.001, help="Events a second.")] = 100.0,
    merchants: Annotated[
        int, typer.Option("--merchants", metavar="COUNT", min=1, max=1_000_000, help="Merchants, Zipf(1.0).")
    ] = 10_000,
    freshness_s: Annotated[
        float, typer.Option("--freshness-s", metavar="SECONDS", min=1, help="How old reports may be.")
    ] = 60.0,
    batch_size: Annotated[
        int, typer.Option("--batch-size", metavar="MESSAGES", min=1, max=10_000, help="Messages a batch.")
    ] = 2_000,
    batch_window_s: Annotated[
        float, typer.Option("--batch-window-s", metavar="SECONDS", min=0, help="How long it may wait.")
    ] = 5.0,
    architecture: Annotated[
        str, typer.Option("--architecture", metavar="arm64|x86_64", help="Of the functions.")
    ] = "arm64",
    memory_megabytes: Annotated[
        int, typer.Option("--memory-megabytes", metavar="MEGABYTES", min=128, help="Of the batch function.")
    ] = 1024,
    http: Annotated[bool, typer.Option("--http", help="Events come through API Gateway.")] = False,
    sent_in_tens: Annotated[bool, typer.Option("--sent-in-tens", help="The producer sends in batches of ten.")] = False,
    provisioned: Annotated[bool, typer.Option("--provisioned", help="Tables with provisioned capacity.")] = False,
    concurrency: Annotated[
        int, typer.Option("--concurrency", metavar="BATCHES", min=2, max=20, help="Batches at once.")
    ] = 2,
    folders: Annotated[
        int, typer.Option("--folders", metavar="COUNT", min=1, help="Folds that share the datapoints.")
    ] = 1,
    reports: Annotated[
        list[Path] | None, typer.Option("--reports", metavar="FILE", help="Definitions of reports of one's own.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="STORE", help="A store whose own reports are priced.")
    ] = None,
    field_values: Annotated[
        int, typer.Option("--field-values", metavar="COUNT", min=1, help="Of each kept field they are by.")
    ] = 20,
    own_counters: Annotated[
        int, typer.Option("--own-counters", metavar="COUNT", min=0, help="More of theirs that a fold writes.")
    ] = 0,
    backfill: Annotated[
        int, typer.Option("--backfill", metavar="EVENTS", min=0, help="Old purchases to import, priced too.")
    ] = 0,
    backfill_days: Annotated[
        float, typer.Option("--backfill-days", metavar="DAYS", min=1, help="Over how many days they are.")
    ] = 365,
    backfill_rate: Annotated[
        float, typer.Option("--backfill-rate", metavar="EVENTS", min=1, help="Of them a second.")
    ] = 1_000,
    prices_file: Annotated[
        Path | None, typer.Option("--prices", metavar="FILE", help="A TOML file of prices of your own.")
    ] = None,
    price: Annotated[
        list[str] | None, typer.Option("--price", metavar="NAME=DOLLARS", help="One price; may be repeated.")
    ] = None,
    measured: Annotated[bool, typer.Option("--measured", help="Also show what the deployed stack used.")] = False,
    hours: Annotated[
        int, typer.Option("--hours", metavar="HOURS", min=1, max=24, help="Measured over the last hours.")
    ] = 1,
    stack_name: Stack = stack.STACK,
    profile: Profile = None,
    region: Region = None,
    json: Json = False,
) -> None:
    """Predict write units and dollars per million events, item by item, next to the stack's usage with --measured."""
    if architecture not in ("arm64", "x86_64"):
        raise ConfigError("architecture", f"{architecture} is not an architecture of Lambda", "Give arm64 or x86_64")
    own = _own_reports(reports or [], data)
    shares = Shares(merchants, field_values, costs.BRACKET_SHARES, costs.METHOD_SHARES)
    load = Load(
        own_touched=own_counters + touched(own, max(1.0, rate * freshness_s), shares),
        own_made_a_second=made_a_second(own, rate, shares),
        events_a_second=rate,
        merchants=merchants,
        freshness_s=freshness_s,
        batch_size=batch_size,
        batch_window_s=batch_window_s,
        architecture="arm64" if architecture == "arm64" else "x86_64",
        memory_gigabytes=memory_megabytes / 1024,
        sent_in_tens=sent_in_tens,
        http=http,
        capacity="provisioned" if provisioned else "on-demand",
        concurrency=concurrency,
        folders=folders,
    )
    listed = prices.read_prices(prices_file, _pairs("price", price or [], "write_unit=0.0000007"))
    old = costs.backfill(load, backfill, backfill_days, backfill_rate, listed) if backfill else None
    found = None
    if measured:
        session = _session(profile, region)
        found = measure(session, stack.outputs(session, stack_name), hours)
    _show_cost(load, listed, found, old, json=json)


def _own_reports(files: list[Path], data: str | None) -> list[Report]:
    """Return the reports of one's own that files define, or a store has."""
    own = []
    for path in files:
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError("reports", f"{path} cannot be read ({error})", "Give a file of [[reports]]") from error
        own += [definition.report(1) for definition in read_file(text)]
    if data is not None:
        with closing(open_store(data)) as store:
            own += [report for report in store.catalogue() if report.is_own]
    return own


def _show_cost(
    load: Load, listed: prices.Prices, found: Measured | None, old: costs.Backfill | None, *, json: bool
) -> None:
    items = predict(load, listed)
    units = write_units(load)
    total = sum(item.dollars_a_million for item in items)
    year = costs.storage(load, listed)
    if json:
        summary = {"write_units_an_event": units.total, "floor": floor(load), "dollars_a_million": total}
        parts = {"items": [item._asdict() for item in items], "storage": [month._asdict() for month in year]}
        once = None if old is None else old._asdict()
        write_json({"load": load, "prices": listed, **summary, **parts, "backfill": once, "measured": found})
        return
    numbers = ("units an event", "$ a million", "measured")
    rows = table("service", "what", "units an event", "unit", "$ a million", "measured", right=numbers)
    for item in items:
        seen = None if found is None else found.units_an_event(item)
        shown = "" if seen is None else f"{seen:,.4f}"
        dollars = f"{item.dollars_a_million:,.4f}"
        rows.add_row(item.service, item.what, f"{item.units_an_event:,.6f}", item.unit, dollars, shown)
    rows.add_row("", "all", "", "", f"{total:,.2f}", "")
    console().print(rows)
    last = year[-1]
    kept = sum(month.dollars for month in year)
    typer.echo(
        f"\n{load.events_a_second:g} events a second, {load.merchants:,} merchants, "
        f"folded every {load.freshness_s:g} s: ${dollars_a_month(load, items):,.2f} a month, and what is kept.\n"
        f"After a year: {last.journal_gigabytes:,.1f} GB of journal, {last.aggregates_gigabytes:,.1f} GB of counters: "
        f"${year[0].dollars:,.2f} for the first month, ${last.dollars:,.2f} for the twelfth, ${kept:,.2f} in all.\n"
        f"Write units an event: {units.total:.3f}; the floor is {floor(load):.3f}, five counters at once take "
        f"{five_adds():.0f} and are wrong after a crash, a marker an event {markers():.0f} and more."
    )
    if old is not None:
        typer.echo(
            f"Old purchases: {old.hours:,.1f} hours, {old.write_units:,.0f} write units, ${old.dollars:,.2f} in order "
            f"of date, as `tillroll import` takes them; {old.write_units_in_any_order:,.0f} and "
            f"${old.dollars_in_any_order:,.2f} in any order."
        )
    typer.echo(f"Prices: {listed.region}, as of {listed.as_of}, without free tiers; --prices FILE gives others.")


@app.command("redrive")
def redrive_(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the dead letters and their reasons.")] = False,
    only: Annotated[
        str | None, typer.Option("--only", metavar="ID", help="Only this one, as the list names it; needs --body.")
    ] = None,
    body: Annotated[Path | None, typer.Option("--body", metavar="FILE", help="The corrected event for --only.")] = None,
    stack_name: Stack = stack.STACK,
    profile: Profile = None,
    region: Region = None,
    json: Json = False,
) -> int:
    """Send dead letters through the journal's own check again, under their original names.

    A message counted before is not counted twice. Exits with 3 when some are still rejected.
    """
    if (only is None) != (body is None):
        raise ConfigError(
            "only", "--only and --body belong together", "Name a dead letter, and the file with its event"
        )
    outputs = stack.outputs(_session(profile, region), stack_name)
    queue = open_queue(outputs["DeadLettersUrl"])
    if dry_run:
        found = redrive.look(queue)
        _show_letters(found.letters, json=json)
        if not found.is_all:
            typer.echo("there are more: only this many can be shown at once", err=True)
        return 0
    store = open_store(outputs["Store"], freshness_s=float(outputs["FreshnessSeconds"]))
    try:
        kept = load_config({"events_keep": outputs.get("KeptFields", "")}, {}).settings.events_keep
        fields = FieldWatch(Keep(kept))
        corrections = {only: body.read_bytes()} if only is not None and body is not None else None
        done = redrive.redrive(store, queue, wall_clock, corrections, fields, tell=_print_progress)
    finally:
        store.close()
    if only is not None and not done.tried:
        raise ConfigError("only", f"there is no dead letter {only}", "--dry-run lists them")
    if not json:
        counts = done.counts
        typer.echo(f"{counts.accepted:,} counted, {counts.duplicates:,} were counted before, {len(done.left):,} left")
    if not done.is_all:
        typer.echo(
            "it ended early, because too many are still rejected: correct or delete these, then continue", err=True
        )
    _show_letters(done.left, json=json)
    return _STILL_REJECTED_CODE if done.left else 0


def _print_progress(done: redrive.Redriven) -> None:
    counts = done.counts
    typer.echo(
        f"{done.tried:,} letters tried: {counts.accepted:,} events counted, {counts.duplicates:,} before", err=True
    )


def _show_letters(letters: list[redrive.DeadLetter], *, json: bool) -> None:
    if json:
        write_json([_plain(letter) for letter in letters])
        return
    rows = table("id", "reason", "event", whole=("id",))
    for letter in letters:
        text = letter.message.body.decode(errors="replace")
        shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
        reason = _TOO_OFTEN if letter.reason is None else reason_line(letter.reason)
        copies = f" ({letter.copies:,} copies)" if letter.copies > 1 else ""
        rows.add_row(letter.id, f"{reason}{copies}", shown)
    if letters:
        console().print(rows)
        codes = Counter(letter.reason.code if letter.reason else _TOO_OFTEN for letter in letters)
        for code, count in codes.items():
            typer.echo(f"{count:,} {code}", err=True)


def _plain(letter: redrive.DeadLetter) -> dict[str, Any]:
    message = letter.message
    return {
        "id": letter.id,
        "event_id": message.event_id,
        "body": message.body.decode(errors="replace"),
        "reason": letter.reason,
        "copies": letter.copies,
    }


@app.command()
def shell(*, stack_name: Stack = stack.STACK, profile: Profile = None, region: Region = None) -> None:
    """Open a REPL with clients and the deployed queue and tables by name. docs/aws-tour.md is a tour of it."""
    Shell(stack_name, profile, region).run()
