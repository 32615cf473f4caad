"""What somebody else wrote: study files, packed files, words on a command line.

Whatever is in them, the answer is a result or one of our errors. The examples are the same in every
run; ``MLGSEARCH_FUZZ=50`` tries fifty times as many, and others each time.
"""

import hashlib
import json
import os
import resource
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from mlgsearch.cli.app import app
from mlgsearch.errors import DataError, StudyFileError, UserError
from mlgsearch.study.file.study_file import load_study_file
from mlgsearch.train.files.packed_file import load_packed, to_bytes
from tests.cli.filled import Filled
from tests.train.files.test_packed_file import a_student

TIMES = int(os.environ.get("MLGSEARCH_FUZZ", "1"))
STUDIES = sorted((Path(__file__).parents[1] / "studies").glob("*.yaml"))
#: What reading any of these files may add to the process's memory at most, in MiB.
MOST_GROWTH = 300


def fuzz(examples: int) -> settings:
    return settings(
        derandomize=TIMES == 1,
        database=None,
        max_examples=examples * TIMES,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(autouse=True)
def _no_growth() -> Any:
    """Let no test here take much memory: the peak of the process stays near where it was."""
    before = _peak_mib()
    yield
    assert _peak_mib() - before < MOST_GROWTH


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**30, 1e308, 5e-324, -0.0]),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def _places(content: Any) -> list[tuple[Any, Any]]:
    """List every place in a tree of data: what holds it, and its key or index there."""
    children = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    return [place for key, child in children for place in [(content, key), *_places(child)]]


@st.composite
def study_files(draw: st.DrawFn) -> bytes:
    """Return one of our study files with some values or bytes replaced, or anything at all."""
    text = draw(st.sampled_from(STUDIES)).read_text()
    kind = draw(st.sampled_from(["values", "values", "characters", "anything"]))
    if kind == "values":
        content = yaml.safe_load(text)
        for _ in range(draw(st.integers(1, 3))):
            holder, key = draw(st.sampled_from(_places(content)))
            with suppress(KeyError, IndexError):  # what held it may be replaced itself
                holder[key] = draw(values)
        return yaml.safe_dump(content, allow_unicode=True).encode(errors="replace")
    if kind == "characters":
        at = draw(st.integers(0, len(text)))
        end = draw(st.integers(at, min(len(text), at + 30)))
        middle = draw(st.text(alphabet="ab:-[]{}&*!<>|'\"\\x09.#?%@,~ \n\t", max_size=20))
        return (text[:at] + middle + text[end:]).encode()
    return draw(st.binary(max_size=200))


@fuzz(150)
@given(content=study_files())
def test_any_study_file_is_read_or_refused_in_short_lines(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    refused = ""
    try:
        spec, _ = load_study_file(path)
    except StudyFileError as error:
        refused = str(error)
    else:
        assert json.loads(json.dumps(spec.content())) == spec.content()
    for line in refused.splitlines():
        assert line.startswith(f"{path}: ")
        assert len(line) < 1000


@pytest.fixture(scope="module")
def packed() -> tuple[dict[str, Any], bytes]:
    """Header and tensors of a packed file that is good."""
    torch.manual_seed(0)
    content = to_bytes(*a_student())
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length : -32]


texts = st.one_of(
    st.sampled_from(
        ["", "0", "-1", "65535", "9" * 19, "9" * 25, "1e5", "nan", "²", " 1", "x" * 999]
    ),
    st.integers().map(str),
    st.text(max_size=12),
    st.lists(st.integers(-2, 300), max_size=60).map(lambda n: ",".join(map(str, n))),
)


@fuzz(120)
@given(data=st.data())
def test_any_packed_file_is_opened_or_refused(
    tmp_path: Path, packed: tuple[dict[str, Any], bytes], data: st.DataObject
) -> None:
    """A forger's files: length and hash fit what is in the header."""
    good, tensors = packed
    header = json.loads(json.dumps(good))
    for _ in range(data.draw(st.integers(1, 3))):
        part = header[data.draw(st.sampled_from(sorted(header)))]
        if not isinstance(part, dict) or not part:
            continue
        key = data.draw(st.sampled_from(sorted(part)))
        is_text = isinstance(part[key], str)
        part[key] = data.draw(st.one_of(texts, values) if is_text else values)
    text = json.dumps(header, ensure_ascii=False).encode(errors="surrogatepass")
    text = text.ljust(-(-max(len(text), len(json.dumps(good))) // 8) * 8)
    kept = data.draw(st.one_of(st.just(len(tensors)), st.integers(0, len(tensors))))
    body = struct.pack("<Q", len(text)) + text + tensors[:kept]
    path = tmp_path / "x.safetensors"
    path.write_bytes(body + hashlib.sha256(body).digest())
    with suppress(DataError):
        load_packed(path)


#: Every command that takes words of its user's, with a place for one; none of them trains.
COMMANDS = [
    ("show", "WORD"),
    ("show", "digits [bold]", "WORD"),
    ("front", "WORD", "--format", "csv"),
    ("choose", "WORD", "--max-kb", "5"),
    ("choose", "digits [bold]", "--max-ratio", "WORD"),
    ("export", "WORD", "0", "out.safetensors"),
    ("export", "digits [bold]", "0", "WORD/out.safetensors"),
    ("resume", "WORD"),
    ("resume", "nobody", "--trials", "WORD"),
    ("verify", "nobody", "--trials", "WORD"),
    ("verify", "WORD"),
    ("sensitivity", "WORD"),
    ("delete", "WORD", "--yes"),
    ("launch", "WORD"),
    ("plan", "WORD"),
    ("evaluate", "WORD", "--data", "digits"),
    ("evaluate", "none.safetensors", "--data", "WORD"),
    ("evaluate", "none.safetensors", "--data", "digits", "--build", "WORD:x"),
    ("sizes", "WORD", "--classes", "10", "--setting", "2,8,3,6,3"),
    ("sizes", "resnet8", "--classes", "10", "--setting", "WORD"),
    ("sizes", "resnet8", "--classes", "WORD", "--setting", "2,8,3,6,3"),
    ("list", "--storage", "WORD"),
    ("list", "--storage", "postgresql://WORD@127.0.0.1:9/x"),
    ("list", "--storage", "sqlite:///WORD"),
]
words = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(["..", "../../etc/passwd", "a" * 5000, "%s{}", "\udcff", "[/bold]", "1e999"]),
    st.sampled_from(["-1", "0", "9" * 30, "1,2", ",", "@", "@/dev/null", "@.", "x:y", ".:y", ":"]),
)


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLGSEARCH_STORAGE", f"sqlite:///{tmp_path}/a.db")
    monkeypatch.setenv("MLGSEARCH_CACHE", str(tmp_path / "cache"))
    filled = Filled(tmp_path)
    yield filled
    filled.engine.dispose()


@fuzz(150)
@given(command=st.sampled_from(COMMANDS), word=words)
def test_any_words_on_the_command_line_are_answered(
    filled: Filled, command: tuple[str, ...], word: str
) -> None:
    arguments = [part.replace("WORD", word) for part in command]
    done = CliRunner().invoke(app, arguments)
    if isinstance(done.exception, UserError):
        assert str(done.exception)
    else:
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code in (0, 2)
