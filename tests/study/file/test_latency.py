from pathlib import Path

import pytest

from mlgsearch.errors import StudyFileError
from mlgsearch.study.file.latency import LatencyRow, parse_latency, read_latency, write_latency
from mlgsearch.study.file.study_file import load_study_file, parse_study

HEAD = "layer,form,B_in,B_out,latency_ms\n"
ROWS = [
    LatencyRow("", "rest", 0, 0, 1.5, "torch"),
    LatencyRow("stem", "dense", 0, 0, 0.25, "torch"),
    LatencyRow("stem", "level2", 0, 8, -0.125, "torch"),
]
STUDY = "name: s\nspace: {kind: layerwise}\nlatency: t.csv\nlimits: {latency_ms: 2.0}\n"


def written(folder: Path, text: str) -> Path:
    (folder / "t.csv").write_text(text)
    return folder / "t.csv"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path, "".join(write_latency(ROWS)))
    assert parse_latency(read_latency(path)) == ROWS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no column layer"),
        (HEAD, "has no rows"),
        ("layer,form,B_in,B_out\n", "has no column latency_ms"),
        (f"{HEAD}stem,fast,0,0,1\n", "line 2: form is 'fast', expected one of rest, dense"),
        (f"{HEAD},dense,0,0,1\n", "line 2: layer is empty"),
        (f"{HEAD}stem,rest,0,0,1\n", "line 2: the form rest is of no layer"),
        (f"{HEAD}stem,dense,0,-1,1\n", "line 2: B_out is '-1', expected a whole number"),
        (f"{HEAD}stem,dense,0,0,nan\n", "line 2: latency_ms is 'nan', expected a finite number"),
        (f"{HEAD}stem,dense,0,0,\n", "line 2: latency_ms is ''"),
        (f"{HEAD}stem,level2,0,4,1\n", "layer 'stem' has no row of the form dense"),
        (f"{HEAD}stem,dense,0,0,1\nstem,dense,0,0,2\n", "has two rows of stem, dense, 0, 0"),
        (f"{HEAD[:-1]},runtime\nstem,dense,0,0,1,tvm\n", "line 2: runtime is 'tvm'"),
        (
            f"{HEAD[:-1]},runtime\n,rest,0,0,1,onnx\nstem,dense,0,0,1,torch\n",
            "names more than one runtime",
        ),
    ],
)
def test_mistakes_in_a_table(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(StudyFileError, match=said) as raised:
        read_latency(written(tmp_path, text))
    assert "\n" not in str(raised.value)


def test_a_study_holds_its_table_and_is_another_with_another_one(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(STUDY)
    with pytest.raises(StudyFileError, match=r"t.csv: no such file; `measure` writes"):
        load_study_file(tmp_path / "s.yaml")
    assert load_study_file(tmp_path / "s.yaml", reads_latency=False)[0].latency is not None
    text = "".join(write_latency(ROWS))
    written(tmp_path, text)
    spec, _ = load_study_file(tmp_path / "s.yaml")
    assert spec.latency is not None
    assert (spec.latency.file, spec.latency.table) == (str(tmp_path / "t.csv"), text)
    assert parse_study(spec.content(), "stored") == spec
    moved = spec.latency.model_copy(update={"file": "/elsewhere.csv"})
    assert spec.model_copy(update={"latency": moved}).content_hash() == spec.content_hash()
    written(tmp_path, text.replace("1.5", "1.6"))
    assert load_study_file(tmp_path / "s.yaml")[0].content_hash() != spec.content_hash()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"limits": {"latency_ms": 1}}, "limits: latency_ms is predicted by a table"),
        (
            {"search": {"objectives": ["accuracy", "latency_ms"]}},
            "search.objectives: latency_ms is predicted by a table, which latency must name",
        ),
        (
            {"search": {"stop": {"front_reaches": {"latency_ms": 3}}}},
            "search.stop.front_reaches: latency_ms is predicted",
        ),
    ],
)
def test_what_needs_a_table_asks_for_it(content: dict[str, object], said: str) -> None:
    with pytest.raises(StudyFileError, match=said):
        parse_study({"name": "s", "space": {"kind": "layerwise"}, **content}, "x.yaml")
