"""A PostgreSQL server that is connected and does not answer: each call waits for it so long only.

A server that was stopped, or a network that drops packets without a word, leaves a connection that
looks whole. The kernel's keepalives find a host that is gone, but neither of those.
"""

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, Engine, event

#: Seconds that a server may say nothing while an answer is waited for; a driver waits less.
SILENCE_S = 60.0
#: libpq's options that let the kernel end a connection to a host that is gone: the first question
#: after 10 s without traffic, 3 in all 5 s apart, and 20 s for what was sent to be acknowledged.
KEEPALIVES = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


#: How often a call that waits looks for signals.
_LOOK_S = 0.1


@dataclass(frozen=True)
class _Limits:
    """How long an engine's connections wait for an answer, and to be made where that is bounded."""

    silence_s: float = SILENCE_S
    connect_s: int | None = None


#: Of the engines that have others than the usual ones.
_LIMITS: WeakKeyDictionary[Dialect, _Limits] = WeakKeyDictionary()


def bound_silence(engine: Engine) -> None:
    """Let an engine of psycopg raise where its server says nothing for ``SILENCE_S``.

    The connection is closed then, and the error is that of a server that is away.
    """
    import psycopg  # an extra, and this module is imported without it
    from psycopg import waiting

    class Bounded(psycopg.Connection[Any]):
        """A connection whose calls end; ``silence_s`` is how long each waits."""

        silence_s = SILENCE_S

        def wait(  # type: ignore[override]  # what else newer versions of psycopg pass
            self, gen: Any, interval: float = _LOOK_S, **options: Any
        ) -> Any:
            """Wait for a call's end.

            At Ctrl-C psycopg asks the server to cancel, which one that is silent never does.
            """
            bounded = self._bounded(gen)
            try:
                return waiting.wait(bounded, self.pgconn.socket, interval=interval, **options)
            except KeyboardInterrupt:
                self.pgconn.finish()
                raise

        def _bounded(self, gen: Any) -> Generator[Any, Any, Any]:
            until = time.monotonic() + self.silence_s
            ready: Any = None
            while True:
                try:
                    wanted = gen.send(ready)
                except StopIteration as end:
                    return end.value
                ready = yield wanted
                now = time.monotonic()
                if ready:
                    until = now + self.silence_s
                elif now > until:
                    gen.close()
                    self.pgconn.finish()
                    raise psycopg.OperationalError(
                        f"the server did not answer for {self.silence_s:g} s"
                    )

    @event.listens_for(engine, "do_connect")
    def _connect(dialect: Dialect, _record: Any, arguments: Any, options: dict[str, Any]) -> Any:
        limits = _LIMITS.get(dialect, _Limits())
        if limits.connect_s is not None:
            options["connect_timeout"] = limits.connect_s
        connection = Bounded.connect(*arguments, **(KEEPALIVES | options))
        connection.silence_s = limits.silence_s
        return connection


def shorten_silence(engine: Engine, silence_s: float, connect_s: int) -> None:
    """Let new connections of an engine with `bound_silence` wait less, also to be made."""
    _LIMITS[engine.dialect] = _Limits(silence_s, connect_s)
