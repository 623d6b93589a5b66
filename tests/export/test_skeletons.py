"""The committed skeletons are what Optimum's trace gives today; needs the trace extra."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.trace
@pytest.mark.skipif(importlib.util.find_spec("optimum") is None, reason="the trace extra is not installed")
def test_a_new_trace_gives_the_same_skeletons():
    """Made again and compared, byte for byte."""
    subprocess.run([sys.executable, "-m", "export.trace", "--check"], cwd=ROOT, check=True)
