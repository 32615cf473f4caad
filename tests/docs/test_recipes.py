"""The recipes on the page on clusters: SLURM's script under plain bash, KubeRay's manifest."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
import yaml

from mlgsearch.records import TrialState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cluster.md").read_text()
(SCRIPT,) = re.findall(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
*_, MANIFEST, DRIVER = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
#: KubeRay's ray-operator/config/crd/bases/ray.io_rayclusters.yaml, a megabyte.
SCHEMA = os.environ.get("MLGSEARCH_KUBERAY_SCHEMA", "")
STUDY = """
name: tiny
data: {name: digits, limit: 300}
model: {name: resnet8, width: 4}
teacher: {training: {epochs: 1}}
training: {epochs: EPOCHS}
space: {kind: uniform}
search: {n_trials: 2, sampler: random}
"""
ONE_AT_ONCE = "resources: {max_parallel: 1}\n"


#: Stand-ins on the script's path: each writes down how it is called. Ray's own `stop` would end
#: every Ray of this machine.
STAND_INS = {
    "ray": """
        echo "ray $*" >> "$CALLS"
        if [ "$1" = start ]; then RAY_TMPDIR="$RAYS" exec "$RAY" "$@"; fi
        """,
    "srun": """
        echo "srun $*" >> "$CALLS"
        while [ "${1#--}" != "$1" ]; do shift; done
        exec "$@"
        """,
    "scontrol": """
        echo "scontrol $*" >> "$CALLS"
        """,
}


class Job:
    """The script as `sbatch` runs it, with the variables that SLURM sets and others."""

    def __init__(self, folder: Path, name: str, script: str = SCRIPT, **variables: str):
        (folder / "search.sh").write_text(script)
        self.errors = folder / "stderr.txt"
        with self.errors.open("w") as errors, (folder / "stdout.txt").open("w") as out:
            self.process = subprocess.Popen(
                ["bash", "search.sh", name],
                cwd=folder,
                env=os.environ
                | {
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "MLGSEARCH_STORAGE": f"sqlite:///{folder}/a.db",
                    "MLGSEARCH_CACHE": str(folder / "cache"),
                }
                | variables,
                stdout=out,
                stderr=errors,
            )


def states(folder: Path) -> dict[TrialState, int]:
    engine = open_engine(f"sqlite:///{folder}/a.db")
    found = ResultStore(engine).state_counts("tiny")
    engine.dispose()
    return {state: count for state, count in found.items() if count}


def wait_for_a_trial(folder: Path, job: Job) -> None:
    deadline = time.monotonic() + 200
    while not list(folder.glob("*runs/*/*/events.jsonl")):
        assert job.process.poll() is None, job.errors.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_slurms_script_stops_in_order_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(STUDY.replace("EPOCHS", "200") + ONE_AT_ONCE)
    job = Job(tmp_path, "tiny.yaml")
    wait_for_a_trial(tmp_path, job)
    family = psutil.Process(job.process.pid).children(recursive=True)
    job.process.send_signal(signal.SIGTERM)  # to the script alone, as --signal=B: does
    assert job.process.wait(200) == 143, job.errors.read_text()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    assert TrialState.RUNNING not in states(tmp_path)
    assert states(tmp_path)[TrialState.WAITING] >= 1


def test_slurms_script_ends_as_its_study_does(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(STUDY.replace("EPOCHS", "1") + ONE_AT_ONCE)
    job = Job(tmp_path, "tiny.yaml")
    assert job.process.wait(250) == 0, job.errors.read_text()
    assert states(tmp_path) == {TrialState.COMPLETE: 2}


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables of a job with stand-ins on its path; what it leaves is killed at the end."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, script in STAND_INS.items():
        (programs / name).write_text(f"#!/bin/sh\n{textwrap.dedent(script)}")
        (programs / name).chmod(0o755)
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.touch(0o600)
    token.write_text(secrets.token_hex(32))
    rays = tempfile.mkdtemp(prefix="mlg-ray-")  # tmp_path is too long for a socket's name
    bin_folder = Path(sys.executable).parent
    variables = {
        "CALLS": str(tmp_path / "calls.txt"),
        "HOME": str(tmp_path),
        "PATH": f"{programs}:{bin_folder}:{os.environ['PATH']}",
        "RAY": str(bin_folder / "ray"),
        "RAYS": rays,
    }
    yield variables
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("CALLS") == variables["CALLS"]:
                process.kill()
    shutil.rmtree(rays, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def test_slurms_script_on_two_nodes_is_queued_again(tmp_path: Path, nodes: dict[str, str]) -> None:
    port = free_port()
    (tmp_path / "tiny.yaml").write_text(STUDY.replace("EPOCHS", "500"))
    slurm = {"SLURM_CPUS_PER_TASK": "1", "SLURM_JOB_ID": "77", "SLURM_JOB_NUM_NODES": "2"}
    job = Job(tmp_path, "tiny.yaml", SCRIPT.replace("6379", str(port)), **nodes, **slurm)
    wait_for_a_trial(tmp_path, job)
    calls = tmp_path / "calls.txt"
    before = calls.read_text()
    job.process.send_signal(signal.SIGTERM)
    assert job.process.wait(200) == 143, job.errors.read_text()
    # One processor of each node, on a machine that has more.
    assert "2 at once" in (tmp_path / "stdout.txt").read_text()
    head, srun, other = before.splitlines()
    assert head.startswith("ray start --head ")
    assert head.endswith(" --num-cpus=1")
    assert "--nodes=1 --ntasks=1" in srun
    assert other.startswith("ray start --address=")
    assert other.endswith(f":{port} --num-cpus=1 --block")
    assert calls.read_text().removeprefix(before) == "ray stop\nscontrol requeue 77\n"
    assert TrialState.RUNNING not in states(tmp_path)


def containers(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    groups = [manifest["spec"]["headGroupSpec"], *manifest["spec"]["workerGroupSpecs"]]
    return [group["template"]["spec"]["containers"][0] for group in groups]


def test_kuberays_manifest_asks_for_a_token_and_for_shared_memory() -> None:
    manifest = yaml.safe_load(MANIFEST)
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayCluster")
    pins = (ROOT / "constraints.txt").read_text()
    assert f"\nray=={manifest['spec']['rayVersion']}\n" in pins
    for container in containers(manifest):
        variables = {variable["name"]: variable for variable in container["env"]}
        assert variables["RAY_AUTH_MODE"]["value"] == "token"
        assert "secretKeyRef" in variables["RAY_AUTH_TOKEN"]["valueFrom"]
        assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/dev/shm"]


@pytest.mark.skipif(not SCHEMA, reason="MLGSEARCH_KUBERAY_SCHEMA names no file of KubeRay's CRD")
def test_kuberays_manifest_is_as_its_schema_says() -> None:
    kind = yaml.safe_load(Path(SCHEMA).read_text())
    (schema,) = [
        version["schema"]["openAPIV3Schema"]
        for version in kind["spec"]["versions"]
        if version["name"] == "v1"
    ]
    closed = _closed(schema)
    manifest = yaml.safe_load(MANIFEST)
    jsonschema.validate(manifest, closed)
    manifest["spec"]["workerGroupSpecs"][0]["minReplica"] = 1
    with pytest.raises(jsonschema.ValidationError, match="minReplica"):
        jsonschema.validate(manifest, closed)


def _closed(schema: Any) -> Any:
    """Let a schema refuse what it does not name, as Kubernetes does where it is asked to."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(part) for key, part in schema.items()}
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if "properties" in schema and schema["properties"] and not is_open:
        names = schema["properties"]
        if isinstance(names, dict) and all(isinstance(part, dict) for part in names.values()):
            closed["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        closed.pop("type", None)
    return closed


def test_kubernetes_ends_the_driver_within_its_grace_time() -> None:
    spec = yaml.safe_load(DRIVER)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["command"][:2] == ["sh", "-c"]
    words = container["command"][2].split()
    # The container's first process, which alone gets SIGTERM.
    assert words[words.index("exec") + 1] == "mlgsearch"
    assert int(words[words.index("--grace") + 1]) < spec["terminationGracePeriodSeconds"]
    head_service = f"{yaml.safe_load(MANIFEST)['metadata']['name']}-head-svc:6379"
    assert words[words.index("--address") + 1] == head_service
    assert f"--address={head_service}" in words
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted.keys() == {volume["name"] for volume in spec["volumes"]}
    assert mounted["shared"] == "/dev/shm"
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert variables["MLGSEARCH_STORAGE"] == f"@{mounted['secrets']}/url"
    assert variables["MLGSEARCH_CACHE"] == mounted["cache"]
    assert words[words.index("launch") + 1] == f"{mounted['studies']}/digits.yaml"
    # Its secrets and files are those that the page makes.
    made = dict(
        re.findall(r"kubectl create (?:secret generic|configmap) (\S+) --from-file=(\S+)", PAGE)
    )
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert made[volumes["secrets"]["secret"]["secretName"]].startswith("url=")
    assert made[volumes["studies"]["configMap"]["name"]].endswith("/digits.yaml")
    token = next(v for v in container["env"] if v["name"] == "RAY_AUTH_TOKEN")
    reference = token["valueFrom"]["secretKeyRef"]
    assert made[reference["name"]].startswith(f"{reference['key']}=")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl is installed")
def test_the_drivers_job_has_kubernetes_own_fields(tmp_path: Path) -> None:
    """kubectl reads it into its types, which leaves out what they do not have."""

    def unknown(text: str) -> list[str]:
        (tmp_path / "driver.yaml").write_text(text)
        command = ["kubectl", "set", "env", "--local", "-f", "driver.yaml", "-o", "yaml", "A=b"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return list(_lost(yaml.safe_load(text), yaml.safe_load(done.stdout)))

    assert unknown(DRIVER) == []
    assert unknown(DRIVER.replace("backoffLimit", "backOffLimits")) == [".spec.backOffLimits"]


def _lost(written: Any, read: Any, path: str = "") -> Iterator[str]:
    if isinstance(written, dict):
        for key, value in written.items():
            if key in read:
                yield from _lost(value, read[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(written, list):
        for place, (value, other) in enumerate(zip(written, read, strict=False)):
            yield from _lost(value, other, f"{path}[{place}]")
    elif written != read:
        yield path


def test_the_drivers_command_stops_in_order_as_a_pod_is_ended(
    tmp_path: Path, nodes: dict[str, str]
) -> None:
    port = free_port()
    (tmp_path / "digits.yaml").write_text(STUDY.replace("EPOCHS", "500"))
    head = f"ray start --head --port={port} --include-dashboard=false --num-cpus=1"
    container = yaml.safe_load(DRIVER)["spec"]["template"]["spec"]["containers"][0]
    command = container["command"][2].replace("/studies/", "")
    command = command.replace("mlgsearch-head-svc:6379", f"127.0.0.1:{port}")
    # What the shell becomes by its `exec` is the process that gets the signal.
    job = Job(tmp_path, "", f"{head} && {command}", RAY_AUTH_MODE="token", **nodes)
    wait_for_a_trial(tmp_path, job)
    began = time.monotonic()
    job.process.send_signal(signal.SIGTERM)
    assert job.process.wait(200) == 143, job.errors.read_text()
    assert time.monotonic() - began < 25
    assert "1 at once" in (tmp_path / "stdout.txt").read_text()
    assert TrialState.RUNNING not in states(tmp_path)
