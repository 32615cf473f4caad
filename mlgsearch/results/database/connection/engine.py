"""Opening a database, and saying plainly why it cannot be opened."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from mlgsearch.errors import StorageError
from mlgsearch.results.database.connection.file_identity import file_name, reopen_replaced
from mlgsearch.results.database.connection.silence import bound_silence
from mlgsearch.results.database.connection.storage_url import safe_url, storage_url

#: How long a SQLite connection waits for another's write, and a server may take to answer.
BUSY_TIMEOUT_S = 60
CONNECT_TIMEOUT_S = 10

_EXAMPLES = (
    "write for example sqlite:///mlgsearch.db, or postgresql://user:password@host:5432/database"
)

#: By kind of database the driver of a URL that names none, and the extra that installs it.
_DRIVERS = {
    "postgresql": ("psycopg", "postgres"),
    "mysql": ("pymysql", "mysql"),
    "mariadb": ("pymysql", "mysql"),
}


def shown_url(engine: Engine) -> str:
    """Return the URL of an open database as its user would write it, fit for a message or a log.

    A SQLite file that is open for reading has a URL of another form inside; of its query nothing
    is shown.
    """
    url = engine.url
    if url.get_backend_name() == "sqlite":
        return f"{url.drivername}:///{file_name(engine)}"
    return safe_url(url.render_as_string(hide_password=True))


def open_engine(url: str, *, read_only: bool = False, must_exist: bool = False) -> Engine:
    """Open a database and try one connection.

    SQLite gets a 60 s busy timeout, foreign keys, and its rollback journal: WAL has a corruption
    bug before SQLite 3.51.3, and one writer does not need it. Servers get a ping before each
    borrowed connection, because one that restarted while we idled would fail the next call, and a
    bound on their silence. A SQLite file that was replaced is opened anew. A new one is its user's
    alone (mode 0600). ``must_exist`` never creates one; ``read_only`` neither, and has the database
    refuse writes. ``url`` may be ``@FILE``, a file that holds it.

    Raises:
        StorageError: the URL is malformed, its driver is not installed, the server does not
            answer, or the SQLite file or its folder is not there. The message hides passwords.
    """
    url = storage_url(url)
    parsed = _parsed(url)
    dialect = parsed.get_backend_name()
    if dialect == "sqlite":
        must_exist = must_exist or read_only
        try:
            parsed = _sqlite_url(parsed, url, read_only=read_only, must_exist=must_exist)
        except OSError as error:  # a name too long for any file, a folder that may not be entered
            raise StorageError(f"{safe_url(url)}: cannot be opened: {error.strerror}") from error
        options: dict[str, Any] = {"connect_args": {"timeout": BUSY_TIMEOUT_S}}
    else:
        parsed, options = _server_options(parsed, read_only=read_only)
    try:
        engine = create_engine(parsed, **options)
    except ModuleNotFoundError as error:
        said = f"{safe_url(url)}: the driver {error.name} is not installed"
        if dialect in _DRIVERS:
            driver, extra = _DRIVERS[dialect]
            also = "" if error.name == driver else f"; {dialect}:// takes {driver}"
            said += f"{also}: pip install 'mlgsearch[{extra}]'"
        raise StorageError(said) from error
    except (ValueError, NoSuchModuleError) as error:  # what follows the "?"
        raise StorageError(f"{safe_url(url)}: not a database URL: {error}") from error
    bound_silence(engine)
    if dialect == "sqlite":
        _prepare_sqlite(engine, read_only=read_only)
    elif dialect in ("mysql", "mariadb") and read_only:
        _let_mysql_refuse_writes(engine)
    _try_connection(engine, url, parsed)
    if dialect == "sqlite":
        reopen_replaced(engine)
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Yield a connection inside one writing transaction: commit at the end, roll back on an error.

    On SQLite it takes the write lock at once. A transaction that reads first and writes later
    cannot wait for the lock: two such would wait for each other, so SQLite fails one immediately.
    """
    with engine.connect() as plain:
        connection = plain.execution_options(mlg_begin="BEGIN IMMEDIATE")
        with connection.begin():
            yield connection


def _parsed(url: str) -> URL:
    """Parse a URL whose driver is known and synchronous.

    Raises:
        StorageError: it is none.
    """
    try:
        parsed = make_url(url)
        kind = parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise StorageError(f"{safe_url(url)}: not a database URL; {_EXAMPLES}") from error
    if _has_bare_mark(parsed, url):
        raise StorageError(
            f"{safe_url(url)}: the user or the password holds a bare @ or ?, which end a part of a "
            "URL; write %40 for @, %3F for ?, %2F for / and %25 for %"
        )
    if kind.is_async:
        raise StorageError(f"{safe_url(url)}: {parsed.drivername} is asynchronous; {_EXAMPLES}")
    return parsed


def _server_options(parsed: URL, *, read_only: bool) -> tuple[URL, dict[str, Any]]:
    """Return a server's URL with its driver, and the options of its engine."""
    options: dict[str, Any] = {"pool_pre_ping": True}
    if parsed.drivername in _DRIVERS:
        driver, _ = _DRIVERS[parsed.drivername]
        parsed = parsed.set(drivername=f"{parsed.drivername}+{driver}")
    if parsed.get_backend_name() == "postgresql":
        if "connect_timeout" not in parsed.query:
            options["connect_args"] = {"connect_timeout": CONNECT_TIMEOUT_S}
        options["execution_options"] = {"postgresql_readonly": read_only}
    return parsed, options


def _try_connection(engine: Engine, url: str, parsed: URL) -> None:
    # The first read of a file; connecting alone would accept any file at all.
    is_file = parsed.get_backend_name() == "sqlite"
    probe = "SELECT count(*) FROM sqlite_master" if is_file else "SELECT 1"
    try:
        with engine.connect() as connection:
            connection.execute(text(probe))
    except DBAPIError as error:
        engine.dispose()
        raise StorageError(_why(error, url, parsed)) from error
    except (UnicodeError, OverflowError) as error:  # what the driver cannot pass on
        engine.dispose()
        raise StorageError(f"{safe_url(url)}: not a database URL: {error}") from error


def _has_bare_mark(parsed: URL, url: str) -> bool:
    """Return whether a piece of the user or the password was taken for the host or the query."""
    if parsed.get_backend_name() == "sqlite":
        return False
    return "@" in (parsed.host or "") or re.search(r"@.*\?[^=]*@", url, re.DOTALL) is not None


def _sqlite_url(parsed: URL, url: str, *, read_only: bool, must_exist: bool) -> URL:
    name = parsed.database
    if not name or name == ":memory:" or name.startswith("file:"):
        raise StorageError(
            f"{safe_url(url)}: SQLite needs a plain file, which other processes can open; "
            "write for example sqlite:///mlgsearch.db"
        )
    path = Path(name).absolute()
    if path.is_dir():
        raise StorageError(
            f"{safe_url(url)}: {path} is a folder; write sqlite:///{name.rstrip('/')}/mlgsearch.db"
        )
    if not path.parent.is_dir():
        raise StorageError(
            f"{safe_url(url)}: the folder {path.parent} does not exist; "
            f"make it (mkdir -p {path.parent}) or name another"
        )
    if must_exist and not path.is_file():
        raise StorageError(
            f"{safe_url(url)}: there is no file {path}; `launch` makes one, "
            "or name the database of an earlier study"
        )
    if not read_only:
        if not must_exist:
            with suppress(OSError):  # SQLite says what is wrong
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        return parsed
    return parsed.set(
        database=f"file:{quote(os.fsencode(path))}",
        query={**parsed.query, "mode": "ro", "uri": "true"},
    )


def _prepare_sqlite(engine: Engine, *, read_only: bool) -> None:
    """Set each connection's pragmas, and let ``BEGIN`` be ours.

    Python's sqlite3 begins a transaction by itself only before the first change, so reads before
    it are outside. Source: SQLAlchemy's documentation, "Serializable isolation / Savepoints /
    Transactional DDL" of the pysqlite dialect.
    """

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        if not read_only:
            connection.execute("PRAGMA journal_mode = DELETE")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("mlg_begin", "BEGIN"))


def _let_mysql_refuse_writes(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")


def _why(error: DBAPIError, url: str, parsed: URL) -> str:
    reason = " ".join(str(error.orig).split())
    if parsed.password:
        reason = reason.replace(str(parsed.password), "***")
    name = getattr(error.orig, "sqlite_errorname", "")
    if name == "SQLITE_READONLY_ROLLBACK":
        reason += "; a writer was killed half-way: `resume` of the study repairs it"
    elif name.startswith("SQLITE_BUSY"):
        reason += "; another program holds the file: close that one, or try again later"
    elif parsed.get_backend_name() != "sqlite":
        reason += "; check that the server runs, and the user, password, host and database"
    else:
        reason += "; name another file"
    return f"{safe_url(url)}: cannot open the database: {reason}"
