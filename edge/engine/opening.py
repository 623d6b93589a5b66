"""Which engine runs a bundle."""

from __future__ import annotations

from pathlib import Path

from edge.bundle import read_manifest
from edge.engine import Kind, Options, TextEngine
from edge.errors import ConfigError


def open_engine(bundle: Path, options: Options) -> TextEngine:
    """The engine for a bundle that was verified: our own on the CPU, onnxruntime-genai for all else."""
    kind = options.kind if options.kind != "auto" else _best(bundle, options.provider)
    if kind == "genai":
        from edge.engine.genai.engine import GenaiEngine

        return GenaiEngine(bundle, options)
    if options.provider != "cpu":
        raise ConfigError(f"the batched engine runs on the cpu provider, not on {options.provider}")
    from edge.engine.batch.engine import BatchedEngine

    return BatchedEngine(bundle, options)


def _best(bundle: Path, provider: str) -> Kind:
    return "batched" if provider == read_manifest(bundle).provider == "cpu" else "genai"
