"""The dashboard in a thread of the tests, a browser, and what that saw of it."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, ConsoleMessage, Page, Route, sync_playwright
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server

from dashboard.app import create_app
from dashboard.database import Database
from dashboard.server.serve import MOST_IN_MEMORY

HOSTS = ("127.0.0.1", "localhost")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium; without one, playwright's own."""
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to work for root.
        args = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        yield browser
        browser.close()


@contextmanager
def serving(database_url: str, token: str | None = None) -> Iterator[str]:
    """Serve a database on a free port; yields the address without a slash at its end."""
    database = Database(database_url)
    sockets: dict[int, object] = {}
    server = create_server(
        create_app(database, HOSTS, token),
        host="127.0.0.1",
        port=0,
        threads=4,
        outbuf_overflow=MOST_IN_MEMORY,
        map=sockets,
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        open_sockets = dict(sockets)
        server.trigger.pull_trigger(sockets.clear)  # the loop ends when it has nothing to watch
        thread.join()
        server.task_dispatcher.shutdown()
        for channel in list(open_sockets.values()):
            if isinstance(channel, HTTPChannel):
                channel.handle_close()  # `close` alone would leave its temporary files open
        wasyncore.close_all(open_sockets)
        database.close()


@dataclass
class Visit:
    """A browser's page, and what must not have happened on it."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", lambda request: self._asked(request.url))

    def hold(self, pattern: str) -> list[Route]:
        """Let what the page asks for wait; return the list that grows with it."""
        held: list[Route] = []

        def keep(route: Route) -> None:
            held.append(route)

        self.page.route(pattern, keep)
        return held

    def go(self, path: str) -> Page:
        """Open a page of the dashboard and wait until it is there."""
        self.page.goto(self.base + path)
        self.page.wait_for_selector("#content > :not(.loading)")
        return self.page

    def study(self, search: str) -> Page:
        """Open the page of a study and wait until its chart is drawn."""
        page = self.go(f"/study?name={search}")
        page.wait_for_selector("#study-chart .main-svg .legend")
        return page

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, url: str) -> None:
        if not url.startswith((f"{self.base}/", "data:", "blob:")):
            self.complaints.append(f"a request left the host: {url}")
