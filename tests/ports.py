"""Ports that are a test's own before anything listens on them."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port of loopback that the system gives to nobody else while this process lives.

    A socket stays bound to it and never listens. With SO_REUSEADDR, which every server sets, one may listen beside it,
    end, and listen again; no other bind to a free port, and no connection that goes out, is given it meanwhile.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        held.detach()
        return port
