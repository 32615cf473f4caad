"""Where Ray's folder is made, and what killed drivers left of theirs."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mlgsearch.errors import UserError
from mlgsearch.process_identity import process_identity
from mlgsearch.study.cluster import ray_folder, ray_session
from mlgsearch.study.cluster.ray_folder import SESSION, owned_folder, session_place
from tests.study.driver import Study

STUDY = """
name: tiny
data: {name: digits, limit: 300}
model: {name: resnet8, width: 4}
teacher: {training: {epochs: 1}}
training: {epochs: 1}
space: {kind: uniform}
search: {sampler: random, n_trials: 1}
"""

#: Makes a folder and says where, and waits to be killed.
MAKE = """
import sys
from pathlib import Path
from mlgsearch.study.cluster.ray_folder import SESSION, owned_folder
with owned_folder(SESSION, Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def _own_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_TMPDIR", "TMPDIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


def make_folder(place: Path) -> tuple[subprocess.Popen[str], Path]:
    """Have another process make a folder; return that process and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_it_is_where_ray_wants_it_as_long_as_that_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert session_place() == Path("/tmp")
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    assert session_place() == Path("/var/tmp")
    long = tmp_path / ("scratch_job_1234567_node_a017" * 3)
    long.mkdir()
    for unusable in (long, tmp_path / "none", Path("relative"), Path("/proc")):
        monkeypatch.setenv("TMPDIR", str(unusable))
        assert session_place() == Path("/tmp")


def test_where_it_fits_nowhere_that_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_folder, "_MOST_BYTES", 80)
    with pytest.raises(UserError, match="let RAY_TMPDIR name a folder that can, of at most"):
        session_place()


def test_rays_own_longest_path_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest place that is taken leaves Ray no byte too few; Ray itself is asked."""
    from ray._private.utils import validate_socket_filepath

    longest = "x" * (ray_folder._MOST_BYTES - len(ray_folder._LONGEST))
    validate_socket_filepath(f"{longest}{ray_folder._LONGEST}")
    with pytest.raises(OSError, match="AF_UNIX path length"):
        validate_socket_filepath(f"{longest}x{ray_folder._LONGEST}")


def test_a_folder_goes_with_its_context_and_is_its_owners(tmp_path: Path) -> None:
    with owned_folder(SESSION, tmp_path) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_and_nothing_else(tmp_path: Path) -> None:
    process, dead = make_folder(tmp_path)
    (dead / "ray").mkdir()
    end(process)
    running, alive = make_folder(tmp_path)
    words = process_identity().split()
    elsewhere = f"1\n{' '.join(['another boot', *words[1:]])}\n"
    kept = {"other": "7\nx y z 1\n", "boot": elsewhere, "old": "", "odd": "no number\n\n"}
    for name, text in kept.items():
        (tmp_path / f"{SESSION}{name}").mkdir()
        (tmp_path / f"{SESSION}{name}" / "process").write_text(text)
    (tmp_path / f"{SESSION}link").symlink_to(alive)
    (tmp_path / f"{SESSION}file").write_text("")
    with owned_folder(SESSION, tmp_path) as own:
        left = {path.name for path in tmp_path.iterdir()}
    assert not dead.exists()
    assert left == {f"{SESSION}{name}" for name in (*kept, "link", "file")} | {alive.name, own.name}
    end(running)
    with owned_folder(SESSION, tmp_path):
        assert not alive.exists()


def test_another_users_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process, dead = make_folder(tmp_path)
    end(process)
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: dead.stat().st_uid + 1)
        ray_folder._clear(SESSION, tmp_path)
    assert dead.exists()
    ray_folder._clear(SESSION, tmp_path)
    assert not dead.exists()


@pytest.mark.parametrize("home", ["is a file", "is nobody's"])
def test_without_a_home_the_token_is_in_rays_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    if home == "is a file":  # for root, whom no mode keeps out
        (tmp_path / "home").write_text("")
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
    else:
        monkeypatch.setattr(Path, "home", lambda: Path("~nobody-at-all").expanduser())
    with ray_session._token(tmp_path):
        path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
        assert path.parent == tmp_path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(path.read_text()) >= 32
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ


def test_a_study_runs_with_a_long_tmpdir_and_without_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("scratch_job_1234567_node_a017" * 3)
    long.mkdir()
    (tmp_path / "home").write_text("")
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    study = Study(tmp_path, tmp_path / "cache", STUDY)
    events = study.run("launch", str(study.file), "--max-parallel", "1")
    assert events[-1]["states"]["COMPLETE"] == 1
    assert list(long.iterdir()) == []
