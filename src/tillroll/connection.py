"""A connection to a server, by its address."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from tillroll.errors import ConfigError


def connect(url: str, timeout_s: float) -> http.client.HTTPConnection:
    """Return a connection to a server, not yet opened.

    Raises:
        ConfigError: the address is not one of HTTP.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    known = parts.scheme in ("http", "https")
    if not known or not parts.hostname or port == -1 or parts.query or parts.fragment:
        remedy = "Give http://HOST:PORT or https://HOST, with a path if it has one"
        raise ConfigError("url", f"{url} is not the address of a server", remedy)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(parts.hostname, port, timeout=timeout_s, context=context)
    return http.client.HTTPConnection(parts.hostname, port, timeout=timeout_s)


def path_of(url: str) -> str:
    """Return the path under which a server has its routes."""
    return urlsplit(url).path.rstrip("/")
