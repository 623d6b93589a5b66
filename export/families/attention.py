"""How the layers of a checkpoint attend, as its family's class in Transformers reads the config: windows, positions.

A window of W tokens is a token and the W - 1 before it (`sliding_window` in Transformers' masking_utils.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from export.errors import SourceError, UnsupportedError
from export.families.base import Attention, Config, positions
from export.families.values import flag, whole

FULL, SLIDING = "full_attention", "sliding_attention"


def ending_at_a_window(config: Config) -> tuple[Attention, ...]:
    """Llama's class has no windows; a config that tells of one ends the context there, so that it never matters."""
    _check({FULL} if config.get("sliding_window") is None else {FULL, SLIDING}, config)
    return ()


def before_a_window(config: Config) -> int:
    """How far a Llama with one is exact."""
    limit = positions(config)
    return limit if config.get("sliding_window") is None else min(limit, whole(config, "sliding_window"))


def sliding(config: Config) -> tuple[Attention, ...]:
    """Mistral's and Phi-3's: every layer slides where the config has a window."""
    window, layers = _window(config), whole(config, "num_hidden_layers")
    _check({SLIDING} if window else {FULL, SLIDING}, config)
    return _settled(Attention(window) for _ in range(layers))


def by_layer(config: Config) -> tuple[Attention, ...]:
    """Qwen's: layers from `max_window_layers` on slide, or those that `layer_types` names, where windows are used."""
    layers, window = whole(config, "num_hidden_layers"), _window(config) if flag(config, "use_sliding_window") else 0
    kinds = _check({FULL, SLIDING} if window else {FULL}, config)
    if not kinds:
        first = whole(config, "max_window_layers", least=0) if window else layers
        kinds = [SLIDING if index >= first else FULL for index in range(layers)]
    return _settled(Attention(window if kind == SLIDING else 0) for kind in kinds)


def with_some_unturned(config: Config) -> tuple[Attention, ...]:
    """SmolLM3's: every fourth layer knows no positions, or those that `no_rope_layers` has a 0 for."""
    layers, window = whole(config, "num_hidden_layers"), _window(config) if flag(config, "use_sliding_window") else 0
    turns = _turns(config, layers)
    kinds = _check({FULL, SLIDING} if window else {FULL}, config)
    kinds = kinds or [SLIDING if window and not turned else FULL for turned in turns]
    pairs = zip(kinds, turns, strict=True)
    return _settled(Attention(window if kind == SLIDING else 0, turned) for kind, turned in pairs)


def _turns(config: Config, layers: int) -> list[bool]:
    """Of each layer, whether positions turn it."""
    given = config.get("no_rope_layers")
    if given is None:
        interval = whole(config, "no_rope_layer_interval")
        return [(index + 1) % interval != 0 for index in range(layers)]
    if not isinstance(given, list) or len(given) < layers or not all(each in (0, 1) for each in given):
        raise SourceError("config.json's no_rope_layers should be a list of 0 or 1 for each of its num_hidden_layers")
    return [bool(each) for each in given[:layers]]


def _window(config: Mapping[str, Any]) -> int:
    """0 for none, and where it is as wide as the positions."""
    if config.get("sliding_window") is None:
        return 0
    window = whole(config, "sliding_window")
    return window if window < positions(config) else 0


def _settled(attentions: Iterable[Attention]) -> tuple[Attention, ...]:
    """None where all layers attend as any Llama's."""
    made = tuple(attentions)
    return () if set(made) == {Attention()} else made


def _check(known: set[str], config: Config) -> list[str]:
    """layer_types, each of which is known; empty where the config has none."""
    kinds = config.get("layer_types") or []
    if not isinstance(kinds, list) or len(kinds) not in (0, config["num_hidden_layers"]):
        raise SourceError("config.json's layer_types should name a kind for each of its num_hidden_layers")
    for kind in kinds:
        if kind not in known:
            raise UnsupportedError(
                f"config.json says layer_types: [{kind!r}, …], but by what its sliding_window says layers are of"
                f" {' or '.join(sorted(known))} here"
            )
    return kinds
