"""torch without its compiler: what is left of the stand-ins, and whether they are needed still."""

import subprocess
import sys
from pathlib import Path

import torch
from torch import nn
from torchvision.models import densenet121, mobilenet_v3_small, resnet18
from torchvision.ops import roi_align

from mlgsearch.train.light_torch import without_compiler


def run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_torchvision_still_imports_the_compiler_by_itself() -> None:
    """Where this fails, the stand-in for ``torch._dynamo.utils`` is no longer needed."""
    assert run("import sys, torchvision; print('torch._dynamo' in sys.modules)") == "True"


def test_torch_still_imports_the_compiler_for_shapes() -> None:
    """Where this fails, the stand-in for ``torch._dynamo`` is no longer needed."""
    script = "import sys, torch; torch.zeros(1, device='meta') + 1; "
    assert run(script + "print('torch._dynamo' in sys.modules)") == "True"


def test_no_stand_in_is_left_behind() -> None:
    script = """
import gc, sys
from types import FunctionType
import torch
from mlgsearch.train.light_torch import without_compiler
with without_compiler(), torch.device("meta"):
    torch.zeros(2) + 1
kept = [name for name in sys.modules if name.startswith("torch._dynamo")]
functions = [f for f in gc.get_objects() if isinstance(f, FunctionType)]
left = [f for f in functions if "__dynamo_disable" in vars(f)]
import torch._dynamo
print(kept, left, torch._dynamo.is_compiling(), hasattr(torch._dynamo, "optimize"))
"""
    assert run(script) == "[] [] False True"


def test_whoever_wants_more_of_the_compiler_gets_it() -> None:
    script = """
import torch
from mlgsearch.train.light_torch import without_compiler
with without_compiler(), torch.device("meta"):
    import torch._dynamo.config
    from torch._dynamo.utils import counters
print(torch._dynamo.__file__ is not None, type(counters).__name__)
"""
    assert run(script) == "True defaultdict"


def test_an_operator_of_torchvision_works_afterwards() -> None:
    pooled = roi_align(torch.ones(1, 1, 8, 8), [torch.tensor([[0.0, 0, 4, 4]])], output_size=2)
    assert torch.equal(pooled, torch.ones(1, 1, 2, 2))


def test_shapes_are_those_of_the_network_with_memory() -> None:
    for build in (resnet18, densenet121, mobilenet_v3_small):
        with without_compiler(), torch.device("meta"):
            network: nn.Module = build(num_classes=10)
            out = network(torch.zeros(2, 3, 64, 64))
        real = build(num_classes=10)
        assert out.is_meta
        assert out.shape == (2, 10)
        shapes = {name: (t.shape, t.dtype) for name, t in network.state_dict().items()}
        assert shapes == {name: (t.shape, t.dtype) for name, t in real.state_dict().items()}


def test_nothing_that_trains_imports_the_compiler(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
import torch
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.study.file.study_file import parse_study
from mlgsearch.study.space.packed_sizes import PackedSizes
from mlgsearch.train.student.student import StudentTraining
from mlgsearch.train.student.trial import TrialJob
from mlgsearch.train.teacher.prepared import prepare
content = {{"name": "x", "data": {{"limit": 300}}, "model": {{"width": 4}}}}
content |= {{"training": {{"epochs": 1}}, "teacher": {{"training": {{"epochs": 1}}}}}}
spec = parse_study(content, "x").train_spec()
folder = Path({str(tmp_path)!r})
looked_at = []
prepared = prepare(
    spec, folder, epochs=1, device=torch.device("cpu"), look_at=lambda *it: looked_at.append(it)
)
shape, images = looked_at[0]
PackedSizes(spec, images.classes, images.input_shape).activations
job = TrialJob(uniform_settings(shape, (1, 4, 4, 4, 4)), spec)
training = StudentTraining(prepared, job, folder / "trial")
training.run_epoch()
again = StudentTraining(prepared, job, folder / "trial", resumes=True)
print(training.is_done, again.epochs_done, "torch._dynamo" in sys.modules)
"""
    assert run(script) == "True 1 False"
