"""Letting in who knows the token, and remembering it in a cookie that does not hold it."""

import hmac
import math
import threading
import time
from hashlib import sha256
from html import escape
from urllib.parse import quote, urlsplit

from flask import Flask, Response, jsonify, redirect, request
from werkzeug.wrappers import Response as AnyResponse

_COOKIE = "mlgsearch-dashboard"
_LASTS_S = 30 * 24 * 3600
#: So many wrong guesses cost nothing; then the wait doubles, up to a minute.
_FREE = 2
_LONGEST_WAIT_S = 60.0
_MOST_ADDRESSES = 10_000
#: What is for everybody: it says nothing about the studies.
_OPEN = ("/login", "/healthz", "/assets/")
#: What a script asks for, which a page to log in does not help.
_FOR_SCRIPTS = ("/api/", "/change-token", "/download/", "/_dash")

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in - mlgsearch</title>
<link rel="icon" href="/assets/favicon.svg">
<link rel="stylesheet" href="/assets/style.css">
</head>
<body class="login">
<main>
<h1><span class="mark"></span>mlgsearch</h1>
<form method="post">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password"
 aria-describedby="where" required autofocus>
<p id="where" class="faint">It is in the file that the dashboard was started with,
<code>--token-file</code>.</p>
<p role="alert">{complaint}</p>
<button type="submit" class="primary">Log in</button>
</form>
</main>
</body>
</html>
"""


def require_token(server: Flask, token: str) -> None:
    """Refuse everybody who has neither logged in nor brings the token.

    A person is asked for it once and keeps a cookie for 30 days, which holds a moment and its
    HMAC, and which scripts and other sites' pages do not get. A script sends the token as
    ``Authorization: Bearer``. Who guesses must wait, longer each time, but the token itself
    is taken at any moment: behind a proxy all visitors have one address, and a stranger's guesses
    must not lock them out. What keeps the token is its length.
    """
    guard = _Guard(token)

    @server.before_request
    def _ask() -> AnyResponse | None:
        if request.path.startswith(_OPEN) or guard.knows():
            return None
        if request.path.startswith(_FOR_SCRIPTS) or request.method not in ("GET", "HEAD"):
            answer = jsonify(error="log in at /login, or send Authorization: Bearer TOKEN")
            answer.status_code = 401
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        wanted = request.full_path.rstrip("?")
        return redirect(f"/login?next={quote(wanted, safe='')}", 303)

    @server.get("/login")
    def _form() -> Response:
        return _page("")

    @server.post("/login")
    def _log_in() -> AnyResponse:
        wait_s = guard.wait_s()
        if not guard.accepts(request.form.get("token", "").strip()):
            if wait_s <= 0:
                return _page("This is not the token.", 403)
            answer = _page(f"Too many wrong tokens; try again in {math.ceil(wait_s)} s.", 429)
            answer.headers["Retry-After"] = str(math.ceil(wait_s))
            return answer
        let_in = redirect(_inner(request.args.get("next", "/")), 303)
        let_in.set_cookie(
            _COOKIE,
            guard.cookie(),
            max_age=_LASTS_S,
            httponly=True,
            samesite="Strict",
            # As its browser sees it: a proxy may end the encryption. The Origin has been checked.
            secure=request.headers.get("Origin", "").startswith("https:"),
        )
        return let_in


class _Guard:
    """Knows the token, and who guessed wrong how often."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._key = hmac.digest(self._token, b"cookie", sha256)
        self._lock = threading.Lock()
        self._wrong: dict[str, tuple[int, float]] = {}  # address: guesses, moment of the next one

    def knows(self) -> bool:
        kind, _, sent = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.accepts(sent.strip())
        until, _, _ = request.cookies.get(_COOKIE, "").partition(".")
        is_ours = hmac.compare_digest(
            self._signed(until).encode(), request.cookies.get(_COOKIE, "").encode()
        )
        return is_ours and float(until) > time.time()

    def accepts(self, sent: str) -> bool:
        """Compare, in a time that does not depend on how much is right."""
        is_right = hmac.compare_digest(sent.encode(), self._token)
        address = request.remote_addr or ""
        with self._lock:
            guesses, following = self._wrong.pop(address, (0, 0.0))
            if not is_right and following > time.monotonic():  # one too many, which costs no more
                self._wrong[address] = (guesses, following)
            elif not is_right:
                if len(self._wrong) >= _MOST_ADDRESSES:
                    self._wrong.pop(next(iter(self._wrong)))
                wait_s = min(_LONGEST_WAIT_S, 2.0 ** (guesses - 2)) if guesses >= _FREE else 0.0
                self._wrong[address] = (guesses + 1, time.monotonic() + wait_s)
        return is_right

    def wait_s(self) -> float:
        """Return how long this address must wait after a wrong token."""
        with self._lock:
            _, following = self._wrong.get(request.remote_addr or "", (0, 0.0))
        return following - time.monotonic()

    def cookie(self) -> str:
        return self._signed(str(int(time.time() + _LASTS_S)))

    def _signed(self, until: str) -> str:
        return f"{until}.{hmac.new(self._key, until.encode(), sha256).hexdigest()}"


def _page(complaint: str, status: int = 200) -> Response:
    return Response(_PAGE.format(complaint=escape(complaint)), status, mimetype="text/html")


def _inner(address: str) -> str:
    """Return an address of ours, whatever somebody wrote into the link to the login."""
    parts = urlsplit(address)
    is_inner = not parts.scheme and not parts.netloc and address.startswith("/")
    return address if is_inner and address.isprintable() and "\\" not in address else "/"
