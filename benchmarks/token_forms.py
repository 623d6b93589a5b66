"""Tokenizers in every form that a tokenizer.json has for cutting, merging and joining: small trained ones, real ones.

The small ones are trained on half of Python's documentation topics, once a process, since two trainings may give ids in
two orders. Cuts are written as
the families publish them (llama.cpp's llama-vocab.cpp lists the expressions).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from benchmarks.phi_shape import DATA
from export.calibration_text import topics

Told = dict[str, Any]
Files = dict[str, str]
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"
SPECIAL = ["<unk>", "<s>", "</s>"]
BYTE_LEVEL: Told = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BYTES: Told = {**BYTE_LEVEL, "use_regex": False}
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST
QWEN2 = LLAMA3.replace("{1,3}", "")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|\p{{N}}" + REST
GPT_4O = TEKKEN.replace("+|[^", f"+{CONTRACTIONS}?|[^").replace(r"*|\p{N}", rf"*{CONTRACTIONS}?|\p{{N}}{{1,3}}")


def split(expression: str, behavior: str = "Isolated", invert: bool = False) -> Told:
    """A `Split` by an expression."""
    return {"type": "Split", "pattern": {"Regex": expression}, "behavior": behavior, "invert": invert}


def sequence(*steps: Told) -> Told:
    """Pre-tokenizers one after the other."""
    return {"type": "Sequence", "pretokenizers": list(steps)}


def digits(one_by_one: bool) -> Told:
    """A cut around digits."""
    return {"type": "Digits", "individual_digits": one_by_one}


CUTS: dict[str, Told] = {
    "ByteLevel": BYTE_LEVEL,
    "ByteLevel, a space before": {**BYTE_LEVEL, "add_prefix_space": True},
    "ByteLevel without cuts": BYTES,
    "Digits one by one, ByteLevel": sequence(digits(True), BYTE_LEVEL),
    "Digits together, ByteLevel": sequence(digits(False), BYTE_LEVEL),
    "Digits within a Sequence": sequence(sequence(digits(True)), sequence(BYTE_LEVEL)),
    "Split as Llama 3": sequence(split(LLAMA3), BYTES),
    "Split as Qwen 2": sequence(split(QWEN2), BYTES),
    "Split as GPT-4o": sequence(split(GPT_4O), BYTES),
    "Split as Tekken": sequence(split(TEKKEN), BYTES),
    "Split as DeepSeek": sequence(split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), digits(True), BYTES),
    "Split, removed": sequence(split(r"\s+", "Removed"), BYTES),
    "Split, with the piece before": sequence(split(r"\s", "MergedWithPrevious"), BYTES),
    "Split, with the piece behind": sequence(split(r"\s", "MergedWithNext"), BYTES),
    "Split, inverted": sequence(split(r"\p{L}+|\p{N}+|\s+", "Isolated", invert=True), BYTES),
    "Punctuation, ByteLevel": sequence({"type": "Punctuation", "behavior": "Isolated"}, BYTE_LEVEL),
    "Whitespace": sequence({"type": "Whitespace"}, BYTES),
    "WhitespaceSplit": sequence({"type": "WhitespaceSplit"}, BYTES),
    "UnicodeScripts": sequence({"type": "UnicodeScripts"}, BYTES),
}
"""Of byte-level BPE."""


def metaspace(scheme: str, is_split: bool) -> Told:
    """As Transformers 5 writes it."""
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": is_split}


SPACES_OVER: Told = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ],
}
"""As Llama 2's and Phi-3's published files have it."""


def forms() -> Iterator[tuple[str, Callable[[], Files]]]:
    """Each with its name, made when it is called: tokenizer.json and tokenizer_config.json."""
    for name, cut in CUTS.items():
        yield name, partial(files, partial(cut_by, byte_level, cut))
    yield "ByteLevel, NFC", partial(files, lambda: {**byte_level(), "normalizer": {"type": "NFC"}})
    yield "ByteLevel, ignore_merges", partial(files, lambda: with_model(byte_level(), ignore_merges=True))
    yield "ByteLevel, marks that strip", partial(files, lambda: with_marks(byte_level()))
    for scheme in ("first", "always", "never"):
        for is_split in (True, False):
            cut = metaspace(scheme, is_split)
            name = f"Metaspace {scheme}{', split' if is_split else ''}"
            yield name, partial(files, partial(cut_by, spaces_as_marks, cut))
    yield "Prepend and Replace", partial(files, lambda: {**spaces_as_marks(), "normalizer": SPACES_OVER})
    yield "Metaspace, no bytes", partial(files, lambda: with_model(spaces_as_marks(), byte_fallback=False))
    yield "Unigram", partial(files, unigram)
    yield "WordPiece", partial(files, word_piece)
    yield "SmolLM2 of its hub folder", partial(files, smollm2)
    yield "Phi-3, published", phi3
    yield "Phi-3, saved by Transformers 5", partial(phi3, is_resaved=True)


def cut_by(made: Callable[[], Told], cut: Told) -> Told:
    """A tokenizer with another pre-tokenizer."""
    return {**made(), "pre_tokenizer": cut}


def files(made: Callable[[], Told]) -> Files:
    """The two files of a tokenizer, the config with what Transformers 4 would else set back in the other."""
    told = made()
    begins = bool((told.get("pre_tokenizer") or {}).get("add_prefix_space"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE, "add_prefix_space": begins}
    return {"tokenizer.json": json.dumps(told), "tokenizer_config.json": json.dumps(config)}


def trained(tokenizer: Tokenizer, trainer: trainers.Trainer) -> Told:
    """A tokenizer after the documentation's lines."""
    tokenizer.train_from_iterator(topics("calibration")[:300_000].split("\n"), trainer)
    told: Told = json.loads(tokenizer.to_str())
    return told


@cache
def byte_level() -> Told:
    """BPE over bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    marks = ["<|im_start|>", "<|im_end|>"]
    return trained(
        tokenizer,
        trainers.BpeTrainer(vocab_size=1500, special_tokens=marks, initial_alphabet=alphabet, show_progress=False),
    )


@cache
def spaces_as_marks() -> Told:
    """BPE as SentencePiece's: ▁ for spaces, bytes where a character has no token."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    marks = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    told = trained(tokenizer, trainers.BpeTrainer(vocab_size=1500, special_tokens=marks, show_progress=False))
    return {
        **told,
        "pre_tokenizer": None,
        "added_tokens": [each for each in told["added_tokens"] if each["content"] in SPECIAL],
    }


def with_model(told: Told, **changes: bool) -> Told:
    """With other settings of its model."""
    pre_tokenizer = told["pre_tokenizer"] or metaspace("first", True)
    return {**told, "pre_tokenizer": pre_tokenizer, "model": {**told["model"], **changes}}


def with_marks(told: Told) -> Told:
    """With tokens that take the spaces beside them, and one that is no control token."""
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    number = len(told["model"]["vocab"])
    more = [
        {**plain, "id": number, "content": "<|left|>", "lstrip": True},
        {**plain, "id": number + 1, "content": "<|right|>", "rstrip": True},
        {**plain, "id": number + 2, "content": "<tool_call>", "special": False},
        {**plain, "id": number + 3, "content": "        ", "special": False, "normalized": True},
    ]
    return {**told, "added_tokens": [*told["added_tokens"], *more]}


@cache
def unigram() -> Told:
    """As SentencePiece's other kind."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer, tokenizer.decoder = normalizers.NFKC(), decoders.Metaspace()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=1200, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )  # fmt: skip
    return trained(tokenizer, trainer)


@cache
def word_piece() -> Told:
    """As BERT's."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.decoder = normalizers.BertNormalizer(lowercase=True), decoders.WordPiece()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    marks = ["[UNK]", "[CLS]", "[SEP]"]
    return trained(tokenizer, trainers.WordPieceTrainer(vocab_size=1200, special_tokens=marks, show_progress=False))


def smollm2(bundle: Path | None = None) -> Told:
    """The vocabulary of a bundle's SmolLM2 in its hub folder's words; the small one's where there is no bundle."""
    told = json.loads((bundle / "tokenizer.json").read_text(encoding="utf-8")) if bundle else byte_level()
    return {**told, "pre_tokenizer": sequence(digits(True), BYTE_LEVEL)}


def phi3(is_resaved: bool = False) -> Files:
    """Phi-3's own files, or what Transformers 5 makes of them where it saves them again."""
    names = ("tokenizer.json", "tokenizer_config.json")
    found = {name: (DATA / "tokenizer" / name).read_text(encoding="utf-8") for name in names}
    if is_resaved:
        told = json.loads(found["tokenizer.json"])
        told |= {"normalizer": None, "pre_tokenizer": metaspace("first", False)}
        told["model"]["unk_token"] = None
        found["tokenizer.json"] = json.dumps(told)
    return found
