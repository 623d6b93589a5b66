"""Every key of a GGUF header: read here, harmless for the reason given, or right only at certain values.

A key of the architecture's or the tokenizer's namespace that is in none of the tables refuses the file by its name:
what nobody read could be another model. Names and meanings: llama.cpp's gguf-py/gguf/constants.py,
src/llama-arch.cpp and what its load_hparams does with them; what is written for whom: its conversion/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from export.errors import SourceError, UnsupportedError
from export.source.gguf.header import Header

ARCHITECTURES = ("llama", "phi3", "phimoe", "qwen2", "qwen3", "smollm3", "gemma2", "gemma3")
USED = {  # of the architecture
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.attn_factor",
    "rope.scaling.original_context_length",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
}
USED_BY = {
    "gemma2": {"attn_logit_softcapping", "final_logit_softcapping"},
    "gemma3": {"attention.sliding_window_pattern", "rope.freq_base_swa"},
    "phimoe": {"expert_count", "expert_used_count"},
}
"""What one architecture has beside these."""
HARMLESS = {  # of the architecture
    "rope.scaling.finetuned": "says how the model was made, not what it computes",
    "attention.layer_norm_epsilon": "of a LayerNorm, which no architecture here has",
}
USED_BY_TOKENIZER = {
    "ggml.model",
    "ggml.pre",
    "ggml.tokens",
    "ggml.token_type",
    "ggml.scores",
    "ggml.merges",
    "ggml.bos_token_id",
    "ggml.eos_token_id",
    "ggml.eot_token_id",
    "ggml.eom_token_id",
    "ggml.unknown_token_id",
    "ggml.padding_token_id",
    "ggml.add_space_prefix",
    "ggml.add_bos_token",
    "ggml.add_eos_token",
    "chat_template",
}
HARMLESS_TO_TOKENIZER = {
    "ggml.add_sep_token": "of tokenizers that compare two texts",
    "ggml.seperator_token_id": "names a token for a use that chat has not",
    "ggml.mask_token_id": "likewise",
    "ggml.fim_pre_token_id": "likewise: filling in code",
    "ggml.fim_suf_token_id": "likewise",
    "ggml.fim_mid_token_id": "likewise",
    "ggml.fim_pad_token_id": "likewise",
    "ggml.fim_rep_token_id": "likewise",
    "ggml.fim_sep_token_id": "likewise",
    "ggml.prefix_token_id": "likewise, as it was called before",
    "ggml.suffix_token_id": "likewise",
    "ggml.middle_token_id": "likewise",
    "chat_templates": "lists the names of further templates; the plain one is read",
    "huggingface.json": "the same tokenizer in another form",
}
FURTHER_TEMPLATE = "chat_template."
"""What the name of one more chat template begins with; the plain one is the default."""


def _nothing(value: Any) -> bool:
    """Zero, false, an empty list, or a list of these."""
    return not any(value) if isinstance(value, list) else not value


def _one(value: Any) -> bool:
    return bool(value == 1)


Test = Callable[[Any], bool]
RIGHT_AT: dict[str, Test] = {  # of the architecture
    "expert_count": _nothing,
    "expert_used_count": _nothing,
    "expert_shared_count": _nothing,
    "expert_group_count": _nothing,
    "expert_group_used_count": _nothing,
    "expert_feed_forward_length": _nothing,
    "expert_shared_feed_forward_length": _nothing,
    "leading_dense_block_count": _nothing,
    "nextn_predict_layers": _nothing,
    "use_parallel_residual": _nothing,
    "pooling_type": _nothing,
    "attention.causal": _one,
    "attention.clamp_kqv": _nothing,
    "attention.max_alibi_bias": _nothing,
    "attention.temperature_scale": _nothing,
    "attn_logit_softcapping": _nothing,
    "final_logit_softcapping": _nothing,
    "logit_scale": lambda value: value in (0, 1),
    "embedding_scale": lambda value: value in (0, 1),
    "residual_scale": lambda value: value in (0, 1),
    "hidden_activation": lambda value: value in ("silu", "swiglu"),
    "rope.dimension_sections": _nothing,
    "rope.scaling.alpha": lambda value: value in (0, 1),
    "rope.scaling.yarn_ext_factor": lambda value: value in (-1, 1),
    "rope.scaling.yarn_log_multiplier": _nothing,
    "tensor_data_layout": lambda value: value in ("Meta AI original pth", "reference"),
}
TOKENIZER_RIGHT_AT: dict[str, Test] = {
    "ggml.token_type_count": lambda value: value in (0, 1),
    "ggml.remove_extra_whitespaces": _nothing,
    "ggml.precompiled_charsmap": lambda value: value == [],
    "ggml.suppress_tokens": lambda value: value == [],
    "ggml.normalizer.lowercase": _nothing,
    "ggml.normalizer.strip_accents": _nothing,
}
BLOCKS_VERSION = 2
"""Of the blocks that ggml has today; those of version 1 are laid out otherwise."""
GENERAL_RIGHT_AT: dict[str, Test] = {
    "type": lambda value: value == "model",
    "quantization_version": lambda value: value == BLOCKS_VERSION,
}
REFUSED_SPACES = {"adapter": "an adapter", "clip": "a picture tower", "mmproj": "a picture tower"}
"""What a file is whose keys begin so."""


def check_keys(header: Header) -> None:
    """Every key is understood; UnsupportedError naming the first that is not, or whose value is another model's."""
    architecture = header.keys.get("general.architecture")
    for key, value in header.keys.items():
        space, _, name = key.partition(".")
        if space in REFUSED_SPACES:
            raise UnsupportedError(f"{header.path} is {REFUSED_SPACES[space]} ({key}), no model; give the model's file")
        if space == architecture and space in ARCHITECTURES:
            _check(header, key, name, value, (USED | USED_BY.get(space, set()), HARMLESS, RIGHT_AT))
        elif space == "tokenizer" and not name.startswith(FURTHER_TEMPLATE):
            _check(header, key, name, value, (USED_BY_TOKENIZER, HARMLESS_TO_TOKENIZER, TOKENIZER_RIGHT_AT))
        elif space == "general":
            _check_general(header, key, name, value)


def shortest(value: float) -> float:
    """The number with the fewest digits that 32 bits do not tell from this one: 1e-5, not 9.999999747e-06."""
    short = np.float32(value)
    return float(str(short)) if short == value else float(value)


Tables = tuple[set[str], Mapping[str, str], Mapping[str, Test]]


def _check(header: Header, key: str, name: str, value: Any, tables: Tables) -> None:
    used, harmless, right_at = tables
    if name in used or name in harmless:
        return
    if name not in right_at:
        raise UnsupportedError(
            f"{header.path} has the key {key}, which is not known here; export the model from its Hugging Face folder"
        )
    if not right_at[name](value):
        raise UnsupportedError(f"{header.path} says {key} = {value!r}, which is not exported")


def _check_general(header: Header, key: str, name: str, value: Any) -> None:
    """Of general.*, which describes a file in words, only what changes its numbers is looked at."""
    if name.startswith("tensor_extra."):
        raise UnsupportedError(f"{header.path} has the key {key}, which is not known here")
    if name in GENERAL_RIGHT_AT and not GENERAL_RIGHT_AT[name](value):
        raise UnsupportedError(
            f"{header.path} says {key} = {value!r}; models are read, with blocks of version {BLOCKS_VERSION}"
        )


class Keys:
    """A header's keys by their types. Raises SourceError where one is of another type, or missing and needed."""

    def __init__(self, header: Header) -> None:
        self._path, self._keys = header.path, header.keys

    def whole(self, key: str) -> int | None:
        """A whole number, or the one that a list has again and again (llama.cpp's sizes layer by layer)."""
        value = self._keys.get(key)
        if isinstance(value, list) and len(set(value)) > 1:
            raise UnsupportedError(f"{self._path} has another {key} in each layer, which is not exported")
        value = value[0] if isinstance(value, list) and value else value
        return None if value is None else self._typed(key, value, int, "a whole number")

    def real(self, key: str) -> float | None:
        """A number, as its writer had it before 32 bits took it."""
        value = self._keys.get(key)
        return None if value is None else shortest(self._typed(key, value, (int, float), "a number"))

    def text(self, key: str) -> str | None:
        """A text."""
        value = self._keys.get(key)
        return None if value is None else self._typed(key, value, str, "a text")

    def needed(self, key: str) -> int:
        """A whole number that no model goes without."""
        if (value := self.whole(key)) is None:
            raise SourceError(f"{self._path} lacks the key {key}")
        return value

    def _typed(self, key: str, value: Any, wanted: type | tuple[type, ...], words: str) -> Any:
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise SourceError(f"{self._path} says {key} = {value!r}, which should be {words}")
        return value
