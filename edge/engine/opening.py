"""Which engine runs a bundle."""

from __future__ import annotations

from pathlib import Path

from edge.bundle import Manifest, read_manifest
from edge.engine import Kind, Options, TextEngine
from edge.engine.text.late_sentences import LateSentences
from edge.errors import ConfigError


def open_engine(bundle: Path, options: Options, sentences: LateSentences | None = None) -> TextEngine:
    """The engine for a bundle that was verified: our own on the CPU, onnxruntime-genai for all else.

    sentences: the bundle's embedding model, where others use it, too.
    """
    kind = options.kind if options.kind != "auto" else best_of(read_manifest(bundle), options.provider)
    if kind == "genai":
        from edge.engine.genai.engine import GenaiEngine

        return GenaiEngine(bundle, options, sentences)
    if options.provider != "cpu":
        raise ConfigError(f"the batched engine runs on the cpu provider, not on {options.provider}")
    if read_manifest(bundle).engine != "batched":
        raise ConfigError(f"the batched engine cannot run the graph of {bundle}: leave engine.kind at auto")
    from edge.engine.batch.engine import BatchedEngine

    return BatchedEngine(bundle, options, sentences)


def best_of(manifest: Manifest, provider: str) -> Kind:
    """The engine for a bundle where nobody chooses."""
    return manifest.engine if provider == manifest.provider == "cpu" else "genai"
