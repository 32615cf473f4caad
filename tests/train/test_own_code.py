"""Networks of one's own: mistakes in a line, and the source that a teacher's hash covers."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mlgsearch.errors import UserError
from mlgsearch.train.data.images import Images
from mlgsearch.train.networks.models import build_model, build_without_memory, make_own
from mlgsearch.train.own_code import OwnCodeError, errors_of, is_own, load_callable, place_of
from mlgsearch.train.own_sources import own_sources, sources_hash
from mlgsearch.train.spec import DataSpec, ModelSpec, OptimiserSpec, TeacherSpec, TrainSpec
from mlgsearch.train.teacher import prepared as prepared_module
from mlgsearch.train.teacher.prepared import prepare
from mlgsearch.train.teacher.teacher import teacher_hash
from tests.train.data.pictures import draw
from tests.train.own_networks import LAYERS, SOURCE, line_of

CPU = torch.device("cpu")
SIDES = {"classes": 10, "channels": 3, "image_size": (8, 8)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that its user works in: a module, and a package that it imports."""
    own = tmp_path / "work"
    (own / "parts").mkdir(parents=True)
    (own / "mine.py").write_text(SOURCE)
    (own / "parts" / "__init__.py").write_text("")
    (own / "parts" / "layers.py").write_text(LAYERS)
    (own / "parts" / "sizes.py").write_text("BIAS = True\n")
    (own / "unrelated.py").write_text("raise ImportError('imported for nothing')\n")
    monkeypatch.chdir(own)
    monkeypatch.setattr(sys, "path", [*sys.path, str(own)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    _forget(monkeypatch)
    return own


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mine", "parts", "parts.layers", "parts.sizes"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize("memory", [False, True], ids=["on meta", "in memory"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("noargs", "got an unexpected keyword argument 'classes' (mine.py:{def noargs})"),
        ("positional", "missing a required argument: 'num_classes' (mine.py:{def positional})"),
        ("raises", "ValueError: my own mistake (mine.py:{my own})"),
        ("keyerr", "KeyError: 'x' (mine.py:{['x']})"),
        ("exits", "SystemExit: 3 (mine.py:{SystemExit})"),
        ("returns_dict", "it returned a dict (mine.py:{def returns_dict})"),
        ("scripted", "return the module that it was made from (mine.py:{def scripted})"),
        ("instance", "name a function that makes one from classes, channels and image_size"),
        ("forward_key", "images of 3x8x8: KeyError: 'missing' (mine.py:{missing})"),
        ("forward_dict", "two images, it returned a dict (mine.py:{def forward(})"),
        ("forward_shape", "it returned (2, 9) (mine.py:{def forward(})"),
        ("forward_assert", "images of 3x8x8: AssertionError (mine.py:{== 7})"),
        ("misfit", "expected input[2, 3, 8, 8] to have 4 channels"),
    ],
)
def test_a_mistake_is_one_line_with_the_users_own_place(
    folder: Path, name: str, expected: str, memory: bool
) -> None:
    before, _, rest = expected.partition("{")
    text, _, after = rest.partition("}")
    if text:
        expected = f"{before}{line_of(text.replace(chr(39), chr(34)))}{after}"
    build = build_model if memory else build_without_memory
    with pytest.raises(OwnCodeError) as caught:
        build(ModelSpec(name=f"mine:{name}"), **SIDES)  # type: ignore[arg-type]
    said = str(caught.value)
    assert said.startswith(f"model.name: mine:{name} ") or f"mine:{name}: " in said
    assert expected in said
    assert "\n" not in said


def test_what_is_wrong_in_training_mode_alone_is_seen_before_a_training(folder: Path) -> None:
    with pytest.raises(OwnCodeError, match=r"it returned a dict in training \(mine.py:\d+\)"):
        build_without_memory(ModelSpec(name="mine:training_dict"), **SIDES)  # type: ignore[arg-type]


def test_probabilities_are_no_logits(folder: Path) -> None:
    build_without_memory(ModelSpec(name="mine:softmax"), **SIDES)  # type: ignore[arg-type]
    with pytest.raises(OwnCodeError, match="it returned probabilities: leave out the softmax"):
        build_model(ModelSpec(name="mine:softmax"), **SIDES)  # type: ignore[arg-type]


def test_a_forward_that_computes_with_numbers_is_built_in_memory(folder: Path) -> None:
    network = build_without_memory(ModelSpec(name="mine:numbers"), **SIDES)  # type: ignore[arg-type]
    assert not next(network.parameters()).is_meta
    network = build_without_memory(ModelSpec(name="mine:good"), **SIDES)  # type: ignore[arg-type]
    assert next(network.parameters()).is_meta


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch\n\nx = 1 / 0\n", "ZeroDivisionError: division by zero (broken.py:3)"),
        ("def make(:\n", "SyntaxError: invalid syntax (broken.py:1)"),
        ("import no_such_library\n", "No module named 'no_such_library' (broken.py:1)"),
        ("import sys\nsys.exit('usage')\n", "SystemExit: usage (broken.py:2)"),
    ],
)
def test_a_module_that_cannot_be_imported(
    folder: Path, source: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "broken.py").write_text(source)
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    with pytest.raises(OwnCodeError) as caught:
        make_own("broken:make", "--build", **SIDES)  # type: ignore[arg-type]
    assert "--build: broken:make: cannot import 'broken': " in str(caught.value)
    assert expected in str(caught.value)


def test_an_error_in_the_middle_of_a_training_is_one_line_too(
    folder: Path, tiny_spec: TrainSpec, tmp_path: Path
) -> None:
    spec = tiny_spec.model_copy(
        update={
            "model": ModelSpec(name="mine:later"),
            "data": tiny_spec.data.model_copy(update={"channels": 3}),
        }
    )
    with pytest.raises(OwnCodeError) as caught:
        prepare(spec, tmp_path, epochs=1, device=CPU)
    assert str(caught.value) == (
        f"model.name: mine:later: ValueError: not so many (mine.py:{line_of('not so many')})"
    )


def test_errors_that_are_not_the_users_are_not_put_on_him(
    folder: Path, tiny_spec: TrainSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny_spec.model_copy(update={"model": ModelSpec(name="mine:good")})
    broken = functools.partial(int, "ours")
    monkeypatch.setattr(prepared_module, "load_or_train_teacher", lambda *_: broken())
    with pytest.raises(OwnCodeError):  # this file counts as a user's, which the lambda is in
        prepare(spec, tmp_path, epochs=1, device=CPU)
    with pytest.raises(ValueError, match="'ours'"), errors_of("resnet18"):
        broken()
    with pytest.raises(UserError, match="as it is"), errors_of("mine:good"):
        raise UserError("as it is")
    monkeypatch.setattr(prepared_module, "load_or_train_teacher", len)  # raises from C
    with pytest.raises(TypeError, match="5 given"):
        prepare(spec, tmp_path, epochs=1, device=CPU)


def test_what_is_own_is_neither_installed_nor_ours(folder: Path) -> None:
    assert is_own(folder / "mine.py")
    assert not is_own(str(torch.__file__))
    assert not is_own(functools.__file__)
    assert not is_own(prepared_module.__file__)
    assert not is_own("<string>")
    assert place_of(torch.zeros) == ""
    good = load_callable("mine:good")
    line = line_of("def good")
    assert place_of(good) == place_of(functools.partial(good, classes=1)) == f" (mine.py:{line})"


def test_the_source_and_what_it_imports_belong_to_the_teachers_hash(
    folder: Path, tiny_spec: TrainSpec, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny_spec.model_copy(update={"model": ModelSpec(name="mine:good")})

    def hashed() -> tuple[str, str]:
        _forget(monkeypatch)
        return sources_hash("mine:good"), teacher_hash(spec, images)

    assert sorted(own_sources("mine")) == ["mine", "parts", "parts.layers", "parts.sizes"]
    seen = [hashed()]
    for file, text in (
        ("mine.py", SOURCE + "\nLATER = 1\n"),
        ("parts/layers.py", LAYERS.replace("bias=sizes", "bias=not sizes")),
        ("parts/sizes.py", "BIAS = False\n"),  # imported inside a function, from its package
        ("parts/__init__.py", "# another\n"),
    ):
        (folder / file).write_text(text)
        found = hashed()
        assert all(found[0] != other[0] and found[1] != other[1] for other in seen)
        seen.append(found)
    (folder / "unrelated.py").write_text("x = 2\n")
    assert hashed() == seen[-1]
    (folder / "parts" / "sizes.py").write_text("BIAS = True\n")
    assert hashed() not in seen


def test_the_hash_is_the_same_wherever_the_folder_lies(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = sources_hash("mine:good")
    folder.rename(tmp_path / "moved")
    monkeypatch.setattr(sys, "path", [*sys.path[:-1], str(tmp_path / "moved")])
    _forget(monkeypatch)
    assert sources_hash("mine:good") == here


def test_a_package_of_ones_own_is_read_by_its_relative_imports(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nested = folder / "parts" / "deep"
    nested.mkdir()
    (nested / "__init__.py").write_text("from ..layers import head\n")
    (nested / "net.py").write_text("from . import other\nimport parts.sizes, torch, os\n")
    (nested / "other.py").write_text("from ... import nothing\n")
    monkeypatch.delitem(sys.modules, "parts.deep", raising=False)
    assert sorted(own_sources("parts.deep.net")) == [
        "parts",
        "parts.deep",
        "parts.deep.net",
        "parts.deep.other",
        "parts.layers",
        "parts.sizes",
    ]


def test_a_package_without_an_init_file_is_read_too(folder: Path) -> None:
    (folder / "bare").mkdir()
    (folder / "bare" / "net.py").write_text("import parts.sizes\nfrom bare import other\n")
    (folder / "bare" / "other.py").write_text("")
    assert sorted(own_sources("bare.net")) == ["bare.net", "bare.other", "parts", "parts.sizes"]
    assert own_sources("torch") == own_sources("no_such_module") == {}


def test_nothing_is_decoded_for_a_network_that_cannot_be_built(
    folder: Path, tmp_path: Path
) -> None:
    draw(tmp_path / "set")
    data = DataSpec(name="folder", root=str(tmp_path / "set"), image_size=8)
    spec = TrainSpec(data=data, model=ModelSpec(name="mine:raises"))
    with pytest.raises(OwnCodeError, match=r"mine:raises: ValueError: my own mistake \(mine.py"):
        prepare(spec, tmp_path / "cache", epochs=1, device=CPU)
    assert not list((tmp_path / "cache").rglob("pixels-*"))
    good = spec.model_copy(update={"model": ModelSpec(name="mine:good")})
    training = OptimiserSpec(epochs=1)
    good = good.model_copy(update={"teacher": TeacherSpec(training=training)})
    prepare(good, tmp_path / "cache", epochs=1, device=CPU)
    assert list((tmp_path / "cache").rglob("pixels-*"))


@pytest.mark.parametrize("command", ["launch", "plan", "sizes", "launch --dry-run"])
def test_the_command_line_says_one_line_and_ends_with_2(folder: Path, command: str) -> None:
    (folder / "study.yaml").write_text("name: mine\nmodel: {name: 'mine:keyerr'}\n")
    name, *options = command.split()
    arguments = ["study.yaml"]
    if name == "sizes":
        arguments = ["mine:keyerr", "--classes", "10", "--setting", "2,44,3,6,3"]
    if name == "launch":
        options += ["--storage", "sqlite:///a.db"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment |= {f"MLGSEARCH_{name}": str(folder / name) for name in ("CACHE", "RUNS")}
    done = subprocess.run(
        [sys.executable, "-m", "mlgsearch", name, *arguments, *options],
        capture_output=True,
        text=True,
        env=environment,
        timeout=200,
        check=False,
    )
    line = line_of('{}["x"]')
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"error: model.name: mine:keyerr: KeyError: 'x' (mine.py:{line})"
    )
    assert "Traceback" not in done.stderr
