"""`plan`, on a study whose teacher is trained in a second."""

import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from mlgsearch.errors import BudgetError
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import PlannedStudent
from mlgsearch.study import preparation
from mlgsearch.study.file.study_file import load_study_file
from mlgsearch.study.preparation import prepare_study
from mlgsearch.study.space.layer_tables import open_tables
from mlgsearch.train.data.load import load_images
from mlgsearch.train.device import best_device
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import packed_size
from mlgsearch.train.progress import no_progress
from mlgsearch.train.spec import OptimiserSpec
from mlgsearch.train.teacher.prepared import prepare
from mlgsearch.train.teacher.teacher import build_network
from mlgsearch.train.tensor_file import read_tensors, write_tensors
from tests.cli import running
from tests.train.data.pictures import draw

FILE = """
name: small
data: {name: digits, limit: 300}
model: {name: resnet8, width: 4}
teacher: {training: {optimiser: adamw, epochs: 2, learning_rate: 2e-2, batch_size: 32}}
space:
  kind: allocation
  B_in: [1, 3]
  B_out: [1, 8]
  q_basis: [2, 4]
  q_coeff_in: [2, 4]
  q_coeff_out: [2, 4]
"""


@pytest.fixture
def file(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLGSEARCH_CACHE", str(cache))
    path = tmp_path / "small.yaml"
    path.write_text(FILE)
    return path


invoke, printed = partial(running.invoke, "plan"), partial(running.printed, "plan")


def test_the_front_as_json(file: Path) -> None:
    rows = printed(file)
    assert len(rows) > 8
    ratios, damages = ([row[key] for row in rows] for key in ("memory_ratio", "damage"))
    assert ratios == sorted(ratios)
    assert damages == sorted(damages, reverse=True)
    assert all(0 < row["damage"] <= 1.1 for row in rows)


def test_a_driver_keeps_the_front_that_is_printed(file: Path, cache: Path) -> None:
    rows = printed(file)
    spec, _ = load_study_file(file)
    planned = prepare_study(spec, cache, _Silent()).planned
    for point, row in ((planned[0], rows[0]), (planned[-1], rows[-1])):
        assert point == PlannedStudent(row["packed_bytes"], row["memory_ratio"], row["damage"])
    assert [point.damage for point in planned] == sorted((p.damage for p in planned), reverse=True)


def test_a_driver_warns_where_radam_has_too_few_steps(file: Path, cache: Path) -> None:
    spec, _ = load_study_file(file)
    view = _Silent()
    prepare_study(spec, cache, view)
    assert view.notices == []
    radam = OptimiserSpec(optimiser="radam", epochs=1)
    prepare_study(spec.model_copy(update={"training": radam}), cache, view)
    (notice,) = view.notices
    assert notice.startswith("training.optimiser: radam warms up over thousands of steps")


def test_a_driver_warns_where_optimisers_are_compared_at_one_rate(file: Path, cache: Path) -> None:
    choices = "{training.optimiser: {choices: [sgd, relative_muon]}}"
    file.write_text(FILE.replace("space:\n", f"space:\n  hyperparameters: {choices}\n"))
    spec, _ = load_study_file(file)
    view = _Silent()
    prepare_study(spec, cache, view)
    (notice,) = view.notices
    assert notice.endswith("learning_rate is not, so every optimiser trains at 0.28")


@pytest.mark.parametrize(("has", "said"), [(False, 1), (True, 0)])
def test_a_driver_warns_where_the_processor_emulates_bfloat16(
    file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, has: bool, said: int
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": has})
    monkeypatch.setattr(preparation, "best_device", lambda: torch.device("cpu"))
    spec, _ = load_study_file(file)
    view = _Silent()
    halved = OptimiserSpec(precision="bfloat16", epochs=1)
    prepare_study(spec.model_copy(update={"training": halved}), cache, view)
    assert len(view.notices) == said
    assert all(text.startswith("training.precision: this machine's") for text in view.notices)


def with_a_table(*, classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """A network of which a tenth is no layer's weight; its weight is normed while it is trained."""

    class Places(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(8, *image_size))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.table

    return nn.Sequential(
        parametrizations.weight_norm(nn.Conv2d(channels, 8, 3, padding=1, bias=False)),
        Places(),
        nn.Flatten(),
        nn.Linear(8 * image_size[0] * image_size[1], classes, bias=False),
    )


def test_what_is_kept_is_said_before_the_teacher_is_trained(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLGSEARCH_CACHE", str(tmp_path / "cache"))
    own = f"{{name: {__name__}:with_a_table}}"
    file.write_text(FILE.replace("{name: resnet8, width: 4}", own))
    spec, _ = load_study_file(file)
    said: list[str] = []

    class ProgressView(_Silent):
        def preparing(self, *news: object) -> None:
            said.append(str(news[0]))

        def notice(self, text: str) -> None:
            said.append(text)

    prepare_study(spec, tmp_path / "cache", ProgressView())
    (notice,) = [text for text in said if "not compressed" in text]
    assert notice.startswith("9.0% of this network's parameters are not compressed and stay at 32")
    assert notice.endswith("most of them in 1")
    assert said.index(notice) < said.index("teacher")
    assert notice in " ".join(invoke(file).stdout.split())


def test_a_driver_counts_the_validation_images(file: Path, cache: Path) -> None:
    spec, _ = load_study_file(file)
    images = load_images(spec.data, cache)
    assert prepare_study(spec, cache, _Silent()).validation_samples == len(images.validation)


class _Silent:
    def __init__(self) -> None:
        self.notices: list[str] = []

    def preparing(self, *_: object) -> None:
        pass

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def started(self, *_: object) -> None:
        pass

    def trial(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7])
def test_a_plan_packs_into_its_budget_and_uses_it(file: Path, share: float, cache: Path) -> None:
    front = printed(file)
    low, high = front[0]["packed_bytes"], front[-1]["packed_bytes"]
    most = (low + share * (high - low)) / 1000
    (row,) = printed(file, "--max-kb", most)
    assert 0.97 * most <= row["packed_bytes"] / 1000 <= most
    spec, _ = load_study_file(file)
    prepared = prepare(spec.train_spec(), cache, epochs=0, device=best_device())
    card = PackedCard(
        model=spec.model,
        classes=10,
        channels=1,
        image_size=(8, 8),
        method=spec.quantisation.method,
        settings=tuple(LayerSetting(*five) for five in row["settings"].values()),
        norm_bits=row["norm_bits"],
        mean=(0.0,),
        std=(1.0,),
    )
    network = build_network(spec.model, prepared.images)
    assert packed_size(network, card) == row["packed_bytes"]


def test_the_tables_say_the_same(file: Path) -> None:
    done = invoke(file)
    assert done.exit_code == 0
    assert "Planned front of small, before any training" in done.stdout
    assert f"{printed(file)[0]['packed_bytes'] / 1000:.1f}" in done.stdout
    assert "rank correlation" in done.stdout
    layers = invoke(file, "--max-kb", 3)
    (row,) = printed(file, "--max-kb", 3)
    assert f"packed_bytes {row['packed_bytes']}, memory_ratio" in layers.stdout
    assert all(name in layers.stdout for name in row["settings"])


def test_too_small_a_budget_says_what_binds(file: Path) -> None:
    done = invoke(file, "--max-kb", 0.5)
    assert isinstance(done.exception, BudgetError)
    smallest = printed(file)[0]["packed_bytes"]
    assert str(done.exception).startswith(
        f"a file of 0.5 KB cannot be made: the smallest network in range packs to "
        f"{smallest / 1000:g} KB; the layers that bind, at their smallest: normalisation "
    )


def test_a_picture_is_written(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "plan.html"
    done = invoke(file, "--out", path)
    assert str(path) in done.stdout
    assert "predicted damage, mean of the layers" in path.read_text()


def test_tables_are_made_once(file: Path, cache: Path) -> None:
    invoke(file)
    (stored,) = (cache / "tables").glob("*.safetensors")
    before = stored.stat().st_mtime_ns
    spec, _ = load_study_file(file)
    prepared = prepare(spec.train_spec(), cache, epochs=0, device=best_device())
    notes: list[str] = []
    open_tables(spec, prepared, cache, lambda stage, done, total, note: notes.append(note))
    assert notes == ["cached"]
    assert stored.stat().st_mtime_ns == before
    stored.write_bytes(stored.read_bytes()[:-1])  # truncated: made again
    open_tables(spec, prepared, cache, no_progress)
    assert stored.stat().st_mtime_ns > before


def test_tables_of_another_teacher_of_the_same_recipe_are_not_used(
    file: Path, cache: Path, tmp_path: Path
) -> None:
    invoke(file)
    own = tmp_path / "cache"
    shutil.copytree(cache, own)
    (path,) = (own / "teachers").glob("*.safetensors")
    tensors, metadata = read_tensors(path)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    tensors["fc.bias"][0] += 1e-6
    write_tensors(path, tensors, metadata)
    spec, _ = load_study_file(file)
    prepared = prepare(spec.train_spec(), own, epochs=0, device=best_device())
    notes: list[str] = []
    open_tables(spec, prepared, own, lambda stage, done, total, note: notes.append(note))
    assert "cached" not in notes
    assert len([*(own / "tables").glob("*.safetensors")]) == 2


def test_what_is_odd_about_the_data_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = draw(tmp_path / "set")
    shutil.copy(root / "a" / "0.png", root / "b" / "again.png")
    (tmp_path / "odd.yaml").write_text(
        "name: odd\ndata: {name: folder, root: set}\nmodel: {width: 4}\n"
        "teacher: {training: {epochs: 1}}\nspace: {weighting: relative}\n"
    )
    monkeypatch.setenv("MLGSEARCH_CACHE", str(tmp_path / "cache"))
    result = invoke(tmp_path / "odd.yaml", "--json")
    assert result.exit_code == 0, result.output
    assert "warning: data: 1 images are in two classes (first: " in result.stderr
    assert result.stdout.startswith("[")
    spec, _ = load_study_file(tmp_path / "odd.yaml")
    view = _Silent()
    prepare_study(spec, tmp_path / "cache", view)
    assert any("1 images are in two classes" in text for text in view.notices)
