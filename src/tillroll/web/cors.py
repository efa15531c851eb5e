"""Pages of other origins: which of them a browser lets read the answers (the Fetch standard's CORS protocol)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from tillroll.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ANY: Final = "*"
_ORIGIN: Final = re.compile(r"(https?|[a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[1-9][0-9]*)?")
_NEEDLESS_PORT: Final = (("http://", ":80"), ("https://", ":443"))
_SENT: Final = "Authorization, Content-Encoding, Content-Type, Idempotency-Key, If-None-Match"
_READ: Final = (
    "Content-Disposition, ETag, Link, Retry-After, "
    "Tillroll-Amount, Tillroll-Datapoints, Tillroll-Events, Tillroll-Position, WWW-Authenticate"
)
_ASKED_AGAIN_S: Final = 600


class Origins:
    """The origins that an operator lists."""

    def __init__(self, listed: Iterable[str]) -> None:
        self._listed = frozenset(origin.encode() for origin in listed)

    def allow(self, origin: bytes | None) -> bool:
        """Tell whether a page of an origin may read the answers."""
        return origin is not None and (origin in self._listed or ANY.encode() in self._listed)

    def headers(self, origin: bytes | None) -> list[tuple[bytes, bytes]]:
        """Return what every answer says to a browser that asked for a page of an origin; nothing if none is listed."""
        if not self._listed:
            return []
        vary = (b"vary", b"Origin")
        if origin is None or not self.allow(origin):
            return [vary]
        return [
            vary,
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _READ.encode()),
        ]

    def options(self, headers: Mapping[bytes, bytes], methods: Iterable[str]) -> Response:
        """Return the answer to OPTIONS: which methods an address takes, and what a page may send there."""
        allow = ", ".join(sorted({*methods, "OPTIONS"}))
        fields = {"Allow": allow, "Cache-Control": "no-store"}
        if b"access-control-request-method" in headers and self.allow(headers.get(b"origin")):
            fields |= {
                "Access-Control-Allow-Methods": allow,
                "Access-Control-Allow-Headers": _SENT,
                "Access-Control-Max-Age": str(_ASKED_AGAIN_S),
            }
        return Response(status_code=204, headers=fields)


def answering(send: Any, headers: list[tuple[bytes, bytes]]) -> Any:
    """Return a `send` that adds headers to an answer."""

    async def send_more(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = message | {"headers": [*message["headers"], *headers]}
        await send(message)

    return send_more


def check_origin(origin: str, *, guarded: bool) -> None:
    """Do nothing for what may be listed as an origin.

    Raises:
        ConfigError: no browser would say it so, or it would let any page ask a server without tokens.
    """
    if origin == ANY:
        if not guarded:
            remedy = "List the origins, or set tokens"
            raise ConfigError(
                "cors_origins", f"{ANY} would let any page read and send, because no tokens are set", remedy
            )
        return
    if not _ORIGIN.fullmatch(origin):
        problem = f"{origin!r} is not an origin as browsers write it"
        raise ConfigError("cors_origins", problem, "Write https://shop.example or https://shop.example:8443, no more")
    for scheme, port in _NEEDLESS_PORT:
        if origin.startswith(scheme) and origin.endswith(port):
            remedy = f"Write {origin.removesuffix(port)}"
            raise ConfigError("cors_origins", f"{origin!r} names the port that browsers leave out", remedy)
