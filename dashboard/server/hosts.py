"""By which names a server may be called."""

import ipaddress
import os
import socket
from pathlib import Path

import psutil

#: User ids of people begin there (login.defs), and the one of the user `nobody`.
_FIRST_PERSON, _NOBODY = 1000, 65534
_NO_SHELLS = ("nologin", "false", "sync", "")


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


def others_have_a_shell() -> bool:
    """Return whether this machine has a person's account beside this user's, by its own list."""
    try:
        import pwd
    except ImportError:  # not Unix
        return False
    return any(
        user.pw_uid >= _FIRST_PERSON
        and user.pw_uid not in (_NOBODY, os.getuid())
        and Path(user.pw_shell).name not in _NO_SHELLS
        for user in pwd.getpwall()
    )


def _is(host: str, what: str) -> bool:
    try:
        return bool(getattr(ipaddress.ip_address(host), what))
    except ValueError:  # a name
        return False
