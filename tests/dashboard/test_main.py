"""Starting the dashboard, and what it says where that is not possible."""

import os
import pwd
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from sqlalchemy import text

from dashboard import __main__ as command
from dashboard.server.hosts import others_have_a_shell
from mlgsearch.results.database.connection.engine import open_engine
from tests.mounts import needs, seeing

NOTE = "note: every user of this machine can open it; --token-file FILE asks for a token\n"
ROOT = Path(__file__).parents[2]


def test_the_command_line_serves_until_ctrl_c(database_file: Path) -> None:
    # A folder of its own, with a module that must not be taken for the dashboard.
    (database_file.parent / "dashboard.py").write_text("raise SystemExit('not this one')")
    with subprocess.Popen(
        [sys.executable, ROOT / "search.py", "dashboard", "--port", "0"],
        env=os.environ | {"MLGSEARCH_STORAGE": f"sqlite:///{database_file}"},
        cwd=database_file.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("The dashboard is at http://127.0.0.1:")
            with urlopen(f"{line.split()[4]}healthz") as answer:
                assert answer.read() == b'{"status": "ok"}'
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert (process.returncode, out) == (0, "")
    assert errors in ("", NOTE)  # as this machine has other users or not


#: Runs a command where the list of users is another.
OTHER_USERS = seeing('mount --bind "$0" /etc/passwd')


@needs(*OTHER_USERS, "/etc/passwd")
@pytest.mark.parametrize(("shell", "said"), [("/bin/bash", NOTE), ("/usr/sbin/nologin", "")])
def test_that_other_users_can_open_it_is_said_at_start(
    database_file: Path, tmp_path: Path, shell: str, said: str
) -> None:
    users = tmp_path / "passwd"
    users.write_text(f"root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:{shell}\n")
    command = [sys.executable, str(ROOT / "search.py"), "dashboard", "--port", "0"]
    with subprocess.Popen(
        [*OTHER_USERS, str(users), *command],
        env=os.environ | {"MLGSEARCH_STORAGE": f"sqlite:///{database_file}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("The dashboard is at http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert errors == said


@pytest.mark.parametrize(
    ("uid", "shell", "is_said"),
    [
        (1000, "/bin/bash", True),
        (1000, "/usr/sbin/nologin", False),
        (33, "/bin/bash", False),
        (os.getuid(), "/bin/bash", False),
    ],
)
def test_that_other_users_can_open_it_is_said(
    monkeypatch: pytest.MonkeyPatch, uid: int, shell: str, is_said: bool
) -> None:
    user = pwd.struct_passwd(("ann", "x", uid, uid, "", "/home/ann", shell))
    monkeypatch.setattr(pwd, "getpwall", lambda: [user])
    assert others_have_a_shell() is is_said


def test_behind_a_proxy_without_a_token_it_is_said_who_can_open_it(
    monkeypatch: pytest.MonkeyPatch, database_file: Path, tmp_path: Path
) -> None:
    notes = []
    monkeypatch.setattr(command, "serve", lambda _app, _host, _port, note: notes.append(note))
    storage = f"sqlite:///{database_file}"
    for token_file in (None, tmp_path / "token"):
        command.dashboard(storage, token_file=token_file, public_url="https://studies.example.org")
    proxied, guarded = notes
    assert proxied == "all whom the proxy lets in can open it; --token-file FILE asks for a token"
    assert guarded is None


def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> str:
    monkeypatch.setattr(sys, "argv", ["dashboard", *words])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_others_need_a_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        assert "--token-file" in refused(monkeypatch, capsys, "--host", host)


def test_a_database_that_cannot_be_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    missing = f"sqlite:///{tmp_path}/none.db"
    assert "there is no file" in refused(monkeypatch, capsys, "--storage", missing)
    assert not (tmp_path / "none.db").exists()
    empty = f"sqlite:///{tmp_path}/empty.db"
    engine = open_engine(empty)
    assert "no mlgsearch tables" in refused(monkeypatch, capsys, "--storage", empty)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mlg_alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO mlg_alembic_version VALUES ('9999')"))
    engine.dispose()
    assert "newer" in refused(monkeypatch, capsys, "--storage", empty)


def test_a_port_that_is_in_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database_file: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = ("--storage", f"sqlite:///{database_file}", "--port", str(taken.getsockname()[1]))
        assert "in use" in refused(monkeypatch, capsys, *words)
