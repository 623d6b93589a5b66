"""A tokenizer's control tokens as Transformers finds them in a folder's files, in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge.engine.genai.tokenizer import NAMES, OTHERS, text_of
from export.tokenizer.format import Told, added, vocabulary
from export.tokenizer.prefix import class_of

OF_CLASS = {
    "Llama": ("<s>", "</s>", "<unk>"),
    "CodeLlama": ("<s>", "</s>", "<unk>"),
    "GPT2": ("<|endoftext|>", "<|endoftext|>", "<|endoftext|>"),
    "Qwen2": ("", "<|endoftext|>", "<|endoftext|>", "<|endoftext|>"),
    "Gemma": ("<bos>", "<eos>", "<unk>", "<pad>"),
}
"""bos, eos, unk and pad where no file names them. Source: the constructors of Transformers' classes of these names."""
OWN = ("bos_token", "eos_token", "unk_token", "pad_token")
NAMED = "flags of named tokens"
"""A key that no file has."""
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


def special_tokens(told: Told, config: Told, special_map: Told) -> dict[str, str | list[str]]:
    """Each by the name that chat templates have for it; those that are not set are not there.

    By the rule of `PreTrainedTokenizerBase._from_pretrained`: special_tokens_map.json goes over tokenizer_config.json,
    unless that lists the tokens that were added. What neither sets has the class's default, where that is a token.
    """
    named = _named(config, special_map)
    found: dict[str, str | list[str]] = {
        name: text for name in NAMES if (text := text_of(named.get(name)) or _of_class(told, config, name))
    }
    extra = named.get("extra_special_tokens")
    found |= {name: text_of(each) for name, each in extra.items()} if isinstance(extra, dict) else {}
    others = [text for each in named.get(OTHERS) or [] if (text := text_of(each))]
    return {**found, OTHERS: others} if others else found


def _named(config: Told, special_map: Told) -> Told:
    """What the two files say together, of control tokens and else."""
    named = dict(config) if "added_tokens_decoder" in config else {**config, **special_map}
    return {**special_map, **{name: value for name, value in named.items() if value is not None}}


def listed(config: Told, special_map: Told, old: Told, special: Mapping[str, str | list[str]]) -> Told:
    """A tokenizer_config.json that lists every added token with its flags, as newer ones do.

    old: added_tokens.json, ids by text, which counts where nothing is listed. A token that is named with its flags
    keeps them, where it is added for that.
    """
    every = {text for value in special.values() for text in ([value] if isinstance(value, str) else value)}
    found = {
        str(number): {"content": text, "special": text in every, "normalized": text not in every}
        for text, number in old.items()
    }
    values = [
        value for each in _named(config, special_map).values() for value in (each if isinstance(each, list) else [each])
    ]
    flags = {text_of(value): _flags(value) for value in values if isinstance(value, Mapping) and text_of(value)}
    return {"added_tokens_decoder": found, **config, NAMED: flags}


def _of_class(told: Told, config: Told, name: str) -> str:
    token = dict(zip(OWN, OF_CLASS.get(class_of(config), ()), strict=False)).get(name, "")
    known = {*vocabulary(told), *(each["content"] for each in added(told))}
    return token if token in known else ""


def completed(told: Told, config: Told, special: Mapping[str, str | list[str]]) -> Told:
    """A tokenizer.json that knows every token which Transformers adds to it for what the other files say.

    Flags that tokenizer_config.json lists go over those of tokenizer.json, but that no token stops being special; a
    token that has no number anywhere gets the next one. So it is in 4.57 and 5.24.
    """
    tokens, entries = vocabulary(told), {each["content"]: each for each in added(told)}
    following = max([len(tokens) - 1, *(each["id"] for each in entries.values())]) + 1
    for entry in _wanted(config, special):
        content, before = entry["content"], entries.get(entry["content"])
        if before and "id" not in entry:
            continue
        number = before["id"] if before else tokens.get(content, following)
        following += number == following
        is_special = entry["special"] or bool(before and before.get("special"))
        entries[content] = {**entry, "id": number, "special": is_special}
    return {**told, "added_tokens": sorted(entries.values(), key=lambda each: each["id"])}


def _wanted(config: Told, special: Mapping[str, str | list[str]]) -> Iterator[dict[str, Any]]:
    """Tokens that the files name, with their flags; with an id where tokenizer_config.json lists them."""
    numbered = config.get("added_tokens_decoder") or {}
    for number, entry in sorted(numbered.items(), key=lambda each: int(each[0])):
        yield {**FLAGS, "special": False, **_flags(entry), "content": entry["content"], "id": int(number)}
    more = config.get("extra_special_tokens")  # Transformers 5 has a list there of what 4 calls additional
    for value in (*special.values(), *([map(text_of, more)] if isinstance(more, list) else [])):
        for content in filter(None, [value] if isinstance(value, str) else value):
            yield {**FLAGS, **config.get(NAMED, {}).get(content, {}), "content": content, "special": True}


def _flags(entry: Mapping[str, Any]) -> dict[str, bool]:
    return {name: bool(entry[name]) for name in FLAGS if name in entry}
