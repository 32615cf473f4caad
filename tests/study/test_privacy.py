"""What others on the machine and in the database can see of a driver: never a password."""

import os
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, inspect, make_url, text

from tests.study.driver import Driver

SECRET = "hunter2-{%}"
STUDY = """
name: tiny
data: {name: digits, limit: 300, augmentation: none}
model: {name: resnet8, width: 4}
teacher: {training: {epochs: 1}}
training: {epochs: 10000}
space: {kind: layerwise}
search: {n_trials: 1, first: [[2, 4, 3, 6, 3]]}
"""
#: Where Ray's dashboard listens, unless that is taken.
DASHBOARD_PORT = 8265
AUTH_MODES = ("disabled", "token")
ASK = """
import sys
from ray._raylet import GcsClient
print(len(GcsClient(address=sys.argv[1]).get_all_node_info(timeout=30)), "node")
"""


@dataclass(frozen=True)
class Seen:
    """What there was to see of a driver at work, and what it left behind."""

    folder: Path
    answers: list[str]
    command_lines: list[str]
    environments: list[str]
    listening: list[tuple[str, int]]
    ray_folder_mode: int
    ray_logs: str
    reported: str
    dump: str


@pytest.fixture(scope="module")
def seen(postgres_database: Engine, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A study run with a password in the URL on its command line, the worst of the ways."""
    folder = tmp_path_factory.mktemp("privacy")
    (folder / "tiny.yaml").write_text(STUDY)
    with postgres_database.connect() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    url = postgres_database.url.set(password=SECRET).render_as_string(hide_password=False)
    assert make_url(url).password == SECRET
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        patch.setenv("MLGSEARCH_STORAGE", url)
        for name in ("MLGSEARCH_RUNS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
            patch.delenv(name, raising=False)
        arguments = ["launch", "tiny.yaml", "--storage", url, "--max-parallel", "1", "--json"]
        driver = Driver(arguments, folder, folder / "cache")
        driver.read_until(lambda event: event["event"] == "epoch")
        family = [psutil.Process(driver._process.pid), *driver.family()]
        command_lines = [" ".join(process.cmdline()) for process in family]
        # Not the driver's own, where its user put the URL.
        environments = [str(process.environ()) for process in family[1:]]
        listening = [
            (connection.laddr.ip, connection.laddr.port)
            for process in family
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        answers = [_ask_cluster(_option("gcs-address", command_lines), m) for m in AUTH_MODES]
        logs = Path(_option("log_dir", command_lines))
        private = logs.parents[2]
        assert private.name.startswith("mlg-ray-")
        mode = private.stat().st_mode
        ray_logs = "".join(path.read_text(errors="replace") for path in logs.glob("*.*"))
        driver.interrupt()
        driver.read_to_end()
        assert driver.wait() == 130, driver.errors()
        assert not private.exists()
    reported = driver.errors() + "".join(map(str, driver.seen))
    return Seen(
        folder,
        answers,
        command_lines,
        environments,
        listening,
        mode,
        ray_logs,
        reported,
        _dump(postgres_database),
    )


def _option(name: str, command_lines: list[str]) -> str:
    """Return what an option of one of Ray's processes says."""
    words = (word for line in command_lines for word in line.split())
    return next(word.partition("=")[2] for word in words if word.startswith(f"--{name}="))


def _ask_cluster(address: str, auth_mode: str) -> str:
    """Ask a cluster for its nodes, with its user's token or without."""
    asked = subprocess.run(
        [sys.executable, "-c", ASK, address],
        env={**os.environ, "RAY_AUTH_MODE": auth_mode},
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout + asked.stderr


def _dump(database: Engine) -> str:
    """Return every row of every table as text."""
    with database.connect() as connection:
        return "\n".join(
            str(row)
            for name in inspect(connection).get_table_names()
            for row in connection.execute(text(f'SELECT "{name}"::text FROM "{name}"')).scalars()
        )


def test_no_process_shows_the_password(seen: Seen) -> None:
    assert any("postgres:***@" in line for line in seen.command_lines)
    assert not any("hunter2" in line for line in seen.command_lines)


def test_rays_processes_are_not_given_the_url(seen: Seen) -> None:
    assert len(seen.environments) > 3
    assert not any("hunter2" in environment for environment in seen.environments)
    assert any("RAY_AUTH_MODE" in environment for environment in seen.environments)


def test_nothing_that_is_written_holds_the_password(seen: Seen) -> None:
    assert seen.reported.startswith("warning: every user of this machine can read the password")
    assert "'event': 'epoch'" in seen.reported
    assert "tiny" in seen.dump
    assert "GCS" in seen.ray_logs
    for text_ in (seen.reported, seen.dump, seen.ray_logs):
        assert "hunter2" not in text_
    files = [path for path in seen.folder.rglob("*") if path.is_file()]
    assert any(path.name == "events.jsonl" for path in files)
    assert not [path for path in files if b"hunter2" in path.read_bytes()]


def test_ray_listens_on_the_loopback_alone(seen: Seen) -> None:
    assert len(seen.listening) > 3
    assert {address for address, _ in seen.listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_rays_dashboard_is_off(seen: Seen) -> None:
    assert DASHBOARD_PORT not in {port for _, port in seen.listening}


@pytest.mark.parametrize("idle", ["dashboard/dashboard.py", "monitor.py", "log_monitor.py"])
def test_nothing_of_ray_runs_that_has_nothing_to_do(seen: Seen, idle: str) -> None:
    assert any("raylet" in line for line in seen.command_lines)
    assert not [line for line in seen.command_lines if idle in line]


def test_ray_answers_to_its_token_alone(seen: Seen) -> None:
    without, with_it = seen.answers
    assert "InvalidAuthToken" in without
    assert " node\n" not in without
    assert with_it == "1 node\n"


def test_rays_files_and_its_token_are_their_owners_alone(seen: Seen) -> None:
    assert stat.S_IMODE(seen.ray_folder_mode) == 0o700
    token = seen.folder / ".ray" / "auth_token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert len(token.read_text()) >= 32


def test_the_folders_of_a_study_are_their_owners_alone(seen: Seen) -> None:
    runs = seen.folder / "mlgsearch-runs"
    folders = [runs, *(path for path in runs.rglob("*") if path.is_dir())]
    assert len(folders) == 4  # of all runs, the study, its trial, the attempt at it
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
