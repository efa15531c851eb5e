"""The command `tillroll`: its subcommands, and how every error ends.

A subcommand's module is imported only when that subcommand runs, so that `tillroll --help` is quick, and a machine
without boto3 has every command but those of AWS.
"""

from __future__ import annotations

import codecs
import gc
import importlib
import io
import locale
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

import tillroll
from tillroll.cli.examples import epilog
from tillroll.cli.spread import spread
from tillroll.errors import MissingPackageError, TillrollError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

# Name: the module that has it, where `app` is a group of subcommands or `run` is the command, and one line of help.
COMMANDS: Final = {
    "serve": ("tillroll.cli.serve", "Accept events and answer queries over HTTP, with a web page."),
    "import": ("tillroll.cli.import_", "Import events from files, or from standard input."),
    "report": ("tillroll.cli.report", "Show a report as a table, a chart, CSV or JSON."),
    "reports": ("tillroll.cli.reports", "List, plan, make, preview and drop reports of one's own."),
    "events": ("tillroll.cli.events", "Export the journal's events, for import elsewhere or a warehouse."),
    "fields": ("tillroll.cli.fields", "Show the kept fields, and the other fields that events have."),
    "top": ("tillroll.cli.top", "Watch purchases arrive."),
    "rejected": ("tillroll.cli.rejected", "List, show, correct and drop the events that were not accepted."),
    "audit": ("tillroll.cli.audit", "Count the whole journal again and compare every aggregate."),
    "rebuild": ("tillroll.cli.rebuild", "Drop the aggregates and count the journal again."),
    "backup": ("tillroll.cli.backup", "Copy the store to one file, while traffic goes on."),
    "restore": ("tillroll.cli.restore", "Make a store from a copy."),
    "restored": ("tillroll.cli.restored", "Confirm that the store was restored from a copy and may end earlier."),
    "explain": ("tillroll.cli.explain", "Show the events behind a datapoint."),
    "generate": ("tillroll.cli.generate", "Write realistic purchases from a seed, to a file or a server."),
    "work": ("tillroll.cli.work", "Process events from an SQS queue."),
    "aws": ("tillroll.aws.cli", "Deploy and operate tillroll on AWS."),
    "config": ("tillroll.cli.settings", "Show the settings in force and where each came from."),
    "token": ("tillroll.cli.token", "Make a token for a server, or the hash of one."),
    "version": ("tillroll.cli.version", "Show the version."),
}
# What the library calls the types of options.
_PLAIN: Final = {
    "not a valid int range": "not a whole number",
    "not a valid float range": "not a number",
    "not a valid int": "not a whole number",
    "not a valid float": "not a number",
}
_BROKEN_PIPE: Final = 141  # 128 and SIGPIPE, as shells have it


class _ReaderLeftError(Exception):
    """Whoever read our output has gone. Not an OSError, which typer would end with an exit code of 1."""


class LazyGroup(TyperGroup):
    """A group that knows its subcommands by name and one line of help, and imports the one that is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: MutableMapping[str, Any] = {
            name: TyperCommand(name, help=line, short_help=line) for name, (_, line) in COMMANDS.items()
        }

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderLeftError from error

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import the subcommand that is called."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None:
            command = load_command(name)
        return name, command, rest


def load_command(name: str) -> Any:
    """Import a subcommand and return it.

    Raises:
        MissingPackageError: it needs a package that is not installed.
    """
    module_name, line = COMMANDS[name]
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("tillroll"):
            raise
        raise MissingPackageError(name, error.name) from error
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name, help=module.run.__doc__ or line)(module.run)
    elif not app.info.help:
        app.info.help = line
    for each in (app.registered_callback, *app.registered_commands):
        if each is not None and each.callback is not None:
            each.callback = spread(each.callback)
    command = get_command(app)
    command.name = name
    command.epilog = epilog(name)
    for each, subcommand in getattr(command, "commands", {}).items():
        subcommand.epilog = epilog(name, each)
        subcommand.short_help = (subcommand.help or "").partition("\n\n")[0]  # whole, where the library cuts it
    return command


app = typer.Typer(
    cls=LazyGroup,
    name="tillroll",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"{epilog()}\n\nSettings come from flags, TILLROLL_* variables and tillroll.toml, in that order: see "
    "`tillroll config`.",
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 typer calls it
    if wanted:
        typer.echo(tillroll.__version__)
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version, and exit.")
    ] = False,
) -> None:
    """Count purchases exactly: events in, five reports out."""


def main() -> None:
    """Run the command line and exit with its code."""
    _write_utf8()
    code = run(sys.argv[1:])
    gc.freeze()  # what is left is not searched for cycles once more: the process ends 40 ms sooner
    sys.exit(code)


def _write_utf8() -> None:
    """Write UTF-8 into files and pipes, whatever the locale. A terminal gets what it can show."""
    of_locale = codecs.lookup(locale.getpreferredencoding(do_setlocale=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not so where a caller has put something else there
            kept = stream.isatty() or codecs.lookup(stream.encoding) != of_locale  # PYTHONIOENCODING chose another
            stream.reconfigure(encoding=None if kept else "utf-8", errors="backslashreplace")


def run(arguments: list[str]) -> int:
    """Run the command line and return the exit code, with every error told in one message on standard error."""
    try:
        code = app(arguments, prog_name="tillroll", standalone_mode=False)
        sys.stdout.flush()
    except TillrollError as error:
        print(f"tillroll: {error}", file=sys.stderr)  # noqa: T201 the message is what the command has to say
        return error.exit_code
    except TyperException as error:
        return _refuse(error)
    except (BrokenPipeError, _ReaderLeftError):
        return _reader_left()
    except OSError as error:  # a full disk under an output file, a directory that may not be read
        print(f"tillroll: {error}", file=sys.stderr)  # noqa: T201
        return TillrollError.exit_code
    return code if isinstance(code, int) else 0


def _refuse(error: Any) -> int:
    """Tell what is wrong with the arguments, and what would be right."""
    if hasattr(error, "show"):
        for wrong, plain in _PLAIN.items():
            error.message = error.message.replace(wrong, plain)
        error.show()
        command = getattr(getattr(error, "ctx", None), "command", None)
        if command is not None:
            typer.echo(_right(command), err=True)
    else:
        print(f"tillroll: {error}", file=sys.stderr)  # noqa: T201
    return int(error.exit_code)


def _right(command: Any) -> str:
    """Return what a command takes: a group's commands, or an example of another."""
    if hasattr(command, "commands"):
        return f"There are {', '.join(command.commands)}"
    return f"Such as: {command.epilog.splitlines()[2].strip()}" if command.epilog else "See it with --help"


def _reader_left() -> int:
    """End quietly, as a program does whose output nobody reads any more."""
    # What is still buffered would fail again, in the interpreter's last moments.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _BROKEN_PIPE
