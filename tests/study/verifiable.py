"""A study whose trials are COMPLETE without having been trained: `verify` needs no more of them."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from mlgsearch.mlg.network import network_sizes
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.records import FiveNumbers, TrialRecord, TrialState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.strict_yaml import load
from mlgsearch.study.file.study_file import parse_study
from mlgsearch.study.launch import register
from mlgsearch.train.student.trial import fingerprint
from mlgsearch.train.teacher.prepared import Prepared, prepare
from tests.results.samples import begin_run
from tests.study.driver import Study
from tests.study.driverless import empty_database

STUDY = """
name: tiny
data: {name: digits, limit: 300}
model: {name: resnet8, width: 4}
teacher: {training: {optimiser: adamw, epochs: 3, learning_rate: 0.02}}
training: {optimiser: adamw, epochs: 1, learning_rate: 0.02}
space: {kind: layerwise, hyperparameters: {training.learning_rate: {low: 0.001, high: 0.1}}}
seed: 5
"""

#: Trials 0 and 1 are on the front; 2 shares the result of 0, 3 failed.
SETTINGS: tuple[FiveNumbers, ...] = ((1, 4, 2, 3, 2), (2, 8, 4, 6, 4))


@cache
def spec() -> StudySpec:
    return parse_study(load(STUDY, "tiny.yaml"), "tiny.yaml")


def prepared(cache_folder: Path) -> Prepared:
    """Train the teacher, or find it."""
    torch.set_num_threads(1)
    return prepare(spec().train_spec(), cache_folder, epochs=0, device=torch.device("cpu"))


def verifiable(folder: Path, cache_folder: Path) -> Study:
    """Put the study with its trials into a database in a folder."""
    common = prepared(cache_folder)
    shape = common.network_shape()
    study = Study(folder, cache_folder, STUDY)
    (folder / "a.db").write_bytes(empty_database())
    engine = open_engine(study.url)
    store = ResultStore(engine)
    register(spec(), STUDY, store)
    begin_run(
        store, "tiny", teacher_hash=common.teacher_hash, teacher_accuracy=common.teacher.accuracy
    )
    for number, five in enumerate(SETTINGS):
        settings = uniform_settings(shape, five)
        record = TrialRecord(
            number=number,
            state=TrialState.COMPLETE,
            settings={name: setting.five for name, setting in settings.items()},
            hyperparameters={"training.learning_rate": 0.01 * (number + 1)},
            fingerprint=fingerprint(settings, spec().train_spec()),
            seed=5,
            sizes=network_sizes(shape, settings),
            epochs_wanted=1,
            epochs_done=1,
            accuracy=0.5 + 0.1 * number,
            loss=1.0,
            packed_bytes=3_000 + 1_000 * number,
        )
        store.put_trial("tiny", record)
        if number == 0:
            store.put_trial("tiny", replace(record, number=2, reused_from=0))
            failed = replace(record, number=3, state=TrialState.FAIL, accuracy=None, loss=None)
            store.put_trial("tiny", failed)
    engine.dispose()
    return study
