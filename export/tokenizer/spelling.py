"""The same tokenizer in words that both readers take alike. Each rule takes a tokenizer.json and gives another.

onnxruntime-genai's reader cuts by the expressions that it finds in `Split`s, one after the other, and looks at nothing
else: not at `Digits`, not at ByteLevel's own expression, at no normalizer. So whatever else cuts becomes a `Split` with
its whole expression, where there is one that says the same. Found by trial; source of what it reads:
onnxruntime-extensions, operators/tokenizer/bpe_tokenizer_model.hpp.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from export.tokenizer.format import Told, steps

GPT2_CUTS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""What ByteLevel cuts by where it says use_regex."""
READ_RIGHTLY = (GPT2_CUTS, r"\p{N}")
"""Expressions that the reader has matchers of its own for, which are right. Those of Llama 3, Qwen 2, GPT-4o and Tekken
it has, too, but `\\s*[\\r\\n]+` is wrong in them where a line of spaces has others after it; any other goes byte by
byte through std::regex, which knows no Unicode and may run out of stack.
"""
BYTE_LEVEL: Told = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
PLAIN_CLASS = "PreTrainedTokenizer"
"""A class's name that onnxruntime-genai hangs no rules of its own on."""


def split(expression: str) -> Told:
    """A cut at each match of an expression, the match a piece of its own."""
    return {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}


def spellings(told: Told, config: Told) -> Iterator[tuple[Told, Told]]:
    """A tokenizer.json and its tokenizer_config.json in words that onnxruntime-genai may take rightly, if there are."""
    is_bytes = (told.get("decoder") or {}).get("type") == "ByteLevel" and told.get("normalizer") is None
    cuts = spelled_cuts(told.get("pre_tokenizer"))
    if told["model"].get("type") != "BPE" or not is_bytes or cuts is None:
        return
    spelled = {**told, "pre_tokenizer": {"type": "Sequence", "pretokenizers": cuts}}
    yield spelled, config
    yield spelled, {**config, "tokenizer_class": PLAIN_CLASS, "clean_up_tokenization_spaces": False}


def spelled_cuts(pre_tokenizer: Mapping[str, Any] | None) -> list[Told] | None:
    """A pre-tokenizer as `Split`s and a ByteLevel that cuts nothing; None where that cannot be said."""
    every = list(steps(pre_tokenizer, "pretokenizers"))
    if not every or every[-1]["type"] != "ByteLevel":
        return None
    cuts = [_as_splits(step) for step in every]
    return None if any(each is None for each in cuts) else [one for each in cuts for one in each or []] + [BYTE_LEVEL]


def _as_splits(step: Mapping[str, Any]) -> list[Told] | None:
    if step["type"] == "ByteLevel":
        has_cuts = step.get("use_regex", True)
        return None if step.get("add_prefix_space") else [split(GPT2_CUTS)] if has_cuts else []
    if step["type"] == "Digits":
        return [split(r"\p{N}")] if step.get("individual_digits") else None
    is_known = step["type"] == "Split" and step["pattern"].get("Regex") in READ_RIGHTLY and not step.get("invert")
    return [split(step["pattern"]["Regex"])] if is_known and step["behavior"] == "Isolated" else None


def with_plain_decoder(told: Told) -> Told:
    """With Metaspace's decoder in steps, which llguidance reads; what they give is the same."""
    decoder = told.get("decoder") or {}
    if decoder.get("type") != "Metaspace":
        return told
    space = {"type": "Replace", "pattern": {"String": decoder.get("replacement", "▁")}, "content": " "}
    begins = decoder.get("prepend_scheme", "always" if decoder.get("add_prefix_space", True) else "never") != "never"
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if begins else []
    decoders = [space, {"type": "ByteFallback"}, {"type": "Fuse"}, *strip]
    return {**told, "decoder": {"type": "Sequence", "decoders": decoders}}
