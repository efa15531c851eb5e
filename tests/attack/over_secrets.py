"""Attacks on who may come in, and on what lies on the disk for others to read."""

from __future__ import annotations

import json
import os
import stat
import time
from typing import TYPE_CHECKING

from tests.attack.target import Attack, holds
from tests.e2e.http_server import EVENT, client

if TYPE_CHECKING:
    from tests.attack.target import Target

TOKEN = "a-token-of-some-length"


def tokens_that_are_none(target: Target) -> str:
    directory = target.directory()
    empty, listed = directory / "tokens", directory / "tillroll.toml"
    empty.write_text("# none yet\n")
    listed.write_text('read_tokens = [""]\n')
    settings = (
        {"TILLROLL_TOKENS_FILE": str(empty)},
        {"TILLROLL_TOKENS_FILE": ""},
        {"TILLROLL_READ_TOKENS": ","},
        {"TILLROLL_SEND_TOKENS": ""},
        {"TILLROLL_CONFIG": str(listed)},
    )
    for variables in settings:
        holds(not target.starts(**variables), f"a server starts with {variables}")
    return f"{len(settings)} settings that name tokens and give none"


def tokens_that_can_be_guessed(target: Target) -> str:
    for token in ("secret", "fifteen-letters"):
        holds(not target.starts(TILLROLL_READ_TOKENS=token), f"a server starts with the token {token}")
    return "tokens of 6 and 15 characters"


def guessing(target: Target) -> str:
    with target.serving(TILLROLL_READ_TOKENS=TOKEN) as running, client(running) as http:
        began = time.monotonic()
        for number in range(13):
            http.get("/status", headers={"Authorization": f"Bearer guess-number-{number}"})
        took_s = time.monotonic() - began
        holds(took_s > 2.5, f"13 guesses take {took_s:.2f} s")
        holds("unknown" in running.log.read_text(), "nothing is logged of 13 guesses")
        began = time.monotonic()
        answer = http.get("/status", headers={"Authorization": f"Bearer {TOKEN}"})
        holds(answer.status_code == 200 and time.monotonic() - began < 0.9, "who knows the token waits for who guesses")
    return f"13 guesses took {took_s:.1f} s"


def files_to_be_read(target: Target) -> str:
    directory = target.directory()
    purchases = directory / "purchases.ndjson"
    purchases.write_text(json.dumps(EVENT) + "\n7\n")
    umask = os.umask(0o022)
    try:
        with target.serving(directory=directory) as running, client(running) as http:
            http.post("/events", json=[EVENT, 7])
            target.run("import", purchases, "--data", directory / "data")
            found = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (directory / "data").iterdir()}
            mode = stat.S_IMODE((directory / "data").stat().st_mode)
    finally:
        os.umask(umask)
    for name, each in found.items():
        holds(not each & 0o077, f"{name} is {each:04o}")
    holds(mode == 0o700, f"the directory is {mode:04o}")
    return f"{len(found)} files of a store, and their directory"


def tokens_to_be_read(target: Target) -> str:
    directory = target.directory()
    tokens = directory / "tokens"
    tokens.write_text(f"read {TOKEN}\n")
    tokens.chmod(0o644)
    with target.serving("--tokens-file", str(tokens), directory=directory) as running:
        holds("chmod" in running.log.read_text(), "nothing is said of a tokens file that others may read")
    return "a tokens file of mode 0644"


ATTACKS = [
    Attack(9, "come in where tokens are named and none is given", tokens_that_are_none),
    Attack(9, "guess a short token", tokens_that_can_be_guessed),
    Attack(11, "guess at the speed of the network", guessing),
    Attack(11, "read the store as another user", files_to_be_read),
    Attack(11, "read the tokens file as another user", tokens_to_be_read),
]
