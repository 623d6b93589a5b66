"""An embedding model that a bundle brings: one vector a text, whatever is beside it; bounded, and refused well."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import SENTENCE_GRAPH, SENTENCE_TOKENIZER, read_manifest
from edge.engine.text.sentences import BATCH_TOKENS, Sentences, batches
from edge.errors import BundleError
from edge.testing import scripted_manifest
from export.sentences.make import make
from tests.conftest import ROOT
from tests.export.sentences import small_bert


@pytest.fixture(scope="module")
def bringing(tmp_path_factory) -> Path:
    """As much of a bundle as an embedding model needs, with a small one in floats."""
    room = tmp_path_factory.mktemp("sentences")
    bundle = room / "bundle"
    bundle.mkdir()
    said = make(small_bert.write(room / "small-bert"), bundle, rounds=False)
    manifest = scripted_manifest().model_copy(update={"sentences": said})
    (bundle / "manifest.json").write_text(manifest.text(), encoding="utf-8")
    return bundle


def opened(bundle: Path, threads: int = 1) -> Sentences:
    """Its embedding model, which is there."""
    model = Sentences.of(bundle, threads)
    assert model
    return model


def test_vectors_have_length_one_and_are_told_apart(bringing):
    """One a text, empty ones and endless ones among them."""
    vectors = opened(bringing).embed(list(small_bert.TEXTS))
    assert vectors.shape == (len(small_bert.TEXTS), 64)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.abs(vectors @ vectors.T - np.eye(len(vectors))).max() < 0.999


def test_a_text_has_one_vector_whatever_is_beside_it(bringing):
    """What fills short texts counts for nothing, and no text gets another's place."""
    texts = [f"{'many words ' * (place * 7 % 23)}and the number {place}" for place in range(700)]
    model = opened(bringing)
    together, reversed_order = model.embed(texts), model.embed(texts[::-1])[::-1]
    assert np.abs(together - reversed_order).max() < 1e-5
    for place in (0, 1, 350, 511, 512, 699):
        assert np.abs(model.embed([texts[place]])[0] - together[place]).max() < 1e-5


def test_no_texts_are_no_vectors(bringing):
    """Of the right width all the same."""
    assert opened(bringing).embed([]).shape == (0, 64)


def test_what_is_behind_the_longest_text_is_not_read(bringing):
    """A text of megabytes has the vector of its beginning, and takes no longer than its beginning."""
    model, beginning = opened(bringing), "over and over again " * 16
    wanted = model.embed([beginning])
    assert np.array_equal(model.embed([beginning + "something else " * 300_000]), wanted)


@pytest.mark.parametrize("text", ["half \ud83d of a pair", "\0", "\u202e\ufffe", "a" * 5000])
def test_any_text_has_a_vector(text, bringing):
    """What no file of text holds, too."""
    assert np.isfinite(opened(bringing).embed([text])).all()


def test_threads_change_nothing_that_counts(bringing):
    """One, and all that there are."""
    texts = list(small_bert.TEXTS)
    assert np.abs(opened(bringing, 1).embed(texts) - opened(bringing, 0).embed(texts)).max() < 1e-5


def test_batches_are_bounded_and_whole():
    """Every text once, texts of like lengths together, one alone where it is longer than all may be."""
    lengths = [int(length) for length in np.random.default_rng(0).integers(3, 300, 2000)] + [BATCH_TOKENS + 1]
    made = list(batches(lengths))
    assert sorted(chain(*made)) == list(range(len(lengths)))
    for batch in made:
        longest = max(lengths[place] for place in batch)
        assert len(batch) * longest <= BATCH_TOKENS or len(batch) == 1
    filled = sum(len(batch) * max(lengths[place] for place in batch) for batch in made)
    assert filled < 1.05 * sum(lengths)
    assert list(batches([])) == []


def test_it_is_named_by_what_it_was_made_of(bringing, tmp_path):
    """The same folder rounded is the same model; other weights, another tokenizer or another length are not."""
    said = read_manifest(bringing).sentences
    assert said is not None
    assert opened(bringing).digest == said.source
    assert opened(bringing).dimensions == said.dimensions == 64
    spoiled = {
        "same": lambda folder: None,
        "longer": lambda folder: small_bert.change(folder, "sentence_bert_config.json", max_seq_length=40),
        "epsilon": lambda folder: small_bert.change(folder, "config.json", layer_norm_eps=1e-6),
        "tokenizer": lambda folder: small_bert.change(folder, "tokenizer.json", normalizer={"type": "NFC"}),
    }
    sources = {}
    for name, spoil in spoiled.items():
        spoil(folder := small_bert.write(tmp_path / name))
        (tmp_path / f"{name}-made").mkdir()
        sources[name] = make(folder, tmp_path / f"{name}-made", rounds=name == "same").source
    sources["weights"] = make(small_bert.write(tmp_path / "weights", seed=1), tmp_path, rounds=False).source
    assert sources["same"] == said.source
    assert len(set(sources.values())) == len(sources)


def test_a_bundle_may_bring_none(tmp_path):
    """That is no error."""
    (tmp_path / "manifest.json").write_text(scripted_manifest().text(), encoding="utf-8")
    assert '"sentences"' not in (tmp_path / "manifest.json").read_text()
    assert Sentences.of(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (SENTENCE_GRAPH, "no graph", "onnxruntime cannot load"),
        (SENTENCE_TOKENIZER, "{}", "tokenizers cannot read"),
        (SENTENCE_TOKENIZER, None, "cannot be read"),
        (SENTENCE_GRAPH, None, "onnxruntime cannot load"),
    ],
)
def test_what_is_damaged_is_named(name, text, words, bringing, tmp_path):
    """In a sentence."""
    for each in ("manifest.json", SENTENCE_GRAPH, SENTENCE_TOKENIZER):
        (tmp_path / each).parent.mkdir(exist_ok=True)
        (tmp_path / each).write_bytes((bringing / each).read_bytes())
    (tmp_path / name).unlink() if text is None else (tmp_path / name).write_text(text)
    with pytest.raises(BundleError, match=words):
        Sentences.of(tmp_path)


def test_without_tokenizers_it_says_what_to_install(bringing, tmp_path):
    """A board may lack the wheel; whoever asks for vectors hears it as a BundleError."""
    (tmp_path / "tokenizers.py").write_text("raise ImportError")
    imports = ("pathlib import Path", "edge.engine.text.sentences import Sentences", "edge.errors import BundleError")
    lines = [f"from {each}" for each in imports]
    lines += [f"try: Sentences.of(Path({json.dumps(str(bringing))}))", "except BundleError as error: print(error)"]
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": ""}
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "found by their words alone" in done.stdout, done.stderr
    assert "pip install --no-deps 'tokenizers" in done.stdout
