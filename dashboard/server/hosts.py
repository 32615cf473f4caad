"""By which names a server may be called."""

import ipaddress
import socket

import psutil


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    return host == "localhost" or _is(host, "is_loopback")


def host_names(host: str) -> frozenset[str]:
    """Return the names and addresses by which browsers may call a server listening on ``host``."""
    names = {"localhost", "127.0.0.1", "::1", host}
    if is_loopback(host):
        return frozenset(names)
    names |= {socket.gethostname(), socket.getfqdn()}
    if _is(host, "is_unspecified"):  # it listens on all addresses of this machine
        for addresses in psutil.net_if_addrs().values():
            names |= {
                address.address.partition("%")[0]
                for address in addresses
                if address.family in (socket.AF_INET, socket.AF_INET6)
            }
    return frozenset(names)


def _is(host: str, what: str) -> bool:
    try:
        return bool(getattr(ipaddress.ip_address(host), what))
    except ValueError:  # a name
        return False
