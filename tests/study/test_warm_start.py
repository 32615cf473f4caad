"""Studies that begin with settings of earlier studies and of tables."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, IntDistribution

from mlgsearch.errors import StudyFileError
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import FiveNumbers
from mlgsearch.results.analysis.front import front
from mlgsearch.results.analysis.uncertainty.expectation import Expectations
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.formats import front_rows, to_csv
from mlgsearch.study import launch as module
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.study_file import load_study_file
from mlgsearch.study.launch import launch, register, resume
from mlgsearch.study.space.space import Space
from mlgsearch.study.warm_start import MOST, warm_started
from tests.results.samples import a_complete
from tests.study.driverless import empty_database
from tests.study.samples import MIXED, a_spec

WIDE: FiveNumbers = (2, 16, 4, 5, 6)
SETTINGS: dict[str, FiveNumbers] = {
    "stem": (0, 0, 3, 0, 0),
    "wide": WIDE,
    "point": (0, 8, 3, 0, 4),
    "depth": (0, 0, 5, 0, 0),
    "head": (0, 0, 8, 0, 0),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    (tmp_path / "a.db").write_bytes(empty_database())
    engine = open_engine(f"sqlite:///{tmp_path}/a.db")
    yield ResultStore(engine)
    engine.dispose()


def earlier(store: ResultStore, name: str = "cold", count: int = 3, **content: Any) -> None:
    """Store a study of which every trial is on the front, and one more is not."""
    register(a_spec(name=name, **content), "", store)
    for number in range(count):
        setting = (2, 16 + number, 4, 5, 6)
        settings = SETTINGS | {"wide": setting}
        ratio = 0.02 + 0.001 * number
        trial = a_complete(number, 0.8 + 0.01 * number, ratio, settings=settings)
        store.put_trial(name, trial)
    store.put_trial(name, a_complete(count, 0.5, 0.5, settings=SETTINGS))


def warm(store: ResultStore, *names: str, **content: Any) -> StudySpec:
    search = {"warm_start": list(names), **content.pop("search", {})}
    return warm_started(a_spec(name="warm", search=search, **content), store)


def refusal(store: ResultStore, *names: str, **content: Any) -> str:
    with pytest.raises(StudyFileError) as caught:
        warm(store, *names, **content)
    return str(caught.value)


def test_a_front_is_tried_after_what_the_file_names_the_middle_first(store: ResultStore) -> None:
    earlier(store)
    spec = warm(store, "cold", search={"first": [[2, 44, 3, 6, 3]]})
    sources = [first.source for first in spec.search.first]
    assert sources == [None, *(f"study 'cold': trial {n}" for n in (1, 0, 2))]
    space = Space(spec, MIXED)
    meant = [space.decode(parameters).settings["wide"] for parameters in space.first]
    assert meant == [
        LayerSetting(2, 44, 3, 6, 3).canonical(MIXED.layers["wide"]),
        *(LayerSetting(2, 16 + n, 4, 5, 6) for n in (1, 0, 2)),
    ]


def test_a_long_front_is_thinned_and_its_ends_are_kept(store: ResultStore) -> None:
    earlier(store, count=20)
    first = warm(store, "cold").search.first
    numbers = {int(str(given.source).rpartition(" ")[2]) for given in first}
    assert len(first) == len(numbers) == MOST
    assert {0, 19} <= numbers
    assert 20 not in numbers  # it is dominated


def test_settings_are_mapped_to_what_is_searched_here(store: ResultStore) -> None:
    earlier(store, count=1)
    spec = warm(
        store, "cold", space={"B_out": [1, 12], "q_basis": [2, 3], "full_precision": ["point"]}
    )
    space = Space(spec, MIXED)
    (parameters,) = space.first
    settings = space.decode(parameters).settings
    assert settings["wide"] == LayerSetting(2, 12, 3, 5, 6)
    assert settings["point"] == LayerSetting.plain(32)
    assert settings["stem"] == LayerSetting(0, 0, 3, 0, 0)


def test_searched_hyperparameters_come_along_where_they_are_in_range(store: ResultStore) -> None:
    register(a_spec(name="cold"), "", store)
    given = {"training.learning_rate": 0.02, "quantisation.in_bits": 4, "distillation.weight": 0.5}
    store.put_trial("cold", a_complete(0, 0.9, 0.02, settings=SETTINGS, hyperparameters=given))
    searched = {
        "training.learning_rate": {"low": 0.01, "high": 0.1, "log": True},
        "distillation.weight": {"low": 0.7, "high": 0.9},
    }
    space = Space(warm(store, "cold", space={"hyperparameters": searched}), MIXED)
    (parameters,) = space.first
    assert parameters["training.learning_rate"] == 0.02
    assert not {"quantisation.in_bits", "distillation.weight"} & parameters.keys()


def test_what_breaks_a_limit_or_comes_twice_is_left_out_and_named(store: ResultStore) -> None:
    earlier(store, count=2)
    spec = warm(store, "cold", "cold")
    space = Space(spec, MIXED)
    assert len(space.first) == 2
    assert space.left_out == [
        f"study 'cold': trial {n} is here what another first setting is: left out" for n in (1, 0)
    ]
    sizes = [space.decode(parameters) for parameters in space.first]
    assert len(sizes) == 2
    tight = warm(store, "cold", limits={"memory_ratio": 0.0001})
    assert Space(tight, MIXED).left_out == [
        f"study 'cold': trial {n} breaks limits.memory_ratio: left out" for n in (1, 0)
    ]


def test_a_study_that_was_begun_keeps_what_it_began_with(store: ResultStore) -> None:
    earlier(store)
    begun = warm(store, "cold")
    register(begun, "", store)
    store.put_trial("cold", a_complete(9, 0.99, 0.001, settings=SETTINGS))
    assert warm(store, "cold").search.first == begun.search.first
    assert register(warm(store, "cold"), "", store).content == begun.content()
    store.delete_study("cold")
    assert warm(store, "cold").search.first == begun.search.first


def test_a_launch_records_where_it_began_and_a_resume_needs_the_other_study_no_more(
    store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven: list[StudySpec] = []
    monkeypatch.setattr(module, "drive", lambda spec, study, *_: driven.append(spec))
    earlier(store)
    engine = open_engine(f"sqlite:///{tmp_path}/a.db")
    view: Any = None
    spec = a_spec(name="warm", search={"warm_start": ["cold"]})
    launch(spec, "", engine, view)
    (began,) = store.study("warm").lineage
    assert began["began_with"] == ["study 'cold'"]
    store.delete_study("cold")
    resume("warm", engine, view)
    launch(spec, "", engine, view)
    engine.dispose()
    assert len(driven) == 3
    assert all(later.search.first == driven[0].search.first for later in driven)
    assert len(driven[0].search.first) == 3


def test_a_name_that_is_no_study_lists_those_there_are(store: ResultStore) -> None:
    earlier(store)
    said = refusal(store, "hot")
    assert "search.warm_start: 'hot': no study of this database has that name" in said
    assert "cold" in said


def test_another_network_is_refused(store: ResultStore) -> None:
    earlier(store, model={"name": "resnet20"})
    said = refusal(store, "cold")
    assert "is of another network (model.name: 'resnet20' there, 'resnet8' here)" in said


def test_a_study_without_a_finished_student_is_refused(store: ResultStore) -> None:
    register(a_spec(name="cold"), "", store)
    assert refusal(store, "cold").endswith("has no finished student")


def test_a_uniform_space_takes_nothing_over(store: ResultStore) -> None:
    assert "search.warm_start needs space.kind" in refusal(store, "x", space={"kind": "uniform"})


def test_the_front_as_csv_is_read_back(store: ResultStore, tmp_path: Path) -> None:
    earlier(store)
    table = tmp_path / "front.csv"
    trials = store.trials("cold")
    best = front(trials, ("accuracy", "memory_ratio"))
    rows = front_rows(best, Expectations.of_trials(trials, (), None))
    table.write_text(to_csv(rows))
    first = warm(store, str(table)).search.first
    assert [given.source for given in first] == [f"{table}: line {n}" for n in (2, 3, 4)]
    assert first[0].layers == warm(store, "cold").search.first[1].layers


def test_trials_of_an_optuna_study_are_read_from_its_data_frame(
    store: ResultStore, tmp_path: Path
) -> None:
    study = optuna.create_study()
    ranges: dict[str, BaseDistribution] = {
        "wide/B_in": IntDistribution(1, 4),
        "wide/B_out": IntDistribution(1, 64),
        "wide/q_basis": IntDistribution(2, 8),
        "wide/q_coeff_in": IntDistribution(2, 8),
        "wide/q_coeff_out": IntDistribution(2, 8),
        "training.batch_size": IntDistribution(8, 256),
    }
    values = [*WIDE, 64]
    for state in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED):
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(zip(ranges, values, strict=True)),
                distributions=ranges,
                value=0.9,
                state=state,
            )
        )
    table = tmp_path / "optuna.csv"
    study.trials_dataframe().to_csv(table)
    (first,) = warm(store, str(table)).search.first
    assert first.layers == {"wide": WIDE}
    assert first.hyperparameters == {"training.batch_size": 64}
    assert first.source == f"{table}: line 2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "line 2: has no settings: expected a column settings"),
        ('settings\n"{""wide"": [9, 1]}"\n', "line 2: Value error, "),
        ("settings\n{wide\n", "line 2: Expecting property name"),
        ("params_wide/B_in\ninf\n", "line 2: cannot convert float infinity to integer"),
        ("settings,state\n{},FAIL\n", "has no finished trial"),
        ("", "has no finished trial"),
    ],
)
def test_a_table_that_says_something_else_is_a_line(
    store: ResultStore, tmp_path: Path, text: str, said: str
) -> None:
    table = tmp_path / "x.csv"
    table.write_text(text)
    assert f"search.warm_start: {table}: {said}" in refusal(store, str(table))


def test_a_table_that_is_not_there_is_a_line(store: ResultStore, tmp_path: Path) -> None:
    assert refusal(store, f"{tmp_path}/no.csv").endswith("no.csv: no such file")


def test_layers_of_another_network_are_named(store: ResultStore, tmp_path: Path) -> None:
    table = tmp_path / "x.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["settings"], ['{"conv9": [1, 2, 3, 4, 5]}']])
    with pytest.raises(StudyFileError, match="names none of the layers that are searched: stem"):
        Space(warm(store, str(table)), MIXED)


def test_a_table_is_looked_for_beside_the_study_file(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("name: s\nsearch: {warm_start: [front.csv, cold]}\n")
    spec, _ = load_study_file(tmp_path / "s.yaml")
    assert spec.search.warm_start == (str(tmp_path / "front.csv"), "cold")
