"""`tillroll token`: a token for a server."""

import secrets
import sys
from typing import Annotated, Final

import typer

from tillroll.web.auth import check_token, hash_of

_RANDOM_BYTES: Final = 24
_PREFIX: Final = "tillroll_"  # so that one that leaks is known for what it is


def run(
    *,
    hashed: Annotated[
        bool, typer.Option("--hash", help="Read a token from standard input, and write its hash.")
    ] = False,
) -> None:
    """Make a token for a server, or with --hash the hash of one.

    The tokens file, send_tokens and read_tokens take either. A hash does not reveal the token.
    """
    if hashed:
        token = sys.stdin.readline().strip()
        check_token("token", "what standard input gives", token)
        typer.echo(hash_of(token))
        return
    token = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    typer.echo(token)
    typer.echo(f"Put it, or its hash, after `send`, `read` or `manage` in the tokens file: {hash_of(token)}", err=True)
