"""Code that a database or a checkpoint names is not imported, unless its user names it too."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlgsearch.cli.app import app
from mlgsearch.errors import CodeNotAllowedError
from mlgsearch.paths import study_directory, trial_directory
from mlgsearch.records import StudyRecord
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.file.allowed_code import named_code, stored_spec
from mlgsearch.study.launch import register
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.loop import checkpoint
from mlgsearch.train.spec import ModelSpec
from mlgsearch.train.student.student import CHECKPOINT
from tests.results.samples import a_complete
from tests.study.driverless import empty_database
from tests.study.samples import a_spec

#: A module that leaves a mark as soon as it is imported, and then breaks off.
EVIL = "from pathlib import Path\nPath('imported').touch()\nraise ImportError('it ran')\n"
CARD = PackedCard(
    model=ModelSpec(name="evil:network"),
    classes=10,
    channels=1,
    image_size=(8, 8),
    method="dorefa",
    settings=(),
    mean=(0.0,),
    std=(1.0,),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that its user works in, and where the module lies."""
    (tmp_path / "evil.py").write_text(EVIL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    for name in ("RUNS", "CACHE"):
        monkeypatch.setenv(f"MLGSEARCH_{name}", str(tmp_path / name.lower()))
    return tmp_path


@pytest.fixture
def study(folder: Path) -> StudyRecord:
    """A study that somebody else put into a database that is shared."""
    (folder / "a.db").write_bytes(empty_database())
    engine = open_engine("sqlite:///a.db")
    store = ResultStore(engine)
    spec = a_spec(
        model={"name": "evil:network"},
        space={"kind": "layerwise"},
        search={"sampler": "evil:sampler"},
    )
    study = register(spec, "", store)
    store.put_trial(study.name, a_complete(0, 0.9, 0.1))
    directory = trial_directory(study_directory(folder / "runs", study), 0)
    metadata = {"card": CARD.to_metadata(), "fingerprint": "f" * 64, "epoch": 10}
    checkpoint.save(directory, CHECKPOINT, {}, metadata)
    engine.dispose()
    return study


@pytest.mark.parametrize(
    "command",
    [
        ("resume", "digits"),
        ("verify", "digits"),
        ("sensitivity", "digits"),
        ("export", "digits", "0", "out.safetensors"),
    ],
    ids=lambda command: command[0],
)
def test_a_malicious_study_in_a_shared_database_is_refused(
    folder: Path, study: StudyRecord, command: tuple[str, ...]
) -> None:
    storage = ("--storage", "sqlite:///a.db")
    for almost in ((), ("--allow-code", "evil:other"), ("--allow-code", "evil")):
        refused = CliRunner().invoke(app, [*command, *storage, *almost])
        assert isinstance(refused.exception, CodeNotAllowedError)
        assert "--allow-code evil:network" in str(refused.exception)
        assert "\n" not in str(refused.exception)
    assert not (folder / "imported").exists()
    assert "evil" not in sys.modules
    allow = ("--allow-code", "evil:network", "--allow-code", "evil:sampler")
    allowed = CliRunner().invoke(app, [*command, *storage, *allow])
    assert "it ran" in str(allowed.exception)
    assert (folder / "imported").exists()


def test_the_study_file_of_the_same_study_is_its_users_word(
    folder: Path, study: StudyRecord
) -> None:
    (folder / "mine.yaml").write_text(
        "name: digits\nmodel: {name: 'evil:network'}\nspace: {kind: layerwise}\n"
        "search: {sampler: 'evil:sampler'}\n"
    )
    launched = CliRunner().invoke(app, ["launch", "mine.yaml", "--storage", "sqlite:///a.db"])
    assert "it ran" in str(launched.exception)


def test_all_code_that_a_study_names_is_known_by_its_key() -> None:
    spec = a_spec(data={"name": "d:set"}, model={"name": "a.b:net"}, search={"sampler": "c:make"})
    assert named_code(spec) == {
        "data.name": "d:set",
        "model.name": "a.b:net",
        "search.sampler": "c:make",
    }
    assert named_code(a_spec()) == {}


def test_each_name_must_be_allowed_word_for_word() -> None:
    spec = a_spec(model={"name": "a.b:net"}, search={"sampler": "c:make"})
    record = StudyRecord("digits", spec.content(), "", "", ("accuracy",), 1)
    assert stored_spec(record, ["a.b:net", "c:make"]) == spec
    with pytest.raises(
        CodeNotAllowedError, match=r"\(search.sampler: 'c:make'\).*add --allow-code c:make$"
    ):
        stored_spec(record, ["a.b:net", "C:make"])
