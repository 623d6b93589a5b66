"""Every key of a config is read, known to change nothing, or refused by its name; what is absent is as usual."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from export.errors import ExportError
from export.families import FAMILIES, family_of_config
from export.families.base import Dimensions
from export.plan import plan_of
from export.recipe import Recipe, recipes
from export.source.config_only import ConfigSource
from tests.export import small_model, small_vision

DATA = Path(__file__).resolve().parent.parent / "data"
WRITTEN = json.loads((DATA / "transformers" / "configs.json").read_text())
"""What `config.to_json_string(use_diff=False)` of Transformers' own classes says, by architecture and version."""
PHI4_MINI = {
    "architectures": ["Phi3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config", "AutoTokenizer": "Xenova/gpt-4o"},
    "full_attn_mod": 1,
    "hidden_act": "silu",
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "interpolate_factor": 1,
    "lm_head_bias": False,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "model_type": "phi3",
    "num_attention_heads": 24,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "original_max_position_embeddings": 4096,
    "partial_rotary_factor": 0.75,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {"type": "longrope", "short_factor": [1.0] * 48, "long_factor": [2.0] * 48},
    "rope_theta": 10000.0,
    "sliding_window": 262144,
    "tie_word_embeddings": True,
    "vocab_size": 200064,
}
SMOLLM2 = {
    "architectures": ["LlamaForCausalLM"],
    "head_dim": 64,
    "hidden_size": 576,
    "initializer_range": 0.041666666666666664,
    "intermediate_size": 1536,
    "is_llama_config": True,
    "max_position_embeddings": 8192,
    "model_type": "llama",
    "num_attention_heads": 9,
    "num_hidden_layers": 30,
    "num_key_value_heads": 3,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_interleaved": False,
    "rope_scaling": None,
    "rope_theta": 100000,
    "tie_word_embeddings": True,
    "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}},
    "vocab_size": 49152,
}


def sizes_of(config: dict[str, Any]) -> Dimensions:
    """As an export reads them."""
    return Dimensions.from_config(config, family_of_config(config))


@pytest.mark.parametrize("config", [*WRITTEN.values(), PHI4_MINI, SMOLLM2], ids=[*WRITTEN, "Phi-4-mini", "SmolLM2"])
def test_no_sound_config_is_refused(config):
    """All that Transformers 4 and 5 write of themselves, and what hubs carry beside it."""
    sizes = sizes_of(config)
    assert sizes.hidden_size == config["hidden_size"]
    assert sizes.rope.size == sizes.head_size * config.get("partial_rotary_factor", 1)


@pytest.mark.parametrize("file", sorted((DATA / "phi3" / "configs").iterdir()), ids=lambda path: path.name)
def test_no_published_phi3_is_refused(file):
    """The four configs as their makers published them, the picture tower's keys among them."""
    config = json.loads(file.read_text())
    plan = plan_of(ConfigSource(file.name, config), Recipe(licence="none"))
    assert plan.sizes.context_length == config["max_position_embeddings"]
    slides = config["sliding_window"] < config["max_position_embeddings"]
    assert plan.sizes.attention_of(31).window == (config["sliding_window"] if slides else 0)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_has_a_recipe(family):
    """For a file or folder of one's own."""
    assert family.name in recipes()


@pytest.mark.parametrize("name", recipes())
def test_a_recipes_own_config_is_known(name):
    """An estimate without a download stumbles over none of them."""
    if config := recipes()[name].config:
        plan_of(ConfigSource(name, config), recipes()[name])


@pytest.mark.trace
@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_absent_is_what_transformers_takes(name):
    """Each default of a family is that of Transformers' class, whichever version is installed."""
    transformers = pytest.importorskip("transformers")
    config = {"architectures": [name.split()[0]]}
    made, family = getattr(transformers, name.split("For")[0] + "Config"), family_of_config(config)
    theirs, sliding = made(), made(use_sliding_window=True)  # Qwen's has no width where no window is used
    for key, value in family.defaults.items():
        assert getattr(sliding if key == "sliding_window" else theirs, key) == value
    rope = getattr(theirs, "rope_parameters", None) or {"rope_theta": theirs.rope_theta}
    assert family.rope_theta == rope["rope_theta"]


def test_a_bare_config_has_its_familys_defaults():
    """Norms, positions and heads: a Phi-3's are not a Llama's, and a Mistral's window is there unless it is null."""
    sizes = {key: small_model.CONFIG[key] for key in ("hidden_size", "intermediate_size", "num_attention_heads")}
    sizes |= {"num_hidden_layers": 2, "vocab_size": 96}
    llama, phi3 = (sizes_of({**sizes, "architectures": [f"{name}ForCausalLM"]}) for name in ("Llama", "Phi3"))
    assert (llama.rms_norm_eps, llama.context_length, llama.num_kv_heads) == (1e-6, 2048, 4)
    assert (phi3.rms_norm_eps, phi3.context_length, phi3.tied_embeddings) == (1e-5, 4096, False)
    mistral = {**sizes, "architectures": ["MistralForCausalLM"], "num_key_value_heads": 2}
    found = [sizes_of({**mistral, **more}) for more in ({}, {"sliding_window": None})]
    assert [each.attention_of(1).window for each in found] == [4096, 0]
    assert {each.context_length for each in found} == {131072}
    with pytest.raises(ExportError, match="4 heads cannot share 8"):
        sizes_of({**sizes, "architectures": ["MistralForCausalLM"]})


def test_a_model_type_alone_names_the_family():
    """As Transformers finds it where `architectures` is null."""
    config = {**small_model.CONFIG, "architectures": None, "model_type": "mistral"}
    assert family_of_config(config).name == "mistral"


MISREAD: dict[str, tuple[dict[str, Any], str]] = {
    "biases of the attention": (
        {"architectures": ["MistralForCausalLM"], "attention_bias": True},
        "attention_bias: True, but only False",
    ),
    "biases of the MLP": ({"architectures": ["Qwen3ForCausalLM"], "mlp_bias": True}, "mlp_bias"),
    "a layer without positions that is no number": (
        {"architectures": ["SmolLM3ForCausalLM"], "no_rope_layers": ["no", "yes"]},
        "no_rope_layers should be a list of 0 or 1",
    ),
    "a layer of full attention in a Mistral": (
        {"architectures": ["MistralForCausalLM"], "sliding_window": 16, "layer_types": ["full_attention"] * 2},
        "layers are of sliding_attention here",
    ),
    "a bias that is the number 1": ({"attention_bias": 1}, "attention_bias"),
    "GELU": ({"hidden_act": "gelu"}, "hidden_act: 'gelu', but only 'silu' or 'swish'"),
    "a part of a Llama's heads": ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
    "Granite's": ({"embedding_multiplier": 12.0}, "embedding_multiplier: 12.0, which this program does not know"),
    "Gemma's": ({"final_logit_softcapping": 30.0}, "final_logit_softcapping"),
    "experts": ({"num_local_experts": 8}, "num_local_experts"),
    "rounded already": ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config.*export the original"),
    "pruned heads": ({"pruned_heads": {"0": [1]}}, "pruned_heads"),
    "layers that differ": ({"per_layer_config": {"0": {"head_dim": 8}}}, "per_layer_config"),
    "a text within": ({"text_config": {"hidden_size": 64}}, "text_config"),
    "rows in pairs": ({"rope_interleaved": True}, "rope_interleaved"),
    "linear attention": ({"layer_types": ["full_attention", "linear_attention"]}, "linear_attention"),
    "a window without a width": ({"layer_types": ["full_attention", "sliding_attention"]}, "sliding_window says"),
    "a layer too few": ({"layer_types": ["full_attention"]}, "layer_types should name"),
    "another model": ({"model_type": "qwen2"}, "model_type: 'qwen2', but LlamaForCausalLM is 'llama'"),
    "a Mistral that is a Llama": ({"architectures": ["MistralForCausalLM"], "model_type": "llama"}, "which of the two"),
    "two models": ({"architectures": ["LlamaForCausalLM", "Phi3ForCausalLM"]}, "one is exported at a time"),
    "a classifier": ({"architectures": ["LlamaForSequenceClassification"]}, "no family exports"),
    "a size in words": ({"num_hidden_layers": "two"}, "garbles num_hidden_layers: it is 'two'"),
    "a size that is true": ({"num_key_value_heads": True}, "garbles num_key_value_heads"),
    "a size that is a float": ({"hidden_size": 64.0}, "garbles hidden_size"),
    "a size that is null": ({"hidden_size": None}, "garbles hidden_size"),
    "no layers": ({"num_hidden_layers": 0}, "garbles num_hidden_layers"),
    "more layers than any": ({"num_hidden_layers": 10**9}, "garbles num_hidden_layers"),
    "an endless vocabulary": ({"vocab_size": 10**30}, "garbles vocab_size"),
    "an epsilon that is no number": ({"rms_norm_eps": math.nan}, "garbles rms_norm_eps"),
    "an epsilon in quotes": ({"rms_norm_eps": "1e-5"}, "garbles rms_norm_eps"),
    "a negative epsilon": ({"rms_norm_eps": -1e-5}, "garbles rms_norm_eps"),
    "a huge base": ({"rope_theta": 10**400}, "garbles rope_theta"),
    "tied in words": ({"tie_word_embeddings": "false"}, "garbles tie_word_embeddings"),
    "a window of nothing": ({"sliding_window": 0}, "garbles sliding_window"),
    "a width that heads cannot share": ({"num_attention_heads": 5}, "5 heads cannot share"),
    "a head of 24": ({"head_dim": 24}, "turn 24 channels of a head; multiples of 16"),
}


@pytest.mark.parametrize(("changes", "says"), MISREAD.values(), ids=MISREAD)
def test_what_would_be_misread_is_refused_by_name(changes, says):
    """Before any tensor is looked at, an estimate's, too."""
    with pytest.raises(ExportError, match=says):
        plan_of(ConfigSource("altered", {**small_model.CONFIG, **changes}), Recipe(licence="none"))


@pytest.mark.parametrize("key", ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"])
def test_a_size_that_is_missing_is_named(key):
    """Nothing is guessed that shapes a tensor."""
    with pytest.raises(ExportError, match=f"lacks {key}"):
        sizes_of({name: value for name, value in small_model.CONFIG.items() if name != key})


SEEN_OTHERWISE = {
    "another activation": ("img_processor", {"hidden_act": "gelu"}, "img_processor says hidden_act"),
    "another crop": ("img_processor", {"image_size": 224}, "img_processor says image_size"),
    "another layer": ("img_processor", {"layer_idx": -1}, "img_processor says layer_idx"),
    "a class token": ("img_processor", {"type_feature": "cls_patch"}, "img_processor says type_feature"),
    "an unknown key": ("img_processor", {"drop_path_rate": 0.1}, "img_processor says drop_path_rate"),
    "another width": ("img_processor", {"image_dim_out": 8}, "image_dim_out"),
    "a size in words": ("img_processor", {"num_attention_heads": "four"}, "garbles num_attention_heads"),
    "another embedding": ("embd_layer", {"embedding_cls": "audio"}, "embd_layer says embedding_cls"),
    "an unknown layer key": ("embd_layer", {"use_moe": True}, "embd_layer says use_moe"),
}


@pytest.mark.parametrize(("where", "changes", "says"), SEEN_OTHERWISE.values(), ids=SEEN_OTHERWISE)
def test_a_picture_tower_of_another_kind_is_refused_by_name(where, changes, says):
    """The keys within a config are keys like others."""
    config = small_vision.config()
    with pytest.raises(ExportError, match=says):
        plan_of(ConfigSource("altered", {**config, where: {**config[where], **changes}}), Recipe(licence="none"))
    with pytest.raises(ExportError, match=f"{where} should be an object"):
        plan_of(ConfigSource("altered", {**config, where: "clip"}), Recipe(licence="none"))


def test_a_default_context_becomes_what_the_model_bears():
    """It says so in a line; one that somebody named, in a recipe or beside it, is refused with the true figure."""
    source = ConfigSource("short", {**small_model.CONFIG, "max_position_embeddings": 256})
    plan = plan_of(source, Recipe(licence="none"))
    assert (plan.recipe.context_length, len(plan.notes)) == (256, 1)
    assert "exact up to 256 tokens" in plan.notes[0]
    long = plan_of(ConfigSource("long", {**small_model.CONFIG, "max_position_embeddings": 131072}), Recipe(licence=""))
    assert (long.recipe.context_length, long.notes) == (4096, ())
    asked = Recipe(licence="none").model_copy(update={"context_length": 300})
    for recipe in (asked, Recipe(licence="none", context_length=4096)):
        with pytest.raises(ExportError, match="exact up to 256; pass --context 256 or less"):
            plan_of(source, recipe)
