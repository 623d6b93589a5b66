"""A model from a hub: at a commit, checked, gone on with where it broke off, and not asked for again."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from export.errors import SourceError
from export.source.hub import parse
from tests.conftest import ROOT
from tests.export import hub, small_model

MODEL = f"{hub.NAME}@{hub.COMMIT}"


@pytest.fixture
def server(tmp_path) -> Iterator[hub.Hub]:
    """A hub with the small Llama."""
    folder = small_model.write_checkpoint(tmp_path / "served", small_model.llama_weights())
    with hub.serving(folder) as running:
        yield running


def run(server: hub.Hub | None, tmp_path: Path, model: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`edge-export` with a cache of its own; without a server nothing can be reached."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = {**kept, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment["HF_ENDPOINT"] = server.endpoint if server else "http://127.0.0.1:9"
    command = [sys.executable, "-m", "export", model, "-o", str(tmp_path / "bundle"), f"--cache={tmp_path / 'cache'}"]
    options = ("--method=rtn", "--context=64", "--allow-loss", *options)
    return subprocess.run([*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_commit_becomes_a_bundle_and_needs_no_hub_again(server, tmp_path):
    """The second time without a server; what is not needed was never asked for."""
    (server.folder / "pytorch_model.bin").write_bytes(b"pickled")
    done = run(server, tmp_path, MODEL)
    assert done.returncode == 0, done.stderr
    assert not [path for _, path, _ in server.asked if path.endswith(".bin")]
    shutil.rmtree(tmp_path / "bundle")
    again = run(None, tmp_path, MODEL)
    assert again.returncode == 0, again.stderr


def test_a_download_that_broke_off_goes_on(server, tmp_path):
    """The next run, or the next attempt of this one, asks for the rest alone (the client keeps pieces of 10 MB)."""
    save_file({"unused": np.zeros(6 << 20, np.float32)}, server.folder / "unused.safetensors")
    server.break_after = 15 << 20
    done = run(server, tmp_path, MODEL)
    if done.returncode:
        assert "goes on from there" in done.stderr
        done = run(server, tmp_path, MODEL)
    assert done.returncode == 0, done.stderr
    assert [asked for asked in server.asked if re.match(r"bytes=[1-9]\d{6,}-", asked[2] or "")]


def test_a_tampered_file_is_refused(server, tmp_path):
    """Both checksums, no bundle, and the file is gone, so that the next run fetches it again."""
    server.lies = b"not the weights"
    done = run(server, tmp_path, MODEL)
    assert done.returncode == 1
    assert "sha256" in done.stderr
    assert "its commit says" in done.stderr
    assert not (tmp_path / "bundle").exists()
    server.lies = None
    assert run(server, tmp_path, MODEL).returncode == 0


def test_an_estimate_fetches_no_weights(server, tmp_path):
    """`--dry-run` asks for the texts alone; with `--json`, which is for it alone, it tells programs."""
    done = run(server, tmp_path, MODEL, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "of memory" in done.stdout
    said = json.loads(run(server, tmp_path, MODEL, "--dry-run", "--json").stdout)
    assert (said["model"], said["is_here"], said["context_length"]) == (MODEL, False, 64)
    assert 0 < said["bundle_bytes"] < said["floor_bytes"] < said["memory_bytes"] < said["memory_available_bytes"]
    assert "--dry-run" in run(server, tmp_path, MODEL, "--json").stderr
    assert not [path for _, path, _ in server.asked if path.endswith(".safetensors")]


def test_a_hub_that_is_not_there_is_named(tmp_path):
    """A sentence and exit status 1."""
    done = run(None, tmp_path, MODEL)
    assert done.returncode == 1
    assert "cannot be downloaded" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("revision", ["main", "v1.0", "0123456", "0" * 41])
def test_only_a_commit_is_a_revision(revision):
    """A branch or a tag may say something else tomorrow."""
    with pytest.raises(SourceError, match="pin one"):
        parse(f"maker/small@{revision}")


def test_what_is_no_hub_name_is_something_else():
    """A path, a recipe."""
    assert parse("smollm2-135m") is None
    assert parse("some/folder") is None
