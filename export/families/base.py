"""What a family says of itself, and the dimensions of one checkpoint of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from export.errors import SourceError
from export.families.keys import COMMON, Key, Table, check_known
from export.families.rope import ANY, Rope, rope_of
from export.families.values import flag, number, whole

Config = Mapping[str, Any]
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
"""The two tables, by their Transformers names."""
EXPERTS, ROUTER = "block_sparse_moe.experts.", "block_sparse_moe.gate.weight"
"""Where a layer's experts are, by their numbers, and what chooses among them."""
CHOSEN = 2
"""So many experts a token goes to."""
EXPERTS_OP = "Experts"
"""What stands for all experts in a skeleton's layer."""


def positions(config: Config) -> int:
    """What it has positions for."""
    return whole(config, "max_position_embeddings")


@dataclass(frozen=True)
class Blocks:
    """Attention to some of the blocks that a text is cut in.

    size: a block's tokens. local: so many blocks, its own the last of them, a token sees. stride: of those before them,
    each head sees every so manieth, the first head those that end such a run. shift: so many blocks earlier than the
    head before it each head has these.
    """

    size: int
    local: int
    stride: int
    shift: int

    @property
    def reach(self) -> int:
        """Up to so many tokens every one is seen."""
        return self.size * self.local


@dataclass(frozen=True)
class Attention:
    """How a layer attends. window: tokens that each looks back on, itself among them; 0 for all.

    turns: whether queries and keys are turned by their positions. rope: which of the model's rotary tables turns them;
    empty for the one that `Dimensions.rope` is. blocks: which of the text it sees, None for all.
    """

    window: int = 0
    turns: bool = True
    rope: str = ""
    blocks: Blocks | None = None


Own = Callable[[Config], tuple[Config, Mapping[str, Any]]]
"""A config with its defaults in the words that every family has, and fields of `Dimensions` that tell the rest."""


def as_it_is(config: Config) -> tuple[Config, Mapping[str, Any]]:
    """A config that has nothing of a family's own."""
    return config, {}


@dataclass(frozen=True)
class Family:
    """What is the same for every checkpoint of a family.

    attention: the projections before attention, in the order GroupQueryAttention takes them;
        one name stands for a packed query-key-value projection.
    linear: every weight matrix of a layer, by its module name, in the order of the layer.
    vectors: what else a layer has (norms, biases), by its name in the layer; the first norm of all is the head's, and
        that of a layer stands at the end of the one before.
    packed: by the name of a packed projection, the parts that it holds one after the other.
    skeleton: the graph's file in export/skeletons.
    sees_pictures: whether a picture tower stands before the decoder, which reads embeddings then.
    model_type: config.json's. defaults: what Transformers takes where a config lacks a key; another value there is of
        another model. keys: the config's that are known beside those that every family has.
    ropes: by the name in a config, the kind of rotary positions that the family has under it.
    turns_part: whether it may leave some channels of a head unturned. rope_theta: the base where a config names none.
    biased: what adds a bias to its product; biases: by the key of a config that says so, what else does.
    norms_heads: whether each head's queries and keys are normed before they are turned.
    attends: how each layer attends, by the config; nothing where all do as `Attention()` says. limit: how many tokens
        it is exact up to.
    own: reads what a config has for this family alone. norm_offset: what is added to the weights of its norms.
    needs_float32: whether what it computes is too large for float16.
    for_cpu: whether its bundles are for the CPU alone.
    regroups: whether a checkpoint has queries, keys and values by groups of heads, and a gate between the channels that
        it opens (export/source/regrouped.py).
    outside: norms and biases of the head and the tail beside the first norm's weight.
    expert: the matrices of one expert of a layer, where it has experts in place of an MLP; `routed` puts them, for all
        experts, behind those of `linear`. missing: by a key of the config, biases that are zero where it is false.
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
    vectors: tuple[str, ...] = ("post_attention_layernorm.weight",)
    packed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sees_pictures: bool = False
    model_type: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    keys: Table = field(default_factory=dict)
    ropes: Mapping[str, str] = field(default_factory=lambda: ANY)
    turns_part: bool = False
    rope_theta: float = 10000.0
    biased: tuple[str, ...] = ()
    biases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    norms_heads: bool = False
    attends: Callable[[Config], tuple[Attention, ...]] = lambda _: ()
    limit: Callable[[Config], int] = positions
    own: Own = as_it_is
    norm_offset: float = 0.0
    needs_float32: bool = False
    for_cpu: bool = False
    regroups: bool = False

    outside: tuple[str, ...] = ()
    expert: tuple[str, ...] = ()
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, config: Config) -> Family:
        """The family as a config has it: with the biases that it asks for. Raises SourceError for no true or false."""
        wanted = [modules for key, modules in self.biases.items() if config.get(key) is not None and flag(config, key)]
        biased = (*self.biased, *(module for modules in wanted for module in modules))
        norms = HEAD_NORMS if self.norms_heads else ()
        more = (*(f"{module}.bias" for module in biased), *(f"{module}.weight" for module in norms))
        return replace(self, biased=biased, vectors=(*self.vectors, *more))

    def routed(self, experts: int) -> Family:
        """The family with the matrices of so many experts among those of a layer."""
        added = (f"{EXPERTS}{number}.{part}" for number in range(experts) for part in self.expert)
        return replace(self, linear=(*self.linear, *added))

    def apart(self) -> Family:
        """The family with each packed projection as its parts: what is left then is a Llama's layer."""

        def parts(modules: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(part for module in modules for part in self.packed.get(module, (module,)))

        return replace(self, attention=parts(self.attention), linear=parts(self.linear), skeleton="llama", packed={})


@dataclass(frozen=True)
class Dimensions:
    """The sizes of one checkpoint; names follow Transformers' config.json.

    attentions: how each layer attends, from the first on; empty where all do as `Attention()` says.
    ropes: rotary positions beside `rope`, by the names that attentions call them by.
    query_pre_attn_scalar: one over the root of it is what scores are multiplied with; 0 for the size of a head.
    embedding_scale: what embeddings are multiplied with.
    num_experts: of a layer, 0 where it has an MLP. router_threshold: how far from the best score another may be, as a
        share of the larger one, and still count.
    gate_limit: how large a gate and what it opens may become; 0 for any size.
    attention_cap, logit_cap: what scores and logits are bent towards by a tanh and never reach; 0 for none.
    """

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    vocab_size: int
    context_length: int
    rms_norm_eps: float
    tied_embeddings: bool
    rope: Rope
    attentions: tuple[Attention, ...] = ()
    ropes: Mapping[str, Rope] = field(default_factory=dict)
    query_pre_attn_scalar: float = 0.0
    embedding_scale: float = 1.0
    num_experts: int = 0
    router_threshold: float = 0.0
    gate_limit: float = 0.0
    attention_cap: float = 0.0
    logit_cap: float = 0.0

    @classmethod
    def from_config(cls, config: Config, family: Family | None = None) -> Dimensions:
        """Read and check a `config.json`; every key is known, and the sizes agree before any weight is read.

        family: whose defaults and keys count; a Llama's without biases where it is None.
        Raises SourceError for a value that cannot be, and UnsupportedError for what is not exported.
        """
        family = family or ANY_FAMILY
        check_known(config, {**COMMON, **dict.fromkeys(family.biases, Key("it is read")), **family.keys})
        config, more = family.own({**family.defaults, **config})
        heads = whole(config, "num_attention_heads")
        head_size = _head_size(config, heads)
        sizes = cls(
            hidden_size=whole(config, "hidden_size"),
            intermediate_size=whole(config, "intermediate_size"),
            num_layers=whole(config, "num_hidden_layers", most=LAYERS_MOST),
            num_heads=heads,
            num_kv_heads=heads if config.get("num_key_value_heads") is None else whole(config, "num_key_value_heads"),
            head_size=head_size,
            vocab_size=whole(config, "vocab_size"),
            context_length=family.limit(config),
            rms_norm_eps=number(config, "rms_norm_eps", below=1),
            tied_embeddings=flag(config, "tie_word_embeddings"),
            rope=rope_of(config, family.ropes, head_size, family.turns_part, family.rope_theta),
            attentions=family.attends(config),
        )
        sizes._check()
        return replace(sizes, **more)

    def _check(self) -> None:
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
            "w1": (inner, hidden),
            "w3": (inner, hidden),
            "w2": (hidden, inner),
        }[module.rpartition(".")[2] if module.startswith(EXPERTS) else module]

    def vector_size(self, name: str) -> int:
        """How long a layer's norm or bias is, by its name in the layer."""
        module, _, kind = name.rpartition(".")
        if kind == "bias" and module.endswith("_proj"):
            return self.shape_of(module)[0]
        return self.head_size if module in HEAD_NORMS else self.hidden_size

    def vector_shape(self, name: str) -> tuple[int, ...]:
        """The shape of what a layer has beside its matrices: a norm's, a bias's, a router's `[experts, hidden]`."""
        return (self.num_experts, self.hidden_size) if name == ROUTER else (self.vector_size(name),)

    def outside_size(self, name: str) -> int:
        """How long a norm or a bias of the head or the tail is."""
        return self.vocab_size if name.startswith("lm_head.") else self.hidden_size

    def attention_of(self, index: int) -> Attention:
        """How a layer attends."""
        return self.attentions[index] if self.attentions else EVERYWHERE

    @property
    def blocks(self) -> Blocks | None:
        """Those that some layers attend to, None where all see everything; they are the same in each of these."""
        return next((attention.blocks for attention in self.attentions if attention.blocks), None)

    def up_to(self, length: int) -> Dimensions:
        """The same for texts of so many tokens at most, of which a token may see every one before it."""
        if not self.blocks or length > self.blocks.reach:
            return self
        return replace(self, attentions=tuple(replace(each, blocks=None) for each in self.attentions))

    def of_layers(self, kept: Sequence[int]) -> Dimensions:
        """The same with some of the layers, in their order."""
        attentions = tuple(self.attentions[index] for index in kept) if self.attentions else ()
        return replace(self, num_layers=len(kept), attentions=attentions)

    def parts_of(self, packed: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, slice]]:
        """By each part's name, the packed projection that holds it and its rows there."""
        found: dict[str, tuple[str, slice]] = {}
        for one, parts in packed.items():
            start = 0
            for part in parts:
                rows = self.shape_of(part)[0]
                found[part] = (one, slice(start, start + rows))
                start += rows
        return found

    def kv_bytes_per_token(self, element_size: int = 4) -> int:
        """Bytes of key and value cache that one token takes in all layers."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_size * element_size


def _head_size(config: Config, heads: int) -> int:
    """As the config says, else the heads' even share of the width."""
    if config.get("head_dim") is not None:
        return whole(config, "head_dim")
    if (width := whole(config, "hidden_size")) % heads:
        raise SourceError(f"{heads} heads cannot share a hidden_size of {width} evenly, and there is no head_dim")
    return width // heads


EVERYWHERE = Attention()
HEAD_NORMS = ("self_attn.q_norm", "self_attn.k_norm")
"""Norms of each head's queries or keys."""
LAYERS_MOST = 1024
"""More than any model has."""
DEFAULTS: Config = {"rms_norm_eps": 1e-6, "tie_word_embeddings": False}
"""What the classes of Transformers share."""
ANY_FAMILY = Family("", (), (), (), "", "", "", "", defaults=DEFAULTS)
