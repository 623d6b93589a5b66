"""open_bundle refuses what is not whole, and says which file and both figures."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.bundle import open_bundle
from edge.errors import BundleError
from edge.testing import scripted_manifest
from tests.conftest import EDGE


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A whole bundle of one small file."""
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"weights")
    entry = {"sha256": hashlib.sha256(b"weights").hexdigest(), "size_bytes": 7}
    manifest = scripted_manifest(memory_floor_bytes=500 << 20, files={"model.onnx": entry})
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return folder


def change(folder: Path, **fields) -> None:
    """Rewrite fields of the manifest."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_whole_one_opens(small):
    """And is named by the hash of its manifest."""
    assert len(open_bundle(small).digest) == 64


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda path: (path / "model.onnx").unlink(), r"model.onnx is missing \(expected 7 bytes\)"),
        (lambda path: (path / "model.onnx").write_bytes(b"w"), "has 1 bytes, but the manifest says 7"),
        (lambda path: (path / "model.onnx").write_bytes(b"Weights"), "has sha256 .* but the manifest says"),
        (lambda path: (path / "extra.bin").write_bytes(b""), "extra.bin is not in the manifest"),
        (lambda path: (path / "manifest.json").unlink(), "is not a bundle"),
        (lambda path: (path / "manifest.json").write_text("{"), "manifest.json"),
        (lambda path: change(path, schema_version=9), "schema version 9, but this daemon reads 1"),
        (lambda path: change(path, provider="cuda"), "provider cuda, but cpu is configured"),
        (lambda path: change(path, colour="red"), "colour"),
        (lambda path: change(path, files={"../x": {"sha256": "0" * 64, "size_bytes": 1}}), "outside the bundle"),
    ],
)
def test_a_harmed_one_is_refused(small, harm, says):
    """Each harm by its name."""
    harm(small)
    with pytest.raises(BundleError, match=says):
        open_bundle(small)


def test_one_that_does_not_fit_is_refused(small):
    """With what it needs and what there is."""
    with pytest.raises(BundleError, match="needs 500 MiB of free memory, but this board has 100 MiB"):
        open_bundle(small, memory_bytes=100 << 20)


def test_verify_on_the_command_line(bundle, tmp_path):
    """`edge bundle verify` ends with 0 for the real bundle and with 65 for an altered copy."""
    assert subprocess.run([*EDGE, "bundle", "verify", bundle], check=False, capture_output=True).returncode == 0
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    (copy / "genai_config.json").write_text("{}")
    done = subprocess.run([*EDGE, "bundle", "verify", copy], check=False, capture_output=True, text=True)
    assert done.returncode == 65
    assert "genai_config.json has 2 bytes" in done.stderr
