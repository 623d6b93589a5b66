"""What Gemma 3 is read from: configs as published, GGUF files, and the folders of models that see pictures."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export.errors import ExportError, SourceError
from export.families import family_of_config
from export.families.base import Attention, Dimensions
from export.families.gemma3 import FAMILY
from export.plan import make_plan, plan_of
from export.recipe import Recipe
from export.source import Source, open_source
from export.source.config_only import ConfigSource
from export.source.gguf.names import LAYER, OUTSIDE
from export.source.text_part import text_part
from tests.export import beside, gguf_files, small_gemma, small_model

ONE_B: dict[str, Any] = {
    "architectures": ["Gemma3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attn_logit_softcapping": None,
    "bos_token_id": 2,
    "cache_implementation": "hybrid",
    "eos_token_id": [1, 106],
    "final_logit_softcapping": None,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 1152,
    "initializer_range": 0.02,
    "intermediate_size": 6912,
    "max_position_embeddings": 32768,
    "model_type": "gemma3_text",
    "num_attention_heads": 4,
    "num_hidden_layers": 26,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
    "query_pre_attn_scalar": 256,
    "rms_norm_eps": 1e-06,
    "rope_local_base_freq": 10000,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": 512,
    "sliding_window_pattern": 6,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.50.0.dev0",
    "use_cache": True,
    "vocab_size": 262144,
}
"""gemma-3-1b-it's, as it is published."""
WITH_PICTURES: dict[str, Any] = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "boi_token_index": 255999,
    "eoi_token_index": 256000,
    "eos_token_id": [1, 106],
    "image_token_index": 262144,
    "initializer_range": 0.02,
    "mm_tokens_per_image": 256,
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 3840,
        "intermediate_size": 15360,
        "model_type": "gemma3_text",
        "num_attention_heads": 16,
        "num_hidden_layers": 48,
        "num_key_value_heads": 8,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "torch_dtype": "bfloat16",
    "transformers_version": "4.50.0.dev0",
    "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model"},
}
"""gemma-3-12b-it's, as it is published: what it lacks is what Transformers takes."""
NESTED = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
}
FIVE = {name: value for name, value in small_gemma.CONFIG.items() if not name.startswith(("rope_", "sliding_window_p"))}
FIVE |= {"rope_parameters": NESTED, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
"""The small config in the words of Transformers 5."""


def sizes_of(config: dict[str, Any]) -> Dimensions:
    """As an export reads them."""
    return plan_of(ConfigSource("model", config), Recipe(licence="none", context_length=128)).sizes


def test_published_configs_are_read():
    """Every sixth layer looks back on all tokens; the scale of embeddings is rounded to bfloat16."""
    small, large = sizes_of(ONE_B), sizes_of(WITH_PICTURES)
    assert (small.context_length, small.embedding_scale, large.context_length) == (32768, 34.0, 131072)
    kinds = [attention.window for attention in small.attentions]
    assert kinds == ([512] * 5 + [0]) * 4 + [512] * 2
    assert small.attentions[0] == Attention(512, rope="local")
    assert (large.head_size, large.vocab_size, large.tied_embeddings) == (256, 262208, True)
    assert small.ropes["local"].frequencies[1] == pytest.approx(1e4 ** (-1 / 128))
    assert large.rope.frequencies[1] == pytest.approx(1e6 ** (-1 / 128) / 8)


def test_both_spellings_are_one_model():
    """Of Transformers 4, and of 5."""
    assert sizes_of(FIVE) == sizes_of(small_gemma.CONFIG)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping"),
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping"),
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ({"hidden_activation": "gelu"}, "hidden_activation"),
        ({"attention_bias": True}, "attention_bias"),
        ({"sliding_window": None}, "sliding_window"),
        ({"layer_types": ["full_attention"]}, "layer_types"),
        ({"layer_types": ["chunked_attention"] * 3}, "layer_types"),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, "rope_parameters"),
        ({"rope_parameters": {**NESTED, "sliding_attention": {"rope_theta": 5.0}}}, "rope_theta"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "yarn"),
        ({"query_pre_attn_scalar": 0}, "query_pre_attn_scalar"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_model_is_refused_by_its_key(change, named):
    """What Gemma 2 has, what nobody publishes, and what Transformers 4 and 5 would read as two models."""
    with pytest.raises(ExportError, match=named):
        sizes_of({**small_gemma.CONFIG, **change})


def test_a_bundle_in_float16_is_refused():
    """What Gemma 3 computes is beyond what float16 holds."""
    with pytest.raises(ExportError, match="float16"):
        plan_of(ConfigSource("model", small_gemma.CONFIG), Recipe(licence="none", provider="cuda", context_length=128))


def gguf_file(folder: Path, weights: dict[str, np.ndarray], **more: Any) -> Path:
    """The small model as llama.cpp's converter lays it out: norms with one added."""
    keys = gguf_files.sizes(
        "gemma3",
        block_count=3,
        context_length=512,
        feed_forward_length=96,
        attention__head_count_kv=1,
        attention__key_length=32,
        attention__value_length=32,
        attention__layer_norm_rms_epsilon=1e-6,
        attention__sliding_window=small_gemma.WINDOW,
        rope__dimension_count=None,
        rope__freq_base=1000000.0,
        rope__scaling__type="linear",
        rope__scaling__factor=8.0,
    )
    keys |= {"gemma3.attention.sliding_window_pattern": [True, False, True]} | gguf_files.LETTERS
    keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.token_type"] = small_model.LETTERS, [gguf_files.NORMAL] * 96
    keys |= more
    names = {ours: theirs for theirs, ours in (OUTSIDE | LAYER["gemma3"]).items() if theirs != "output"}
    tensors = {}
    for name, values in weights.items():
        parts = name.removesuffix(".weight").split(".", 3)
        where = f"blk.{parts[2]}.{names[parts[3]]}" if parts[1] == "layers" else names[".".join(parts)]
        tensors[f"{where}.weight"] = values + 1 if name.endswith("norm.weight") else values
    return gguf_files.write(folder / "gemma.gguf", "gemma3", {k: v for k, v in keys.items() if v is not None}, tensors)


def test_a_gguf_file_is_the_folder_that_it_was_made_of(tmp_path):
    """Sizes, layers, rotary positions and every tensor; a file knows no type of the checkpoint to round a scale to."""
    folder = open_source(small_gemma.make(tmp_path / "hub", torch_dtype="float32"))
    weights = load_file(tmp_path / "hub/model.safetensors")
    file = open_source(gguf_file(tmp_path, weights))
    read, wanted = (Dimensions.from_config(each.config, family_of_config(each.config)) for each in (file, folder))
    assert read == wanted
    assert file.tensor_names() == set(weights)
    for name in weights:
        assert np.allclose(file.tensor(name), folder.tensor(name), atol=1e-6)


def test_a_gguf_file_has_the_usual_pattern_where_it_says_none(tmp_path):
    """As llama.cpp has it: every sixth; a list has to have a flag for each layer, and a window has to be named."""
    weights = small_gemma.random_weights(sizes_of(small_gemma.CONFIG))
    name = "gemma3.attention.sliding_window_pattern"
    config = open_source(gguf_file(tmp_path, weights, **{name: None})).config
    assert [each.window for each in Dimensions.from_config(config, FAMILY).attentions] == [16] * 3
    config = open_source(gguf_file(tmp_path, weights, **{name: 3})).config
    assert [each.window for each in Dimensions.from_config(config, FAMILY).attentions] == [16, 16, 0]
    for change in ({name: [True]}, {"gemma3.attention.sliding_window": None}):
        with pytest.raises(SourceError, match="sliding_window"):
            _ = open_source(gguf_file(tmp_path, weights, **change)).config


def test_a_template_lies_beside_a_gguf_file_that_has_none(tmp_path):
    """As base models have none; without one the refusal says where to write it, and a header's own goes first."""
    weights = small_gemma.random_weights(sizes_of(small_gemma.CONFIG))
    path = gguf_file(tmp_path, weights, **{"tokenizer.chat_template": None})
    with pytest.raises(SourceError, match=r"chat_template\.jinja"):
        make_plan(open_source(path), Recipe(licence="none", context_length=128))
    (tmp_path / "chat_template.jinja").write_text("{{ messages[-1].content }}")
    assert open_source(path).chat_template == "{{ messages[-1].content }}"
    assert open_source(gguf_file(tmp_path, weights)).chat_template == small_model.TEMPLATE


def seeing(folder: Path, prefix: str, **outer: Any) -> Source:
    """The small model within one that sees pictures, its tensors' names as published or as Transformers has them."""
    made = small_gemma.make(folder)
    text = {name: value for name, value in small_gemma.CONFIG.items() if name not in ("architectures", "torch_dtype")}
    config = {**WITH_PICTURES, "eos_token_id": 2, "text_config": text, **outer}
    (made / "config.json").write_text(json.dumps(config))
    weights = {name.replace("model.", prefix, 1): each for name, each in load_file(made / "model.safetensors").items()}
    tower = {"vision_tower.x.weight": np.zeros((2, 2), np.float32), "multi_modal_projector.y": np.zeros(2, np.float32)}
    save_file(weights | tower, made / "model.safetensors")
    return open_source(made)


@pytest.mark.parametrize("prefix", ["language_model.model.", "model.language_model."])
def test_the_language_model_of_one_that_sees_pictures(tmp_path, prefix):
    """It has the tensors and the sizes that it would have alone, and the export says what is left out."""
    whole, alone = seeing(tmp_path / "whole", prefix), open_source(small_gemma.make(tmp_path / "alone"))
    recipe = Recipe(licence="none", context_length=128)
    plan, wanted = make_plan(whole, recipe), make_plan(alone, recipe)
    assert plan.sizes == wanted.sizes
    assert text_part(whole).tensor_names() == alone.tensor_names()
    assert all((plan.source.tensor(name) == alone.tensor(name)).all() for name in plan.shapes)
    assert "sees pictures" in plan.notes[-1]


def test_what_the_whole_model_says_is_known_too(tmp_path):
    """A key that nobody knows, and two answers to one question, are refused by name."""
    for change, named in (({"pan_and_scan": 1}, "pan_and_scan"), ({"text_config": None}, "text_config")):
        with pytest.raises(ExportError, match=named):
            make_plan(seeing(tmp_path / named, "language_model.model.", **change), Recipe(licence="none"))


@pytest.mark.trace
@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="the trace extra is not installed")
def test_a_scale_is_rounded_as_transformers_rounds_it(tmp_path):
    """Of a checkpoint in bfloat16 whose width has no whole root, loaded in the type that it has."""
    import torch
    import transformers

    sizes = small_gemma.CONFIG | {"hidden_size": 96, "vocab_size": small_model.VOCABULARY, "eos_token_id": 2}
    torch.manual_seed(0)
    with beside.quiet():
        own = {name: value for name, value in sizes.items() if name not in ("architectures", "model_type")}
        made = transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**own)).to(torch.bfloat16)
        made.save_pretrained(tmp_path / "checkpoint")
        model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint", dtype="auto").float().eval()
    small_model.write_tokenizer(tmp_path / "checkpoint")
    source = open_source(tmp_path / "checkpoint")
    assert make_plan(source, beside.FLOAT).sizes.embedding_scale == 9.8125 != 96**0.5
    bundle = beside.float_bundle(source, tmp_path / "bundle")
    assert max(beside.differences(bundle, model, 9, 40, 100)) < beside.TOLERANCE


@pytest.mark.trace
@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="the trace extra is not installed")
def test_the_language_model_is_transformers_own(tmp_path):
    """Logits of a small model that sees pictures, which is shown none."""
    import torch
    import transformers

    text = {name: value for name, value in small_gemma.CONFIG.items() if name not in ("architectures", "torch_dtype")}
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 28, "patch_size": 14, "vision_use_head": False, "model_type": "siglip_vision_model"}
    torch.manual_seed(0)
    with beside.quiet():
        config = transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
        model = transformers.Gemma3ForConditionalGeneration(config).float().eval()
        model.save_pretrained(tmp_path / "checkpoint")
    small_model.write_tokenizer(tmp_path / "checkpoint")
    bundle = beside.float_bundle(open_source(tmp_path / "checkpoint"), tmp_path / "bundle")
    assert max(beside.differences(bundle, model, 9, 40, 100)) < beside.TOLERANCE
