"""Every row of export/families/held.py beside Transformers' own forward pass, in the version that is installed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from edge.bundle import read_manifest
from export.command import held
from export.families import family_of
from export.families.held import HELD, VERSIONS, Variant, held_to, variant_of
from export.source import open_source
from tests.conftest import ROOT
from tests.export import beside, small_model

HEADS, HEAD, SWITCH, WINDOW, CONTEXT = 4, 16, 64, 48, 128
CONFIGS = ROOT / "tests" / "data" / "phi3" / "configs"
PUBLISHED = {
    "Phi-3-mini-4k": "phi3-default-window-packed",
    "Phi-3-mini-128k": "phi3-longrope-packed",
    "Phi-3.5-mini": "phi3-longrope-packed",
}
LENGTHS = (7, WINDOW - 1, WINDOW, WINDOW + 1, SWITCH, SWITCH + 1, 100)
"""Below and above where a window is full and where the factors of long rope change."""
CLASSES = {
    "llama": "Llama",
    "mistral": "Mistral",
    "phi3": "Phi3",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "smollm3": "SmolLM3",
    "gemma2": "Gemma2",
    "gemma3": "Gemma3",
    "phimoe": "Phimoe",
}
CONFIGS_OF = {"gemma3": "Gemma3TextConfig"}
SLIDES = {
    "qwen2": {"use_sliding_window": True, "max_window_layers": 1},
    "qwen3": {"use_sliding_window": True, "max_window_layers": 1},
    "smollm3": {"use_sliding_window": True},
}
"""What beside a window's width has layers slide: the second of two, that the first is as it was."""
OF_FAMILIES: dict[str, dict[str, Any]] = {"smollm3": {"no_rope_layer_interval": 2}}
"""The second of two layers knows no positions."""
PLAIN = {"rope_type": "default"}
ROPES: dict[str, dict[str, Any]] = {
    "default": PLAIN,
    "linear": {"rope_type": "linear", "factor": 4.0},
    "dynamic": {"rope_type": "dynamic", "factor": 2.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    },
    "longrope": {"rope_type": "longrope"},
    "longrope_scaled": {"rope_type": "longrope", "original_max_position_embeddings": SWITCH},
}


def config_of(variant: Variant) -> Any:
    """Its configuration, in the spelling of the installed version."""
    import transformers

    even = 4 * HEAD if variant.partial else HEAD
    width = 2 * even if variant.own_head_size else even
    rope, turned = dict(ROPES[variant.rope]), width * 3 // 4 if variant.partial else width
    sizes: dict[str, Any] = {
        "hidden_size": HEADS * even,
        "intermediate_size": 80,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2 if variant.grouped else HEADS,
        "num_hidden_layers": 2,
        "vocab_size": small_model.VOCABULARY,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": variant.tied,
        "head_dim": width,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    if variant.rope.startswith("longrope"):
        sizes["original_max_position_embeddings"] = SWITCH
        rope |= {"short_factor": [1.0 + i / 8 for i in range(turned // 2)]}
        rope |= {"long_factor": [4.0 + i for i in range(turned // 2)]}
    if variant.rope == "longrope_scaled":
        rope |= {"short_mscale": 1.2, "long_mscale": 1.4}
    if variant.family == "phimoe":
        del sizes["head_dim"]
        sizes |= {"attention_bias": variant.biased, "lm_head_bias": variant.head_biased, "num_local_experts": 8}
    if variant.window:
        sizes |= {"sliding_window": WINDOW, **SLIDES.get(variant.family, {})}
    sizes |= {
        name: True for name, is_so in (("attention_bias", variant.biased), ("mlp_bias", variant.mlp_biased)) if is_so
    }
    sizes |= OF_FAMILIES.get(variant.family, {})
    kind = getattr(transformers, CONFIGS_OF.get(variant.family, f"{CLASSES[variant.family]}Config"))
    if variant.family == "gemma2":
        return kind(**sizes, **gemma2(variant), **spelled(rope, False))
    if variant.family == "gemma3":
        return kind(**sizes, **gemma3(variant, rope))
    return kind(**sizes, **spelled(rope, variant.partial))


def gemma2(variant: Variant) -> dict[str, Any]:
    """A layer of each kind, scores and logits near their caps; Transformers' eager attention alone heeds the first."""
    window = {} if variant.window else {"sliding_window": CONTEXT}
    caps = (1.5, 4.0) if variant.capped else (None, None)
    names = ("attn_logit_softcapping", "final_logit_softcapping")
    return {
        **window,
        **dict(zip(names, caps, strict=True)),
        "query_pre_attn_scalar": 24,
        "attn_implementation": "eager",
    }


def gemma3(variant: Variant, rope: dict[str, Any]) -> dict[str, Any]:
    """A layer of each kind, their positions turned by thetas of their own, scores scaled by what is no head's size."""
    window = {} if variant.window else {"sliding_window": CONTEXT}
    own = {"layer_types": ["sliding_attention", "full_attention"], "query_pre_attn_scalar": 24, **window}
    local = spelled(PLAIN, False) | ({} if beside.is_five() else {"rope_local_base_freq": 300.0})
    if not beside.is_five():
        return {**own, **local, **spelled(rope, False)}
    local["rope_parameters"]["rope_theta"] = 300.0
    nested = {"full_attention": spelled(rope, False)["rope_parameters"], "sliding_attention": local["rope_parameters"]}
    return {**own, "rope_parameters": nested}


def spelled(rope: dict[str, Any], partial: bool) -> dict[str, Any]:
    """Rotary positions of a theta of their own as the installed version spells them."""
    share = {"partial_rotary_factor": 0.75} if partial else {}
    if beside.is_five():
        return {"rope_parameters": {**rope, **share, "rope_theta": 5000.0}}
    if rope["rope_type"] == "longrope":
        rope = {"type": "longrope"} | {name: value for name, value in rope.items() if name != "rope_type"}
    return {"rope_theta": 5000.0, "rope_scaling": None if rope == PLAIN else rope, **share}


def checkpoint(variant: Variant, folder: Path) -> Any:
    """A random model of the kind, saved by Transformers itself, beside a tokenizer of one letter a token."""
    import torch
    import transformers

    torch.manual_seed(0)
    model = getattr(transformers, f"{CLASSES[variant.family]}ForCausalLM")(config_of(variant)).float().eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(torch.rand(value.shape) + 0.5 if "norm" in name else torch.randn(value.shape) * 0.2)
    model.save_pretrained(folder)
    small_model.write_tokenizer(folder)
    return model


@pytest.mark.trace
@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="the trace extra is not installed")
@pytest.mark.parametrize("variant", HELD, ids=str)
def test_a_kind_of_checkpoint_is_held_to_transformers(variant, tmp_path):
    """Its float bundle's logits are Transformers' at every position of short and long texts, and it says so."""
    with beside.quiet():
        model = checkpoint(variant, tmp_path / "checkpoint")
    source = open_source(tmp_path / "checkpoint")
    recipe = beside.FLOAT.model_copy(update={"split_packed": variant.family == "phi3" and not variant.packed})
    bundle = beside.float_bundle(source, tmp_path / "bundle", recipe)
    versions = held_to(variant)
    lengths = [each for each in LENGTHS if each <= SWITCH or beside.transformers_version() in versions]
    found = beside.differences(bundle, model, *lengths)
    assert len(found) == len(lengths)
    assert max(found) < beside.TOLERANCE
    assert read_manifest(bundle).held_to == versions
    assert beside.transformers_version() in VERSIONS


@pytest.mark.parametrize(("name", "kind"), PUBLISHED.items())
def test_a_published_config_is_of_a_kind_that_is_held(name, kind):
    """What the recipes export; sizes are no part of a kind."""
    config = json.loads((CONFIGS / f"microsoft_{name}-instruct.config.json").read_text())
    found = variant_of(family_of(config["architectures"][0]), config)
    assert str(found) == kind
    assert held_to(found) == list(VERSIONS)


def test_a_kind_that_is_no_row_says_so(tmp_path):
    """In the manifest and in what the command prints; pictures have another reference."""
    config = {**small_model.CONFIG, "rope_parameters": {"rope_type": "spiral", "rope_theta": 1e4}}
    found = variant_of(family_of("LlamaForCausalLM"), config)
    assert str(found) == "llama-spiral-grouped"
    assert held_to(found) == []
    assert "no test of this export" in held([])
    assert held(list(VERSIONS)) == ""
