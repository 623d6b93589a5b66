"""A GGUF header's sizes and rotary positions in the words of Transformers' config.json."""

from __future__ import annotations

from typing import Any

from export.errors import SourceError, UnsupportedError
from export.families.rope import STEP
from export.source.base import finite
from export.source.gguf.blocks import dequantized
from export.source.gguf.header import Header
from export.source.gguf.keys import ARCHITECTURES, Keys, shortest
from export.source.gguf.mixture import ARCHITECTURE as MIXTURE
from export.source.gguf.mixture import config as config_of_experts
from export.source.gguf.mixture import scales
from export.source.gguf.names import BIASES, FREQUENCIES, LONG, SHORT

SIZES = {
    "num_hidden_layers": "block_count",
    "max_position_embeddings": "context_length",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
}
THETA = 10000.0
"""llama.cpp's, where a header names none."""
LARGEST_GEMMA, LARGEST_GEMMA_2 = 62, 46
"""Layers of Gemma 3 27B, and of Gemma 2 27B."""
WINDOW_GEMMA_2, CAPS_GEMMA_2 = 4096, {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}
"""llama.cpp's, where a header names none."""
YARN = {"beta_fast": "yarn_beta_fast", "beta_slow": "yarn_beta_slow", "attention_factor": "yarn_attn_factor"}


def config_of(header: Header, vocabulary: int) -> dict[str, Any]:
    """The config of a header whose keys are known. vocabulary: how many tokens it lists.

    Raises SourceError where it lacks or garbles a size, UnsupportedError where it says what config.json cannot.
    """
    architecture = header.keys.get("general.architecture")
    if architecture not in ARCHITECTURES:
        return {"architectures": [architecture]}
    keys = Keys(header)
    config = {ours: keys.needed(f"{architecture}.{theirs}") for ours, theirs in SIZES.items()}
    heads = keys.whole(f"{architecture}.attention.head_count_kv")
    epsilon = keys.real(f"{architecture}.attention.layer_norm_rms_epsilon")
    theta = keys.real(f"{architecture}.rope.freq_base")
    if epsilon is None:
        raise SourceError(f"{header.path} lacks the key {architecture}.attention.layer_norm_rms_epsilon")
    return {
        **config,
        "architectures": [architecture],
        "num_key_value_heads": config["num_attention_heads"] if heads is None else heads,
        "rms_norm_eps": epsilon,
        "rope_theta": THETA if theta is None else theta,
        "vocab_size": _vocabulary(header, keys, architecture, vocabulary),
        "tie_word_embeddings": "output.weight" not in header.tensors,
        **{key: True for key, tensor in BIASES.items() if tensor in header.tensors},
        **_window(keys, architecture),
        **_heads(header, keys, architecture, config),
        **(_gemma2(keys, config) if architecture == "gemma2" else {}),
        **(_gemma3(header, keys, config) if architecture == "gemma3" else {}),
        **(config_of_experts(header, keys) if architecture == MIXTURE else {}),
        **_rotary(header, keys, architecture, config["max_position_embeddings"]),
    }


def _vocabulary(header: Header, keys: Keys, architecture: str, listed: int) -> int:
    """As many as are listed; a size that says otherwise is another model's."""
    said = keys.whole(f"{architecture}.vocab_size")
    if said not in (None, listed):
        raise SourceError(f"{header.path} says {architecture}.vocab_size = {said}, but lists {listed} tokens")
    return listed


def _window(keys: Keys, architecture: str) -> dict[str, Any]:
    """As far back as attention looks; 0 is as far as it can."""
    window = keys.whole(f"{architecture}.attention.sliding_window")
    return {"sliding_window": window} if window else {}


def _heads(header: Header, keys: Keys, architecture: str, config: dict[str, Any]) -> dict[str, Any]:
    """The width of a head, and what part of it is turned by the position where that is not all of it."""
    plain = config["hidden_size"] // max(1, config["num_attention_heads"])
    key, value = (keys.whole(f"{architecture}.attention.{name}_length") or plain for name in ("key", "value"))
    if key != value:
        raise UnsupportedError(
            f"{header.path} has keys of {key} and values of {value} ({architecture}.attention.key_length and"
            " value_length), which is not exported"
        )
    turned = keys.whole(f"{architecture}.rope.dimension_count")
    if turned in (None, key):
        return {"head_dim": key}
    if architecture != "phi3":
        name = {"llama": "a Llama"}.get(architecture, architecture)
        raise SourceError(
            f"{header.path} says {architecture}.rope.dimension_count = {turned} of {key} dimensions; {name} turns all"
        )
    if turned % STEP or not 0 < turned < key:
        raise UnsupportedError(
            f"{header.path} says {architecture}.rope.dimension_count = {turned} of {key} dimensions;"
            f" a multiple of {STEP} can be turned"
        )
    return {"head_dim": key, "partial_rotary_factor": turned / key}


def _gemma2(keys: Keys, config: dict[str, Any]) -> dict[str, Any]:
    """How far back every second layer looks, what scores are scaled by, and the caps.

    Source: llama.cpp's src/llama-model.cpp, LLM_ARCH_GEMMA2: the largest model alone scales by another width.
    """
    layers, width = config["num_hidden_layers"], config["hidden_size"] // max(1, config["num_attention_heads"])
    caps = {name: keys.real(f"gemma2.{name}") for name in CAPS_GEMMA_2}
    return {
        "sliding_window": keys.whole("gemma2.attention.sliding_window") or WINDOW_GEMMA_2,
        "query_pre_attn_scalar": width if layers == LARGEST_GEMMA_2 else keys.needed("gemma2.attention.key_length"),
        **{name: CAPS_GEMMA_2[name] if cap is None else cap for name, cap in caps.items()},
    }


def _gemma3(header: Header, keys: Keys, config: dict[str, Any]) -> dict[str, Any]:
    """Which layers look back on some tokens, what turns their positions, and what scores are scaled by.

    Source: llama.cpp's src/llama-model.cpp, LLM_ARCH_GEMMA3: the largest model alone scales by another width.
    """
    layers, width = config["num_hidden_layers"], config["hidden_size"] // max(1, config["num_attention_heads"])
    keys.needed("gemma3.attention.sliding_window")
    local = keys.real("gemma3.rope.freq_base_swa")
    return {
        "rope_local_base_freq": THETA if local is None else local,
        "query_pre_attn_scalar": width if layers == LARGEST_GEMMA else keys.needed("gemma3.attention.key_length"),
        **_pattern(header, keys, layers),
    }


def _pattern(header: Header, keys: Keys, layers: int) -> dict[str, Any]:
    """A flag for each layer, every so manieth layer, or nothing where a header does not say."""
    name = "gemma3.attention.sliding_window_pattern"
    flags = header.keys.get(name)
    if not isinstance(flags, list):
        return {} if flags is None else {"sliding_window_pattern": keys.needed(name)}
    if len(flags) != layers or not set(flags) <= {0, 1}:
        raise SourceError(f"{header.path} says {name}, which should be a flag for each of {layers} layers")
    return {"layer_types": ["sliding_attention" if flag else "full_attention" for flag in flags]}


def _rotary(header: Header, keys: Keys, architecture: str, context: int) -> dict[str, Any]:
    """How positions are scaled, in Transformers' spelling; nothing where they are not."""
    space = f"{architecture}.rope.scaling"
    kind = _kind(header, keys, space, architecture)
    original = keys.whole(f"{space}.original_context_length") or context
    attention = keys.real(f"{space}.attn_factor")
    if kind == "longrope":
        scaling = _long(header, attention)
        if architecture == MIXTURE:
            scaling |= scales(header, context, original, scaling.pop("attention_factor"))
        return {"original_max_position_embeddings": original, "rope_scaling": scaling}
    if attention not in (None, 1.0):
        raise UnsupportedError(f"{header.path} says {space}.attn_factor = {attention} of {kind} positions")
    if FREQUENCIES in header.tensors:
        return {"original_max_position_embeddings": context, "rope_scaling": _divided(header)}
    if kind == "none":
        return {}
    scaling = {"rope_type": kind, "factor": _scale(keys, architecture)}
    yarn = {"original_max_position_embeddings": original, **_yarn(keys, space)}
    return {"rope_scaling": scaling | (yarn if kind == "yarn" else {})}


def _scale(keys: Keys, architecture: str) -> float:
    """What positions are divided by; 0 is 1, in llama.cpp."""
    names = ("rope.scaling.factor", "rope.scale_linear")
    return next((value for name in names if (value := keys.real(f"{architecture}.{name}"))), 1.0)


def _kind(header: Header, keys: Keys, space: str, architecture: str) -> str:
    """The kind of scaling, in llama.cpp's word; a factor without a word is linear, and factors alone Phi-3's.

    Raises UnsupportedError where words, factors and tensors do not go together.
    """
    word = keys.text(f"{space}.type")
    if word not in (None, "none", "linear", "yarn", "longrope"):
        raise UnsupportedError(f"{header.path} says {space}.type = {word!r}; none, linear, yarn and longrope are read")
    is_scaled = _scale(keys, architecture) != 1 and word != "none"
    found = {FREQUENCIES, LONG, SHORT} & set(header.tensors)
    is_long = word == "longrope" or (word is None and architecture in ("phi3", "phimoe") and bool(found))
    kind = "longrope" if is_long else (word or "linear") if is_scaled else "none"
    if found != {"longrope": {LONG, SHORT}, "none": found & {FREQUENCIES}}.get(kind, set()) or (is_long and is_scaled):
        named = " and ".join(sorted(found)) or "no factors"
        raise UnsupportedError(
            f"{header.path} scales positions by {space}.* ({kind}) with {named}, which do not go together;"
            " export the model from its Hugging Face folder"
        )
    return kind


def _divided(header: Header) -> dict[str, Any]:
    """Llama 3's: each frequency divided by a number of its own, whatever the text's length."""
    factors = _factors(header, FREQUENCIES)
    return {"rope_type": "longrope", "short_factor": factors, "long_factor": factors, "attention_factor": 1.0}


def _long(header: Header, attention: float | None) -> dict[str, Any]:
    """Phi-3's: two lists of factors, and what cos and sin are multiplied with."""
    if attention is None:
        raise SourceError(f"{header.path} has factors of long rope, but no rope.scaling.attn_factor; convert it again")
    lists = {"short_factor": _factors(header, SHORT), "long_factor": _factors(header, LONG)}
    return {"rope_type": "longrope", **lists, "attention_factor": attention}


def _yarn(keys: Keys, space: str) -> dict[str, Any]:
    found = {ours: keys.real(f"{space}.{theirs}") for ours, theirs in YARN.items()}
    return {name: value for name, value in found.items() if value is not None}


def _factors(header: Header, name: str) -> list[float]:
    """What each frequency is divided by."""
    stored = header.tensors[name]
    values = finite(name, dequantized(name, stored.kind, stored.data))
    if values.ndim != 1 or not (values > 0).all():
        raise SourceError(f"{header.path}: {name} should be one list of numbers above 0")
    return [shortest(value) for value in values.tolist()]
