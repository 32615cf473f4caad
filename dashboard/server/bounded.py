"""What one client may hold of the server: connections, and time to ask and to read the answer."""

import socket
import time
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Any

from waitress.channel import HTTPChannel

#: Connections of one client, and of all. A browser opens six at once, a proxy has all visitors.
MOST_OF_ONE, MOST = 64, 200
#: Seconds for a request to arrive whole, and for an answer to be taken.
REQUEST_S, ANSWER_S = 20.0, 60.0
#: Between two looks at all connections.
LOOK_S = 5


class BoundedChannel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection that knows since when it waits for its client."""

    asking_since: float | None = None
    answering_since: float | None = None

    def received(self, data: bytes) -> bool:
        """Note when the first byte came of a request that is not whole."""
        is_done = bool(super().received(data))
        if self.request is None:
            self.asking_since = None
        elif self.asking_since is None:
            self.asking_since = time.time()
        return is_done

    def close_if_slow(self, now: float) -> None:
        """Close the connection where its client takes too long."""
        if not self.total_outbufs_len:
            self.answering_since = None
        elif self.answering_since is None:
            self.answering_since = now
        is_slow = (self.asking_since is not None and now - self.asking_since > REQUEST_S) or (
            self.answering_since is not None and now - self.answering_since > ANSWER_S
        )
        if is_slow:
            self.hang_up()

    def hang_up(self) -> None:
        """End the connection, which the server's loop then finds to be over, and closes.

        Not by ``will_close``, which waits until the client can be written to, nor at once: the loop
        may be about to look at the socket.
        """
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


def client_of(address: str) -> str:
    """Return what an address counts as: itself, or its network of 64 bits, as hosts get in IPv6.

    Addresses of the link alone, which all have one network, count by themselves.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    if found.is_link_local:
        return address
    return str(IPv6Network((found, 64), strict=False))


def bound(server: Any) -> None:
    """Make a server of waitress's limit what its clients hold."""
    maintenance, accept = server.maintenance, server.handle_accept

    def take() -> None:
        accept()
        newest = next(reversed(server.active_channels.values()), None)
        if newest is None:
            return
        client = client_of(newest.addr[0])
        of_one = sum(client_of(c.addr[0]) == client for c in server.active_channels.values())
        if of_one > MOST_OF_ONE:
            newest.hang_up()

    def look(now: float) -> None:
        maintenance(now)
        for channel in list(server.active_channels.values()):
            channel.close_if_slow(now)

    server.channel_class = BoundedChannel
    server.maintenance = look
    server.handle_accept = take
