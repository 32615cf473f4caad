import platform
import resource

import pytest

from mlgsearch.train.device import give_back_freed_memory
from tests.fresh_process import printed

PROGRAM = """
import resource, sys
from pathlib import Path
from mlgsearch.train.device import give_back_freed_memory, keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

def faults(act):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    act()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def work():
    blocks = [bytearray(b"x") * 2**26 for _ in range(2)]

work()
usual = faults(work)
assert keep_freed_memory()
work()
kept = faults(work)
held = resident()
give_back_freed_memory()
print(usual, kept, held - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc only")
def test_freed_memory_is_used_again_and_given_back_when_asked() -> None:
    usual, kept, given = map(int, printed(PROGRAM).split())
    pages = 2**27 // resource.getpagesize()
    assert usual >= pages
    assert kept < pages / 10
    assert given > 2**26


def test_giving_back_is_harmless_anywhere() -> None:
    give_back_freed_memory()
