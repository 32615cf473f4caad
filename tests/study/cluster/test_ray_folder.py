"""Where Ray's folder is made, and what killed drivers left of theirs."""

import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from mlgsearch.errors import UserError
from mlgsearch.process_identity import process_identity
from mlgsearch.study.cluster import ray_folder, ray_session
from mlgsearch.study.cluster.ray_folder import SESSION, owned_folder, session_place
from tests.mounts import needs, seeing
from tests.study.driver import ROOT, SHORT_STUDY, Study
from tests.test_process_identity import ELSEWHERE

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


def make_folder(place: Path, before: Sequence[str] = ()) -> tuple[subprocess.Popen[str], Path]:
    """Have another process make a folder; return that process and the folder."""
    process = subprocess.Popen(
        [*before, sys.executable, "-c", MAKE, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()  # before its input ends, which would let it, or what it began, end in order
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


def of_another_boot(folder: Path) -> None:
    """Change what is known of a folder's process into what it was before a machine's start."""
    pid, identity, *rest = (folder / "process").read_text().splitlines()
    words = ["another-boot", *identity.split()[1:]]
    (folder / "process").write_text("\n".join([pid, " ".join(words), *rest]) + "\n")


@pytest.mark.parametrize("locks", [True, False])
def test_what_was_left_before_the_machine_started_goes_where_locks_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    process, left = make_folder(tmp_path)
    of_another_boot(left)
    ray_folder._clear(SESSION, tmp_path)
    assert left.exists()  # its process holds the lock
    end(process)
    if not locks:
        (tmp_path / "mounts").write_text(f"30 1 0:9 / {tmp_path} rw - nfs4 server:/tmp rw\n")
        monkeypatch.setattr(ray_folder, "_MOUNTS", tmp_path / "mounts")
    ray_folder._clear(SESSION, tmp_path)
    assert left.exists() != locks


@needs(*ELSEWHERE)
def test_what_another_container_left_goes_and_not_while_it_runs(tmp_path: Path) -> None:
    process, left = make_folder(tmp_path, [*ELSEWHERE, "--kill-child"])
    ray_folder._clear(SESSION, tmp_path)
    assert left.exists()
    end(process)
    deadline = time.monotonic() + 60  # its children end a little later
    while left.exists() and time.monotonic() < deadline:
        ray_folder._clear(SESSION, tmp_path)
    assert not left.exists()


def test_a_folder_on_a_networks_disk_has_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "a disk"
    disk.mkdir()
    (tmp_path / "mounts").write_text(
        "29 1 0:8 / / rw - ext4 /dev/vda rw\n"
        f"30 29 0:9 / {tmp_path}/a\\040disk rw shared:1 - nfs4 server:/disk rw\n"
    )
    assert ray_folder._is_of_one_kernel(disk)
    monkeypatch.setattr(ray_folder, "_MOUNTS", tmp_path / "mounts")
    assert not ray_folder._is_of_one_kernel(disk)
    assert ray_folder._is_of_one_kernel(tmp_path)
    with owned_folder(SESSION, disk) as folder:
        assert (folder / "process").read_text().splitlines()[2] == ""


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


#: Runs a command where the folders that Ray's sockets fit into take no writes.
NO_PLACE = [
    *seeing(
        "for place in /tmp /var/tmp /dev/shm; do mount -t tmpfs -o ro none $place || exit; done"
    ),
    "sh",
]


@needs(*NO_PLACE, "env", "-C", str(ROOT), "env", "-C", str(Path.home()))
def test_where_it_fits_nowhere_no_teacher_is_trained() -> None:
    with tempfile.TemporaryDirectory(prefix="mlg", dir=Path.home()) as name:
        folder = Path(name) / ("scratch_job_1234567_node_a017" * 3)
        folder.mkdir()
        (folder / "tiny.yaml").write_text(SHORT_STUDY)
        done = subprocess.run(
            [
                *(*NO_PLACE, sys.executable, str(ROOT / "search.py"), "launch", "tiny.yaml"),
                *("--storage", f"sqlite:///{folder}/a.db"),
            ],
            cwd=folder,
            env=os.environ | {"TMPDIR": str(folder), "MLGSEARCH_CACHE": str(folder / "cache")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"error: Ray's sockets fit nowhere: {folder} is too long")
        assert done.stderr.count("\n") == 1
        assert not (folder / "cache").exists()


def test_a_study_runs_with_a_long_tmpdir_and_without_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("scratch_job_1234567_node_a017" * 3)
    long.mkdir()
    (tmp_path / "home").write_text("")
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    study = Study(tmp_path, tmp_path / "cache", SHORT_STUDY)
    events = study.run("launch", str(study.file), "--max-parallel", "1")
    assert events[-1]["states"]["COMPLETE"] == 2
    assert list(long.iterdir()) == []
