"""What keeps a checkpoint from becoming a bundle, each of which is to be said before the first matrix is rounded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np

from tests.conftest import ROOT

COMMAND = [sys.executable, "-m", "export"]
Harm = Callable[[Path], object]
"""What is done to a checkpoint's folder."""


@dataclass(frozen=True)
class Refusal:
    """How an export ended, and when. has_begun: whether a matrix of the real one was rounded before."""

    status: int
    said: str
    seconds: float
    has_begun: bool

    @property
    def is_a_sentence(self) -> bool:
        """Whether it is one that a person can read."""
        lines = [line for line in self.said.splitlines() if line.startswith("edge-export: ")]
        return self.status in (1, 2) and len(lines) == 1 and "Traceback" not in self.said


def change(file: Path, **values: object) -> None:
    """Keys of a JSON file, each as it is given; None removes it."""
    told = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({key: value for key, value in told.items() if value is not None}))


def config(**values: object) -> Harm:
    """Another config."""
    return lambda folder: change(folder / "config.json", **values)


def stops(ids: object) -> Harm:
    """Other tokens that end an answer."""
    return lambda folder: (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ids}))


def template(text: str) -> Harm:
    """Another chat template."""
    return lambda folder: (folder / "chat_template.jinja").write_text(text)


def poison(name: str, value: float, place: float = 0.5) -> Harm:
    """One value of a tensor, a share of it from its beginning on, in its file."""

    def harm(folder: Path) -> None:
        for file in folder.glob("*.safetensors"):
            with file.open("rb") as opened:
                size = int.from_bytes(opened.read(8), "little")
                header = json.loads(opened.read(size))
            if name not in header:
                continue
            kind = {"BF16": ml_dtypes.bfloat16, "F16": np.float16, "F32": np.float32}[header[name]["dtype"]]
            own(file)
            with file.open("r+b") as opened:
                start, stop = header[name]["data_offsets"]
                width = np.dtype(kind).itemsize
                opened.seek(8 + size + start + int((stop - start) / width * place) * width)
                opened.write(np.array([value], kind).tobytes())

    return harm


def own(file: Path) -> None:
    """A file of its own, where it may be another name of one that is to stay as it is."""
    copy = file.with_suffix(".copy")
    shutil.copy(file, copy)
    copy.replace(file)


def cut_off(folder: Path) -> None:
    """The end of the last shard is missing."""
    file = sorted(folder.glob("*.safetensors"))[-1]
    own(file)
    os.truncate(file, file.stat().st_size - 9)


NORM = "model.layers.{layer}.post_attention_layernorm.weight"
UP = "model.layers.{layer}.mlp.down_proj.weight"


def harms(layer: int, vocabulary: int) -> dict[str, Harm]:
    """By what it is, what harms a checkpoint. layer: one in its middle, which no rehearsal reads."""
    return {
        "a NaN in a norm": poison(NORM.format(layer=layer), np.nan),
        "an infinite weight at the end": poison(UP.format(layer=layer), -np.inf, 0.9999),
        "a last norm that makes no numbers": poison("model.norm.weight", 3e38),  # none but a rehearsal shows it
        "a shard that was cut off": cut_off,
        "a template that does not parse": template("{% for message in messages %}"),
        "a template that refuses": template("{{ raise_exception('only robots') }}"),
        "no tokenizer": lambda folder: (folder / "tokenizer.json").unlink(),
        "a tokenizer that is no JSON": lambda folder: (folder / "tokenizer.json").write_text("{"),
        "a tokenizer that is none": lambda folder: (folder / "tokenizer.json").write_text("{}"),
        "an end beyond the vocabulary": stops(vocabulary),
        "one of several ends beyond it": stops([1, vocabulary + 5]),
        "an end below zero": stops(-1),
        "an end that is a text": stops(["<eos>", 2]),
        "a beginning beyond it": config(bos_token_id=vocabulary),
        "a width that is not there": config(intermediate_size=81),
        "a layer that is not there": config(num_hidden_layers=layer + 999),
        "a context of nothing": config(max_position_embeddings=0),
        "an architecture that nobody knows": config(architectures=["ZebraForCausalLM"]),
        "no template": lambda folder: [
            (folder / "chat_template.jinja").unlink(missing_ok=True),
            change(folder / "tokenizer_config.json", chat_template=None),
        ],
    }


OPTIONS: dict[str, tuple[str, ...]] = {
    "a context of 0": ("--context=0",),
    "a name with a blank": ("--name=my model",),
    "a name that is too long": (f"--name={'x' * 65}",),
    "no calibration text": ("--calibration=nowhere.txt",),
    "a short evaluation text": ("--evaluation=short.txt",),
    "a text that is no text": ("--calibration=bytes.txt",),
    "no prompt to warm with": ("--warm=nowhere.txt",),
    "an empty prompt": ("--warm=empty.txt",),
    "a folder without pictures": ("--pictures=empty",),
    "no adapter": ("--adapter=empty",),
    "a cache that is a file": ("--cache=short.txt",),
    "a context beyond the model's": ("--context=999999999",),
    "a cache narrower than the bundle": ("--method=none", "--kv-cache=int8"),
}
"""By what it is, what no export can make anything of."""


def write_odds(folder: Path) -> None:
    """The files that those options name."""
    (folder / "short.txt").write_text("too short")
    (folder / "bytes.txt").write_bytes(b"\xff\xfe" * 2000)
    (folder / "empty.txt").touch()
    (folder / "empty").mkdir(exist_ok=True)


def export(source: Path, target: Path, *options: str) -> Refusal:
    """An export that is to be refused, from the folder above its source."""
    started = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*COMMAND, str(source), "-o", str(target), *options]
    done = subprocess.run(command, cwd=source.parent, env=environment, capture_output=True, text=True, check=False)
    said = done.stderr.replace("edge-export: error: ", "edge-export: ")
    has_begun = any(f"{stage}:" in said for stage in ("quantise", "write", "tower"))
    return Refusal(done.returncode, said, time.monotonic() - started, has_begun)
