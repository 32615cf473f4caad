from typing import Any

import pytest

from mlgsearch.errors import BudgetError, StudyFileError
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.budget.allocation import Allocator
from mlgsearch.planning.budget.resources import LayerSum
from mlgsearch.study.file.latency import LatencySpec
from mlgsearch.study.space.latency_table import LatencyTable
from mlgsearch.study.space.possible_limits import require_possible
from mlgsearch.study.space.space import Space
from tests.planning import samples
from tests.study.driverless import Driverless, next_job
from tests.study.samples import MIXED, a_spec, resnet8
from tests.study.space.test_limits import DIGITS

HEAD = "layer,form,B_in,B_out,latency_ms,runtime\n"
#: "wide" is 64 channels of 48, 3x3 on 64 positions, the largest layer.
WIDE = (
    "wide,dense,0,0,9\n"
    "wide,level2,0,4,1\nwide,level2,0,8,3\nwide,level2,0,16,4\n"
    "wide,three_stage,2,4,2\nwide,three_stage,2,8,6\nwide,three_stage,4,4,6\n"
    "wide,three_stage,4,8,14\nwide,three_stage,1,0,7\n"
)


def a_table(rows: str = WIDE, runtime: str = "") -> LatencyTable:
    lines = [f"{line},{runtime}\n" for line in f",rest,0,0,0.5\n{rows}".splitlines()]
    return LatencyTable(LatencySpec(file="t.csv", table=HEAD + "".join(lines)), MIXED)


def at(base_in: int, base_out: int) -> LayerSetting:
    bits = (4 if base_in else 0), (4 if base_out else 0)
    return LayerSetting(base_in, base_out, 4, *bits).canonical(MIXED.layers["wide"])


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (at(0, 0), 9),
        (at(0, 4), 1),
        (at(0, 6), 2),
        (at(0, 12), 3.5),
        (at(0, 2), 1),  # beyond the last one, which holds
        (at(0, 20), 4),
        (at(2, 6), 2),  # level 2 alone is cheaper than 4
        (at(1, 0), 7),
        (at(3, 0), 7),
        (LayerSetting.plain(32), 9),
    ],
)
def test_between_numbers_of_bases_it_is_interpolated(
    setting: LayerSetting, expected: float
) -> None:
    assert a_table().layer_ms("wide", setting) == pytest.approx(expected)


def test_both_numbers_of_bases_are_interpolated() -> None:
    rows = "\n".join(line for line in WIDE.splitlines() if "level2" not in line) + "\n"
    assert a_table(rows).layer_ms("wide", at(3, 6)) == pytest.approx((2 + 6 + 6 + 14) / 4)


def test_a_runtimes_own_rule_chooses_the_form() -> None:
    some, many = at(0, 30), at(0, 44)  # torch takes level 2 up to more bases than ONNX files do
    assert [a_table().layer_ms("wide", setting) for setting in (some, many)] == [4, 4]
    assert [a_table(runtime="torch").layer_ms("wide", each) for each in (some, many)] == [4, 9]
    assert [a_table(runtime="onnx").layer_ms("wide", each) for each in (some, many)] == [9, 9]


def test_a_network_takes_the_rest_and_its_layers() -> None:
    settings = dict.fromkeys(MIXED.layers, LayerSetting.plain(8)) | {"wide": at(0, 4)}
    assert a_table().network_ms(settings) == 1.5
    assert a_table("stem,dense,0,0,2\n" + WIDE).network_ms(settings) == 3.5


def test_it_is_positive_whatever_differences_add_up_to() -> None:
    settings = dict.fromkeys(MIXED.layers, LayerSetting.plain(8))
    assert a_table("stem,dense,0,0,-2\n").network_ms(settings) == 1e-6


def test_a_table_of_another_network_is_refused() -> None:
    with pytest.raises(StudyFileError, match=r"t.csv: names the layer 'conv9', .*; its layers are"):
        a_table("conv9,dense,0,0,1\n")


def study_with_table(**content: Any) -> dict[str, Any]:
    table = f"{HEAD},rest,0,0,0.5,\n" + "".join(f"{line},\n" for line in WIDE.splitlines())
    return {"latency": {"file": "t.csv", "table": table}, **content}


def test_trials_record_it_and_keep_its_limit(database_url: str) -> None:
    content = study_with_table(
        limits={"latency_ms": 4.0}, search={"objectives": ["accuracy", "latency_ms"]}
    )
    study = Driverless(database_url, n_trials=12, **content)
    for _ in range(12):
        job = next_job(study.ledger)
        study.ledger.fail(job.number, "x") if job.number == 3 else None
    found = [trial.latency_ms for trial in study.trials()]
    table = a_table()
    for trial, latency in zip(study.trials(), found, strict=True):
        settings = {name: LayerSetting(*five) for name, five in trial.settings.items()}
        assert latency == table.network_ms(settings)
    assert max(value or 9 for value in found) <= 4.0
    assert len(set(found)) > 3
    study.close()


def test_an_impossible_limit_says_the_least_and_what_binds() -> None:
    name = next(n for n, s in resnet8().layers.items() if s.level2_bound > 8)
    table = f"{HEAD},rest,0,0,2,\n{name},dense,0,0,3,\n{name},level2,0,5,1,\n"
    spec = a_spec(
        space={"kind": "allocation", "B_out": [5, 64]},
        latency={"file": "t.csv", "table": table},
        limits={"latency_ms": 2.5},
    )
    said = rf"limits.latency_ms: 2.5 cannot be kept: the smallest .* has 3; .* bind are {name}"
    with pytest.raises(StudyFileError, match=said):
        require_possible(spec, resnet8(), DIGITS)
    possible = spec.model_copy(update={"limits": {"latency_ms": 3.0}})
    require_possible(possible, resnet8(), DIGITS)


def test_limits_that_are_possible_only_one_by_one_are_refused() -> None:
    # Here more bases are faster, as on a target that computes eight channels at once.
    name = "layer3.0.conv2"
    table = f"{HEAD},rest,0,0,2,\n{name},dense,0,0,9,\n{name},level2,0,5,9,\n{name},level2,0,8,1,\n"

    def with_limits(**limits: float) -> Any:
        return a_spec(
            space={"kind": "allocation", "B_out": [5, 8]},
            latency={"file": "t.csv", "table": table},
            limits=limits,
        )

    least = _least(with_limits(memory_ratio=1e-9))
    require_possible(with_limits(memory_ratio=1.0001 * least), resnet8(), DIGITS)
    require_possible(with_limits(latency_ms=3.5), resnet8(), DIGITS)
    said = (
        r"limits.memory_ratio: 0.\d+ cannot be kept together with limits.latency_ms: 3.5: "
        rf"the smallest network in range has about 0.\d+; the layers that bind are .*{name}"
    )
    with pytest.raises(StudyFileError, match=said):
        require_possible(
            with_limits(memory_ratio=1.0001 * least, latency_ms=3.5), resnet8(), DIGITS
        )
    require_possible(with_limits(memory_ratio=1.5 * least, latency_ms=3.5), resnet8(), DIGITS)


def _least(spec: Any) -> float:
    with pytest.raises(StudyFileError) as raised:
        require_possible(spec, resnet8(), DIGITS)
    return float(str(raised.value).split("has ")[1].split(";")[0])


def test_a_plan_keeps_a_limit_of_latency() -> None:
    layers = samples.shape().layers
    macs = LayerSum(-5.0, lambda name, setting: setting.execution_macs(layers[name]) / 1e4)
    free = Allocator(samples.tables())
    found = free.allocate(3 * free.smallest)
    middle = sum(macs.use(name, setting) for name, setting in found.settings.items()) - 5
    tight = Allocator(
        samples.tables(), limits={"latency_ms": 0.9 * middle}, sums={"latency_ms": macs}
    )
    kept = tight.allocate(3 * free.smallest)
    used = sum(macs.use(name, setting) for name, setting in kept.settings.items()) - 5
    assert used <= 0.9 * middle
    assert found.damage < kept.damage < 1
    with pytest.raises(BudgetError, match="latency_ms cannot be -5: the smallest network in range"):
        Allocator(samples.tables(), limits={"latency_ms": -5}, sums={"latency_ms": macs})


def test_an_allocation_plans_within_it() -> None:
    name = max(samples.shape().layers, key=lambda n: samples.shape().layers[n].level2_bound)
    table = f"{HEAD},rest,0,0,2,\n{name},dense,0,0,9,\n{name},level2,0,1,1,\n{name},level2,0,9,9,\n"
    spec = a_spec(
        space={"kind": "allocation", "B_in": [1, 4], "B_out": [1, 16]},
        latency={"file": "t.csv", "table": table},
        limits={"latency_ms": 6.0},
    )
    space = Space(spec, samples.shape(), samples.tables())
    assert space.latency is not None
    assert len(space.first) == 8
    for first in space.first:
        assert space.latency.network_ms(space.decode(first).settings) <= 6.0
