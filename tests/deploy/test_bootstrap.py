"""Setup on a machine where something is missing: a sentence that says what and how to get it, and exit status 1."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture
def clone(tmp_path) -> Path:
    """What setup reads, in a folder without an environment."""
    for name in ("deploy", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def setup(clone: Path, *before: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run setup as `make demo` does."""
    command = [*before, sys.executable, str(clone / "deploy/bootstrap.py"), "demo"]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_without_the_venv_module(clone, tmp_path):
    """As on a bare Debian: the package to install, and nothing is begun."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without/ensurepip.py").write_text("raise ImportError")
    done = setup(clone, PYTHONPATH=str(tmp_path / "without"))
    assert done.returncode == 1
    assert "sudo apt install python3-venv" in done.stderr
    assert not (clone / ".venv").exists()


@pytest.mark.slow
def test_without_a_network(clone):
    """What pip says, then where a proxy or a mirror goes; a second run begins where this one ended."""
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}
    nowhere |= {"PIP_CONFIG_FILE": "/dev/null", "PIP_FIND_LINKS": ""}
    for _ in range(2):
        done = setup(clone, **nowhere)
        assert done.returncode == 1
        assert "PIP_PROXY" in done.stderr
        assert "Traceback" not in done.stderr


def test_with_a_full_disk(clone, tmp_path):
    """Both figures, before anything is downloaded."""
    if subprocess.run(["unshare", "--map-root-user", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this kernel lets nobody make a mount namespace, where the small disk would be")
    small = tmp_path / "small"
    small.mkdir()
    parts = " ".join(str(clone / name) for name in ("deploy", "requirements", "pyproject.toml"))
    script = f"mount -t tmpfs -o size=8m tmpfs {small} && cp -r {parts} {small} && exec "
    shell = ("unshare", "--map-root-user", "--mount", "sh", "-c", script + '"$@"', "sh")
    done = setup(small, *shell)
    assert done.returncode == 1
    assert "MB of disk free, but 1430 MB are needed" in done.stderr
