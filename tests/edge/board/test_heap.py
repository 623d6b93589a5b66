"""The heap, off the C library's own account of it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, threading
from edge.board import heap
if sys.argv[1] == "one":
    heap.one_for_all_threads()
barrier = threading.Barrier(4)
def work():
    barrier.wait()
    kept = [bytearray(4000) for _ in range(100)]
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
[each.start() for each in threads], [each.join() for each in threads]
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has one heap, or none of these calls")
def test_threads_share_one_heap():
    """Four that allocate side by side make more than one without, and none of their own with it."""

    def arenas(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
        return done.stderr.count("Arena ")

    assert (arenas("one"), arenas("many") > 1) == (1, True)
