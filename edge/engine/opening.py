"""Which engine runs a bundle."""

from __future__ import annotations

from pathlib import Path

from edge.bundle import Manifest, read_manifest
from edge.engine import Kind, Options, TextEngine
from edge.engine.providers import ROWS, row_of
from edge.engine.text.late_sentences import LateSentences
from edge.errors import ConfigError


def open_engine(bundle: Path, options: Options, sentences: LateSentences | None = None) -> TextEngine:
    """The engine for a bundle that was verified: the best that answers on the provider (providers.py).

    sentences: the bundle's embedding model, where others use it, too. ConfigError where none answers there, or not the
    one that is asked for.
    """
    row = row_of(options.provider)
    if not row.kinds:
        raise ConfigError(f"no engine answers on the provider {row.name}: {row.lacks}")
    kind = options.kind if options.kind != "auto" else best_of(read_manifest(bundle), options.provider)
    if kind not in row.kinds:
        names = " and ".join(each.name for each in ROWS if kind in each.kinds)
        raise ConfigError(f"the {kind} engine runs on the {names} provider, not on {row.name}")
    if options.draft and kind != "batched":
        raise ConfigError(f"engine.draft is for the batched engine, and {bundle} is run by the {kind} one: clear it")
    if kind == "static":
        from edge.engine.static.engine import StaticEngine

        return StaticEngine(bundle, options, sentences)
    if read_manifest(bundle).fixed is not None:
        raise ConfigError(f"the {kind} engine cannot run the graphs of {bundle}: leave engine.kind at auto")
    if kind == "genai":
        from edge.engine.genai.engine import GenaiEngine

        return GenaiEngine(bundle, options, sentences)
    if read_manifest(bundle).engine != "batched":
        raise ConfigError(f"the batched engine cannot run the graph of {bundle}: leave engine.kind at auto")
    from edge.engine.batch.engine import BatchedEngine

    return BatchedEngine(bundle, options, sentences)


def best_of(manifest: Manifest, provider: str) -> Kind:
    """The engine for a bundle where nobody chooses: of the provider's one that its own provider has, too.

    A bundle may say that its graph is not for the batched one. Where none can run it, one that will say so.
    """
    row = row_of(provider)
    kinds = tuple(kind for kind in row.kinds if kind in ("genai", manifest.engine)) or row.kinds
    return next((kind for kind in kinds if kind in row_of(manifest.provider).kinds), kinds[-1])
