"""What a GGUF header says of its tokens, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from export.errors import SourceError

HEADER = (
    "model",
    "pre",
    "tokens",
    "token_type",
    "scores",
    "merges",
    "add_space_prefix",
    "add_bos_token",
    "add_eos_token",
    "bos_token_id",
    "eos_token_id",
    "eot_token_id",
    "eom_token_id",
    "unknown_token_id",
    "padding_token_id",
)
"""The keys under tokenizer.ggml that say what the tokens are."""
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""A token's type (gguf.TokenType)."""
ADDED = (UNKNOWN, CONTROL, USER_DEFINED)
"""Types that are found in a text before it is cut: added tokens, in the words of `tokenizers`."""
ENDS = ("<|end|>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<end_of_turn>", "<|endoftext|>", "<EOT>")
"""Tokens that end a turn, and that a header does not always name: Phi-3's names <|endoftext|> alone."""
LONGEST = 1000
"""Letters of a token; published ones have some hundred."""
SPECIAL = ("bos", "eos", "eot", "eom", "unknown", "padding")


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a header.

    model, pre: GGUF's words for the kind of tokenizer and how it cuts. architecture: the model's. types, scores: a
    token each. merges: pairs with a space between. adds_bos: None where the kind of tokenizer decides. ids: of special
    tokens, by their names in SPECIAL, where there are such.
    """

    model: str
    pre: str
    architecture: str
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    scores: tuple[float, ...]
    merges: tuple[str, ...]
    adds_space: bool
    adds_bos: bool | None
    adds_eos: bool
    ids: Mapping[str, int]

    @classmethod
    def from_header(cls, header: Mapping[str, Any], architecture: str) -> Vocabulary:
        """Of the values of HEADER; SourceError where they are garbled or do not fit each other."""
        tokens = _texts(header, "tokens")
        if not tokens:
            raise SourceError("the GGUF header has no tokens (tokenizer.ggml.tokens)")
        if (longest := max(map(len, tokens))) > LONGEST:
            raise SourceError(f"the GGUF header has a token of {longest} letters (tokenizer.ggml.tokens)")
        model = str(header["model"])
        is_spaced = header["add_space_prefix"]
        ids = _ids(header, model, len(tokens))
        types = _numbers(header, "token_type", len(tokens), NORMAL)
        return cls(
            model=model,
            pre=str(header["pre"]),
            architecture=architecture,
            tokens=tokens,
            types=tuple(_type(token, number, types[number], ids) for number, token in enumerate(tokens)),
            scores=_numbers(header, "scores", len(tokens), 0.0),
            merges=_texts(header, "merges"),
            adds_space=model == "llama" if is_spaced is None else bool(is_spaced),
            adds_bos=header["add_bos_token"],
            adds_eos=bool(header["add_eos_token"]),
            ids=ids,
        )

    def pieces(self) -> dict[str, int]:
        """By its text, each token's number, those that nobody uses left out; SourceError where a text comes twice."""
        found: dict[str, int] = {}
        for number, token in enumerate(self.tokens):
            if self.types[number] == UNUSED or not token:
                continue
            if token in found:
                raise SourceError(f"the GGUF header has the token {token!r} twice, as {found[token]} and {number}")
            found[token] = number
        return found

    def added(self) -> dict[int, str]:
        """By its number, each token that is found in a text as it stands."""
        return {number: token for number, token in enumerate(self.tokens) if self.types[number] in ADDED and token}

    def frame(self, adds_bos: bool) -> dict[str, Any] | None:
        """What is put around a text that is encoded with its special tokens: tokenizer.json's post_processor.

        adds_bos: where the header does not say. Chat goes without; the template writes its control tokens itself.
        """
        is_begun = adds_bos if self.adds_bos is None else self.adds_bos
        wanted = {"bos": is_begun, "eos": self.adds_eos}
        around = {name: self.tokens[self.ids[name]] for name, is_in in wanted.items() if is_in and name in self.ids}
        if not around:
            return None
        special = {name: [{"SpecialToken": {"id": token, "type_id": 0}}] for name, token in around.items()}
        text = [{"Sequence": {"id": "A", "type_id": 0}}]
        single = [*special.get("bos", []), *text, *special.get("eos", [])]
        ids = {token: {"id": token, "ids": [self.ids[name]], "tokens": [token]} for name, token in around.items()}
        pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
        return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": ids}

    def named(self) -> dict[str, str]:
        """The special tokens as tokenizer_config.json names them."""
        names = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
        return {f"{ours}_token": self.tokens[self.ids[key]] for ours, key in names.items() if key in self.ids}

    def stop_token_ids(self, chat_template: str) -> list[int]:
        """The tokens that end an answer: those that the header names, and those that the template ends a turn with."""
        named = {self.ids[key] for key in ("eos", "eot", "eom") if key in self.ids}
        written = {number for number, token in self.added().items() if token in ENDS and token in chat_template}
        return sorted(named | written)


def _type(token: str, number: int, kind: int, ids: Mapping[str, int]) -> int:
    """A token's type; what fills a vocabulary up to its size is unused, whatever older converters called it."""
    is_filling = token == f"[PAD{number}]" or (kind == UNKNOWN and number != ids.get("unknown"))
    return UNUSED if is_filling else kind


def _texts(header: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = header[key] or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise SourceError(f"the GGUF header's tokenizer.ggml.{key} should be a list of texts")
    return tuple(values)


def _numbers(header: Mapping[str, Any], key: str, count: int, default: float) -> tuple[Any, ...]:
    values = header[key]
    if values is None:
        return (default,) * count
    if (
        not isinstance(values, list)
        or len(values) != count
        or not all(isinstance(each, int | float) for each in values)
    ):
        raise SourceError(f"the GGUF header's tokenizer.ggml.{key} should be {count} numbers, one for each token")
    return tuple(values)


def _ids(header: Mapping[str, Any], model: str, count: int) -> dict[str, int]:
    """The special tokens' numbers; what is no token's is none where nothing hangs on it, as in llama.cpp."""
    found = {"bos": 1, "eos": 2, "unknown": 0} if model == "llama" else {}
    for name in SPECIAL:
        value = header[f"{name}_token_id"]
        if value is None:
            continue
        if isinstance(value, int) and 0 <= value < count:
            found[name] = value
        elif name != "padding":
            raise SourceError(f"the GGUF header says tokenizer.ggml.{name}_token_id = {value!r} of {count} tokens")
    return {name: number for name, number in found.items() if number < count}
