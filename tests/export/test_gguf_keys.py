"""Every key and every tensor of a GGUF file is read, harmless for a reason, or refuses the file by its name."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from export.errors import ExportError, SourceError, UnsupportedError
from export.families import family_of
from export.families.base import Dimensions
from export.source import open_source
from export.source.gguf.keys import HARMLESS, HARMLESS_TO_TOKENIZER, RIGHT_AT, TOKENIZER_RIGHT_AT, USED
from tests.export import gguf_files, small_model
from tests.export.gguf_files import FACTORS

LLAMA3 = {"rope_freqs.weight": np.linspace(1, 8, 8)}


def config(path, architecture="llama", **more):
    """The config of the small model, some keys changed or added."""
    return open_source(gguf_files.small(path / "x.gguf", architecture, **more)).config


def test_the_sizes_are_the_folders(tmp_path):
    """The header says what config.json said, to the digit; a number of 32 bits comes back as it was written."""
    found = config(tmp_path)
    wanted = small_model.CONFIG | {"vocab_size": 97, "architectures": ["llama"]}
    assert {name: found[name] for name in wanted if name in found} == {k: v for k, v in wanted.items() if k in found}
    assert found["rms_norm_eps"] == 1e-5


WRONG = {  # a value that makes another model of it
    "expert_count": 8,
    "expert_used_count": 2,
    "use_parallel_residual": True,
    "attention.causal": False,
    "attention.clamp_kqv": 8.0,
    "logit_scale": 0.25,
    "embedding_scale": 12.0,
    "residual_scale": 0.22,
    "final_logit_softcapping": 30.0,
    "attention.temperature_scale": 0.1,
    "rope.scaling.yarn_ext_factor": 0.5,
    "rope.scaling.yarn_log_multiplier": 1.0,
    "rope.dimension_sections": [4, 4, 0, 0],
    "tensor_data_layout": "jploski",
    "hidden_activation": "gelu",
    "pooling_type": 1,
}
RIGHT = {
    "expert_count": 0,
    "use_parallel_residual": False,
    "attention.causal": True,
    "attention.clamp_kqv": 0.0,
    "logit_scale": 1.0,
    "rope.scaling.finetuned": True,
    "rope.scaling.yarn_ext_factor": 1.0,
    "tensor_data_layout": "Meta AI original pth",
    "vocab_size": 97,
    "attention.key_length": 16,
    "attention.value_length": 16,
    "tokenizer.ggml.add_bos_token": True,
    "tokenizer.ggml.add_space_prefix": False,
    "tokenizer.ggml.fim_pre_token_id": 3,
    "tokenizer.ggml.seperator_token_id": 3,
    "tokenizer.ggml.remove_extra_whitespaces": False,
    "tokenizer.chat_template.tool_use": "x",
    "general.name": "Small",
    "general.file_type": 1,
    "general.quantization_version": 2,
    "general.size_label": "1K",
    "general.base_model.0.name": "x",
    "general.of.tomorrow": "x",
    "quantize.imatrix.file": "x",
    "mradermacher.quantized_by": "x",
}


@pytest.mark.parametrize("key", WRONG)
def test_a_value_of_another_model_refuses(tmp_path, key):
    """The key and the value are named."""
    with pytest.raises(UnsupportedError, match=f"says llama.{key} = "):
        config(tmp_path, **{f"llama.{key}": WRONG[key]})


@pytest.mark.parametrize("key", RIGHT)
def test_keys_of_genuine_files_pass(tmp_path, key):
    """They leave the config as it is."""
    name = key if key.startswith(("tokenizer.", "general.", "quantize", "mrader")) else f"llama.{key}"
    (tmp_path / "plain").mkdir()
    assert config(tmp_path, **{name: RIGHT[key]}) == config(tmp_path / "plain")


@pytest.mark.parametrize("key", ["llama.of_tomorrow", "llama.attention.of_tomorrow", "tokenizer.ggml.of_tomorrow"])
def test_an_unknown_key_refuses_by_its_name(tmp_path, key):
    """Of the architecture's and the tokenizer's namespace."""
    with pytest.raises(UnsupportedError, match=f"the key {key}, which is not known"):
        config(tmp_path, **{key: 1})


def test_the_tables_know_keys_of_the_format_alone():
    """Each is a key of gguf's own list, or one that llama.cpp reads besides."""
    lists = (gguf.Keys.LLM, gguf.Keys.Attention, gguf.Keys.Rope, gguf.Keys.Tokenizer)
    known = {value for each in lists for value in vars(each).values() if isinstance(value, str)}
    ours = {f"{{arch}}.{name}" for name in (*USED, *HARMLESS, *RIGHT_AT)}
    ours |= {f"tokenizer.{name}" for name in (*HARMLESS_TO_TOKENIZER, *TOKENIZER_RIGHT_AT)}
    older, newer = {"rope.scale_linear"}, {"rope.scaling.alpha", "hidden_activation", "normalizer", "suppress_tokens"}
    assert {name for name in ours - known if not any(word in name for word in (*older, *newer, "yarn"))} == set()


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("general.type", "adapter", "models are read"),
        ("general.quantization_version", 1, "blocks of version 2"),
        ("general.tensor_extra.name", ["x"], "not known here"),
        ("adapter.type", "lora", "is an adapter"),
        ("clip.has_vision_encoder", True, "is a picture tower"),
    ],
)
def test_files_that_are_no_model(tmp_path, key, value, says):
    """Adapters, towers, blocks of another layout."""
    with pytest.raises(UnsupportedError, match=says):
        config(tmp_path, **{key: value})


@pytest.mark.parametrize("key", ["block_count", "context_length", "attention.layer_norm_rms_epsilon"])
def test_a_missing_size_is_named(tmp_path, key):
    """By its key, before anything is read."""
    with pytest.raises(SourceError, match=f"lacks the key llama.{key}"):
        config(tmp_path, **{key.replace(".", "__"): None})


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("llama.block_count", "two", "should be a whole number"),
        ("llama.rope.freq_base", "big", "should be a number"),
        ("llama.vocab_size", 96, "lists 97 tokens"),
        ("llama.attention.value_length", 8, "keys of 16 and values of 8"),
        ("llama.attention.head_count_kv", [2, 1], "another llama.attention.head_count_kv in each layer"),
        ("llama.rope.dimension_count", 8, "rope.dimension_count = 8 of 16 dimensions"),
        ("llama.rope.scaling.type", "ntk", "'ntk'; none, linear, yarn and longrope"),
        ("llama.rope.scaling.attn_factor", 1.2, "attn_factor = 1.2 of none"),
        ("llama.rope.scaling.type", "longrope", "with no factors, which do not go together"),
    ],
)
def test_sizes_that_do_not_fit(tmp_path, key, value, says):
    """The key and why."""
    with pytest.raises(ExportError, match=says):
        config(tmp_path, **{key: value})


def test_a_base_of_zero_is_no_base(tmp_path):
    """It was taken for one that the header does not name."""
    with pytest.raises(SourceError, match="rope_theta"):
        Dimensions.from_config(config(tmp_path, **{"llama.rope.freq_base": 0.0}), family_of("llama"))


ROPE = {
    "none": ({"type": "none", "factor": 4.0}, None),
    "factor 1": ({"type": "linear", "factor": 1.0}, None),
    "linear": ({"type": "linear", "factor": 4.0}, {"rope_type": "linear", "factor": 4.0}),
    "no word": ({"factor": 4.0}, {"rope_type": "linear", "factor": 4.0}),
    "yarn": (
        {"type": "yarn", "factor": 4.0, "original_context_length": 32, "yarn_beta_fast": 16.0},
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 16.0},
    ),
}


@pytest.mark.parametrize("case", ROPE)
def test_scaled_positions_in_transformers_spelling(tmp_path, case):
    """As its config.json has them."""
    said, wanted = ROPE[case]
    found = config(tmp_path, **{f"llama.rope.scaling.{name}": value for name, value in said.items()})
    assert found.get("rope_scaling") == wanted


def test_the_older_word_for_linear(tmp_path):
    """`rope.scale_linear`, from before rope.scaling."""
    found = config(tmp_path, **{"llama.rope.scale_linear": 2.0})
    assert found["rope_scaling"] == {"rope_type": "linear", "factor": 2.0}


def test_llama_3s_factors(tmp_path):
    """A tensor divides the frequencies, whatever the length of the text; cos and sin stay."""
    found = config(tmp_path, add=LLAMA3)
    scaling = found["rope_scaling"]
    assert (scaling["short_factor"], scaling["attention_factor"]) == (scaling["long_factor"], 1.0)
    np.testing.assert_allclose(scaling["short_factor"], LLAMA3["rope_freqs.weight"], rtol=1e-6)


def test_phi_3s_long_rope(tmp_path):
    """Two tensors, the length they change at, and what cos and sin are multiplied with."""
    said = {"phi3.rope.scaling.original_context_length": 32, "phi3.rope.scaling.attn_factor": 1.19}
    found = config(tmp_path, "phi3", add=FACTORS, **said)
    assert found["original_max_position_embeddings"] == 32
    assert found["rope_scaling"]["attention_factor"] == 1.19
    np.testing.assert_allclose(found["rope_scaling"]["long_factor"], FACTORS["rope_factors_long.weight"], rtol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "add", "said", "says"),
    [
        ("phi3", FACTORS, {}, "no rope.scaling.attn_factor"),
        ("phi3", dict([next(iter(FACTORS.items()))]), {}, "with rope_factors_short.weight, which do not go together"),
        ("phi3", LLAMA3, {}, "the tensor rope_freqs.weight"),
        ("llama", FACTORS, {}, "do not go together"),
        ("llama", LLAMA3, {"llama.rope.scaling.factor": 4.0}, "with rope_freqs.weight, which do not go together"),
        ("llama", {"rope_freqs.weight": np.zeros(8)}, {}, "numbers above 0"),
        ("llama", {"rope_freqs.weight": np.full(8, np.nan)}, {}, "not finite"),
    ],
)
def test_factors_that_do_not_go_together(tmp_path, architecture, add, said, says):
    """One half alone, another architecture's, two scalings at once, numbers that cannot be."""
    with pytest.raises(ExportError, match=says):
        config(tmp_path, architecture, add=add, **said)


def test_a_sliding_window_and_a_part_that_is_turned(tmp_path):
    """Phi-3's window, and Phi-4-mini's part of a head, under Transformers' names; no window is 0."""
    wide = {"attention.key_length": 32, "attention.value_length": 32, "attention.sliding_window": 64}
    found = config(tmp_path, "phi3", **{f"phi3.{name}": value for name, value in wide.items()})
    assert (found["sliding_window"], found["head_dim"], found["partial_rotary_factor"]) == (64, 32, 0.5)
    assert "sliding_window" not in config(tmp_path, "phi3", **{"phi3.attention.sliding_window": 0})


@pytest.mark.parametrize("turned", [8, 12, 0, 48])
def test_a_part_that_cannot_be_turned(tmp_path, turned):
    """The key and both figures."""
    with pytest.raises(UnsupportedError, match=f"phi3.rope.dimension_count = {turned} of 16"):
        config(tmp_path, "phi3", **{"phi3.rope.dimension_count": turned})


STRANGE = {
    "an expert's router": "blk.0.ffn_gate_inp.weight",
    "experts": "blk.0.ffn_up_exps.weight",
    "an expert, as it was": "blk.0.ffn_gate.0.weight",
    "norms of queries": "blk.0.attn_q_norm.weight",
    "a packed projection": "blk.0.attn_qkv.weight",
    "a scale": "blk.0.attn_q.scale",
    "a bias": "blk.0.attn_norm.bias",
    "a norm's bias": "output_norm.bias",
    "a steering vector": "direction.1",
    "one of tomorrow": "blk.0.of_tomorrow.weight",
    "outside": "of_tomorrow.weight",
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_tensor_that_nobody_reads_refuses_by_its_name(tmp_path, case):
    """It could be a part of the model."""
    with pytest.raises(UnsupportedError, match=f"the tensor {STRANGE[case]}, which no llama model"):
        config(tmp_path, add={STRANGE[case]: np.zeros(4, np.float32)})


@pytest.mark.parametrize("architecture", ["llama", "phi3"])
def test_the_tensors_are_the_checkpoints(tmp_path, architecture):
    """Every one, under its Transformers name, to the bit."""
    weights = gguf_files.widened(small_model.llama_weights(), 97)
    wanted = small_model.as_phi3(weights) if architecture == "phi3" else weights
    source = open_source(gguf_files.small(tmp_path / "x.gguf", architecture))
    assert source.tensor_names() == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_array_equal(source.tensor(name), value, err_msg=name)
