"""Rotary positions as Transformers reads them from a config, in its fourth version's spelling and in its fifth's."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from export.errors import ExportError
from export.families import family_of_config
from export.families.base import Dimensions
from export.families.rope import Rope
from export.rotary import bundle_rotary_tables, rotary_tables, switches_rope
from tests.export import small_model

BASE = {**small_model.CONFIG, "hidden_size": 128, "head_dim": 32, "max_position_embeddings": 64}
"""Heads of 32 channels."""
SHORT, LONG = [1 + i / 16 for i in range(16)], [2 + i / 4 for i in range(16)]
PHI3 = {"architectures": ["Phi3ForCausalLM"], "original_max_position_embeddings": 32}
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}


def rope(**config: Any) -> Rope:
    """Of the small config with other values."""
    made = {**BASE, **config}
    return Dimensions.from_config(made, family_of_config(made)).rope


FOUND: dict[str, tuple[dict[str, Any], list[float], float]] = {
    "plain": ({}, [1.0, 0.31622776, 0.1, 0.001], 1.0),
    "another base": ({"rope_theta": 500000.0}, [1.0, 0.19392276, 0.037606031, 5.3182957e-05], 1.0),
    "default": ({"rope_scaling": {"rope_type": "default"}}, [1.0, 0.31622776, 0.1, 0.001], 1.0),
    "linear": ({"rope_scaling": {"type": "linear", "factor": 4.0}}, [0.25, 0.079056941, 0.025, 0.00025], 1.0),
    "dynamic": ({"rope_scaling": {"type": "dynamic", "factor": 4.0}}, [1.0, 0.31622776, 0.1, 0.001], 1.0),
    "llama3": ({"rope_scaling": {"rope_type": "llama3", **LLAMA3}}, [1.0, 0.095839977, 0.0125, 0.000125], 1.0),
    "yarn": (
        {"rope_scaling": YARN},
        [1.0, 0.24846469, 0.057142854, 0.00025],
        1.138629436,
    ),
    "yarn, untruncated": (
        {"rope_scaling": {**YARN, "truncate": False, "beta_fast": 8.0, "mscale": 0.707, "mscale_all_dim": 1.0}},
        [1.0, 0.31622776, 0.075664401, 0.00025],
        0.964326915,
    ),
    "longrope": (
        {**PHI3, "rope_scaling": {"type": "longrope", "short_factor": SHORT, "long_factor": LONG}},
        [1.0, 0.28109136, 0.08, 0.00057142857],
        1.095445115,
    ),
    "a part of each head": ({**PHI3, "partial_rotary_factor": 0.5}, [1.0, 0.1, 0.01], 1.0),
}
"""Every second pair's frequency, or some of them, and the scale, as Transformers 4.57.6 computes them."""
PLACES = {"a part of each head": [0, 2, 4]}


@pytest.mark.parametrize("name", FOUND)
def test_each_kind_gives_transformers_frequencies(name):
    """Figures that are not ours, for every kind that there is."""
    config, wanted, scale = FOUND[name]
    found = rope(**config)
    places = PLACES.get(name, [0, 2, 4, 12])
    np.testing.assert_allclose(np.array(found.frequencies)[places], wanted, rtol=1e-6)
    assert found.scale == pytest.approx(scale, rel=1e-6)


FIFTH: dict[str, dict[str, Any]] = {
    "default": {"rope_type": "default", "rope_theta": 500000.0},
    "linear": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0},
    "llama3": {"rope_type": "llama3", **LLAMA3, "rope_theta": 500000.0},
    "yarn": {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32, "rope_theta": 10000.0},
    "longrope": {
        "rope_type": "longrope",
        "short_factor": SHORT,
        "long_factor": LONG,
        "original_max_position_embeddings": 32,
        "rope_theta": 10000.0,
    },
}


@pytest.mark.parametrize("values", FIFTH.values(), ids=FIFTH)
def test_both_spellings_are_one_model(values):
    """Transformers 5 puts into `rope_parameters` what 4 had in two places; both at once are taken where they agree."""
    base = {**PHI3} if values["rope_type"] == "longrope" else {}
    scaling = {key: value for key, value in values.items() if key != "rope_theta"}
    fourth = rope(**base, rope_theta=values["rope_theta"], rope_scaling=scaling)
    config = {key: value for key, value in BASE.items() if key != "rope_theta"} | base | {"rope_parameters": values}
    fifth = Dimensions.from_config(config, family_of_config(config)).rope
    assert (
        fifth == fourth == rope(**base, rope_theta=values["rope_theta"], rope_scaling=scaling, rope_parameters=values)
    )


def test_an_attention_factor_is_taken_as_it_is():
    """It stands for what is otherwise reckoned from the lengths."""
    values = {"type": "longrope", "short_factor": SHORT, "long_factor": LONG}
    assert rope(**PHI3, rope_scaling={**values, "attention_factor": 1.25}).scale == 1.25


def test_equal_factors_need_no_second_table():
    """Short and long ones that are the same divide once and for all."""
    values = {"rope_type": "longrope", "short_factor": SHORT, "long_factor": SHORT, "attention_factor": 1.0}
    config = {**BASE, **PHI3, "rope_scaling": values}
    sizes = Dimensions.from_config(config, family_of_config(config))
    assert not switches_rope(sizes, 64)
    assert bundle_rotary_tables(sizes, 64)["cos_cache"].shape == (64, 16)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown kind": ({"rope_scaling": {"rope_type": "mrope"}}, "of the type 'mrope'"),
    "a kind that is no word": ({"rope_scaling": {"rope_type": ["linear"]}}, "of the type"),
    "a Phi-3's with another": ({**PHI3, "rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "type 'linear'"),
    "no object": ({"rope_scaling": "linear"}, "should be an object"),
    "an unknown key": ({"rope_scaling": {"type": "linear", "factor": 2.0, "alpha": 1.0}}, "rope_scaling says alpha"),
    "another kind's key": ({"rope_scaling": {"type": "linear", "factor": 2.0, "beta_fast": 8}}, "says beta_fast"),
    "no factor": ({"rope_scaling": {"type": "linear"}}, "lacks factor"),
    "a factor in quotes": ({"rope_scaling": {"type": "linear", "factor": "2"}}, "garbles factor"),
    "two kinds": ({"rope_scaling": {"type": "linear", "rope_type": "yarn", "factor": 2.0}}, "that differ"),
    "two bases": ({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, "rope_theta 500000.0, but beside"),
    "a base that 4 overlooks": (
        {"rope_theta": None, "rope_scaling": {"rope_type": "default", "rope_theta": 5e5}},
        "Transformers 4 and 5 read two",
    ),
    "two spellings": (
        {
            "rope_scaling": {"type": "linear", "factor": 2.0},
            "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0},
        },
        "contradict each other",
    ),
    "a rope for each kind of layer": (
        {"rope_parameters": {"full_attention": {"rope_type": "default"}}},
        "rope_parameters says full_attention",
    ),
    "two original lengths": (
        {
            **PHI3,
            "rope_scaling": {
                "type": "longrope",
                "short_factor": SHORT,
                "long_factor": LONG,
                "original_max_position_embeddings": 16,
            },
        },
        "original_max_position_embeddings is 32, and 16",
    ),
    "too few factors": (
        {**PHI3, "rope_scaling": {"type": "longrope", "short_factor": SHORT[1:], "long_factor": LONG}},
        "garbles short_factor.*a list of 16",
    ),
    "a factor of nothing": (
        {**PHI3, "rope_scaling": {"type": "longrope", "short_factor": [0.0, *SHORT[1:]], "long_factor": LONG}},
        "garbles short_factor",
    ),
    "a ratio that 4 overlooks": (
        {**PHI3, "rope_scaling": {"type": "longrope", "short_factor": SHORT, "long_factor": LONG, "factor": 8.0}},
        "give its attention_factor",
    ),
    "frequencies the wrong way round": (
        {"rope_scaling": {"rope_type": "llama3", **LLAMA3, "high_freq_factor": 1.0}},
        "not above its low_freq_factor",
    ),
    "a part that the operator cannot turn": ({**PHI3, "partial_rotary_factor": 0.75}, "turn 24 channels"),
}


@pytest.mark.parametrize(("config", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_unclear_is_refused_by_name(config, says):
    """Each would be another model to somebody."""
    with pytest.raises(ExportError, match=says):
        rope(**config)


KEYS: dict[str, dict[str, list[Any]]] = {
    "linear": {"factor": [2.0, 8]},
    "dynamic": {"factor": [2.0, 8]},
    "llama3": {
        "factor": [2.0, 8],
        "low_freq_factor": [1.0],
        "high_freq_factor": [4.0],
        "original_max_position_embeddings": [32, 64],
    },
    "yarn": {
        "factor": [2.0, 8],
        "original_max_position_embeddings": [None, 16, 32],
        "beta_fast": [None, 16.0],
        "beta_slow": [None, 2],
        "mscale": [None, 0.7, 0],
        "mscale_all_dim": [None, 1.0],
        "truncate": [None, False],
        "attention_factor": [None, None, 1.3],
    },
    "longrope": {
        "factor": [None, None, 2.0],
        "original_max_position_embeddings": [None, 32],
        "attention_factor": [None, None, 1.3],
        "short_factor": [SHORT],
        "long_factor": [LONG, SHORT],
    },
}
NAMES = ("Llama", "Phi3", "Mistral")


def drawn(chance: random.Random, is_fifth: bool) -> tuple[str, dict[str, Any]]:
    """A family and what a config of it may say of its rope."""
    name, kind = chance.choice(NAMES), chance.choice(["", "default", *KEYS])
    config: dict[str, Any] = {"max_position_embeddings": chance.choice([32, 64])}
    theta = chance.choice([10000.0, 500000.0])
    if not is_fifth or chance.random() < 0.5:
        config["rope_theta"] = theta
    if chance.random() < 0.5:
        config["original_max_position_embeddings"] = chance.choice([16, 32])
    if kind:
        values = {key: chance.choice(choices) for key, choices in KEYS.get(kind, {}).items()}
        values = {key: value for key, value in values.items() if value is not None} | {"rope_type": kind}
        if not is_fifth and name == "Phi3":
            values["type"] = values.pop("rope_type")
        config["rope_parameters" if is_fifth else "rope_scaling"] = values | ({"rope_theta": theta} if is_fifth else {})
    return name, config


@pytest.mark.trace
@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_config_says_the_tables_are_transformers_own(seed):
    """A hundred drawn configs each: Transformers' cos and sin at both ends of the context, or a refusal."""
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    transformers.logging.set_verbosity_error()
    chance, read = random.Random(seed), 0
    for _ in range(100):
        name, config = drawn(chance, not transformers.__version__.startswith("4."))
        ours = {**{key: BASE[key] for key in BASE if key != "rope_theta"}, **config}
        ours["architectures"] = [f"{name}ForCausalLM"]
        theirs = {key: value for key, value in ours.items() if key not in ("architectures", "rope_parameters")}
        theirs |= {key: dict(config[key]) for key in ("rope_parameters", "rope_scaling") if key in config}
        try:
            sizes = Dimensions.from_config(ours, family_of_config(ours))
            module = getattr(transformers.models, name.lower())
            make = getattr(getattr(module, f"modeling_{name.lower()}"), f"{name}RotaryEmbedding")
            rotary = make(getattr(transformers, f"{name}Config")(**theirs))
        except (ExportError, ValueError, KeyError, TypeError):  # one of the two refuses it
            continue
        for length in (16, config["max_position_embeddings"]):
            wanted = rotary(torch.zeros(1, 1, 1), torch.arange(length)[None])
            for found, table in zip(rotary_tables(sizes.rope, length), wanted, strict=True):
                np.testing.assert_allclose(found, table[0, :, : found.shape[1]].numpy(), atol=2e-5, err_msg=str(ours))
        read += 1
    assert read > 20
