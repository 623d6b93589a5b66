"""A checkpoint's logits twice: by Transformers' own forward pass, and by the float bundle that the export makes."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from edge.bundle import read_manifest
from edge.engine.graph.io_binding import LOGITS_FROM, MORE_LOGITS
from export.errors import UnsupportedError
from export.pipeline import export_bundle
from export.recipe import Recipe
from export.source import Source

TOLERANCE = 2e-4
"""The largest difference of two logits, as a share of the largest logit: what float32 leaves."""
FLOAT = Recipe(licence="none", method="none", context_length=128, prompts=(), evaluation_tokens=0)


def float_bundle(source: Source, target: Path, recipe: Recipe = FLOAT) -> Path:
    """The fused graph with the source's own weights in float32; of the context that a first refusal names, if any."""
    try:
        return export_bundle(source, recipe, target, False, lambda *_: None).path
    except UnsupportedError as error:
        if not (exact := re.search(r"exact up to (\d+)", str(error))):
            raise
        smaller = recipe.model_copy(update={"context_length": int(exact[1])})
        return export_bundle(source, smaller, target, False, lambda *_: None).path


def bundle_logits(bundle: Path, tokens: list[int]) -> np.ndarray:
    """A bundle's logits float32 `[tokens, vocabulary]` for a text with nothing before it."""
    run = onnxruntime.InferenceSession(bundle / "model.onnx", providers=["CPUExecutionProvider"])
    kinds = {"tensor(float)": np.float32, "tensor(int8)": np.int8}
    feed = {
        each.name: np.zeros((1, each.shape[1], 0, each.shape[3]), kinds[each.type])
        for each in run.get_inputs()
        if each.name.startswith("past")
    }
    feed |= {"input_ids": np.array([tokens]), "attention_mask": np.ones((1, len(tokens)), np.int64)}
    return run.run([MORE_LOGITS], feed | {LOGITS_FROM: np.array([0])})[0][0]


def their_logits(model: Any, tokens: list[int]) -> np.ndarray:
    """Transformers' logits float32 `[tokens, vocabulary]`."""
    import torch

    with torch.no_grad():
        found: np.ndarray = model(torch.tensor([tokens]), use_cache=False).logits[0].numpy()
    return found


def texts(vocabulary: int, *lengths: int) -> list[list[int]]:
    """Seeded random tokens, a text of each length."""
    chance = np.random.default_rng(3)
    return [[int(token) for token in chance.integers(0, vocabulary, length)] for length in lengths]


def differences(bundle: Path, model: Any, *lengths: int) -> list[float]:
    """For each length that the bundle reads, the largest difference of two logits as a share of the largest one."""
    manifest = read_manifest(bundle)
    read = [length for length in lengths if length <= manifest.context_length]
    pairs = ((bundle_logits(bundle, text), their_logits(model, text)) for text in texts(manifest.vocab_size, *read))
    return [float(np.abs(ours - theirs).max() / np.abs(theirs).max()) for ours, theirs in pairs]


@contextmanager
def quiet() -> Iterator[None]:
    """Transformers says on standard error what it makes of a checkpoint; these tests look at what it made."""
    import transformers

    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings(), Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        warnings.simplefilter("ignore")
        yield


def is_five() -> bool:
    """Whether Transformers is the fifth."""
    return transformers_version() == "transformers 5"


def transformers_version() -> str:
    """The one that is installed, as `held_to` spells it."""
    import transformers

    major, minor, _ = transformers.__version__.split(".", 2)
    return f"transformers {major}" if int(major) >= 5 else f"transformers {major}.{minor}"
