"""Who may come in: bearer tokens that may send or read, and the names a server without tokens answers to."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import re
import time
from enum import Flag, auto
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.errors import ConfigError
from tillroll.web.cors import Origins
from tillroll.web.peer import peer_of
from tillroll.web.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tillroll.web.settings import ServerSettings

_log: Final = logging.getLogger(__name__)
TOKEN_CHARACTERS_MIN: Final = 16
HASHED: Final = "sha256:"
_HASH: Final = re.compile(rf"{HASHED}[0-9a-fA-F]{{64}}")
_TOKEN: Final = re.compile(r"[!-~]+")  # what a header carries as it is
_GUESSES_FREE: Final = 10
_GUESS_S: Final = 1.0
_GUESSES_FORGOTTEN_S: Final = 900.0
_GUESSERS_MAX: Final = 10_000
_HOSTS_KEPT: Final = 100
_OWN_SITE: Final = (b"none", b"same-origin")
_SCHEME: Final = b"bearer "


class Right(Flag):
    """What a token may be good for."""

    NONE = 0
    SEND = auto()
    READ = auto()
    MANAGE = auto()

    @property
    def word(self) -> str:
        """The word for it in a tokens file."""
        return (self.name or "").lower()


class Tokens:
    """Knows the tokens by their digests, and compares in a time that tells nothing about them."""

    def __init__(self, tokens_by_right: Mapping[Right, tuple[str, ...]]) -> None:
        rights: dict[bytes, Right] = {}
        for right, tokens in tokens_by_right.items():
            for token in tokens:
                digest = (
                    bytes.fromhex(token.removeprefix(HASHED)) if _HASH.fullmatch(token) else _digest(token.encode())
                )
                rights[digest] = rights.get(digest, Right.NONE) | right
        self._rights = rights

    def require(self, right: Right, authorization: bytes | None) -> None:
        """Do nothing when a request with this Authorization header has the right, or the right is NONE.

        Raises:
            Problem: it has not.
        """
        if not right:
            return
        if authorization is None or authorization[:7].lower() != _SCHEME:
            detail = "This server requires a token. Send the header Authorization: Bearer TOKEN"
            raise Problem("token_missing", detail, headers={"WWW-Authenticate": "Bearer"})
        digest = _digest(authorization[7:].strip())
        found = Right.NONE
        for known, rights in self._rights.items():
            if hmac.compare_digest(known, digest):
                found = rights
        if not found:
            challenge = 'Bearer error="invalid_token"'
            raise Problem("token_unknown", "The token is unknown", headers={"WWW-Authenticate": challenge})
        if right not in found:
            may = " and ".join(each.word for each in Right if each in found)
            challenge = 'Bearer error="insufficient_scope"'
            detail = f"The token may {may} only. Use one that may {right.word}"
            raise Problem("token_forbids", detail, headers={"WWW-Authenticate": challenge})


class Guesses:
    """Counts the unknown tokens that each peer shows. From the tenth on, it waits for its refusals.

    Who shows a token that is known never waits, whoever else comes from the same address.
    """

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, float]] = {}  # and when the last one came, in the order of that

    async def note(self, peer: str) -> None:
        """Count one, and return when its refusal may be told."""
        now = time.monotonic()
        count, last = self._counts.pop(peer, (0, now))
        count = 1 if now - last > _GUESSES_FORGOTTEN_S else count + 1
        if len(self._counts) >= _GUESSERS_MAX:
            del self._counts[next(iter(self._counts))]
        self._counts[peer] = count, now
        if count >= _GUESSES_FREE:
            if str(count).strip("0") == "1":  # 10, 100, and so on
                _log.warning("%s has shown %d tokens that are unknown: it waits for each refusal", peer, count)
            await asyncio.sleep(_GUESS_S)


class Gate:
    """Decides which requests go on to their route."""

    def __init__(self, settings: ServerSettings) -> None:
        self._tokens = Tokens(settings.tokens) if settings.guarded else None
        # A page of any site can have its visitor's browser talk to this machine. It cannot set a token; where there are
        # none, the name in Host (against DNS rebinding) and the browser's own word for who asks keep it out.
        self._names_matter = not settings.guarded and settings.loopback and not settings.open_to_all
        self._names = {"localhost", settings.host.lower(), f"[{settings.host}]".lower()}
        self._known_hosts: set[bytes] = set()
        self._guesses = Guesses()
        self.origins = Origins(settings.cors_origins)

    def admit(self, right: Right, headers: Mapping[bytes, bytes], *, changes: bool) -> None:
        """Do nothing when a request with these headers may have what needs the right. `changes`: it is no mere read.

        Raises:
            Problem: it may not.
        """
        if self._tokens is not None:
            self._tokens.require(right, headers.get(b"authorization"))
            return
        if changes and (b"sec-fetch-site" in headers or b"origin" in headers):
            self._refuse_other_sites(headers)
        if self._names_matter:
            host = headers.get(b"host")
            if host is not None and host not in self._known_hosts:
                self._check_name(host)

    def _refuse_other_sites(self, headers: Mapping[bytes, bytes]) -> None:
        """Refuse what a browser says that a page of another site asked it to send, unless its origin is listed."""
        origin = headers.get(b"origin")
        if self.origins.allow(origin):
            return
        own_origin = origin is None or origin.partition(b"://")[2] == headers.get(b"host")
        if headers.get(b"sec-fetch-site", b"none") not in _OWN_SITE or not own_origin:
            raise Problem("cross_site", "A browser sent this on behalf of another site. Send it from a program")

    async def note_refusal(self, problem: Problem, client: tuple[str, int] | None) -> None:
        """Return when a refusal may be told: later to a peer that has guessed at tokens."""
        if problem.code == "token_unknown":
            await self._guesses.note(peer_of(client))

    def _check_name(self, host: bytes) -> None:
        name = host.decode("latin-1").lower()
        if not name.endswith("]"):
            name = re.sub(r":\d*$", "", name)
        if name not in self._names and not _is_loopback(name):
            detail = (
                f"{name} is not a name of this machine. Use localhost, or start the server with tokens or --open-to-all"
            )
            raise Problem("unknown_host", detail)
        if len(self._known_hosts) < _HOSTS_KEPT:
            self._known_hosts.add(host)


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


class TokenLists(NamedTuple):
    """The tokens of a file."""

    send: tuple[str, ...]
    read: tuple[str, ...]
    manage: tuple[str, ...]


def read_tokens_file(path: str) -> TokenLists:
    """Return the tokens in a file of lines such as `send TOKEN` or `read,manage TOKEN`; `#` begins a comment.

    Raises:
        ConfigError: the file cannot be read, has no token, or a line is of another form or has a token that is none.
    """
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("tokens_file", f"{path} cannot be read ({error})", "Name a readable text file") from error
    found: dict[str, list[str]] = {"send": [], "read": [], "manage": []}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        rights, _, token = line.strip().partition(" ")
        kinds = rights.split(",")
        if not token or any(kind not in found for kind in kinds):
            problem = f"line {number} of {path} is not of the form"
            remedy = "Write send TOKEN, read TOKEN, manage TOKEN, or several such as send,read TOKEN"
            raise ConfigError("tokens_file", problem, remedy)
        check_token("tokens_file", f"the token in line {number} of {path}", token.strip())
        for kind in kinds:
            found[kind].append(token.strip())
    if not any(found.values()):
        remedy = (
            "Write a line read TOKEN or send,read TOKEN, with a token from `tillroll token`, or leave the setting out"
        )
        raise ConfigError("tokens_file", f"there is no token in {path}", remedy)
    return TokenLists(*map(tuple, found.values()))


def check_token(setting: str, which: str, token: str) -> None:
    """Do nothing for a token, or the hash of one, that is hard to guess. `which` says where it stands, and not it.

    Raises:
        ConfigError: it is empty, too short, or such as no header carries.
    """
    remedy = "Make one with `tillroll token`"
    if not token:
        raise ConfigError(setting, f"{which} is empty", remedy)
    if not _TOKEN.fullmatch(token):
        raise ConfigError(setting, f"{which} has a space, or a character that is not ASCII", remedy)
    if token.startswith(HASHED) and not _HASH.fullmatch(token):
        problem = f"{which} begins like a hash and is not {HASHED} and 64 hexadecimal digits"
        raise ConfigError(setting, problem, "Use the output of `tillroll token --hash`")
    if len(token) < TOKEN_CHARACTERS_MIN:
        raise ConfigError(setting, f"{which} is shorter than {TOKEN_CHARACTERS_MIN} characters", remedy)


def hash_of(token: str) -> str:
    """Return what may stand for a token where the server reads it: who sees that cannot show the token."""
    return HASHED + _digest(token.encode()).hex()


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
