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
    merged = AdapterSource(phi3, write_adapter(tmp_path / "adapter", tensors, target_modules=["qkv_proj"]))
    split = plan_of(merged, Recipe(licence="none", context_length=64, split_packed=True)).source
    found = np.concatenate([split.tensor(f"model.layers.0.self_attn.{part}_proj.weight") for part in "qkv"])
    np.testing.assert_allclose(found, weights[f"{name}.weight"] + 2 * up @ down, rtol=1e-5, atol=1e-5)


def without(name: str) -> dict[str, np.ndarray]:
    """The pairs less one tensor."""
    return {key: value for key, value in pairs().items() if key != name}


BASES = ("pissa", "pissa_niter_4", "olora", "loftq", "corda", "lora_ga", "mica")
"""What changes the base's own weights as an adapter begins, so that the sum is right over those alone."""
HARMS = {
    "left out": (pairs(), {"target_modules": ["q_proj"]}, "target_modules of"),
    "left out by a pattern": (pairs(), {"target_modules": r".*self_attn\.[qk]_proj"}, "target_modules of"),
    "nothing named": (pairs(), {"target_modules": None}, "target_modules of"),
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
    **{
        f"initialised by {kind}": (pairs(), {"init_lora_weights": kind}, f"init_lora_weights: '{kind}'")
        for kind in BASES
    },
    "a bias of B": (pairs(), {"lora_bias": True}, "lora_bias"),
    "saved modules": (pairs(), {"modules_to_save": ["lm_head"]}, "modules_to_save"),
    "trained tokens": (pairs(), {"trainable_token_indices": [3]}, "trainable_token_indices"),
    "an invoked adapter": (pairs(), {"alora_invocation_tokens": [1, 2]}, "alora_invocation_tokens"),
    "parameters": (pairs(), {"target_parameters": ["mlp.down_proj.weight"]}, "target_parameters"),
    "layers twice": (pairs(), {"layer_replication": [[0, 2], [1, 2]]}, "layer_replication"),
    "grouped": (pairs(), {"use_qalora": True}, "use_qalora"),
    "an unknown key": (pairs(), {"lora_power": 2}, "lora_power: 2, which this program does not know"),
    "another rank": (pairs(), {"r": 8}, "says a rank of 8 for model.layers.0.self_attn.q_proj.weight, but has 4"),
    "another rank in a layer": (pairs(), {"rank_pattern": {"down_proj": 2}}, "says a rank of 2"),
    "an alpha in quotes": (pairs(), {"lora_alpha": "8"}, "garbles lora_alpha"),
    "a pattern that is none": (pairs(), {"alpha_pattern": {"(": 2}}, "a pattern that is none"),
    "an excluded module": (pairs(), {"exclude_modules": ["q_proj"]}, "q_proj, which .* excludes"),
    "excluded by a pattern": (pairs(), {"exclude_modules": r".*\.down_proj"}, "down_proj, which .* excludes"),
    "other layers": (pairs(), {"layers_to_transform": [1], "layers_pattern": "layers"}, "layers.0.* excludes"),
    "an embedding": (
        pairs() | {"base_model.model.model.embed_tokens.lora_embedding_A": np.ones((4, 96), np.float32)},
        {},
        "lora_embedding_A, which is no part",
    ),
    "names without PEFT's beginning": (
        {key.removeprefix("base_model.model."): value for key, value in pairs().items()},
        {},
        "no part of a LoRA pair",
    ),
}


@pytest.mark.parametrize(
    "config",
    [
        {"init_lora_weights": "gaussian", "lora_dropout": 0.1, "task_type": "CAUSAL_LM", "peft_version": "0.21.2"},
        {"init_lora_weights": "eva", "eva_config": {"rho": 2.0}, "modules_to_save": None, "exclude_modules": []},
        {"layers_to_transform": [0, 1], "layers_pattern": None, "use_dora": False, "megatron_core": "megatron.core"},
    ],
)
def test_keys_that_change_nothing_change_nothing(base, tmp_path, config):
    """Training's, bookkeeping's, and what PEFT writes of all that was not used."""
    plain = AdapterSource(base, write_adapter(tmp_path / "plain", pairs()))
    merged = AdapterSource(base, write_adapter(tmp_path / "adapter", pairs(), **config))
    for name in (f"{module}.weight" for module in ADAPTED):
        np.testing.assert_array_equal(merged.tensor(name), plain.tensor(name))


def test_each_module_may_have_its_own_rank_and_alpha(base, tmp_path):
    """By PEFT's patterns: ends of names, or patterns of whole ones; the first that fits counts."""
    tensors, weights = pairs(), small_model.llama_weights()
    patterns = {"rank_pattern": {"q_proj": RANK}, "alpha_pattern": {r"^model\.layers\.1\..*": 2, "down_proj": 99}}
    merged = AdapterSource(base, write_adapter(tmp_path / "adapter", tensors, **patterns, r=RANK))
    for module, scale in zip(ADAPTED, (ALPHA / RANK, 2 / RANK), strict=True):
        down, up = (tensors[f"base_model.model.{module}.lora_{part}.weight"] for part in "AB")
        wanted = weights[f"{module}.weight"] + scale * up @ down
        np.testing.assert_allclose(merged.tensor(f"{module}.weight"), wanted, rtol=1e-5, atol=1e-5)


def test_tables_that_are_the_bases_own_change_nothing(base, tmp_path):
    """PEFT writes the embedding and the head along where one is adapted; other values are another model."""
    weights, head = small_model.llama_weights(), "base_model.model.lm_head."
    chance, tensors = np.random.default_rng(7), {}
    tensors |= {f"{head}lora_A.weight": chance.standard_normal((RANK, 64)).astype(np.float32)}
    tensors |= {f"{head}lora_B.weight": chance.standard_normal((96, RANK)).astype(np.float32)}
    tensors |= {f"{head}base_layer.weight": weights["lm_head.weight"]}
    tensors |= {"base_model.model.model.embed_tokens.weight": weights["model.embed_tokens.weight"]}
    targets = [*CONFIG["target_modules"], "lm_head"]
    merged = AdapterSource(base, write_adapter(tmp_path / "adapter", tensors, target_modules=targets))
    added = 2 * tensors[f"{head}lora_B.weight"] @ tensors[f"{head}lora_A.weight"]
    np.testing.assert_allclose(merged.tensor("lm_head.weight"), weights["lm_head.weight"] + added, rtol=1e-5, atol=1e-5)
    tensors[f"{head}base_layer.weight"] = weights["lm_head.weight"] + 1
    with pytest.raises(ExportError, match=r"lm_head.base_layer.weight, which is no part"):
        AdapterSource(base, write_adapter(tmp_path / "other", tensors, target_modules=targets))


def test_weights_beside_the_adapters_own_are_not_read(base, tmp_path):
    """PEFT reads adapter_model.safetensors alone."""
    folder = write_adapter(tmp_path / "adapter", pairs())
    save_file({name: value + 1 for name, value in pairs().items()}, folder / "checkpoint.safetensors")
    name = f"{ADAPTED[0]}.weight"
    plain = AdapterSource(base, write_adapter(tmp_path / "plain", pairs()))
    np.testing.assert_array_equal(AdapterSource(base, folder).tensor(name), plain.tensor(name))
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ExportError, match=r"has no adapter_model.safetensors"):
        AdapterSource(base, folder)


@pytest.mark.parametrize(("tensors", "config", "says"), HARMS.values(), ids=HARMS)
def test_an_adapter_that_does_not_fit_is_named(base, tmp_path, tensors, config, says):
    """Before any weight is rounded."""
    folder = write_adapter(tmp_path / "adapter", tensors, **config)
    with pytest.raises(ExportError, match=says):
        AdapterSource(base, folder)
