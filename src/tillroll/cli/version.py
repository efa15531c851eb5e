"""`tillroll version`."""

import typer

import tillroll


def run() -> None:
    """Show the version."""
    typer.echo(tillroll.__version__)
