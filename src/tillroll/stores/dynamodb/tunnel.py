"""A tunnel through an HTTP proxy, for a network that lets nothing else out: CONNECT, of RFC 9110, 9.3.6."""

from __future__ import annotations

import base64
import urllib.request
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from tillroll.errors import StoreError

if TYPE_CHECKING:
    import socket

_HEAD_BYTES_MAX: Final = 65_536
_PORT: Final = 80
_REMEDY: Final = "Check HTTPS_PROXY, or name the host in NO_PROXY"


class Proxy(NamedTuple):
    """Where a proxy is, and what it is shown."""

    address: tuple[str, int]
    authorization: str  # empty: nothing


def proxy_for(url: str) -> str | None:
    """Return the proxy that HTTPS_PROXY and NO_PROXY, or the system's settings, say for a URL; None for none."""
    parts = urlsplit(url)
    if parts.scheme != "https" or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urllib.request.getproxies().get("https")


def read_proxy(url: str) -> Proxy:
    """Return what a proxy's URL says: http://user:password@host:port, with or without http://.

    Raises:
        StoreError: it is no such URL.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port or _PORT
    except ValueError:
        parts, host, port = None, None, 0
    if parts is None or parts.scheme != "http" or not host:
        raise StoreError("the proxy is not http://HOST:PORT", _REMEDY)  # its URL may hold a password
    if parts.username is None:
        return Proxy((host, port), "")
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy((host, port), f"Basic {base64.b64encode(pair.encode()).decode()}")


def open_tunnel(connection: socket.socket, proxy: Proxy, address: tuple[str, int]) -> None:
    """Have a proxy, to which the connection is, connect it to an address.

    Raises:
        StoreError: it refuses.
        OSError: it cannot, or does not answer.
    """
    target = f"{address[0]}:{address[1]}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
    head = b""
    while not head.endswith(b"\r\n\r\n"):  # byte by byte: what follows is the other side's
        more = connection.recv(1)
        if not more or len(head) > _HEAD_BYTES_MAX:
            raise ConnectionResetError(f"the proxy {proxy.address[0]} broke off")
        head += more
    status = head.partition(b"\r\n")[0].decode("latin-1")
    code = status.split(" ")[1][:3] if " " in status else ""
    if code.startswith("2"):
        return
    problem = f"the proxy {proxy.address[0]}:{proxy.address[1]} does not connect to {target}: {status}"
    if code.startswith("4"):
        raise StoreError(problem, _REMEDY)
    raise ConnectionRefusedError(problem)
