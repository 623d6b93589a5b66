"""What Gemma 2 is read from: its config as published, and GGUF files; what of it is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.errors import ExportError
from export.families import family_of_config
from export.families.base import Attention, Dimensions
from export.plan import plan_of
from export.recipe import Recipe
from export.source import open_source
from export.source.config_only import ConfigSource
from export.source.gguf.names import LAYER, OUTSIDE
from tests.export import beside, gguf_files, small_families, small_model

TWO_B: dict[str, Any] = {
    "architectures": ["Gemma2ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attn_logit_softcapping": 50.0,
    "bos_token_id": 2,
    "cache_implementation": "hybrid",
    "eos_token_id": [1, 107],
    "final_logit_softcapping": 30.0,
    "head_dim": 256,
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 2304,
    "initializer_range": 0.02,
    "intermediate_size": 9216,
    "max_position_embeddings": 8192,
    "model_type": "gemma2",
    "num_attention_heads": 8,
    "num_hidden_layers": 26,
    "num_key_value_heads": 4,
    "pad_token_id": 0,
    "query_pre_attn_scalar": 256,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.42.4",
    "use_cache": True,
    "vocab_size": 256000,
}
"""gemma-2-2b-it's, as it is published."""


def sizes_of(config: dict[str, Any]) -> Dimensions:
    """As an export reads them."""
    return plan_of(ConfigSource("model", config), Recipe(licence="none", context_length=128)).sizes


def test_a_published_config_is_read():
    """Every second layer looks back on a window, from the first on; scores and logits have their caps."""
    sizes = sizes_of(TWO_B)
    assert sizes.attentions == (Attention(4096), Attention()) * 13
    assert (sizes.attention_cap, sizes.logit_cap, sizes.embedding_scale) == (50.0, 30.0, 48.0)
    assert (sizes.context_length, sizes.tied_embeddings, sizes.ropes) == (8192, True, {})


def test_a_cap_that_is_null_is_none():
    """As Transformers has it; one that is not said is the class's."""
    without = {name: value for name, value in TWO_B.items() if "softcapping" not in name}
    assert sizes_of(without) == sizes_of(TWO_B)
    assert sizes_of({**TWO_B, "final_logit_softcapping": None}).logit_cap == 0.0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"attn_logit_softcapping": 0}, "attn_logit_softcapping"),
        ({"final_logit_softcapping": "30"}, "final_logit_softcapping"),
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ({"hidden_activation": "gelu"}, "hidden_activation"),
        ({"sliding_window": None}, "sliding_window"),
        ({"layer_types": ["full_attention"]}, "layer_types"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "linear"),
        ({"rope_local_base_freq": 10000.0}, "rope_local_base_freq"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_model_is_refused_by_its_key(change, named):
    """What Gemma 3 has, and what nobody publishes."""
    with pytest.raises(ExportError, match=named):
        sizes_of({**TWO_B, **change})


def gguf_file(folder: Path, weights: dict[str, np.ndarray], **more: Any) -> Path:
    """The small model as llama.cpp's converter lays it out: norms with one added."""
    keys = gguf_files.sizes(
        "gemma2",
        attention__key_length=32,
        attention__value_length=32,
        attention__sliding_window=small_families.WINDOW,
        rope__dimension_count=None,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=5.0,
    )
    letters = {"tokens": small_model.LETTERS, "token_type": [gguf_files.NORMAL] * 96}
    keys |= gguf_files.LETTERS | {f"tokenizer.ggml.{name}": value for name, value in letters.items()} | more
    names = {ours: theirs for theirs, ours in (OUTSIDE | LAYER["gemma2"]).items() if theirs != "output"}
    tensors = {}
    for name, values in weights.items():
        parts = name.removesuffix(".weight").split(".", 3)
        where = f"blk.{parts[2]}.{names[parts[3]]}" if parts[1] == "layers" else names[".".join(parts)]
        tensors[f"{where}.weight"] = values + 1 if name.endswith("norm.weight") else values
    return gguf_files.write(folder / "gemma.gguf", "gemma2", {k: v for k, v in keys.items() if v is not None}, tensors)


def test_a_gguf_file_is_the_folder_that_it_was_made_of(tmp_path):
    """Sizes, caps, windows and every tensor; what scores are scaled by it says in no key but the width of a head."""
    folder = open_source(small_families.write(tmp_path / "hub", "gemma2"))
    weights = {name: folder.tensor(name) for name in sorted(folder.tensor_names())}
    file = open_source(gguf_file(tmp_path, weights))
    config = {**folder.config, "query_pre_attn_scalar": 32}
    family = family_of_config(config)
    assert Dimensions.from_config(file.config, family) == Dimensions.from_config(config, family)
    assert file.tensor_names() == set(weights)
    for name, values in weights.items():
        assert np.allclose(file.tensor(name), values, atol=1e-6)


def test_what_a_gguf_file_leaves_out_is_as_llama_cpp_has_it(tmp_path):
    """A window of 4,096 and the published caps."""
    folder = open_source(small_families.write(tmp_path / "hub", "gemma2"))
    weights = {name: folder.tensor(name) for name in folder.tensor_names()}
    left = ("attention.sliding_window", "attn_logit_softcapping", "final_logit_softcapping")
    config = open_source(gguf_file(tmp_path, weights, **{f"gemma2.{name}": None for name in left})).config
    found = [config[name] for name in ("sliding_window", "attn_logit_softcapping", "final_logit_softcapping")]
    assert found == [4096, 50.0, 30.0]


@pytest.mark.trace
@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="the trace extra is not installed")
def test_a_gguf_file_has_the_logits_of_transformers(tmp_path):
    """Which reads no caps and no scale of it, and takes those that are published: heads 256 wide, caps of 50 and 30."""
    import transformers

    pytest.importorskip("accelerate")
    left = ("attn_logit_softcapping", "final_logit_softcapping")
    wide = {"attention.key_length": 256, "attention.value_length": 256}
    tokens = {name: gguf_files.LETTERS[name] for name in ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type")}
    count = len(tokens["tokenizer.ggml.tokens"])
    config = {**small_model.CONFIG, **small_families.KINDS["gemma2"], "head_dim": 256, "vocab_size": count}
    plan = plan_of(ConfigSource("model", config), Recipe(licence="none", context_length=128))
    chance, weights = np.random.default_rng(0), {}
    for name, shape in plan.shapes.items():
        spread = 0.1 if "norm" in name else 4 / np.sqrt(shape[-1])
        weights[name] = (chance.standard_normal(shape) * spread).astype(np.float32)
    more = {f"gemma2.{name}": value for name, value in {**dict.fromkeys(left), **wide}.items()}
    path = gguf_file(tmp_path, weights, **more, **tokens)
    with beside.quiet():
        model = transformers.AutoModelForCausalLM.from_pretrained(
            tmp_path, gguf_file=path.name, attn_implementation="eager", dtype="float32"
        ).eval()
    bundle = beside.float_bundle(open_source(path), tmp_path / "bundle")
    assert max(beside.differences(bundle, model, 9, 48, 49, 100)) < beside.TOLERANCE
