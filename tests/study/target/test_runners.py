import shlex
import sys
from functools import cache

import numpy as np
import onnxruntime
import pytest
import torch

from mlgsearch.errors import UserError
from mlgsearch.mlg.running.factored_layers import MlgConv2d
from mlgsearch.mlg.running.generation import keep_generated
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.study.target.runners import CommandRunner, OnnxFiles, TorchRunner, runner_of
from mlgsearch.study.target.students import Students
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import ModelSpec, QuantisationSpec


@cache
def students(in_bits: int = 32) -> Students:
    spec = ModelSpec(width=8)
    network = build_model(spec, classes=10, channels=1, image_size=(8, 8))
    quantisation = QuantisationSpec.model_validate({"in_bits": in_bits})
    return Students(spec, network, 10, (1, 8, 8), quantisation)


def settings(base_out: int) -> dict[str, LayerSetting]:
    return {
        name: LayerSetting(0, base_out, 8, 0, 1).canonical(layer)
        for name, layer in students().shape.layers.items()
    }


def command(code: str) -> CommandRunner:
    return CommandRunner(students(), f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}")


def test_torch_computes_students_of_these_settings() -> None:
    run = TorchRunner(students()).prepare(settings(4))
    assert 0 < min(run(), run()) < 10_000
    network = students(in_bits=8).student(settings(4))
    keep_generated(network)
    with torch.inference_mode():
        assert torch.isfinite(network(torch.rand(1, 1, 8, 8))).all()
    quantisers = [m.input_quantiser for m in network.modules() if isinstance(m, MlgConv2d)]
    assert quantisers
    assert all(quantiser is not None and quantiser.scale > 0 for quantiser in quantisers)


def test_onnx_files_of_one_trace_are_each_students_own() -> None:
    files = OnnxFiles(students())
    image = torch.rand(1, 1, 8, 8)
    for base_out in (4, 6):
        torch.manual_seed(base_out)
        content = files.content(settings(base_out))
        torch.manual_seed(base_out)
        with torch.inference_mode():
            expected = students().student(settings(base_out))(image).numpy()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        (found,) = session.run(["logits"], {"images": image.numpy()})
        assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()
    assert runner_of("onnxruntime", students()).runtime == "onnx"


def test_a_command_gets_a_file_and_its_last_line_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnnxFiles, "content", lambda self, settings: b"12345")
    code = "import os, sys; print('runs'); print(os.path.getsize(sys.argv[1]) / 2)"
    assert command(code).prepare({})() == 2.5


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('fast')", "the last line it printed is 'fast', expected milliseconds"),
        ("pass", "the last line it printed is '', expected milliseconds"),
        ("print(-1)", "the last line it printed is '-1'"),
        ("print('nan')", "the last line it printed is 'nan'"),
        ("import sys; sys.exit('no board')", "ended with exit code 1: no board"),
    ],
)
def test_what_a_command_does_wrong(monkeypatch: pytest.MonkeyPatch, code: str, said: str) -> None:
    monkeypatch.setattr(OnnxFiles, "content", lambda self, settings: b"12345")
    with pytest.raises(UserError, match=said) as raised:
        command(code).prepare({})()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [("", "--on: is empty"), ("run 'x", "No closing quotation")],
)
def test_what_is_no_command(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        runner_of(name, students())


def test_a_command_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnnxFiles, "content", lambda self, settings: b"12345")
    with pytest.raises(UserError, match="--on: /no/such: cannot be run: No such file"):
        CommandRunner(students(), "/no/such").prepare({})()
