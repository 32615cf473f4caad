"""A study on a cluster of nodes that share no disk with its driver, and one of them dies."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from PIL import Image

from mlgsearch.errors import UserError
from mlgsearch.records import TrialRecord, TrialState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.study.artifacts.export import export_trial
from mlgsearch.study.artifacts.store import artifacts_of
from mlgsearch.study.cluster.ray_session import joined
from mlgsearch.study.verify.worker import PACKED
from mlgsearch.train.files.packed_file import read_packed
from tests.results.leases import trials_of
from tests.study.driver import ROOT
from tests.study.ray_nodes import RayNodes

TRIALS, EPOCHS = 2, 24
#: The trial whose node dies.
LOST = 1
STUDY = """
name: far
data: {{name: folder, root: images, augmentation: crop}}
model: {{name: resnet8, width: 4}}
teacher: {{training: {{epochs: 2}}}}
training: {{epochs: {epochs}}}
space: {{kind: layerwise}}
search: {{n_trials: {trials}, sampler: random}}
resources: {{gpu: 0, max_parallel: 2, artifact_path: "file://{store}"}}
"""
#: Runs a command where a folder is this process's alone: a disk of its own, and shared memory for
#: less than what it sends.
OWN_DISK = """
mount -t tmpfs -o size=16k none /dev/shm && mount -t tmpfs none "$0" &&
cp -r "$1/." "$0" && cd "$0" && shift && exec "$@"
"""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    nodes = RayNodes(tmp_path_factory.mktemp("home"), num_cpus=0)
    yield nodes
    nodes.stop()


@dataclass(frozen=True)
class Survivor:
    """What a study left behind that lost a node on its way."""

    folder: Path
    events: list[dict[str, Any]]

    @property
    def trials(self) -> list[TrialRecord]:
        return trials_of(f"sqlite:///{self.folder}/a.db", "far")

    def log(self, number: int) -> list[dict[str, Any]]:
        (path,) = self.folder.glob(f"store/far-*/{number:06d}/attempt-*/events.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]


def own_disk() -> list[str]:
    """Return what a command is run by to see a disk that no node sees, where the system lets us."""
    namespace = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]
    tried = subprocess.run([*namespace, "true"], capture_output=True, check=False)
    return namespace if tried.returncode == 0 else []


def draw_images(root: Path) -> None:
    """Write three classes of noisy grey squares."""
    noise = np.random.default_rng(0)
    for grey in (40, 110, 180):
        folder = root / str(grey)
        folder.mkdir(parents=True)
        for number in range(40):
            pixels = grey + noise.integers(0, 60, (8, 8, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")


@contextmanager
def ended(driver: subprocess.Popen[str], errors: Path) -> Iterator[None]:
    """Await a driver's end, which must be good; where the test fails before, end it and say why.

    ``errors`` is the file of its standard error.
    """
    try:
        yield
        assert driver.wait() == 0, errors.read_text()
    except BaseException:
        sys.stderr.write(errors.read_text())
        driver.kill()  # or leaving Popen's block would wait for it
        raise


@contextmanager
def far_driver(nodes: RayNodes, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a driver on a disk of its own that holds a copy of ``seed``; its end must be good."""
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    namespace = own_disk()
    if not namespace:
        shutil.copytree(folder / "seed", disk, dirs_exist_ok=True)
    run_by = [*namespace, "sh", "-c", OWN_DISK, str(disk), str(folder / "seed")]
    errors = folder / "stderr.txt"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            [
                *(run_by if namespace else []),
                *(sys.executable, str(ROOT / "search.py"), *arguments, "--json"),
                *("--storage", f"sqlite:///{folder}/a.db", "--address", nodes.address),
            ],
            cwd=disk,
            env=nodes.environment
            | {"MLGSEARCH_CACHE": f"{disk}/cache", "MLGSEARCH_RUNS": f"{disk}/runs"},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as driver,
        ended(driver, errors),
    ):
        yield driver


@pytest.fixture(scope="module")
def survivor(nodes: RayNodes, tmp_path_factory: pytest.TempPathFactory) -> Survivor:
    """Run a study with a trial on each of two nodes, and kill that of the second at its epoch 3."""
    folder = tmp_path_factory.mktemp("far")
    draw_images(folder / "seed" / "images")
    text = STUDY.format(epochs=EPOCHS, trials=TRIALS, store=folder / "store")
    (folder / "seed" / "far.yaml").write_text(text)
    for _ in range(2):
        nodes.add(num_cpus=1)
    events = []
    with far_driver(nodes, folder, "launch", "far.yaml") as driver:
        assert driver.stdout is not None
        for line in driver.stdout:
            event = json.loads(line)
            events.append(event)
            if (event["event"], event.get("trial"), event.get("epoch")) == ("epoch", LOST, 3):
                (path,) = folder.glob(f"store/far-*/{LOST:06d}/attempt-*/events.jsonl")
                nodes.kill_node_of(json.loads(path.read_text().splitlines()[0])["pid"])
    return Survivor(folder, events)


def test_the_nodes_write_to_no_folder_that_another_cluster_made(nodes: RayNodes) -> None:
    assert (nodes.folder / "ray" / "ray_current_cluster").read_text() == nodes.address


def too_little_memory(events: list[dict[str, Any]]) -> list[str]:
    """Return what is said of shared memory; it is little where the driver has a disk of its own."""
    said = [event["text"] for event in events if event["event"] == "notice"]
    return [text for text in said if text.startswith("/dev/shm has 0 MB free, but the data")]


def test_too_little_shared_memory_for_what_is_sent_is_reported(survivor: Survivor) -> None:
    assert len(too_little_memory(survivor.events)) == (1 if own_disk() else 0)


def test_a_study_outlives_a_node_and_loses_nothing(survivor: Survivor) -> None:
    trials = survivor.trials
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert [trial.attempts for trial in trials] == [1, 2]
    engine = open_engine(f"sqlite:///{survivor.folder}/a.db")
    for trial in trials:
        curve = ResultStore(engine).epochs("far", trial.number)
        assert [epoch.epoch for epoch in curve] == list(range(1, EPOCHS + 1))
        assert curve[-1].validation_accuracy == trial.accuracy
    engine.dispose()


def test_the_next_attempt_begins_at_the_checkpoint_made_on_the_dead_node(
    survivor: Survivor,
) -> None:
    log = survivor.log(LOST)
    first, second = (event for event in log if event["event"] == "began")
    assert (first["epochs_done"], first["attempt"]) == (0, 1)
    assert second["attempt"] == 2
    assert second["epochs_done"] >= 3
    assert second["pid"] != first["pid"]
    # What an attempt reports to its driver it has published before: so no epoch is done twice.
    done = [event["epoch"] for event in log if event["event"] == "epoch"]
    assert done == list(range(1, EPOCHS + 1))


def test_workers_need_nothing_of_the_drivers_disk(survivor: Survivor, nodes: RayNodes) -> None:
    # With a namespace they could not see it; and they computed no logits of their own.
    assert not (nodes.home / ".cache").exists()
    if own_disk():
        assert list((survivor.folder / "disk").iterdir()) == []
    started = next(event for event in survivor.events if event["event"] == "started")
    assert started["slots"] == 2
    (study,) = (survivor.folder / "store").iterdir()
    assert sorted(path.name for path in study.iterdir()) == ["000000", "000001"]


def test_a_student_is_exported_from_where_it_is_kept(survivor: Survivor, tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{survivor.folder}/a.db")
    store = ResultStore(engine)
    out = tmp_path / "student.safetensors"
    written = export_trial(store, tmp_path / "no-runs-here", "far", LOST, out)
    trial = store.trial("far", LOST)
    study = store.study("far")
    engine.dispose()
    assert written == trial.packed_bytes == out.stat().st_size
    assert read_packed(out)[0].accuracy == pytest.approx(trial.accuracy, abs=1e-6)
    kept = artifacts_of(study, tmp_path)
    assert 0 < kept.bytes_used() < 10_000_000


def test_a_trial_is_verified_on_the_cluster_by_a_driver_that_has_only_the_data(
    survivor: Survivor, nodes: RayNodes
) -> None:
    wanted = ("--trials", str(LOST), "--seeds", "1", "--epochs", "2")
    with far_driver(nodes, survivor.folder, "verify", "far", *wanted) as driver:
        assert driver.stdout is not None
        events = [json.loads(line) for line in driver.stdout]
    assert events[-1]["states"]["COMPLETE"] == 1
    assert len(too_little_memory(events)) == (1 if own_disk() else 0)
    engine = open_engine(f"sqlite:///{survivor.folder}/a.db")
    (record,) = VerificationStore(engine).verifications("far")
    engine.dispose()
    assert (record.trial, record.epochs_done) == (LOST, 2)
    assert record.test_accuracy == record.packed_accuracy is not None
    pattern = f"store/far-*/{LOST:06d}/verify-2-{record.seed}/attempt-*/{PACKED}"
    (packed,) = survivor.folder.glob(pattern)
    assert packed.stat().st_size == record.packed_bytes
    # What it needed came by the object store, the logits under the new seed too.
    assert not (nodes.home / ".cache").exists()


@pytest.fixture(scope="module")
def gpu_node(nodes: RayNodes) -> None:
    """A node that says it has a GPU."""
    nodes.add(num_cpus=4, num_gpus=1)


@contextmanager
def gpu_trials(nodes: RayNodes, folder: Path, share: float) -> Iterator[int]:
    """Run two trials that must run at once, each on a share of a GPU; gives how many do."""
    with (
        (folder / "stderr.txt").open("w") as stderr,
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.study.gpu_trials"),
                *(nodes.address, str(folder), str(share)),
            ],
            cwd=ROOT,
            env=nodes.environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as driver,
        ended(driver, folder / "stderr.txt"),
    ):
        assert driver.stdout is not None
        at_once = driver.stdout.readline()
        assert at_once, (folder / "stderr.txt").read_text()
        yield int(at_once)


def gpu_notes(folder: Path) -> list[dict[str, Any]]:
    notes = [json.loads(path.read_text()) for path in folder.glob("notes/*.json")]
    assert len({note["pid"] for note in notes}) == len(notes) == 2
    return notes


@pytest.mark.usefixtures("gpu_node")
def test_two_trials_share_a_gpu(nodes: RayNodes, tmp_path: Path) -> None:
    with gpu_trials(nodes, tmp_path, 0.5) as at_once:
        assert at_once == 2  # not four, for which there are processors
    assert [(n["gpu"], n["devices"]) for n in gpu_notes(tmp_path)] == [(0.5, "0")] * 2


@pytest.mark.usefixtures("gpu_node")
def test_a_node_that_joins_a_running_study_is_used(nodes: RayNodes, tmp_path: Path) -> None:
    with gpu_trials(nodes, tmp_path, 1) as at_once:
        assert at_once == 1
        nodes.add(num_cpus=1, num_gpus=1)
    assert [note["gpu"] for note in gpu_notes(tmp_path)] == [1, 1]


#: The command line, by a driver that claims to have another Ray.
ANOTHER_RAY = """
import mlgsearch.study.cluster.ray_session
import ray
ray.__version__ = "2.59.0"
from mlgsearch.cli.app import main
main()
"""


def refused(
    address: str,
    folder: Path,
    environment: dict[str, str],
    cpu: int = 1,
    program: Sequence[str] = (str(ROOT / "search.py"),),
) -> str:
    """Launch a study on a cluster that it cannot join or use; gives what it says."""
    draw_images(folder / "images")
    text = STUDY.format(epochs=1, trials=1, store=folder / "store")
    (folder / "far.yaml").write_text(text.replace("gpu: 0", f"gpu: 0, cpu: {cpu}"))
    driver = subprocess.run(
        [
            *(sys.executable, *program, "launch", "far.yaml"),
            *("--storage", f"sqlite:///{folder}/a.db", "--address", address),
        ],
        cwd=folder,
        env=environment | {"MLGSEARCH_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert driver.returncode == 2, driver.stderr
    assert driver.stdout == ""
    # Nothing was prepared before: no data looked at, no teacher trained.
    assert not (folder / "cache").exists()
    return driver.stderr


def test_an_address_where_nothing_listens_is_told_before_anything_long(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    said = refused(address, tmp_path, dict(os.environ))
    assert said.startswith(f"error: --address {address}: no Ray cluster answers there")
    assert "Connection refused" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("address", "said"),
    [("10.0.0.1", "Invalid address format"), ("local", "that is no cluster's")],
)
def test_what_is_no_address_is_reported(address: str, said: str) -> None:
    with pytest.raises(UserError, match=f"--address {address}: .*{said}"), joined(address):
        pass


def test_a_cluster_that_does_not_know_the_token_is_told_at_once(
    nodes: RayNodes, tmp_path: Path
) -> None:
    said = refused(nodes.address, tmp_path, nodes.environment | {"HOME": str(tmp_path)})
    # Ray's own line goes before: it cannot be silenced then.
    assert f"error: --address {nodes.address}: no Ray cluster answers" in said
    assert "or not to this machine's token" in said


def test_trials_that_fit_on_no_node_are_told_at_once(nodes: RayNodes, tmp_path: Path) -> None:
    said = refused(nodes.address, tmp_path, nodes.environment, cpu=99)
    assert said.startswith("error: resources: a trial asks for {'CPU': 99.0, 'GPU': 0.0}, but no")
    assert said.count("\n") == 1


JOIN = """
import sys
from mlgsearch.errors import UserError
from mlgsearch.study.cluster.ray_session import joined
try:
    with joined(sys.argv[1]):
        print("joined")
except UserError as error:
    print(error)
"""


def reported(nodes: RayNodes, program: str) -> str:
    """Run a program that joins a cluster and prints what that says; gives it."""
    done = subprocess.run(
        [sys.executable, "-c", program, nodes.address],
        env={name: value for name, value in nodes.environment.items() if name != "RAY_AUTH_MODE"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_cluster_that_begins_no_task_is_reported(nodes: RayNodes) -> None:
    at_once = "import mlgsearch.study.cluster.ray_session as cluster; cluster._TASK_S = 0.0"
    assert f"--address {nodes.address}: that cluster began no task" in reported(
        nodes, at_once + JOIN
    )


def test_a_cluster_of_another_ray_is_refused(nodes: RayNodes, tmp_path: Path) -> None:
    said = refused(
        nodes.address,
        tmp_path,
        nodes.environment | {"PYTHONPATH": str(ROOT)},
        program=("-c", ANOTHER_RAY),
    )
    assert f"--address {nodes.address}: no Ray cluster answers there, or not to this" in said
    assert "Version mismatch" in said
    assert "2.59.0" in said
    assert ray.__version__ in said
    assert said.count("\n") == 1


def test_a_cluster_that_asks_for_no_token_is_not_joined(tmp_path: Path) -> None:
    nodes = RayNodes(tmp_path, "disabled", num_cpus=0)
    said = reported(nodes, JOIN)
    nodes.stop()
    assert "that cluster asks for no token, so whoever reaches it can run code there" in said
