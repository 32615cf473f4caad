"""What every answer carries and every request must prove, whoever asks."""

import re
from collections.abc import Collection, Sequence

from flask import Flask, Response, abort, request

from dashboard.server.public_url import PublicUrl

#: Styles: Dash's components write attributes, and put style sheets into the page as it runs.
_POLICY = (
    "default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

#: An IPv6 address in brackets, or a name, and perhaps a port.
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not "no-referrer": browsers would then send a form's Origin as null.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def secure(
    server: Flask,
    hosts: Collection[str],
    script_hashes: Sequence[str],
    public_url: PublicUrl | None = None,
) -> None:
    """Make the server answer its own pages only.

    Args:
        server: to be secured.
        hosts: names and addresses by which it may be called, without ports. A page of another
            name that is made to point here is refused (DNS rebinding).
        script_hashes: of the inline scripts that may run, as a content security policy has them.
        public_url: what browsers call it by through a proxy, which may pass its own Host or theirs.
    """
    policy = _POLICY.format(hashes=" ".join(script_hashes))
    known = {host.lower() for host in hosts}
    public_origin = None
    if public_url is not None:
        known.add(public_url.host)
        public_origin = public_url.origin

    @server.before_request
    def _refuse_strangers() -> None:
        if _host_name(request.headers.get("Host", "")) not in known:
            abort(
                400, "this Host is not the dashboard's; call it by the address it was started with"
            )
        is_answered = request.routing_exception is None  # else nothing is done anyway
        if is_answered and request.method not in ("GET", "HEAD", "OPTIONS"):
            origin = request.headers.get("Origin", "")
            own = f"{request.scheme}://{request.headers['Host']}"
            if origin not in (own, public_origin):
                abort(403, "this Origin is not the dashboard's")

    @server.after_request
    def _add_headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        # Dash's scripts are the same for all and carry a tag; nothing else but files is kept.
        is_script = request.path.startswith("/_dash-component-suites/")
        response.headers.setdefault("Cache-Control", "no-cache" if is_script else "no-store")
        for name, value in _HEADERS.items():
            response.headers[name] = value
        return response


def _host_name(header: str) -> str:
    """Return the name or address in a Host header; nothing where it is no such header."""
    found = _HOST.fullmatch(header)
    return (found[1] or found[2]).lower() if found else ""
