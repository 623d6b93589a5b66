"""The published Phi-3 tokenizer in a bundle: the board's reader gives the published tokens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime_genai
import pytest
from safetensors.numpy import save_file

from benchmarks.phi_shape import DATA, write_texts
from edge.bundle import open_bundle
from export.families.base import Dimensions
from export.families.phi3 import FAMILY
from export.pipeline import export_bundle
from export.recipe import Limits, recipes
from export.source import open_source

SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 4}


@pytest.fixture(scope="module")
def phi(tmp_path_factory) -> Path:
    """Phi-3.5-mini's config made narrow and two layers deep, its own tokenizer and template, random weights."""
    folder = tmp_path_factory.mktemp("phi")
    config = json.loads((DATA / "configs/microsoft_Phi-3.5-mini-instruct.config.json").read_text())
    scaling = {name: value[:8] if isinstance(value, list) else value for name, value in config["rope_scaling"].items()}
    config |= {**SMALL, "num_hidden_layers": 2, "rope_scaling": scaling}
    write_texts(folder)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(random_weights(Dimensions.from_config(config)), folder / "model.safetensors")
    return folder


def random_weights(sizes: Dimensions) -> dict[str, np.ndarray]:
    """Seeded, in float32."""
    chance = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("model.embed_tokens.weight", "lm_head.weight"), (32064, 64))
    for index in range(sizes.num_layers):
        shapes |= {f"model.layers.{index}.{name}.weight": sizes.shape_of(name) for name in FAMILY.linear}
        norms = ("input_layernorm", "post_attention_layernorm")
        shapes |= {f"model.layers.{index}.{name}.weight": (64,) for name in norms}
    shapes["model.norm.weight"] = (64,)
    return {name: chance.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def bundle(phi, tmp_path_factory) -> Path:
    """Through the recipe that ships for it: packed projections apart, mixed bits, the quick method."""
    recipe = recipes()["phi-3.5-mini-instruct"].model_copy(
        update={"method": "rtn", "context_length": 512, "limits": Limits(kl_mean=100, top1_agreement=0)}
    )
    target = tmp_path_factory.mktemp("bundles") / "phi"
    return export_bundle(open_source(phi), recipe, target, False, lambda *_: None).path


def vectors() -> list[tuple[str, list[int]]]:
    """The published texts and their ids."""
    folder = DATA / "tokenizer"
    texts = (folder / "tokenizer-vectors.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
    lines = (folder / "tokenizer-vectors.out").read_text(encoding="utf-8").split("\n")
    return [(text, list(map(int, line.split()))) for text, line in zip(texts, lines, strict=True)]


def test_all_published_vectors(bundle):
    """All 47, through the engine's reader of the bundle's own files."""
    cases = vectors()
    assert len(cases) == 47
    model = onnxruntime_genai.Model(str(bundle))
    tokenizer = onnxruntime_genai.Tokenizer(model)
    found = [(text, list(map(int, tokenizer.encode(text)))) for text, _ in cases]
    assert [each for each, case in zip(found, cases, strict=True) if each != case] == []


def test_the_recipe_is_what_was_stored(bundle):
    """The split projections have bits of their own; the manifest says the family, the stops and the bits."""
    manifest = open_bundle(bundle).manifest
    assert manifest.family == "phi3"
    assert manifest.stop_token_ids == [32000, 32001, 32007]
    assert manifest.quantization.overrides == {"self_attn.v_proj": 8}
