"""A Hugging Face folder and the GGUF file made of it become bundles that read and answer alike."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from edge.bundle import open_bundle
from edge.engine.genai.tokenizer import Tokenizer
from export.source import open_source
from tests.export import gguf_files, small_model
from tests.export.gguf_files import PHI3, TEMPLATE
from tests.export.test_gguf_tokenizer import PHI3_ADDED, texts
from tests.export.test_pipeline import EXACT, NO_LIMITS, export, logits

RECIPE = EXACT.model_copy(update={"method": "none", "limits": NO_LIMITS, "prompts": (), "evaluation_tokens": 64})


def phi3(folder):
    """Phi-3's tokenizer, 64 tokens of padding as in its published files, a window that its context never reaches."""
    weights = gguf_files.widened(small_model.llama_weights(), 32064)
    config = {"architectures": ["Phi3ForCausalLM"], "vocab_size": 32064, "sliding_window": 127}
    config |= {"original_max_position_embeddings": 128, "eos_token_id": 32000}
    small_model.write_checkpoint(folder / "hub", small_model.as_phi3(weights), **config)
    keys = gguf_files.pieces([token["content"] for token in PHI3_ADDED])
    keys["tokenizer.ggml.token_type"][2] = gguf_files.USER_DEFINED
    for name, value in (("tokens", None), ("scores", -10000.0), ("token_type", gguf_files.UNUSED)):
        fill = [f"[PAD{number}]" if value is None else value for number in range(32011, 32064)]
        keys[f"tokenizer.ggml.{name}"] += fill
    keys |= {"tokenizer.ggml.eos_token_id": 32000, "phi3.rope.scaling.original_context_length": 128}
    keys |= gguf_files.sizes("phi3", attention__sliding_window=127) | {"general.name": "Phi 3.5 Mini Instruct"}
    return keys, weights, json.loads((PHI3 / "tokenizer.json").read_text())


def tiny_llama(folder):
    """Llama 2's tokenizer: Phi-3's pieces without what Phi-3 added."""
    weights = gguf_files.widened(small_model.llama_weights(), 32000)
    small_model.write_checkpoint(folder / "hub", weights, vocab_size=32000)
    tokenizer = json.loads((PHI3 / "tokenizer.json").read_text())
    marks = tokenizer["added_tokens"][:3]
    tokenizer["added_tokens"] = [mark | {"rstrip": False, "special": True} for mark in marks]
    return gguf_files.pieces([]) | gguf_files.sizes("llama"), weights, tokenizer


TWINS = {"phi3": phi3, "llama": tiny_llama}


@pytest.fixture(scope="module", params=TWINS)
def bundles(request, tmp_path_factory):
    """Both exported in float32."""
    folder = tmp_path_factory.mktemp(request.param)
    keys, weights, tokenizer = TWINS[request.param](folder)
    (folder / "hub/tokenizer.json").write_text(json.dumps(tokenizer))
    published = json.loads((PHI3 / "tokenizer_config.json").read_text())
    named = {str(token["id"]): token for token in tokenizer["added_tokens"]}
    config = published | {"chat_template": TEMPLATE, "added_tokens_decoder": named}
    (folder / "hub/tokenizer_config.json").write_text(json.dumps(config))
    tensors = gguf_files.tensors(weights, request.param)
    gguf_files.write(folder / "twin.gguf", request.param, keys | {"tokenizer.chat_template": TEMPLATE}, tensors)
    made = [export(folder / "hub", folder / "a", RECIPE), export(folder / "twin.gguf", folder / "b", RECIPE)]
    yield made
    shutil.rmtree(folder)


@pytest.mark.slow
def test_they_compute_the_same(bundles):
    """The same logits, to the bit: the weights are the same numbers."""
    ours, theirs = (logits(bundle, [5, 17, 31000, 3, 259, 9]) for bundle in bundles)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_they_read_the_same(bundles):
    """The same tokens of awkward texts, the same chat text, by the engine's own reader."""
    ours, theirs = (Tokenizer(bundle, open_bundle(bundle).manifest) for bundle in bundles)
    for text in texts(500):
        assert ours.ids(text) == theirs.ids(text), repr(text)
    chat = [{"role": "user", "content": "How many are 12 and  34?\n"}]
    assert ours.encode(chat) == theirs.encode(chat)


@pytest.mark.slow
def test_their_manifests_say_the_same(bundles):
    """Sizes and template; where an answer ends is what the header names, and what the template says besides."""
    ours, theirs = (open_bundle(bundle).manifest for bundle in bundles)
    assert ours.model_copy(update={"stop_token_ids": theirs.stop_token_ids}).context_length == theirs.context_length
    assert (ours.family, ours.chat_template) == (theirs.family, theirs.chat_template)
    assert set(ours.stop_token_ids) <= set(theirs.stop_token_ids)


def test_the_sources_say_the_same(tmp_path):
    """Nothing of Phi-3's config is another but the names that GGUF has not."""
    keys, weights, _ = phi3(tmp_path)
    gguf_files.write(tmp_path / "x.gguf", "phi3", keys, gguf_files.tensors(weights, "phi3"))
    ours, theirs = open_source(tmp_path / "x.gguf").config, open_source(tmp_path / "hub").config
    assert {name for name in ours if ours[name] != theirs.get(name)} == {"architectures", "head_dim"}
