"""Whether a space is put before a text, where tokenizer_config.json has a word of its own on that.

Transformers sets `add_prefix_space` of a lone ByteLevel to what tokenizer_config.json says: 4.57 for every class but
Llama's, 5.24 for GPT-2's and Qwen 2's, where both take an absent key for false. For Llama's class both make a
SentencePiece tokenizer anew by it. Source: the two versions, which tests hold this to.
"""

from __future__ import annotations

from export.errors import UnsupportedError
from export.tokenizer.format import Told, steps

KEY = "add_prefix_space"
BY_CONFIG = ("GPT2", "Qwen2")
"""Classes whose ByteLevel does what tokenizer_config.json says, in both versions."""


def class_of(config: Told) -> str:
    """A tokenizer's class without what all of their names end in: `Llama` for LlamaTokenizerFast."""
    return str(config.get("tokenizer_class") or "").removesuffix("Fast").removesuffix("Tokenizer")


def prefixed(told: Told, config: Told) -> Told:
    """A tokenizer.json that says itself whether a space is put before a text.

    Raises UnsupportedError where the two files contradict each other, and not both versions believe the same one.
    """
    cuts, kind = told.get("pre_tokenizer") or {}, class_of(config)
    if cuts.get("type") == "ByteLevel" and kind in BY_CONFIG:
        asked = config.get(KEY, False)
        return told if asked is None else {**told, "pre_tokenizer": {**cuts, KEY: bool(asked)}}
    asked, begins = config.get(KEY), _begins(told, kind)
    if None not in (asked, begins) and bool(asked) != begins:
        raise UnsupportedError(
            f"tokenizer_config.json says {KEY}: {asked!r}, but tokenizer.json puts {'a' if begins else 'no'} space"
            " before a text, and versions of Transformers read two tokenizers in that; correct the one that is wrong"
        )
    return told


def _begins(told: Told, kind: str) -> bool | None:
    """Whether the file puts a space before a text; None where tokenizer_config.json has no say in it."""
    cuts = told.get("pre_tokenizer") or {}
    if cuts.get("type") == "ByteLevel":
        return bool(cuts.get(KEY, True)) if kind != "Llama" else None
    if kind != "Llama" or (told.get("decoder") or {}).get("type") == "ByteLevel":
        return None
    scheme = cuts.get("prepend_scheme", "always") if cuts.get("type") == "Metaspace" else "never"
    return scheme != "never" or any(
        step.get("type") == "Prepend" for step in steps(told.get("normalizer"), "normalizers")
    )
