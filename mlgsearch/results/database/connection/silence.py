"""Time limits for a database server that takes connections and does not answer.

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
#: A driver's seconds for that, behind its wait for a lock; and for a new connection.
_DRIVER_SILENCE_S, _DRIVER_CONNECT_S = 3.0, 3
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
    """Make an engine of psycopg or PyMySQL raise if its server is silent for ``SILENCE_S``.

    The connection is closed then, and the error is that of a server that is away. An engine of
    another driver stays as it is.
    """
    if engine.driver == "psycopg":
        _bound_psycopg(engine)
    elif engine.driver == "pymysql":

        @event.listens_for(engine, "do_connect")
        def _connect(dialect: Dialect, _record: Any, arguments: Any, options: Any) -> Any:
            limits = _LIMITS.get(dialect, _Limits())
            bounds = {"read_timeout": limits.silence_s, "write_timeout": limits.silence_s}
            if limits.connect_s is not None:
                options = {**options, "connect_timeout": limits.connect_s}
            return dialect.connect(*arguments, **(bounds | options))


def _bound_psycopg(engine: Engine) -> None:
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


def limit_waits(engine: Engine, wait_s: float) -> None:
    """Make this process wait no longer than that for a lock of another's, then raise.

    A driver has workers to attend to meanwhile; it comes back later. For a server that says nothing
    it waits 3 s more, and as long to be connected.
    """
    _LIMITS[engine.dialect] = _Limits(wait_s + _DRIVER_SILENCE_S, _DRIVER_CONNECT_S)
    milliseconds = int(wait_s * 1000)

    # Before all else that is done with a new connection, for that may wait as well.
    @event.listens_for(engine, "connect", insert=True)
    def _connected(connection: Any, _record: object) -> None:
        if engine.dialect.name == "sqlite":
            connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
        elif engine.dialect.name == "postgresql":
            connection.execute(f"SET lock_timeout = {milliseconds}")
            connection.commit()
        elif engine.dialect.name in ("mysql", "mariadb"):
            with connection.cursor() as cursor:
                cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {max(1, round(wait_s))}")

    engine.dispose()
