"""The address by which browsers reach the dashboard through a proxy."""

from typing import NamedTuple, Self
from urllib.parse import urlsplit

from mlgsearch.errors import UserError


class PublicUrl(NamedTuple):
    """A scheme with a host: ``origin`` as browsers send it, ``host`` without its port."""

    origin: str
    host: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Read an address.

        Raises:
            UserError: it is none, or has a path: the pages are at the host's root.
        """
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        is_plain = parts.path in ("", "/") and not parts.query and not parts.fragment
        if parts.scheme not in ("http", "https") or not host or parts.username or not is_plain:
            raise UserError(
                f"--public-url {text}: expected http:// or https:// with a host, perhaps a port, "
                "and no path, such as https://studies.example.org"
            )
        # Browsers leave a scheme's own port out.
        usual = {"http": 80, "https": 443}[parts.scheme]
        shown = f"[{host}]" if ":" in host else host
        number = "" if port in (None, usual) else f":{port}"
        return cls(f"{parts.scheme}://{shown}{number}", host)
