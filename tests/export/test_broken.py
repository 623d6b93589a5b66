"""Twelve kinds of broken input: each ends with one clear sentence, exit status 1 (or 130), and nothing left behind."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.conftest import ROOT
from tests.export import hub, small_model

COMMAND = [sys.executable, "-m", "export"]
OPTIONS = ["--method=rtn", "--context=64", "--allow-loss"]
NORM = "model.layers.0.input_layernorm.weight"
UP = "model.layers.0.mlp.up_proj.weight"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The small Llama."""
    return small_model.write_checkpoint(tmp_path / "source", small_model.llama_weights())


def left(folder: Path) -> list[str]:
    """What is in the output's folder, hidden or not."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def refused(source: Path | str, out: Path, says: str, prefix: list[str] | None = None, **environment: str) -> None:
    """The export says one sentence with these words in it, ends with 1, and leaves nothing."""
    command = [*(prefix or []), *COMMAND, str(source), "-o", str(out / "bundle"), *OPTIONS]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    sentences = [line for line in done.stderr.splitlines() if line.startswith("edge-export:")]
    assert done.returncode == 1, done.stderr
    assert len(sentences) == 1, done.stderr
    assert says in sentences[0]
    assert "Traceback" not in done.stderr
    assert left(out) == []


def change(folder: Path, name: str, made) -> None:
    """Put another tensor in a shard."""
    for file in folder.glob("*.safetensors"):
        tensors = load_file(file)
        if name in tensors:
            save_file(tensors | {name: made(tensors[name])}, file)


def config(folder: Path, **values) -> None:
    """Change the config."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_1_a_missing_shard(source, tmp_path):
    """Its file is named."""
    (source / "model-2.safetensors").unlink()
    refused(source, tmp_path / "out", "model-2.safetensors is missing or damaged")


def test_2_a_truncated_shard(source, tmp_path):
    """Likewise."""
    path = source / "model-1.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    refused(source, tmp_path / "out", "model-1.safetensors is missing or damaged")


def test_3_a_wrong_type(source, tmp_path):
    """Integers where there should be floats."""
    change(source, UP, lambda value: value.astype(np.int8))
    refused(source, tmp_path / "out", f"{UP} is stored as I8")


def test_4_a_weight_that_is_no_number(source, tmp_path):
    """The tensor is named."""
    change(source, NORM, lambda value: np.where(np.arange(len(value)) == 3, np.nan, value).astype(np.float32))
    refused(source, tmp_path / "out", f"{NORM} has values that are not finite")


def test_5_a_config_that_lies(source, tmp_path):
    """Both shapes, before anything is rounded."""
    config(source, intermediate_size=81)
    refused(source, tmp_path / "out", "is [80, 64], but by the config")


def test_6_an_unknown_architecture(source, tmp_path):
    """What was found, and what is known."""
    config(source, architectures=["ZebraForCausalLM"])
    refused(source, tmp_path / "out", "no family exports the architecture 'ZebraForCausalLM'; known are")


def test_7_a_block_that_is_not_read(tmp_path):
    """A GGUF tensor of a type without floats; its name and type."""
    path = tmp_path / "small.gguf"
    small_model.write_gguf(path, small_model.llama_weights(), gguf.GGMLQuantizationType.Q8_0)
    data = bytearray(path.read_bytes())
    name = b"blk.0.attn_v.weight"
    place = (
        data.index(name) + len(name) + 4 + 2 * 8
    )  # after the name: the number of dimensions, the dimensions, the type
    assert data[place] == gguf.GGMLQuantizationType.Q8_0
    data[place] = gguf.GGMLQuantizationType.I8
    path.write_bytes(bytes(data))
    refused(path, tmp_path / "out", "is stored as I8, which is not read")


def test_8_no_tokenizer(source, tmp_path):
    """The file that is missing."""
    (source / "tokenizer.json").unlink()
    refused(source, tmp_path / "out", "has no tokenizer.json")


def in_mount(folder: Path, options: str) -> list[str]:
    """What a command begins with to have a file system of its own at a folder."""
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("needs root and unshare, to mount a small disk")
    folder.mkdir()
    script = f'mount -t tmpfs -o {options} tmpfs "$0" && shift 0 && exec "$@"'
    return ["unshare", "-m", "sh", "-c", script, str(folder)]


@pytest.mark.parametrize(("size", "says"), [("16k", "MiB of disk are free"), ("80k", "No space left on device")])
def test_9_no_disk(source, tmp_path, size, says):
    """Too little to begin with is said before anything is written; a disk that fills up on the way ends it cleanly."""
    refused(source, tmp_path / "out", says, in_mount(tmp_path / "out", f"size={size}"))


def test_10_a_target_that_cannot_be_written(source, tmp_path):
    """A file system that is read-only."""
    refused(source, tmp_path / "out", "Read-only file system", in_mount(tmp_path / "out", "ro"))


@pytest.mark.slow
def test_11_ctrl_c_at_random_moments(tmp_path):
    """Wherever it is: exit status 130 and one sentence, and neither the bundle nor a part of it."""
    weights = small_model.llama_weights()
    many = {k.replace("layers.1", f"layers.{i}"): v for i in range(2, 12) for k, v in weights.items()}
    source = small_model.write_checkpoint(tmp_path / "source", weights | many, num_hidden_layers=12)
    command = [*COMMAND, str(source), "-o", str(tmp_path / "out/bundle"), *OPTIONS]
    started = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    whole = time.monotonic() - started
    shutil.rmtree(tmp_path / "out")
    chance, interrupted = random.Random(0), 0
    while interrupted < 5:
        running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(chance.uniform(0.15, 0.9) * whole)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
        if running.returncode == 0:  # the machine was less busy than before, and it had ended
            shutil.rmtree(tmp_path / "out")
            continue
        interrupted += 1
        assert running.returncode == 130, said
        assert "Traceback" not in said, said
        assert left(tmp_path / "out") == []


def test_12_a_tampered_revision(source, tmp_path):
    """A hub whose file is not the one that the commit names."""
    with hub.serving(source) as server:
        server.lies = b"not the weights"
        environment = {"HF_ENDPOINT": server.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        environment["EDGE_CACHE"] = str(tmp_path / "cache")
        refused(f"{hub.NAME}@{hub.COMMIT}", tmp_path / "out", "but its commit says", **environment)
