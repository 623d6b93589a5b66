"""A LoRA adapter becomes part of the bundle, and one that does not fit is refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from export.errors import ExportError
from export.plan import plan_of
from export.recipe import Recipe
from export.source import open_source
from export.source.adapter import AdapterSource
from tests.export import small_model

RANK, ALPHA = 4, 8
CONFIG = {
    "peft_type": "LORA",
    "r": RANK,
    "lora_alpha": ALPHA,
    "target_modules": ["q_proj", "down_proj"],
    "bias": "none",
}
ADAPTED = ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj")


def pairs() -> dict[str, np.ndarray]:
    """Seeded A and B of two matrices, under PEFT's names."""
    chance, weights = np.random.default_rng(5), small_model.llama_weights()
    made = {}
    for name in ADAPTED:
        rows, columns = weights[f"{name}.weight"].shape
        made[f"base_model.model.{name}.lora_A.weight"] = chance.standard_normal((RANK, columns)).astype(np.float32)
        made[f"base_model.model.{name}.lora_B.weight"] = chance.standard_normal((rows, RANK)).astype(np.float32)
    return made


def write_adapter(folder: Path, tensors: dict[str, np.ndarray], **config) -> Path:
    """A PEFT folder."""
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **config}))
    return folder


@pytest.fixture
def base(tmp_path):
    """The small Llama."""
    return open_source(small_model.write_checkpoint(tmp_path / "base", small_model.llama_weights()))


@pytest.mark.parametrize(("config", "scale"), [({}, ALPHA / RANK), ({"use_rslora": True}, ALPHA / RANK**0.5)])
def test_an_adapted_matrix_is_the_sum(base, tmp_path, config, scale):
    """W + scale · B A where there is a pair, the base's own everywhere else; another checksum."""
    tensors, weights = pairs(), small_model.llama_weights()
    merged = AdapterSource(base, write_adapter(tmp_path / "adapter", tensors, **config))
    for name, weight in weights.items():
        module = f"base_model.model.{name.removesuffix('.weight')}"
        if f"{module}.lora_A.weight" in tensors:
            weight = weight + scale * tensors[f"{module}.lora_B.weight"] @ tensors[f"{module}.lora_A.weight"]
        np.testing.assert_allclose(merged.tensor(name), weight, rtol=1e-5, atol=1e-5)
    assert merged.checksum() != base.checksum()


def test_a_packed_projection_is_adapted_before_it_is_split(tmp_path):
    """Phi-3's adapters change `qkv_proj`; the parts that an export stores hold their rows of the change."""
    weights = small_model.as_phi3(small_model.llama_weights())
    config = {"architectures": ["Phi3ForCausalLM"], "original_max_position_embeddings": 128}
    phi3 = open_source(small_model.write_checkpoint(tmp_path / "phi3", weights, **config))
    chance, name = np.random.default_rng(6), "model.layers.0.self_attn.qkv_proj"
    rows, columns = weights[f"{name}.weight"].shape
    down, up = (chance.standard_normal(shape).astype(np.float32) for shape in ((RANK, columns), (rows, RANK)))
    tensors = {f"base_model.model.{name}.lora_A.weight": down, f"base_model.model.{name}.lora_B.weight": up}
    merged = AdapterSource(phi3, write_adapter(tmp_path / "adapter", tensors))
    split = plan_of(merged, Recipe(licence="none", context_length=64, split_packed=True)).source
    found = np.concatenate([split.tensor(f"model.layers.0.self_attn.{part}_proj.weight") for part in "qkv"])
    np.testing.assert_allclose(found, weights[f"{name}.weight"] + 2 * up @ down, rtol=1e-5, atol=1e-5)


def without(name: str) -> dict[str, np.ndarray]:
    """The pairs less one tensor."""
    return {key: value for key, value in pairs().items() if key != name}


HARMS = {
    "one half": (without(f"base_model.model.{ADAPTED[0]}.lora_B.weight"), {}, "one half"),
    "nothing": ({}, {}, "no LoRA matrices"),
    "another model's": (
        {key: value[:, :8] if "lora_A" in key else value for key, value in pairs().items()},
        {},
        "is it another model's",
    ),
    "unknown module": (
        {key.replace("q_proj", "z_proj"): value for key, value in pairs().items()},
        {},
        "z_proj",
    ),
    "a foreign tensor": (pairs() | {"base_model.model.lm_head.weight": np.ones((2, 2), np.float32)}, {}, "no part"),
    "DoRA": (pairs(), {"use_dora": True}, "use_dora"),
    "IA3": (pairs(), {"peft_type": "IA3"}, "IA3"),
    "no rank": (pairs(), {"r": None}, "lacks or garbles"),
    "biases": (pairs(), {"bias": "all"}, "biases"),
}


@pytest.mark.parametrize(("tensors", "config", "says"), HARMS.values(), ids=HARMS)
def test_an_adapter_that_does_not_fit_is_named(base, tmp_path, tensors, config, says):
    """Before any weight is rounded."""
    folder = write_adapter(tmp_path / "adapter", tensors, **config)
    with pytest.raises(ExportError, match=says):
        AdapterSource(base, folder)
