"""What a family says of itself, and the dimensions of one checkpoint of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from export.errors import SourceError, UnsupportedError

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Family:
    """What is the same for every checkpoint of a family.

    attention: the projections before attention, in the order GroupQueryAttention takes them;
        one name stands for a packed query-key-value projection.
    linear: every weight matrix of a layer, by its module name, in the order of the layer.
    packed: by the name of a packed projection, the parts that it holds one after the other.
    skeleton: the graph's file in export/skeletons.
    sees_pictures: whether a picture tower stands before the decoder, which reads embeddings then.
    trace_class, trace_config: the Transformers classes that `make skeletons` traces.
    """

    name: str
    architectures: tuple[str, ...]
    attention: tuple[str, ...]
    linear: tuple[str, ...]
    trace_class: str
    trace_config: str
    genai_type: str
    skeleton: str
    packed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sees_pictures: bool = False

    def apart(self) -> Family:
        """The family with each packed projection as its parts: what is left then is a Llama's layer."""

        def parts(modules: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(part for module in modules for part in self.packed.get(module, (module,)))

        return replace(self, attention=parts(self.attention), linear=parts(self.linear), skeleton="llama", packed={})


@dataclass(frozen=True)
class Dimensions:
    """The sizes of one checkpoint; names follow Transformers' config.json.

    short_factors, long_factors: what divides the rotary frequencies of a text of up to `original_length` tokens,
    and of a longer one; empty where nothing does. rope_scale: of cos and sin.
    """

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    vocab_size: int
    context_length: int
    rope_theta: float
    rms_norm_eps: float
    tied_embeddings: bool
    short_factors: tuple[float, ...] = ()
    long_factors: tuple[float, ...] = ()
    original_length: int = 0
    rope_scale: float = 1.0

    @classmethod
    def from_config(cls, config: Config) -> Dimensions:
        """Read and check a `config.json`; the sizes must agree with each other before any weight is read."""
        try:
            sizes = cls._sizes(config)
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(f"config.json lacks or garbles {error}") from error
        sizes._check()
        return sizes

    @classmethod
    def _sizes(cls, config: Config) -> Dimensions:
        heads = int(config["num_attention_heads"])
        hidden = int(config["hidden_size"])
        rope = _long_rope(config)
        return cls(
            hidden_size=hidden,
            intermediate_size=int(config["intermediate_size"]),
            num_layers=int(config["num_hidden_layers"]),
            num_heads=heads,
            num_kv_heads=int(config.get("num_key_value_heads") or heads),
            head_size=int(config.get("head_dim") or hidden // heads),
            vocab_size=int(config["vocab_size"]),
            context_length=_context_length(config),
            rope_theta=float(config.get("rope_theta", 10000.0)),
            rms_norm_eps=float(config["rms_norm_eps"]),
            tied_embeddings=bool(config.get("tie_word_embeddings", False)),
            **rope,
        )

    def _check(self) -> None:
        if min(self.hidden_size, self.num_layers, self.num_heads, self.num_kv_heads, self.vocab_size) <= 0:
            raise SourceError("config.json has a size that is zero or negative")
        if self.num_heads % self.num_kv_heads:
            raise SourceError(f"{self.num_heads} heads cannot share {self.num_kv_heads} key-value heads evenly")

    def shape_of(self, module: str) -> tuple[int, int]:
        """`[out, in]` of a layer's matrix, by its module name."""
        queries, keys = self.num_heads * self.head_size, self.num_kv_heads * self.head_size
        hidden, inner = self.hidden_size, self.intermediate_size
        return {
            "self_attn.q_proj": (queries, hidden),
            "self_attn.k_proj": (keys, hidden),
            "self_attn.v_proj": (keys, hidden),
            "self_attn.qkv_proj": (queries + 2 * keys, hidden),
            "self_attn.o_proj": (hidden, queries),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.gate_up_proj": (2 * inner, hidden),
            "mlp.down_proj": (hidden, inner),
        }[module]

    def parts_of(self, packed: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, slice]]:
        """By each part's name, the packed projection that holds it and its rows there."""
        found: dict[str, tuple[str, slice]] = {}
        for whole, parts in packed.items():
            start = 0
            for part in parts:
                rows = self.shape_of(part)[0]
                found[part] = (whole, slice(start, start + rows))
                start += rows
        return found

    def kv_bytes_per_token(self, element_size: int = 4) -> int:
        """Bytes of key and value cache that one token takes in all layers."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_size * element_size


def _context_length(config: Config) -> int:
    """As far as the attention is whole: a sliding window's width, where that is less than the positions."""
    limit = int(config["max_position_embeddings"])
    return min(limit, int(config.get("sliding_window") or limit))


def _long_rope(config: Config) -> dict[str, Any]:
    """The fields of Phi-3's long rope; UnsupportedError for another kind of scaling.

    Both sets of factors share a scale, sqrt(1 + ln(s) / ln(original)), s being the ratio of the two context
    lengths (Transformers, `_compute_longrope_parameters`).
    """
    scaling = config.get("rope_scaling")
    if not scaling:
        return {}
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind not in ("longrope", "su"):
        raise UnsupportedError(f"rope scaling {kind!r} is not exported yet; longrope and plain rope are")
    original = int(config["original_max_position_embeddings"])
    ratio = int(config["max_position_embeddings"]) / original
    factors = {name: tuple(map(float, scaling[name[:-1]])) for name in ("short_factors", "long_factors")}
    if any(len(each) != len(factors["short_factors"]) for each in factors.values()):
        raise SourceError("config.json has a short_factor and a long_factor of different lengths")
    scale = math.sqrt(1 + math.log(ratio) / math.log(original)) if ratio > 1 else 1.0
    return {**factors, "original_length": original, "rope_scale": scale}
