"""Phi-3.5-MoE's GGUF files: the folder that they were made of, and what they do not say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from export.errors import ExportError, UnsupportedError
from export.families import family_of_config
from export.families.base import Dimensions
from export.plan import make_plan
from export.recipe import recipes
from export.source import open_source
from export.source.gguf.mixture import STACKED
from export.source.gguf.names import LAYER, LONG, OUTSIDE, SHORT
from tests.export import gguf_files, small_moe

CONFIG, SCALING = small_moe.CONFIG, small_moe.CONFIG["rope_scaling"]
RECKONED = math.sqrt(1 + math.log(32) / math.log(4096))
"""What llama.cpp's converter writes for factors of long rope from 4,096 tokens to 131,072."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The small checkpoint."""
    return small_moe.make(tmp_path_factory.mktemp("mixture") / "hub")


def gguf_file(path: Path, weights: dict[str, np.ndarray], **more: Any) -> Path:
    """A checkpoint as llama.cpp's converter lays it out: experts stacked, factors as tensors. more: keys."""
    keys = gguf_files.sizes(
        "phimoe",
        context_length=131072,
        feed_forward_length=96,
        rope__scaling__original_context_length=4096,
        rope__scaling__attn_factor=RECKONED,
        attention__sliding_window=131072,
        expert_count=8,
        expert_used_count=2,
    )
    keys |= gguf_files.LETTERS
    keys |= {f"tokenizer.ggml.{name}": keys[f"tokenizer.ggml.{name}"][:96] for name in ("tokens", "token_type")}
    keys |= more
    tensors = {SHORT: np.float32(SCALING["short_factor"]), LONG: np.float32(SCALING["long_factor"])}
    return gguf_files.write(path, "phimoe", keys, tensors | stacked(weights))


def stacked(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors under GGUF's names."""
    names = {ours: theirs for theirs, ours in (OUTSIDE | LAYER["phimoe"]).items()}
    found: dict[str, np.ndarray] = {}
    for name, values in weights.items():
        stem, kind = name.rsplit(".", 1)
        if ".experts." not in name:
            parts = stem.split(".", 3)
            where = names.get(stem) or f"blk.{parts[2]}.{names[parts[3]]}"
            found[f"{where}.{kind}"] = values
    for layer in range(CONFIG["num_hidden_layers"]):
        for theirs, ours in STACKED.items():
            own = [f"model.layers.{layer}.block_sparse_moe.experts.{number}.{ours}.weight" for number in range(8)]
            found[f"blk.{layer}.{theirs}"] = np.stack([weights[name] for name in own])
    return found


def test_a_file_is_the_folder_that_it_was_made_of(folder, tmp_path):
    """Sizes, positions with their scale, experts, biases, every tensor to the bit; the plan takes all of them."""
    weights = load_file(folder / "model.safetensors")
    file, hub = open_source(gguf_file(tmp_path / "moe.gguf", weights)), open_source(folder)
    read, wanted = (Dimensions.from_config(each.config, family_of_config(each.config)) for each in (file, hub))
    assert read == wanted
    assert file.tensor_names() == set(weights)
    for name in weights:
        np.testing.assert_array_equal(file.tensor(name), hub.tensor(name))
    plan = make_plan(file, recipes()["phimoe"].model_copy(update={"context_length": 512}))
    assert (plan.family.name, plan.sizes.num_experts) == ("phimoe", 8)


@pytest.mark.slow
def test_its_bundle_is_the_folders(folder, tmp_path):
    """Byte for byte: graph and weights, in floats, since the two are calibrated with other tokens."""
    file = gguf_file(tmp_path / "moe.gguf", load_file(folder / "model.safetensors"))
    ours, theirs = (
        small_moe.export(each, tmp_path / f"{each.name}-bundle", method="none", prompts=()) for each in (file, folder)
    )
    for name in ("model.onnx", "model.onnx.data"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()


def test_without_factors_there_is_nothing_to_scale(folder, tmp_path):
    """As Phi-mini-MoE, whose positions are plain."""
    weights = load_file(folder / "model.safetensors")
    path = gguf_file(tmp_path / "long.gguf", weights)
    plain = {name: each for name, each in stacked(weights).items() if not name.startswith("rope")}
    keys = {name: value for name, value in open_source(path)._header.keys.items() if "scaling" not in name}
    keys = {name: value for name, value in keys.items() if name != "general.architecture"}
    config = open_source(gguf_files.write(tmp_path / "plain.gguf", "phimoe", keys, plain)).config
    assert "rope_scaling" not in config


def test_a_scale_of_the_files_own_is_taken(folder, tmp_path):
    """One that is not what the converter reckons from the lengths was put there by somebody who knew."""
    weights = load_file(folder / "model.safetensors")
    source = open_source(gguf_file(tmp_path / "own.gguf", weights, **{"phimoe.rope.scaling.attn_factor": 1.5}))
    assert source.config["rope_scaling"]["long_mscale"] == 1.5


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"phimoe.context_length": 65536, "phimoe.rope.scaling.attn_factor": 1.1547005}, "short_mscale"),
        ({"phimoe.context_length": 0, "phimoe.rope.scaling.original_context_length": 0}, "max_position_embeddings"),
        ({"phimoe.expert_used_count": 3}, "num_experts_per_tok"),
        ({"phimoe.expert_count": 7}, r"gate\.weight is \[8, 64\]"),
        ({"phimoe.expert_shared_count": 1}, "expert_shared_count"),
    ],
)
def test_what_is_another_model_is_refused(folder, tmp_path, keys, named):
    """A scale that nobody knows, another router, other experts than there are tensors of."""
    path = gguf_file(tmp_path / "other.gguf", load_file(folder / "model.safetensors"), **keys)
    with pytest.raises(ExportError, match=named):
        make_plan(open_source(path), recipes()["phimoe"].model_copy(update={"context_length": 512}))


def test_a_flat_tensor_of_experts_is_refused(folder, tmp_path):
    """By its name."""
    weights = load_file(folder / "model.safetensors")
    tensors = stacked(weights)
    tensors["blk.0.ffn_up_exps.weight"] = tensors["blk.0.ffn_up_exps.weight"][0]
    path = gguf_files.write(tmp_path / "flat.gguf", "phimoe", gguf_files.sizes("phimoe"), tensors)
    with pytest.raises(UnsupportedError, match=r"blk\.0\.ffn_up_exps\.weight has the shape"):
        open_source(path)
