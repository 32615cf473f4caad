"""Nothing is unpickled from disk or from a database: by the source, and by trying."""

import ast
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
import torch
from torch import nn

from mlgsearch.errors import DataError, StudyFileError
from mlgsearch.study.search.sampler import make_sampler
from mlgsearch.train.data.load import load_images
from mlgsearch.train.files.packed_file import load_packed
from mlgsearch.train.spec import DataSpec
from mlgsearch.train.teacher.teacher_checkpoint import load_checkpoint
from mlgsearch.train.tensor_file import DamagedFileError, read_tensors

ROOT = Path(__file__).parents[1]
SOURCES = [
    ROOT / "search.py",
    *sorted((ROOT / "mlgsearch").rglob("*.py")),
    *sorted((ROOT / "dashboard").rglob("*.py")),
]
#: Modules that make objects, and so run code, from bytes.
UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
#: Calls that do, by default.
LOADERS = {"eval", "exec", "compile", "read_pickle", "full_load", "unsafe_load"}
#: Where code is imported by name, and who gives the name.
BY_NAME = {
    "mlgsearch/named.py": "commands, readers of data and spaces, from fixed tables",
    "mlgsearch/train/light_torch.py": "torch's compiler, by two fixed names",
    "mlgsearch/__init__.py": "the package's own face, from a fixed table",
    "mlgsearch/train/own_code.py": "a study file, or --allow-code",
}


def _sins(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (
                alias.name for alias in node.names if alias.name.split(".")[0] in UNPICKLERS
            )
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNPICKLERS:
            yield node.module or ""
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            is_bare = isinstance(node.func, ast.Name) or called.startswith(("pd.", "yaml."))
            is_loader = is_bare and called.split(".")[-1] in LOADERS
            is_torch = called == "torch.load" and given.get("weights_only") != "True"
            is_numpy = called in ("np.load", "numpy.load") and "allow_pickle" in given
            is_yaml = called == "yaml.load" and given.get("Loader") != "_Loader"
            is_import = called in ("importlib.import_module", "__import__", "import_module")
            if is_loader or is_torch or is_numpy or is_yaml or is_import:
                yield called


def test_no_source_unpickles() -> None:
    found = {
        str(path.relative_to(ROOT)): sins
        for path in SOURCES
        if (sins := set(_sins(ast.parse(path.read_text()))))
    }
    assert found == {path: {"importlib.import_module"} for path in BY_NAME}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import cloudpickle.cloudpickle as c",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, Loader=yaml.Loader)",
        "eval(text)",
        "pd.read_pickle(path)",
    ],
)
def test_the_search_through_the_source_finds_what_it_should(source: str) -> None:
    assert list(_sins(ast.parse(source)))


class Evil:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path):
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self._mark,)


def _as_pickle(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def _as_torchscript(content: object, path: Path) -> None:
    """Write what torch.load may take for an archive of TorchScript, and hand to another reader."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl"):
            archive.writestr(f"t/{name}", pickle.dumps(content, protocol=2))
        archive.writestr("t/version", "3")


FORMS: dict[str, Callable[[object, Path], None]] = {
    "zip": torch.save,
    "legacy": lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
    "pickle": _as_pickle,
    "torchscript": _as_torchscript,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("forced", ["", "1"])
def test_a_malicious_checkpoint_runs_nothing(
    tmp_path: Path, form: str, forced: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", forced)
    path, mark = tmp_path / "t.pt", tmp_path / "mark"
    FORMS[form]({"state_dict": {"weight": Evil(mark)}}, path)
    with pytest.raises(DataError, match="cannot be read as weights alone"):
        load_checkpoint(nn.Linear(2, 2), path)
    assert not mark.exists()
    if form == "pickle":
        pickle.loads(path.read_bytes())
        assert mark.exists(), "it would have left its mark"


def test_a_malicious_batch_of_cifar_runs_nothing(tmp_path: Path) -> None:
    """Torchvision unpickles the batches, after it has found that each has the published MD5."""
    folder, mark = tmp_path / "cifar-10-batches-py", tmp_path / "mark"
    folder.mkdir()
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]
    for name in names:
        (folder / name).write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(DataError, match="does not hold CIFAR10"):
        load_images(DataSpec(name="CIFAR10", root=str(tmp_path)), tmp_path / "cache")
    assert not mark.exists()


def _safetensors(header: bytes, data: bytes = bytes(64), length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def _tensor(begin: int, end: int, shape: list[int]) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


HEADERS = {
    "empty": b"",
    "longer than any file": _safetensors(b"{}", length=2**63),
    "longer than the file": _safetensors(b"{}", length=1000),
    "of the largest length": _safetensors(b"{}", length=2**64 - 1),
    "deep": _safetensors(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "deep metadata": _safetensors(b'{"__metadata__":{"mlgsearch":' + b"[" * 50_000 + b"}}"),
    "overlapping": _safetensors(
        json.dumps({"a": _tensor(0, 64, [16]), "b": _tensor(32, 64, [8])}).encode()
    ),
    "beyond the end": _safetensors(json.dumps({"a": _tensor(0, 2**40, [2**38])}).encode()),
    "negative": _safetensors(json.dumps({"a": _tensor(-64, 0, [16])}).encode()),
    "shape that overflows": _safetensors(
        json.dumps({"a": _tensor(0, 64, [2**62, 2**62, 16])}).encode()
    ),
    "the same key twice": _safetensors(
        b'{"a":{"dtype":"F32","shape":[16],"data_offsets":[0,64]},'
        b'"a":{"dtype":"F32","shape":[8],"data_offsets":[0,32]}}'
    ),
    "no JSON": _safetensors(b"\x80\x04cos\nsystem\n"),
    "no text": _safetensors(b"\xff\xfe{}"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_malicious_safetensors_header_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.safetensors"
    path.write_bytes(HEADERS[name])
    with pytest.raises(DataError):
        load_checkpoint(nn.Linear(2, 2), path)
    with pytest.raises(DataError, match="no packed file"):
        load_packed(path)
    with pytest.raises(DamagedFileError):
        read_tensors(path)


def test_metadata_nested_too_deeply_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    header = json.dumps({"__metadata__": {"mlgsearch": "[" * 100_000}}).encode()
    path.write_bytes(_safetensors(header, b""))
    with pytest.raises(DamagedFileError, match="was not written by mlgsearch"):
        read_tensors(path)


def cma_es(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.CmaEsSampler(seed=seed)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_a_sampler_that_unpickles_from_the_database_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(optuna.samplers.CmaEsSampler, "__init__", lambda self, seed: None)
    with pytest.raises(StudyFileError, match="unpickles what it finds in the database"):
        make_sampler(f"{__name__}:cma_es", study_seed=0, number=0, space={})


def test_optunas_tables_hold_json_not_pickles() -> None:
    """What the driver reads of Optuna's rows is read as JSON: no module of it can unpickle."""
    package = Path(optuna.__file__).parent / "storages" / "_rdb"
    found = {path.name: list(_sins(ast.parse(path.read_text()))) for path in package.glob("*.py")}
    assert "storage.py" in found
    assert not any(found.values())
