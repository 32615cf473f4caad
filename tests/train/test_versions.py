import platform

import torch

from mlgsearch.train.versions import library_versions


def test_names_what_a_result_depends_on() -> None:
    versions = library_versions()
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == str(torch.__version__).split("+")[0] or torch.__version__
    assert {"mlgsearch", "torchvision", "optuna", "ray"} <= versions.keys()
    versions.clear()
    assert library_versions()
