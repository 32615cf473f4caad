import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlgsearch.errors import DataError, UserError
from mlgsearch.paths import (
    cache_directory,
    make_private,
    runs_directory,
    study_directory,
    trial_directory,
)
from mlgsearch.records import StudyRecord
from mlgsearch.writable_place import check_place
from tests.results.samples import a_study

MOMENT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLGSEARCH_CACHE", "MLGSEARCH_RUNS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")


def test_the_cache_is_where_caches_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_directory() == Path("/home/somebody/.cache/mlgsearch")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_directory() == Path("/home/somebody/.cache/mlgsearch")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert cache_directory() == Path("/var/cache/mlgsearch")
    monkeypatch.setenv("MLGSEARCH_CACHE", "~/mine")
    assert cache_directory() == Path("/home/somebody/mine")


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLGSEARCH_CACHE", "")
    monkeypatch.setenv("MLGSEARCH_RUNS", "")
    assert cache_directory() == Path("/home/somebody/.cache/mlgsearch")
    assert runs_directory("sqlite:////data/a.db") == Path("/data/a.db.runs")


def test_runs_lie_beside_an_sqlite_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert runs_directory("sqlite:////data/a.db") == Path("/data/a.db.runs")
    assert runs_directory("sqlite:///a.db") == tmp_path / "a.db.runs"
    assert runs_directory("sqlite+pysqlite:///a.db") == tmp_path / "a.db.runs"
    assert runs_directory("postgresql://u:secret@host/db") == tmp_path / "mlgsearch-runs"
    monkeypatch.setenv("MLGSEARCH_RUNS", "elsewhere")
    assert runs_directory("sqlite:///a.db") == tmp_path / "elsewhere"


def test_a_study_has_a_folder_of_its_own() -> None:
    study = a_study("digits", created_at=MOMENT)
    folder = study_directory(Path("/runs"), study)
    assert folder.parent == Path("/runs")
    assert folder.name.startswith("digits-")
    assert folder == study_directory(Path("/runs"), study)
    assert trial_directory(folder, 7) == folder / "000007"


def test_a_study_made_anew_and_one_of_a_like_name_get_other_folders() -> None:
    studies = [
        a_study("a/b", created_at=MOMENT),
        a_study("a/b", created_at=MOMENT + timedelta(microseconds=1)),
        a_study("a-b", created_at=MOMENT),
        a_study("a b", created_at=MOMENT),
    ]
    assert len({study_directory(Path("/runs"), study) for study in studies}) == 4


@pytest.mark.parametrize("name", ["..", "../../etc", "Größe", "%2e%2e", "x" * 128, "CON", "-rf"])
def test_a_folders_name_is_safe_whatever_the_studys_is(name: str) -> None:
    record: StudyRecord = a_study(name, created_at=MOMENT)
    folder = study_directory(Path("/runs"), record)
    assert folder.parent == Path("/runs")
    assert folder.name.isascii()
    assert not folder.name.startswith((".", "-"))
    assert len(folder.name) < 60


@pytest.mark.parametrize("number", [0, 10**9, -1])
def test_a_trials_folder_lies_in_its_studys(number: int, tmp_path: Path) -> None:
    assert trial_directory(tmp_path, number).parent == tmp_path


def test_a_link_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    record = a_study(created_at=MOMENT)
    runs, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    study = study_directory(runs, record)
    study.mkdir(parents=True)
    elsewhere.mkdir()
    (study / "000000").symlink_to(elsewhere)
    (study / "000001").symlink_to("000002")
    with pytest.raises(DataError, match=r"000000 is a link that leads out of .* MLGSEARCH_RUNS"):
        trial_directory(study, 0)
    assert trial_directory(study, 1) == study / "000001"
    study.rename(elsewhere / "moved")
    study.symlink_to(elsewhere / "moved")
    with pytest.raises(DataError, match="is a link that leads out of"):
        study_directory(runs, record)


def test_the_place_of_all_runs_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to("disk")
    make_private(study_directory(tmp_path / "runs", a_study(created_at=MOMENT)))
    assert len(list((tmp_path / "disk").iterdir())) == 1


def test_folders_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    directory = tmp_path / "runs" / "study" / "000000"
    make_private(directory)
    make_private(directory)
    modes = [folder.stat().st_mode & 0o777 for folder in (tmp_path, *_below(directory, tmp_path))]
    assert modes == [0o755, 0o700, 0o700, 0o700]


def _below(directory: Path, root: Path) -> list[Path]:
    return [directory, *[p for p in directory.parents if p.is_relative_to(root) and p != root]]


def test_a_place_that_cannot_be_made_is_told_with_its_variable(tmp_path: Path) -> None:
    check_place(tmp_path / "a" / "b", "MLGSEARCH_RUNS")
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is no folder; let MLGSEARCH_RUNS name another"):
        check_place(tmp_path / "file" / "b", "MLGSEARCH_RUNS")
    with pytest.raises(UserError, match="/proc cannot be written; let MLGSEARCH_CACHE name"):
        check_place(Path("/proc/x"), "MLGSEARCH_CACHE")


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLGSEARCH_CACHE", "~no-such-user-at-all/x")
    with pytest.raises(UserError, match="has no home; let MLGSEARCH_CACHE name a folder in full"):
        cache_directory()


#: Nobody here.
STRANGER = 54_321


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("kind", ["folder", "link of theirs", "link to theirs"])
def test_runs_of_somebody_else_are_refused(tmp_path: Path, kind: str) -> None:
    runs, theirs = tmp_path / "a.db.runs", tmp_path / "theirs"
    theirs.mkdir()
    match kind:
        case "folder":
            theirs.rename(runs)
            os.chown(runs, STRANGER, STRANGER)
        case "link of theirs":
            runs.symlink_to(theirs)
            os.chown(runs, STRANGER, STRANGER, follow_symlinks=False)
        case "link to theirs":
            os.chown(theirs, STRANGER, STRANGER)
            runs.symlink_to(theirs)
    with pytest.raises(UserError, match=f"another user of this machine .uid {STRANGER}"):
        runs_directory(f"sqlite:///{tmp_path}/a.db")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_runs_of_whoever_owns_the_folder_around_are_taken(tmp_path: Path) -> None:
    """As where a container's root works in a folder of the machine's user."""
    runs = tmp_path / "a.db.runs"
    runs.mkdir()
    for folder in (tmp_path, runs):
        os.chown(folder, STRANGER, STRANGER)
    assert runs_directory(f"sqlite:///{tmp_path}/a.db") == runs


def test_a_link_of_ones_own_is_taken(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a.db.runs").symlink_to(tmp_path / "elsewhere")
    assert runs_directory(f"sqlite:///{tmp_path}/a.db") == tmp_path / "a.db.runs"
