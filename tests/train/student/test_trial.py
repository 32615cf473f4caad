from dataclasses import fields

from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import MEASURES
from mlgsearch.train.spec import (
    DataSpec,
    DistillationSpec,
    OptimiserSpec,
    QuantisationSpec,
    TeacherSpec,
    TrainSpec,
)
from mlgsearch.train.student.trial import LATER, TrialJob, TrialSummary, fingerprint

SETTINGS = {"a": LayerSetting.plain(8), "b": LayerSetting(1, 4, 3, 4, 3)}
SPEC = TrainSpec()


def test_a_fingerprint_is_of_content_not_of_order() -> None:
    turned = dict(reversed(SETTINGS.items()))
    assert fingerprint(SETTINGS, SPEC) == fingerprint(turned, TrainSpec())
    assert TrialJob(SETTINGS, SPEC).fingerprint == fingerprint(SETTINGS, SPEC)
    assert fingerprint(SETTINGS, TrainSpec(data=DataSpec(download=True))) == fingerprint(
        SETTINGS, SPEC
    )


def test_a_training_of_before_an_option_keeps_its_fingerprint() -> None:
    assert {name: getattr(SPEC.quantisation, name) for name in LATER} == LATER
    first = TrainSpec(
        teacher=TeacherSpec(
            training=OptimiserSpec(optimiser="radam", learning_rate=5e-3, epochs=20)
        ),
        training=OptimiserSpec(optimiser="radam"),
        distillation=DistillationSpec(temperature=4.0),
        quantisation=QuantisationSpec(method="lsq"),
    )
    assert fingerprint(SETTINGS, first) == (
        "dfca4e5893192388a13c36f98e826a46ce17b5bc78ff66bf18cb432e38903926"
    )


def test_a_fingerprint_reports_trainings_apart() -> None:
    jobs = [
        (SETTINGS, SPEC),
        ({**SETTINGS, "a": LayerSetting.plain(7)}, SPEC),
        ({"a": SETTINGS["b"], "b": SETTINGS["a"]}, SPEC),
        (SETTINGS, TrainSpec(seed=1)),
        (SETTINGS, TrainSpec(training=OptimiserSpec(learning_rate=1e-3))),
        (SETTINGS, TrainSpec(data=DataSpec(split_seed=1))),
        (SETTINGS, TrainSpec(quantisation=QuantisationSpec(norm_bits=16))),
        (SETTINGS, TrainSpec(quantisation=QuantisationSpec(in_bits=8))),
        (SETTINGS, TrainSpec(quantisation=QuantisationSpec(noise_ratio=0.5))),
    ]
    assert len({fingerprint(*job) for job in jobs}) == len(jobs)


def test_numbers_equal_in_value_are_equal() -> None:
    whole = OptimiserSpec.model_validate({"learning_rate": 1})
    point = OptimiserSpec.model_validate({"learning_rate": 1.0})
    assert fingerprint(SETTINGS, TrainSpec(training=whole)) == fingerprint(
        SETTINGS, TrainSpec(training=point)
    )


def test_a_summary_has_every_measure_that_is_not_predicted() -> None:
    measured = {measure.name for measure in MEASURES if not measure.is_predicted}
    assert measured <= {field.name for field in fields(TrialSummary)}
