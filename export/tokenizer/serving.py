"""What a bundle's tokenizer will be: its files, and the reader that gives the tokens of `tokenizers` for them.

The tokens that a model was trained on are those of its tokenizer.json as the library `tokenizers` reads it, nothing put
before or behind. onnxruntime-genai reads most files otherwise; where both agree on texts that were made to differ, it
serves, and else `tokenizers` does, which a board has to have then.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from edge.engine.genai.reader import ELSEWHERE, GenaiReader
from edge.engine.text.exact import ExactReader
from edge.errors import BundleError
from export.errors import SourceError, UnsupportedError
from export.tokenizer.agreement import disagreement, unstreamable
from export.tokenizer.format import Told, added, parsed, vocabulary, written
from export.tokenizer.prefix import prefixed
from export.tokenizer.special import completed, listed, special_tokens
from export.tokenizer.spelling import spellings, with_plain_decoder
from export.tokenizer.template import check_template
from export.tokenizer.texts import spelled_tokens, texts

GENAI_CONFIG = {
    "model": {
        "type": "llama",
        "vocab_size": 1,
        "context_length": 1,
        "decoder": {"filename": "model.onnx", "inputs": {}, "outputs": {}},
    }
}
"""As much as onnxruntime-genai wants before it reads a tokenizer."""


@dataclass(frozen=True)
class Served:
    """A bundle's tokenizer. reader: what reads it. files: by name. why: what the other reader has otherwise, if any."""

    reader: Literal["onnxruntime-genai", "tokenizers"]
    files: Mapping[str, str]
    why: str = ""


OTHERS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""Files beside tokenizer.json that say something of its tokens."""


def served(files: Mapping[str, str], chat_template: str, vocab_size: int | None = None) -> Served:
    """The tokenizer of a source's files: tokenizer.json, and of the OTHERS those that are there.

    vocab_size: rows of the model's embedding. Raises SourceError where tokenizer.json is none or has a token without a
    row, or the chat template does not serve; UnsupportedError where answers could not be read back.
    """
    return _served(files["tokenizer.json"], *(files.get(name, "{}") for name in OTHERS), chat_template, vocab_size)


@lru_cache(maxsize=2)
def _served(
    tokenizer: str, config_text: str, map_text: str, old_text: str, chat_template: str, vocab_size: int | None
) -> Served:
    told = parsed(tokenizer)
    config, special_map, old = map(parsed, (config_text, map_text, old_text), OTHERS)
    if not isinstance(told.get("model"), dict):
        raise SourceError("tokenizer.json has no model; save it with Transformers once more")
    check_whole(config)
    special = special_tokens(told, config, special_map)
    check_template(chat_template, special)
    told = completed(prefixed(told, config), listed(config, special_map, old, special), special)
    told = without_chance(within(told, vocab_size))
    config = {**config, **special, "chat_template": chat_template}
    original = _read(told)
    every = texts(told)
    why = ""
    for spelled, its_config in spellings(told, config):
        why = _difference(original, spelled, its_config, every)
        if not why:
            return Served("onnxruntime-genai", _files(spelled, its_config))
    return Served("tokenizers", _files(_for_tokenizers(original, told, every), config), why or KIND)


KIND = "its kind is one that onnxruntime-genai reads otherwise"


def check_whole(config: Told) -> None:
    """UnsupportedError where control tokens are to be cut as text, which would cut a chat template's, too."""
    if config.get("split_special_tokens"):
        raise UnsupportedError(
            "tokenizer_config.json says split_special_tokens, so that a chat template's control tokens would be read as"
            " text; where the model was not trained so, remove it"
        )


def within(told: Told, vocab_size: int | None) -> Told:
    """Without added tokens that the model has no row for, such as one for padding; SourceError where it needs one."""
    if vocab_size is None:
        return told
    for token, number in vocabulary(told).items():
        if number >= vocab_size:
            raise SourceError(
                f"tokenizer.json has the token {token!r} with the id {number}, but the model has {vocab_size} rows;"
                " these are two models' files"
            )
    return {**told, "added_tokens": [each for each in added(told) if each["id"] < vocab_size]}


def without_chance(told: Told) -> Told:
    """Without what Transformers sets for each text anew, cuts and padding to a length, and without dropout."""
    return {**told, "truncation": None, "padding": None, "model": {**told["model"], "dropout": None}}


def _read(told: Told) -> ExactReader:
    try:
        return ExactReader(written(told))
    except BundleError as error:
        raise SourceError(f"the source's tokenizer is not read: {error}") from error


def _files(told: Told, config: Told) -> dict[str, str]:
    return {"tokenizer.json": written(told), "tokenizer_config.json": written(config)}


def _difference(original: ExactReader, spelled: Told, config: Told, every: list[str]) -> str:
    """What onnxruntime-genai, or the other spelling itself, has otherwise than the original; empty: nothing."""
    in_other_words = _read(spelled)
    if any(in_other_words.encode(text) != original.encode(text) for text in every):
        return "it cannot be spelled out"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in {**_files(spelled, config), "genai_config.json": json.dumps(GENAI_CONFIG)}.items():
            (folder / file).write_text(text, encoding="utf-8")
        try:
            genai = GenaiReader(folder)
        except BundleError as error:
            return f"onnxruntime-genai refuses it ({error})"
    known = (text for text in (*every, *spelled_tokens(spelled)) if not ELSEWHERE.search(text))
    try:
        found = disagreement(genai, original, known)
    except RuntimeError as error:  # genai raises plain ones for everything
        return f"onnxruntime-genai fails over it ({error})"
    return "" if found is None else f"onnxruntime-genai reads {found[:40]!r} otherwise"


def _for_tokenizers(original: ExactReader, told: Told, every: list[str]) -> Told:
    """A tokenizer.json for `tokenizers` to serve; UnsupportedError where its answers cannot be told token by token."""
    plain = with_plain_decoder(told)
    reader = _read(plain)
    if any(reader.text(tokens) != original.text(tokens) for tokens in map(original.encode, every)):
        plain, reader = told, original
    if (text := unstreamable(reader, every)) is not None:
        kind = (told.get("decoder") or {}).get("type", "none")
        raise UnsupportedError(
            f"an answer cannot be read back token by token with this tokenizer's decoder ({kind}): {text[:40]!r} comes"
            " out otherwise than at once; export a model whose tokenizer joins its tokens one by one"
        )
    return plain
