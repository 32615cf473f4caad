"""Plans of a model that is no study's."""

import pytest
import torch
from torch import nn

import mlgsearch
from mlgsearch.errors import BudgetError, StudyFileError, UserError
from mlgsearch.planning.answers import ANSWERS
from tests.planning.samples import batches, digits, trained


@pytest.fixture(scope="module")
def planner() -> mlgsearch.Planner:
    return mlgsearch.Planner(trained(), digits()[0][:128], space={"B_in": [1, 4], "B_out": [1, 16]})


def test_a_plan_keeps_its_budget_and_its_file_has_that_size(planner: mlgsearch.Planner) -> None:
    plan = planner.within(5000)
    assert 4500 < plan.packed_bytes <= 5000
    student = mlgsearch.compress(trained(), plan)
    assert student.packed_bytes == plan.packed_bytes
    assert student.settings == plan.settings
    assert student.sizes == plan.sizes
    layers = plan.layers()
    assert list(layers.index) == list(plan.settings)
    assert layers.loc["fc", "damage"] == plan.layer_damage["fc"]


def test_a_larger_budget_does_less_damage(planner: mlgsearch.Planner) -> None:
    front = planner.front(5)
    assert [p.packed_bytes for p in front] == sorted(p.packed_bytes for p in front)
    assert [p.damage for p in front] == sorted((p.damage for p in front), reverse=True)
    assert planner.within(4000).damage > planner.within(8000).damage


def test_too_small_a_budget_says_what_is_possible(planner: mlgsearch.Planner) -> None:
    with pytest.raises(BudgetError, match="the smallest network in range packs to"):
        planner.within(100)


def test_batches_of_a_loader_are_calibration_too() -> None:
    pairs = [(images, torch.zeros(len(images))) for images in batches()]
    space = {"weighting": "relative", "B_in": [1, 2], "B_out": [1, 4]}
    one = mlgsearch.plan(trained(), torch.cat(batches()), 5000, space=space)
    other = mlgsearch.plan(trained(), pairs, 5000, space=space)
    assert one == other


def test_the_model_is_left_as_it_was() -> None:
    model = trained()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    mlgsearch.plan(model, batches(), 5000, space={"B_in": [1, 2], "B_out": [1, 4]})
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not next(model.parameters()).requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_images_of_any_floating_point_type_are_calibration(dtype: torch.dtype) -> None:
    space = {"weighting": "relative", "B_in": [1, 2], "B_out": [1, 4]}
    plan = mlgsearch.plan(trained(), torch.cat(batches()).to(dtype), 5000, space=space)
    assert 4000 < plan.packed_bytes <= 5000


@pytest.mark.parametrize("budget", [2600, 4000])
def test_a_budget_holds_where_the_file_names_its_network(budget: int) -> None:
    """A name, a stem and a sign take bytes of the header."""
    space = {"weighting": "relative", "B_in": [1, 4], "B_out": [1, 16]}
    stated = {"architecture": {"name": "resnet8", "width": 8}, "mean": [-0.5], "std": [0.4]}
    planner = mlgsearch.Planner(trained(), batches(), space=space, **stated)  # type: ignore[arg-type]
    plan = planner.within(budget)
    student = mlgsearch.compress(trained(), plan)
    assert student.packed_bytes == plan.packed_bytes <= budget
    assert student.card.model.name == "resnet8"
    assert student.card.mean == (-0.5,)
    for name, value in stated.items():
        with pytest.raises(UserError, match=f"{name}: a plan knows it"):
            mlgsearch.compress(trained(), plan, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="but the plan is for"):
        mlgsearch.compress(trained(), plan, input_shape=(1, 16, 16))


def test_another_network_than_the_one_named_is_refused_before_planning() -> None:
    with pytest.raises(UserError, match="architecture: the model is not resnet20"):
        mlgsearch.Planner(trained(), batches(), architecture="resnet20")


@pytest.mark.parametrize("count", [-1, 0, 2.0])
def test_a_front_of_no_plans_is_refused(planner: mlgsearch.Planner, count: int) -> None:
    with pytest.raises(UserError, match=r"front: count is .*, expected 1 or more"):
        planner.front(count)


def test_signs_are_searched_where_the_ranges_have_them() -> None:
    space = {"weighting": "relative", "B_in": [1, 4], "B_out": [1, 16]}
    widths = {name: [1, 8] for name in ("q_basis", "q_coeff_in", "q_coeff_out")}
    usual = mlgsearch.Planner(trained(), batches(), space=space)
    signs = mlgsearch.Planner(trained(), batches(), space=space | widths)
    (smallest,) = signs.front(1)
    assert smallest.packed_bytes < usual.front(1)[0].packed_bytes
    plan = signs.within(usual.front(1)[0].packed_bytes)
    assert plan.damage < usual.front(1)[0].damage
    fives = [setting.five for setting in plan.settings.values()]
    assert any(1 in five[2:] for five in fives)
    assert mlgsearch.compress(trained(), plan).packed_bytes == plan.packed_bytes


def test_norm_bits_are_chosen_with_the_quantisation() -> None:
    space = {"weighting": "relative", "B_in": [1, 2], "B_out": [1, 4]}
    plan = mlgsearch.plan(trained(), batches(), 5000, space=space, quantisation={"norm_bits": 16})
    assert plan.quantisation.norm_bits == 16
    assert mlgsearch.compress(trained(), plan).card.norm_bits == 16
    with pytest.raises(UserError, match="a plan knows it"):
        mlgsearch.compress(trained(), plan, quantisation={"norm_bits": 32})


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (torch.zeros(1, 1, 8, 8), "expected two images or more"),
        (torch.zeros(4, 8, 8), r"expected float images \(N, C, H, W\), got torch.float32 of shape"),
        (torch.zeros(4, 1, 8, 8, dtype=torch.uint8), "got torch.uint8"),
        (["a"], "got str"),
        ([()], "got tuple"),
        (7, "expected a tensor of images or batches of them, got int"),
        (torch.full((4, 1, 8, 8), float("nan")), "hold numbers that are not finite"),
        ([torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 9, 9)], "all images must have one size"),
    ],
)
def test_wrong_calibration_is_a_line(calibration: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        mlgsearch.Planner(trained(), calibration)  # type: ignore[arg-type]


def test_wrong_words_are_refused() -> None:
    with pytest.raises(UserError, match="outputs is 'logits', expected one of classes, values"):
        mlgsearch.Planner(trained(), batches(), outputs="logits")  # type: ignore[arg-type]
    with pytest.raises(StudyFileError, match=r"plan: space\.B_inn"):
        mlgsearch.Planner(trained(), batches(), space={"B_inn": [1, 2]})
    with pytest.raises(UserError, match="only allocation"):
        mlgsearch.Planner(trained(), batches(), space={"kind": "layerwise"})


class _ByRows(nn.Module):
    """Logits of two classes for each pixel, and the same as values."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.second(self.first(x).relu())
        return out


@pytest.mark.parametrize("outputs", ["classes", "values"])
def test_outputs_of_any_shape_are_measured(outputs: str) -> None:
    torch.manual_seed(0)
    planner = mlgsearch.Planner(_ByRows(), batches(), outputs=outputs)  # type: ignore[arg-type]
    for table in planner.tables.layers.values():
        assert table.divergence[0] > table.divergence[-1] >= 0
        assert table.gradient > 0


def test_a_shift_of_all_logits_moves_classes_nowhere_and_values_far() -> None:
    outputs = torch.randn(5, 3)
    for kind, is_moved in (("classes", False), ("values", True)):
        answers = ANSWERS[kind]  # type: ignore[index]
        distance = answers.distance(outputs + 1, answers.reference(outputs))
        assert (distance > 0.1) == is_moved


SMALL = {"weighting": "relative", "B_in": [1, 2], "B_out": [1, 4]}


def test_limits_of_bytes_are_kept() -> None:
    planner = mlgsearch.Planner(trained(), batches(), space=SMALL, limits={"packed_bytes": 3000})
    assert planner.within(5000).packed_bytes <= 3000
    assert planner.within(2800).packed_bytes <= 2800
    assert max(plan.packed_bytes for plan in planner.front(4)) <= 3000
    with pytest.raises(BudgetError, match="the smallest network in range packs to"):
        mlgsearch.Planner(trained(), batches(), space=SMALL, limits={"packed_bytes": 100})
    with pytest.raises(BudgetError, match=r"activations take 6,144 bytes; .* layer1\.0\.conv1"):
        mlgsearch.Planner(trained(), batches(), space=SMALL, limits={"peak_activation_bytes": 6000})


def test_activation_bits_are_chosen_for_each_layer_within_the_limit() -> None:
    def planned(most: int) -> mlgsearch.Plan:
        return mlgsearch.plan(
            trained(),
            batches(),
            5000,
            space={**SMALL, "activation_bits": [4, 6, 8], "full_precision": ["fc"]},
            limits={"peak_activation_bytes": most},
        )

    plan = planned(4500)
    bits = plan.layers()["in_bits"]
    assert 4352 <= plan.peak_activation_bytes <= 4500
    assert set(bits[:-1]) == {6, 8}
    assert bits["fc"] == 32
    assert set(planned(9999).layers()["in_bits"][:-1]) == {8}
    student = mlgsearch.compress(trained(), plan)
    assert student.card.in_bits == plan.quantisation.in_bits == tuple(bits)
    assert student.packed_bytes == plan.packed_bytes <= 5000
    with pytest.raises(BudgetError, match="the smallest in range is 4,352"):
        planned(4000)
    with pytest.raises(StudyFileError, match="leave one of the two out"):
        mlgsearch.Planner(
            trained(),
            batches(),
            space={**SMALL, "activation_bits": [4, 8]},
            quantisation={"in_bits": 8},
        )
