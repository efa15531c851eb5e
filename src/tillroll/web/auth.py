"""Who may come in: bearer tokens that may send or read, and the names a server without tokens answers to."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from enum import Flag, auto
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tillroll.errors import ConfigError
from tillroll.web.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tillroll.web.settings import Settings

_HOSTS_KEPT: Final = 100
_OWN_SITE: Final = (b"none", b"same-origin")
_SCHEME: Final = b"bearer "


class Right(Flag):
    """What a token may be good for."""

    NONE = 0
    SEND = auto()
    READ = auto()


class Tokens:
    """Knows the tokens by their digests, and compares in a time that tells nothing about them."""

    def __init__(self, send: tuple[str, ...], read: tuple[str, ...]) -> None:
        rights: dict[bytes, Right] = {}
        for right, tokens in ((Right.SEND, send), (Right.READ, read)):
            for token in tokens:
                digest = _digest(token.encode())
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
            detail = "This server asks for a token. Send the header Authorization: Bearer TOKEN"
            raise Problem("token_missing", detail, headers={"WWW-Authenticate": "Bearer"})
        digest = _digest(authorization[7:].strip())
        found = Right.NONE
        for known, rights in self._rights.items():
            if hmac.compare_digest(known, digest):
                found = rights
        if not found:
            challenge = 'Bearer error="invalid_token"'
            raise Problem(
                "token_unknown", "The server does not know the token", headers={"WWW-Authenticate": challenge}
            )
        if right not in found:
            may, wanted = ("read", "send") if right is Right.SEND else ("send", "read")
            challenge = 'Bearer error="insufficient_scope"'
            detail = f"The token may {may} only. Use one that may {wanted}"
            raise Problem("token_forbids", detail, headers={"WWW-Authenticate": challenge})


class Gate:
    """Decides which requests go on to their route."""

    def __init__(self, settings: Settings) -> None:
        self._tokens = Tokens(settings.send_tokens, settings.read_tokens) if settings.guarded else None
        # A page of any site can have its visitor's browser talk to this machine. It cannot set a token; where there are
        # none, the name in Host (against DNS rebinding) and the browser's own word for who asks keep it out.
        self._names_matter = not settings.guarded and settings.loopback and not settings.open_to_all
        self._names = {"localhost", settings.host.lower(), f"[{settings.host}]".lower()}
        self._known_hosts: set[bytes] = set()

    def admit(self, right: Right, headers: Mapping[bytes, bytes], *, changes: bool) -> None:
        """Do nothing when a request with these headers may have what needs the right. `changes`: it is no mere read.

        Raises:
            Problem: it may not.
        """
        if self._tokens is not None:
            self._tokens.require(right, headers.get(b"authorization"))
            return
        if changes and (b"sec-fetch-site" in headers or b"origin" in headers):
            _refuse_other_sites(headers)
        if self._names_matter:
            host = headers.get(b"host")
            if host is not None and host not in self._known_hosts:
                self._check_name(host)

    def _check_name(self, host: bytes) -> None:
        name = host.decode("latin-1").lower()
        if not name.endswith("]"):
            name = re.sub(r":\d*$", "", name)
        if name not in self._names and not _is_loopback(name):
            detail = (
                f"{name} is no name of this machine. Use localhost, or start the server with tokens or --open-to-all"
            )
            raise Problem("unknown_host", detail)
        if len(self._known_hosts) < _HOSTS_KEPT:
            self._known_hosts.add(host)


def _refuse_other_sites(headers: Mapping[bytes, bytes]) -> None:
    """Refuse what a browser says that a page of another site asked it to send."""
    origin = headers.get(b"origin")
    own_origin = origin is None or origin.partition(b"://")[2] == headers.get(b"host")
    if headers.get(b"sec-fetch-site", b"none") not in _OWN_SITE or not own_origin:
        raise Problem("cross_site", "A browser sent this on behalf of another site. Send it from a program")


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


class TokenLists(NamedTuple):
    """The tokens of a file."""

    send: tuple[str, ...]
    read: tuple[str, ...]


def read_tokens_file(path: str) -> TokenLists:
    """Return the tokens in a file of lines `send TOKEN`, `read TOKEN` or `send,read TOKEN`; `#` begins a comment.

    Raises:
        ConfigError: the file cannot be read, or a line is of another form.
    """
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("tokens_file", f"{path} cannot be read ({error})", "Name a readable text file") from error
    found: dict[str, list[str]] = {"send": [], "read": []}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        rights, _, token = line.strip().partition(" ")
        token = token.strip()
        kinds = rights.split(",")
        if not token or not token.isascii() or any(kind not in found for kind in kinds):
            problem = f"line {number} of {path} is not of the form"
            raise ConfigError("tokens_file", problem, "Write send TOKEN, read TOKEN or send,read TOKEN")
        for kind in kinds:
            found[kind].append(token)
    return TokenLists(tuple(found["send"]), tuple(found["read"]))


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
