"""`make install` into an empty folder: what the unit names is there, and it runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.install import needs_tokenizers
from deploy.lock import entry_of
from tests.conftest import ROOT

pytestmark = pytest.mark.checkout
INSTALL = [sys.executable, str(ROOT / "deploy/install.py")]


@pytest.mark.slow
def test_what_the_unit_names_is_there_and_runs(bundle: Path, tmp_path: Path):
    """The program runs from its place without this checkout, the settings are read, the bundle verifies."""
    (tmp_path / "etc/edge-slm").mkdir(parents=True)
    kept = tmp_path / "etc/edge-slm/edge.toml"
    kept.write_text('device = "mine"\n')
    subprocess.run([*INSTALL, f"--root={tmp_path}", f"--bundle={bundle}"], check=True)
    unit = (tmp_path / "etc/systemd/system/edge.service").read_text()
    found = re.search(r"ExecStart=/(\S+) -m edge serve", unit)
    assert found
    python = tmp_path / found[1]
    environment = {**os.environ, "EDGE_CONFIG": str(kept)}
    run = {"cwd": "/", "env": environment, "capture_output": True, "text": True, "check": True}
    assert 'device = "mine"' in subprocess.run([python, "-m", "edge", "serve", "--print-config"], **run).stdout
    subprocess.run([python, "-m", "edge", "bundle", "verify", tmp_path / "srv/edge-slm/bundle"], **run)
    where = subprocess.run([python, "-c", "import edge; print(edge.__file__)"], **run).stdout
    assert where.startswith(str(tmp_path))


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path):
    """Before anything is installed."""
    done = subprocess.run(
        [*INSTALL, f"--root={tmp_path}/root", f"--bundle={tmp_path}"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "is not a bundle" in done.stderr
    assert not (tmp_path / "root").exists()


def test_a_bundle_that_needs_the_wheel_brings_it(tmp_path: Path):
    """By the manifest of the bundle that is given, or of the one that is there."""
    for told, needed in (('{"tokenizer": "tokenizers"}', True), ('{"tokenizer": "other"}', False), ("[]", False)):
        (tmp_path / "manifest.json").write_text(told)
        assert needs_tokenizers(tmp_path) is needed
    assert not needs_tokenizers(tmp_path / "nothing")


def test_the_wheel_is_locked_with_its_hashes():
    """The same version as everywhere, alone."""
    alone = (ROOT / "requirements/tokenizers.lock").read_text()
    assert alone == entry_of((ROOT / "requirements/test.lock").read_text(), "tokenizers")
    assert alone.startswith("tokenizers==")
    assert alone.count("--hash=sha256:") > 10
    assert [line for line in alone.splitlines() if line[0] != " "] == [alone.splitlines()[0]]
