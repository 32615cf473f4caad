"""A Ray cluster of several nodes on this machine, in a process of its own; it asks for a token.

The nodes are those of `ray.cluster_utils.Cluster`; a process of its own, for Ray reads how to ask
for tokens once a process.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

from tests.study.driver import ROOT

#: Bytes of each node's object store, which is enough for what the tests send.
OBJECT_STORE = 80_000_000
#: How often a node is started, at most.
TRIES = 3


class RayNodes:
    """The cluster as its user sees it: an address, and nodes that come and die.

    Args:
        home: of the user, with the token.
        auth_mode: Ray's ``token`` or ``disabled``.
        head: what the head node has, such as ``{"num_cpus": 0}``.
    """

    def __init__(self, home: Path, auth_mode: str = "token", **head: int):
        self.home = home
        token = home / ".ray" / "auth_token"
        token.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        #: Nothing of this process's own user, or of where its tests keep things.
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MLGSEARCH_", "RAY_"))
        } | {
            "HOME": str(home),
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": auth_mode,
            "RAY_worker_niceness": "0",
            "RAY_enable_worker_prestart": "0",  # each takes a second of a processor
            "RAY_prestart_worker_first_driver": "0",
        }
        #: Holds all that the nodes write; pytest's tmp_path is too long for a socket's name.
        self.folder = Path(tempfile.mkdtemp(prefix="mlg-ray-"))
        self._errors = self.folder / "stderr.txt"
        # `Cluster` writes its address to `ray` in the temporary folder, wherever its nodes lie,
        # and does not make that folder. Its nodes lie there too where no other folder is named.
        (self.folder / "ray").mkdir()
        with self._errors.open("w") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                cwd=ROOT,
                env=self.environment | {"RAY_TMPDIR": str(self.folder)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self._started: list[subprocess.Popen[str]] = []
        self.address = self.add(**head)

    def add(self, **resources: int) -> str:
        """Start a node, as ``num_cpus=2, num_gpus=1``; return the cluster's address."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(resources) + "\n")
        self._process.stdin.flush()
        address = self._process.stdout.readline().strip()
        assert address, self._errors.read_text()
        return address

    def start(self, **resources: int) -> subprocess.Popen[str]:
        """Start a node by Ray's own command, as a service or a container does."""
        wanted = [f"--{name.replace('_', '-')}={number}" for name, number in resources.items()]
        program = "from ray.scripts.scripts import main; main()"
        with self._errors.open("a") as stderr:
            node = subprocess.Popen(
                [
                    *(sys.executable, "-c", program, "start", f"--address={self.address}"),
                    *(*wanted, f"--object-store-memory={OBJECT_STORE}", "--block"),
                ],
                env=self.environment | {"RAY_TMPDIR": str(self.folder)},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self._started.append(node)
        assert node.stdout is not None
        assert any("Ray runtime started" in line for line in node.stdout), self._errors.read_text()
        return node

    def kill_node_of(self, pid: int) -> None:
        """Kill every process of a worker's node at once, as a power cut does."""
        _kill(_node_of(pid))

    def end_node_of(self, pid: int, notice_s: float) -> None:
        """Ask every process of a worker's node to end, and kill them some seconds later."""
        family = _node_of(pid)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        time.sleep(notice_s)
        _kill(family)

    def stop(self) -> None:
        """Kill them all: to shut them down in order takes many seconds."""
        for process in [*self._started, self._process]:
            if process.poll() is None:
                family = psutil.Process(process.pid)
                _kill([*family.children(recursive=True), family])
            process.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)


def _node_of(pid: int) -> list[psutil.Process]:
    """List every process of a worker's node, its raylet first."""
    raylet = next(p for p in psutil.Process(pid).parents() if p.name() == "raylet")
    return [raylet, *raylet.children(recursive=True)]


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def add_node(cluster: Cluster, **asked: Any) -> None:
    """Start a node, again where it did not come up in time.

    Ray gives a node's own helpers 15 s to start and the node 30, and no setting changes that: a
    starved machine passes both, and is quicker with what it has read by then.
    """
    for left in reversed(range(TRIES)):
        try:
            cluster.add_node(**asked, object_store_memory=OBJECT_STORE)
        except Exception as error:  # Ray raises a plain one
            if left == 0 or "timed out during startup" not in str(error):
                raise
        else:
            return


def main() -> None:
    """Start a head, and then a node a line, until the input ends."""
    cluster = Cluster()
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        if cluster.head_node is None:
            asked["include_dashboard"] = False
        add_node(cluster, **asked)
        sys.stdout.write(f"{cluster.address}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
