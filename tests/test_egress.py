"""Offline is a promise: no file outside what the operator named, no call to anyone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from benchmarks import egress
from tests.conftest import free_port

pytestmark = pytest.mark.skipif(
    not os.environ.get("CI") and (os.geteuid() != 0 or shutil.which("strace") is None),
    reason="needs root and strace: sudo apt install strace",
)


def test_nothing_is_written_and_nobody_is_called(bundle, tmp_path):
    """Broker, daemon and client answer a question in an empty network namespace; `make figures` waits a minute more."""
    port = free_port()
    assert egress.observe(tmp_path, egress.serve_and_ask(bundle, port, 3), port) == ([], [])


def test_the_check_sees_what_it_is_for(tmp_path):
    """The runtime imported without our switch leaves files under HOME, and a call is seen as a call."""
    call = "import onnxruntime, socket; socket.socket(2, 2).connect(('127.0.0.1', 9))"
    files, calls = egress.observe(tmp_path, f'"{sys.executable}" -c "{call}"', 1)
    assert files
    assert calls


def test_the_export_is_silent_too(tmp_path):
    """Its runtime is imported behind the same switch."""
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", "import export.pipeline"], env=environment, check=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
