"""The published Phi-3 tokenizer in a bundle: the board's reader gives the published tokens."""

from __future__ import annotations

import onnxruntime_genai

from benchmarks.phi_shape import DATA
from edge.bundle import open_bundle


def vectors() -> list[tuple[str, list[int]]]:
    """The published texts and their ids."""
    folder = DATA / "tokenizer"
    texts = (folder / "tokenizer-vectors.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
    lines = (folder / "tokenizer-vectors.out").read_text(encoding="utf-8").split("\n")
    return [(text, list(map(int, line.split()))) for text, line in zip(texts, lines, strict=True)]


def test_all_published_vectors(phi_bundle):
    """All 47, through the engine's reader of the bundle's own files."""
    cases = vectors()
    assert len(cases) == 47
    model = onnxruntime_genai.Model(str(phi_bundle))
    tokenizer = onnxruntime_genai.Tokenizer(model)
    found = [(text, list(map(int, tokenizer.encode(text)))) for text, _ in cases]
    assert [each for each, case in zip(found, cases, strict=True) if each != case] == []


def test_the_recipe_is_what_was_stored(phi_bundle):
    """The split projections have bits of their own; the manifest says the family, the stops and the bits."""
    manifest = open_bundle(phi_bundle).manifest
    assert manifest.family == "phi3"
    assert manifest.stop_token_ids == [32000, 32001, 32007]
    assert manifest.quantization.overrides == {"self_attn.v_proj": 8}
