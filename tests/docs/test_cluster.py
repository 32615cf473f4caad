"""The page on clusters: what it shows is valid, and what it names exists."""

import re
from pathlib import Path

import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start

from mlgsearch.study.file import strict_yaml
from mlgsearch.study.file.study_file import parse_study

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cluster.md").read_text()
STUDY, CLUSTER, *_ = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_its_cluster_file_is_rays() -> None:
    config = yaml.safe_load(CLUSTER)
    validate_config(prepare_config(config))
    with pytest.raises(Exception, match="'max_worker' was unexpected"):
        validate_config(prepare_config({**config, "max_worker": 2}))


@pytest.mark.parametrize("line", sorted(set(re.findall(r"ray start (--[^\n\\&]*)", PAGE))))
def test_every_option_of_ray_start_is_rays(line: str) -> None:
    known = {option for parameter in start.params for option in parameter.opts}
    named = re.findall(r"--[\w-]+", line)
    assert named
    assert set(named) <= known, ray.__version__


def test_its_study_file_is_ours() -> None:
    content = strict_yaml.load(STUDY, "cluster.md")
    spec = parse_study({"name": "x", **content}, "cluster.md")
    assert spec.resources.gpu == 0.5
    assert spec.resources.artifact_path == "s3://my-bucket/mlgsearch"


def test_it_is_linked_from_the_readme() -> None:
    assert "(docs/cluster.md)" in (ROOT / "README.md").read_text()
