"""The page of the C program: the run that it shows, and what it says of a firmware."""

import re
import subprocess
from pathlib import Path

import numpy as np

from mlgsearch.train.files.c.c_folder import c_files
from mlgsearch.train.files.packed_file import load_packed, read_packed
from tests.docs.test_packed import EXAMPLE, ramp
from tests.train.files.c.test_c_folder import compiled

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "c.md").read_text()
#: A number at the end of the line that differs from run to run.
TIME = re.compile(r"[\d.]+ ms per image$")


def test_the_run_on_the_page_is_what_the_program_prints(tmp_path: Path) -> None:
    card, tensors = read_packed(EXAMPLE)
    for name, content in c_files(load_packed(EXAMPLE), card, tensors).items():
        (tmp_path / name).write_bytes(content)
    program = compiled(tmp_path, ["-O2", "-std=c99"])
    pixels = ramp().numpy().astype(np.uint8).tobytes()
    done = subprocess.run([program, "-t"], input=pixels, capture_output=True, check=True)
    found = re.search(r"^\$ \./student -t < ramp\.u8\n(.*)\n(.*)\n```$", PAGE, re.MULTILINE)
    assert found is not None
    written, printed = found[1].split(), done.stdout.decode().split()
    assert len(written) == len(printed) == card.classes
    np.testing.assert_allclose(np.array(written, float), np.array(printed, float), atol=1e-6)
    assert TIME.search(found[2])
    assert TIME.sub("", found[2]) == TIME.sub("", done.stderr.decode().rstrip())


def test_what_the_page_names_is_there() -> None:
    for name in re.findall(r"examples/[\w./]+", PAGE):
        assert (ROOT / name).exists(), name
