"""Which engine runs a bundle."""

from __future__ import annotations

from pathlib import Path

from edge.bundle import read_manifest
from edge.engine import Kind, Options, TextEngine
from edge.engine.text.late_sentences import LateSentences
from edge.errors import ConfigError


def open_engine(bundle: Path, options: Options, sentences: LateSentences | None = None) -> TextEngine:
    """The engine for a bundle that was verified: our own on the CPU, onnxruntime-genai for all else.

    sentences: the bundle's embedding model, where others use it, too.
    """
    kind = options.kind if options.kind != "auto" else _best(bundle, options.provider)
    if kind == "genai":
        from edge.engine.genai.engine import GenaiEngine

        return GenaiEngine(bundle, options, sentences)
    if options.provider != "cpu":
        raise ConfigError(f"the batched engine runs on the cpu provider, not on {options.provider}")
    from edge.engine.batch.engine import BatchedEngine

    return BatchedEngine(bundle, options, sentences)


def _best(bundle: Path, provider: str) -> Kind:
    return "batched" if provider == read_manifest(bundle).provider == "cpu" else "genai"
