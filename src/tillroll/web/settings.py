"""What `serve` is told."""

from __future__ import annotations

import ipaddress

import msgspec

from tillroll.core import limits
from tillroll.core.zone import UTC, find_zone, zone_remedy
from tillroll.errors import ConfigError
from tillroll.web.auth import Right, check_token
from tillroll.web.cors import check_origin


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the server listens on, whom it lets in, and how much it takes. Times are seconds, sizes bytes."""

    host: str = "127.0.0.1"
    port: int = 8080  # 0 takes a free one
    send_tokens: tuple[str, ...] = ()
    read_tokens: tuple[str, ...] = ()
    manage_tokens: tuple[str, ...] = ()
    open_to_all: bool = False
    cors_origins: tuple[str, ...] = ()
    body_bytes_max: int = limits.BODY_BYTES_MAX
    body_events_max: int = limits.BODY_EVENTS_MAX
    header_bytes_max: int = limits.HEADER_BYTES_MAX
    request_s_max: float = limits.REQUEST_S_MAX
    events_keep: tuple[str, ...] = ()  # names of the fields to be kept, see core.kept
    merchants: str = ""  # a file of their names
    audit_at: str = ""  # HH:MM by UTC, when the store is audited every day; empty is never
    zone: str = UTC  # that the page shows unless told otherwise
    peer_connections_max: int = 0  # of one address; 0 is half of what the process may have
    keep_alive_s: float = 75.0
    stop_s_max: float = 10.0  # that requests under way have to finish when the server is told to stop

    @property
    def loopback(self) -> bool:
        """Tell whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def guarded(self) -> bool:
        """Tell whether tokens are asked for."""
        return any(self.tokens.values())

    @property
    def tokens(self) -> dict[Right, tuple[str, ...]]:
        """The tokens, by what they are good for."""
        return {Right.SEND: self.send_tokens, Right.READ: self.read_tokens, Right.MANAGE: self.manage_tokens}

    def check(self) -> None:
        """Refuse to be open to others unless told so in words, and to be guarded by what can be guessed.

        Raises:
            ConfigError: the server would listen beyond loopback without tokens, or a setting is not of its form.
        """
        for setting in ("send_tokens", "read_tokens", "manage_tokens"):
            for number, token in enumerate(getattr(self, setting), 1):
                check_token(setting, f"token {number}", token)
        for origin in self.cors_origins:
            check_origin(origin, guarded=self.guarded)
        if self.audit_at:
            parse_time(self.audit_at)
        if self.zone != UTC and find_zone(self.zone) is None:
            raise ConfigError("zone", f"{self.zone!r} is not a time zone", zone_remedy(self.zone))
        if not self.loopback and not self.guarded and not self.open_to_all:
            problem = f"{self.host} can be reached from other machines, but no tokens are set"
            remedy = "Set send_tokens and read_tokens (or tokens_file), or set --open-to-all if anyone may connect"
            raise ConfigError("host", problem, remedy)


def parse_time(text: str) -> int:
    """Return the second of the day that a time HH:MM is.

    Raises:
        ConfigError: it is none.
    """
    hour, colon, minute = text.partition(":")
    if len(text) == 5 and colon and (hour + minute).isascii() and (hour + minute).isdigit():
        seconds = int(hour) * 3_600 + int(minute) * 60
        if int(hour) < 24 and int(minute) < 60:
            return seconds
    raise ConfigError("audit_at", f"{text!r} is not a time of day", "Write it HH:MM in UTC, like 03:30")
