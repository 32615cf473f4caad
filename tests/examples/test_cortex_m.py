"""The exported C program on a Cortex-M4 and an M7, as QEMU runs them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from examples import cortex_m
from mlgsearch.train.files.c.c_folder import write_c
from tests.train.files.c.test_c_folder import own
from tests.train.files.onnx.test_onnx_file import a_student

MISSING = [tool for tool in cortex_m.TOOLS if shutil.which(tool) is None]

needs_tools = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@needs_tools
@torch.no_grad()
@pytest.mark.parametrize("cpu", list(cortex_m.BOARDS))
def test_it_gives_the_students_logits_and_says_what_it_took(cpu: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, card = a_student(own("resnet8", 8, 1, 8)(), (1, 8, 8), in_bits=8)
    write_c(tmp_path, network, card)
    image = torch.randn(1, 1, 8, 8)
    found = cortex_m.run(tmp_path, image.flatten().tolist(), cpu)
    np.testing.assert_allclose(found.logits, network(image)[0].numpy(), atol=1e-4)
    header = (tmp_path / "student.h").read_text()
    floats = [int(number) for number in re.findall(r"#define (?:SCRATCH|ARENA) (\d+)", header)]
    assert found.ram == 4 * sum(floats)
    assert 5_000 < found.flash < found.firmware_flash < 20_000
    assert 400_000 < found.instructions < 4_000_000


@needs_tools
def test_the_command_prints_the_figures(tmp_path: Path) -> None:
    torch.manual_seed(0)
    write_c(tmp_path, *a_student(own("resnet8", 4, 1, 8)(), (1, 8, 8)))
    done = subprocess.run(
        [sys.executable, cortex_m.__file__, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^one image: [\d,]+ instructions$", done.stdout, re.MULTILINE)


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="arm-none-eabi-gcc is not installed"):
        cortex_m.run(tmp_path, [0.0])


#: A network of one million rounds of two instructions.
LOOP = r"""
static float image[1], logits[1] = {1};
float *mlg_input(void) { return image; }
const float *mlg_run(void) {
    __asm__ volatile("ldr r0, =1000000\n1: subs r0, r0, #1\nbne 1b" ::: "r0", "cc");
    return logits;
}
"""


@needs_tools
@pytest.mark.parametrize("cpu", list(cortex_m.BOARDS))
def test_instructions_are_counted(cpu: str, tmp_path: Path) -> None:
    (tmp_path / "mlg.c").write_text(LOOP)
    (tmp_path / "student.h").write_text("#define CLASSES 1\n")
    found = cortex_m.run(tmp_path, [0.0], cpu)
    assert found.logits == [1.0]
    assert 2_000_000 <= found.instructions <= 2_000_200
