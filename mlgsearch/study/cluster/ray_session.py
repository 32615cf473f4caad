"""Start Ray on this machine, or join one that runs."""

import logging
import os
import secrets
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import psutil

#: Workers hand over epochs and numbers only; the data come from memory-mapped files.
_OBJECT_STORE_BYTES = 80_000_000
#: How long a cluster's address may take to answer at all.
_KNOCK_S = 10.0
#: How often Ray is started here, at most, and how it says that it took too long. No setting gives
#: it more time.
_STARTS, _TOO_SLOW = 3, "timed out during startup"
#: How long a cluster may take to begin and end a task that needs nothing; it starts a process.
_TASK_S = 120.0
#: Says how many seconds Ray waits for its own head to begin, which a busy machine may take, and
#: how often it asks a cluster that refuses it, which takes a second each time.
_PATIENCE = "RAY_gcs_server_port_wait_time_s"

# Read by Ray when it is imported or started, so set before its first import below.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
# Tune's own account of all trials, which is never read: a study resumes from the database. At
# 7,000 trials writing it left the driver 200 MiB larger.
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "inf")
# Our searcher holds back where there is no room; Ray's own bound would not grow with the cluster.
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "10000")
os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
os.environ.setdefault("TUNE_WARN_THRESHOLD_S", "60")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
# Ray prints its own account of dead workers on stdout; ours is the trial's next attempt.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")

import ray  # noqa: E402
import ray._private.ray_constants as ray_constants  # noqa: E402
import ray._private.utils as ray_utils  # noqa: E402
import ray._private.worker as ray_worker  # noqa: E402
from ray._private.authentication.authentication_token_setup import (  # noqa: E402
    AUTH_MODE_ENV_VAR,
    maybe_enable_token_auth_if_token_available,
)
from ray._private.node import Node  # noqa: E402
from ray._private.services import canonicalize_bootstrap_address  # noqa: E402
from ray._raylet import (  # type: ignore[attr-defined]  # noqa: E402
    AuthenticationMode,
    get_authentication_mode,
    setproctitle,
)
from ray.exceptions import GetTimeoutError  # noqa: E402
from ray.job_config import JobConfig  # noqa: E402

from mlgsearch.control_groups import processors  # noqa: E402
from mlgsearch.errors import RayLostError, UserError  # noqa: E402
from mlgsearch.results.database.connection.storage_url import safe_url  # noqa: E402
from mlgsearch.study.cluster.notice import draining_nodes  # noqa: E402
from mlgsearch.study.cluster.ray_death import watched  # noqa: E402
from mlgsearch.study.cluster.ray_folder import SESSION, owned_folder, session_place  # noqa: E402

#: Each starts a process that has nothing to do on a machine alone, and loads Ray anew: what is left
#: of the dashboard counts usage, the monitors add machines and send a driver its workers' output.
_IDLE = ("start_api_server", "start_monitor", "start_log_monitor")

#: What Ray reads its token's place from, and a token for where there is none yet.
_TOKEN_PATH, _NEW_TOKEN = "RAY_AUTH_TOKEN_PATH", secrets.token_hex(32)


@contextmanager
def local_ray(
    report: Callable[[RayLostError], object] = lambda lost: None,
) -> Iterator[None]:
    """Start Ray on this machine, on the loopback address alone, and stop it at the end.

    It has no dashboard, and its sockets and logs lie in a folder of its user's. Where a process of
    Ray's ends that it needs, ``report`` is called from a thread.

    Raises:
        UserError: this machine is too busy for Ray to start, or has no folder for its sockets.
    """
    _hide_passwords()
    before = set(psutil.Process().children(recursive=True))
    with owned_folder(SESSION, session_place()) as folder, _token(folder):
        _start(f"{folder}/ray")
        begun = set(psutil.Process().children(recursive=True)) - before
        try:
            with watched(begun, report) as died:
                yield
        finally:
            begun |= set(psutil.Process().children(recursive=True)) - before
            _kill_at_once()
            if died.is_set():  # or its end would wait for what is gone
                _kill(begun)
            ray.shutdown()
            _kill(begun)  # what Ray's killed processes had begun, which ends later by itself


def _start(folder: str) -> None:
    """Start Ray, again where it was too slow: it has read its own files by then."""
    before = set(psutil.Process().children(recursive=True))
    for left in reversed(range(_STARTS)):
        try:
            with _own_environment(is_local=True), _own_signals(), _without_idle_processes():
                ray.init(
                    "local",
                    num_cpus=processors(),
                    include_dashboard=False,
                    object_store_memory=_OBJECT_STORE_BYTES,
                    _temp_dir=folder,
                    job_config=_Job(),
                    **_quietly(),
                )
        except Exception as error:  # Ray raises a plain one
            if _TOO_SLOW not in str(error):
                raise
            # It leaves all that it had begun, until this process ends.
            _kill(set(psutil.Process().children(recursive=True)) - before)
            if not left:
                raise UserError(
                    f"Ray did not start on this machine, {_STARTS} times within the 30 s that it "
                    "gives itself: see what else keeps the processors or the disk busy, then try "
                    "again; nothing is lost"
                ) from error
        else:
            return


def _kill(processes: Iterable[psutil.Process]) -> None:
    """Kill processes that are still there."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _kill_at_once() -> None:
    """Make Ray's shutdown kill its processes: they block SIGTERM, and it waits 1 s for each."""
    node = ray_worker._global_node
    if node is not None:
        kill = node.kill_all_processes
        node.kill_all_processes = lambda **options: kill(**{**options, "allow_graceful": False})


@contextmanager
def joined(address: str | None) -> Iterator[None]:
    """Join a cluster that runs, and leave it at the end; without an address do nothing.

    Meant for before anything that takes long, so that a wrong address is reported at once.

    Args:
        address: of the cluster, or ``auto`` for the one that this machine is of.

    Raises:
        UserError: no cluster answers there, or one that is of other versions, does not know this
            machine's token, asks for no token, or begins no task.
    """
    if address is None:
        yield
        return
    try:
        _knock(address)
        _protect_token()  # or Ray says that there is none
        _hide_passwords()
        # Ray shows its token to a cluster it finds by itself, but not to one that is named.
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
        with _own_environment(is_local=False), _own_signals():
            ray.init(address, job_config=_Job(), **_quietly())
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"--address {address}: no Ray cluster answers there, or not to this machine's token "
            f"and versions ({' '.join(str(error).split())}); start one with `ray start --head`, "
            "copy ~/.ray/auth_token from its head, or leave --address out to run on this machine"
        ) from error
    try:
        _refuse_open_cluster(address)
        yield
    finally:
        ray.shutdown()


def nodes() -> list[dict[str, float]]:
    """Return the resources of each node that takes work now, of the cluster that was joined.

    Not of one that drains, for it is taken away.
    Ray is asked in a thread: its call hears no signal, and waits for a head that died.
    """
    answers: SimpleQueue[list[dict[str, float]] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            known: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
            leaving = draining_nodes()
            answers.put(
                [n["Resources"] for n in known if n["Alive"] and n["NodeID"] not in leaving]
            )
        except Exception as error:  # noqa: BLE001 - raised below
            answers.put(error)

    threading.Thread(target=ask, name="nodes", daemon=True).start()
    answer = answers.get()
    if isinstance(answer, Exception):
        raise answer
    return answer


@contextmanager
def _without_idle_processes() -> Iterator[None]:
    """Keep Ray from starting what has nothing to do here, where that is called as it is today."""
    kept = {name: getattr(Node, name) for name in _IDLE if hasattr(Node, name)}
    for name in kept:
        setattr(Node, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for name, method in kept.items():
            setattr(Node, name, method)


def _quietly() -> dict[str, Any]:
    """Return Ray's options to say nothing of its own."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    return {"log_to_driver": False, "logging_level": logging.ERROR}


def _knock(address: str) -> None:
    """See that anything listens at an address: Ray takes minutes to find that nothing does.

    Raises:
        OSError: nothing does.
        ValueError: it is no address.
    """
    place = canonicalize_bootstrap_address(address)
    if place is None:
        raise ValueError("that is no cluster's")
    host, _, port = place.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()


def _refuse_open_cluster(address: str) -> None:
    """See that a cluster asks for a token, unless its user says that none is wanted.

    Raises:
        UserError: it does not.
    """
    if os.environ.get(AUTH_MODE_ENV_VAR) == "disabled":
        return
    asked = ray.remote(_asks_for_token).options(num_cpus=0).remote()
    try:
        is_asking = ray.get(asked, timeout=_TASK_S)
    except GetTimeoutError:
        raise UserError(
            f"--address {address}: that cluster began no task within {_TASK_S:.0f} s; see with "
            "`ray status` whether its nodes are alive"
        ) from None
    if not is_asking:
        raise UserError(
            f"--address {address}: that cluster asks for no token, so whoever reaches it can run "
            f"code there: start it with {AUTH_MODE_ENV_VAR}=token on every node, or, where only "
            f"you reach it, set {AUTH_MODE_ENV_VAR}=disabled for this command"
        )


def _asks_for_token() -> bool:
    """Return, on a node, whether Ray answers to its token alone."""
    return bool(get_authentication_mode() == AuthenticationMode.TOKEN)


@contextmanager
def _own_environment(*, is_local: bool) -> Iterator[None]:
    """Start Ray's processes without the database's URL, and those of this machine on loopback.

    Ray turns a loopback address that it is given into one that others reach, and listens on all of
    them; it keeps to the loopback where it believes that it cannot be a cluster, as it does by
    default on macOS and Windows.
    """
    before = {name: os.environ.get(name) for name in ("MLGSEARCH_STORAGE", _PATIENCE)}
    can_be_cluster = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = can_be_cluster and not is_local
    os.environ.pop("MLGSEARCH_STORAGE", None)
    os.environ.setdefault(_PATIENCE, "120" if is_local else "1")
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = can_be_cluster
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's signal handlers while Ray starts, and signals from Ray's processes.

    Ray (2.60) registers handlers of SIGTERM in Python, and abseil's in C, which dumps addresses and
    aborts the process 3 s later. A terminal that closes and systemd signal every process, and Ray
    must live on until the driver has stopped in order: without its head a driver waits for 60 s.
    """
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    set_handler = ray_utils.set_sigterm_handler
    ray_utils.set_sigterm_handler = lambda handler: None
    # Children inherit what is blocked; workers take SIGTERM off again.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        ray_utils.set_sigterm_handler = set_handler
        for number, handler in before.items():
            if handler is not None:  # None: not set by Python
                signal.signal(number, handler)
        signal.alarm(0)  # abseil's 3 s, where SIGTERM came meanwhile


class _Job(JobConfig):
    """Ray's description of this driver, without the working folder.

    Ray (2.60) puts that first in its workers' path, where a file `queue.py` would replace the
    standard library's and end each worker as it begins. What a study names is looked for by us.
    """

    @property
    def _py_driver_sys_path(self) -> list[str]:
        return self._path

    @_py_driver_sys_path.setter
    def _py_driver_sys_path(self, path: list[str]) -> None:
        self._path = _CodePath(path)


class _CodePath(list[str]):
    """Folders for a path; those of this package and of the program that runs alone are added."""

    def extend(self, folders: Iterable[str]) -> None:
        own = {str(Path(__file__).resolve().parents[3]), str(Path(sys.argv[0]).resolve().parent)}
        super().extend(folder for folder in folders if folder in own)


def _hide_passwords() -> None:
    """Take passwords out of this process's command line, which Ray shows its whole cluster."""
    shown = [safe_url(word) if "://" in word else word for word in sys.argv]
    if shown != sys.argv:
        setproctitle(shlex.join([sys.executable, *shown]))


@contextmanager
def _token(folder: Path) -> Iterator[None]:
    """See that Ray has a token: in the home, or in a folder of mode 0700 where that is no place."""
    if _protect_token():
        yield
        return
    path = folder / "auth_token"
    _write_token(path)
    os.environ[_TOKEN_PATH] = str(path)
    try:
        yield
    finally:
        del os.environ[_TOKEN_PATH]


def _protect_token() -> bool:
    """Make Ray's token file readable by its owner alone; Ray would make it readable by all.

    Returns:
        Whether there is a token that this process can read: not where the home cannot be written,
        as in a container whose user has none.
    """
    if {"RAY_AUTH_TOKEN", _TOKEN_PATH} & os.environ.keys():
        return True
    try:
        path = Path.home() / ".ray" / "auth_token"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            _write_token(path)
        except FileExistsError:
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)
        return os.access(path, os.R_OK)
    except (OSError, RuntimeError):  # RuntimeError: this user's home is unknown
        return False


def _write_token(path: Path) -> None:
    """Write a token into a new file of mode 0600: always the same one, for Ray keeps it.

    Raises:
        OSError: there is such a file, or none can be made.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(_NEW_TOKEN)
