"""How a model's makers would have its tokens chosen, from their files to the manifest."""

from __future__ import annotations

import json

import gguf
import pytest

from edge.bundle import Sampling, open_bundle
from export.errors import SourceError
from export.sampling import sampling_of
from export.source import open_source
from tests.export import small_model
from tests.export.test_pipeline import export

GREEDY = Sampling()
FILES = {
    "none": (None, GREEDY),
    "the tokens alone, as SmolLM2 and Phi-3.5": ({"bos_token_id": 1, "eos_token_id": 2}, GREEDY),
    "a temperature that nothing turns on": ({"temperature": 0.7, "top_p": 0.9}, GREEDY),
    "a penalty without sampling": ({"repetition_penalty": 1.1}, Sampling(repetition_penalty=1.1)),
    "sampling alone": ({"do_sample": True}, Sampling(temperature=1.0, top_k=50)),
    "as Llama 3.2": (
        {"do_sample": True, "temperature": 0.6, "top_p": 0.9},
        Sampling(temperature=0.6, top_p=0.9, top_k=50),
    ),
    "as Qwen 2.5": (
        {"do_sample": True, "repetition_penalty": 1.05, "temperature": 0.7, "top_p": 0.8, "top_k": 20},
        Sampling(temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05),
    ),
    "no such step, by null": ({"do_sample": True, "temperature": None, "top_k": None}, Sampling(temperature=1)),
    "no top-k, by 0": ({"do_sample": True, "top_k": 0}, Sampling(temperature=1)),
}


@pytest.fixture
def folder(tmp_path):
    """The small Llama as a folder."""
    return small_model.write_checkpoint(tmp_path / "small", small_model.llama_weights())


@pytest.mark.parametrize("name", FILES)
def test_generation_config_is_read_as_transformers_reads_it(folder, name):
    """What `do_sample` implies is there, and without it only the penalty counts."""
    written, wanted = FILES[name]
    if written is not None:
        (folder / "generation_config.json").write_text(json.dumps(written))
    assert sampling_of(open_source(folder)) == wanted


@pytest.mark.trace
@pytest.mark.parametrize("name", FILES)
def test_transformers_would_choose_by_the_same_numbers(tmp_path, name):
    """Its own `GenerationConfig` over the same file."""
    transformers = pytest.importorskip("transformers", reason="the trace extra is not installed")
    written, ours = FILES[name]
    (tmp_path / "generation_config.json").write_text(json.dumps(written or {}))
    theirs = transformers.GenerationConfig.from_pretrained(tmp_path)
    assert bool(theirs.do_sample) == (ours.temperature > 0)
    assert (theirs.repetition_penalty or 1.0) == ours.repetition_penalty
    if theirs.do_sample:
        found = (theirs.temperature or 1.0, theirs.top_p or 1.0, theirs.top_k or 0, theirs.min_p or 0.0)
        assert found == (ours.temperature, ours.top_p, ours.top_k, ours.min_p)


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1}, {"top_p": 0}, {"top_p": "much"}, {"top_k": -1}, {"repetition_penalty": 0}]
)
def test_a_value_that_cannot_be_is_named(folder, wrong):
    """Before anything is rounded, with its key."""
    (folder / "generation_config.json").write_text(json.dumps({"do_sample": True, **wrong}))
    with pytest.raises(SourceError, match=f"{next(iter(wrong))} of its sampling"):
        sampling_of(open_source(folder))


def test_a_bundle_carries_it(folder, tmp_path):
    """In its manifest."""
    (folder / "generation_config.json").write_text(json.dumps({"do_sample": True, "top_p": 0.5, "eos_token_id": 2}))
    manifest = open_bundle(export(folder, tmp_path / "bundle")).manifest
    assert manifest.sampling == Sampling(temperature=1.0, top_k=50, top_p=0.5)


def test_a_gguf_header_is_read_too(tmp_path):
    """llama.cpp's keys; without a temperature it is greedy."""
    plain, told = tmp_path / "plain.gguf", tmp_path / "told.gguf"
    small_model.write_gguf(plain, small_model.llama_weights(), gguf.GGMLQuantizationType.Q8_0)
    assert sampling_of(open_source(plain)) == GREEDY
    add = {"general.sampling.temp": 0.7, "general.sampling.top_p": 0.9}
    small_model.write_gguf(told, small_model.llama_weights(), gguf.GGMLQuantizationType.Q8_0, add)
    assert sampling_of(open_source(told)) == Sampling(temperature=0.7, top_p=0.9)
