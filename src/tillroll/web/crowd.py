"""The connections of one server: how many may be open, how many of one peer, and which are closed to make room.

An idle connection costs whoever opens it nothing and the server a descriptor, of which it has few.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

from tillroll.web.peer import peer_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from tillroll.web.protocol import BoundedProtocol

_SHARE: Final = 64  # one in so many is closed at once: to look through all for each new one would cost too much
_LINGERING_MAX: Final = 16  # refused connections that may hear out their sender


class Crowd:
    """The connections that are open and stay so, by the peer they come from."""

    def __init__(self, connections_max: int, peer_connections_max: int) -> None:
        self._most = connections_max
        self._most_of_peer = peer_connections_max
        self._by_peer: dict[str, set[BoundedProtocol]] = {}
        self._all: set[BoundedProtocol] = set()

    def is_tight(self, descriptors: int) -> bool:
        """Tell whether a connection that is refused must go at once: so many are still open."""
        return descriptors > self._most + _LINGERING_MAX

    def enter(self, connection: BoundedProtocol, now: float) -> bool:
        """Take in a connection, and close others if there is no room; return False when there is none to be made."""
        mates = self._by_peer.get(peer_of(connection.client), set())
        if len(mates) >= self._most_of_peer:
            found = self._make_room(mates, now)
        else:
            found = len(self._all) < self._most or self._make_room(self._all, now)
        if found:
            self._by_peer.setdefault(peer_of(connection.client), mates).add(connection)
            self._all.add(connection)
        return found

    def leave(self, connection: BoundedProtocol) -> None:
        """Forget a connection."""
        peer = peer_of(connection.client)
        mates = self._by_peer.get(peer, set())
        mates.discard(connection)
        if not mates:
            self._by_peer.pop(peer, None)
        self._all.discard(connection)

    def _make_room(self, connections: Collection[BoundedProtocol], now: float) -> bool:
        """Close some: those that are idle, the longest first; else those that have been slow for a while."""
        standings = [(standing, id(each), each) for each in connections if (standing := each.standing(now)) is not None]
        for _, _, connection in heapq.nsmallest(max(1, len(connections) // _SHARE), standings):
            connection.evict()
            self.leave(connection)
        return bool(standings)
