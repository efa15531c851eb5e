"""Who is at the other end of a connection."""

from __future__ import annotations

import ipaddress
from typing import Final

_SITE_BITS: Final = 64  # of an IPv6 address: who has one address has all that begin so (RFC 6177)


def peer_of(client: tuple[str, int] | None) -> str:
    """Return what stands for the machine, or the site, at the other end of a connection."""
    if client is None:
        return ""
    try:
        address = ipaddress.ip_address(client[0].partition("%")[0])
    except ValueError:
        return client[0]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _SITE_BITS), strict=False))
