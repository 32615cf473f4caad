"""What a study's page says first, without a browser."""

from pathlib import Path

from dashboard.pages.study.state_line import origin
from mlgsearch.study.file.strict_yaml import load
from mlgsearch.study.file.study_file import parse_study
from tests.results.samples import a_study

_FILE = Path(__file__).parents[3] / "studies" / "digits.yaml"


def test_a_real_file_says_all_that_a_study_is() -> None:
    content = parse_study(load(_FILE.read_text(), _FILE.name), _FILE.name).content()
    record = a_study(content=content)
    title, facts, source = origin(record).children
    assert title.children == "What this study is"
    said = {div.children[0].children: div.children[1].children for div in facts.children}
    assert said == {
        "model": "resnet8",
        "data": "digits",
        "space": "allocation",
        "sampler": "tpe",
        "seed": "0",
        "epochs per trial": "10",
    }
    assert source.children == record.source
