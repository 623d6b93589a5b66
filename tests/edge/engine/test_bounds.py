"""No request holds the engine: what is done for it is bounded before it is done. Counts and ratios, never times."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.bundle import read_manifest
from edge.engine.genai.tokenizer import Tokenizer
from edge.engine.text.chat_template import render
from edge.engine.text.marks import SLICE_CHARACTERS
from edge.errors import TooLarge
from tests.export.test_phi_tokenizer import bundle as phi_bundle
from tests.export.test_phi_tokenizer import phi

__all__ = ["phi", "phi_bundle"]
FAMILIES = ("bundle", "phi_bundle", "vision_bundle")
QUARTER_MEGABYTE = 250_000


def of(letters: str) -> Callable[[random.Random], str]:
    """Texts of these letters, by chance."""
    return lambda chance: "".join(chance.choices(letters, k=QUARTER_MEGABYTE // len(letters[-1].encode())))


def between(first: int, last: int) -> str:
    """The characters from one code point to another."""
    return "".join(map(chr, range(first, last)))


LONG: dict[str, Callable[[random.Random], str]] = {
    "letters": of("abcdefghijklmnopqrstuvwxyz"),
    "letters of both cases": of("abcdefghABCDEFGH"),
    "digits": of("0123456789"),
    "spaces": of(" "),
    "newlines": of("\n"),
    "line ends": of("\r\n"),
    "one letter": of("x"),
    "dashes": of("-"),
    "pictographs": of(between(0x1F300, 0x1F600)),
    "combining marks": of(between(0x300, 0x36F)),
    "unusual letters": of(between(0x4E00, 0x9FFF)),
    "replacement characters": of("\ufffd"),
    "base64": lambda chance: base64.b64encode(chance.randbytes(QUARTER_MEGABYTE * 3 // 4)).decode(),
    "words": lambda chance: " ".join(chance.choices(("lamp", "tower", "storm"), k=QUARTER_MEGABYTE // 6)),
    "words without spaces": lambda chance: "".join(chance.choices(("international", "application"), k=20_000)),
    "marks": lambda _chance: "</s><|end|><|im_end|>" * 12_000,
    "nearly marks": lambda _chance: "<|" * (QUARTER_MEGABYTE // 2),
    "marks without an end": lambda _chance: "<|im_st" * (QUARTER_MEGABYTE // 7),
    "marks between letters": lambda chance: "<s>".join(chance.choices("abcdefgh", k=60_000)),
    "spaces, then letters": lambda chance: " " * 150_000 + of("abcdefgh")(chance)[:100_000],
}


class Counted(Tokenizer):
    """A tokenizer that notes the length of each text that it encodes."""

    lengths: list[int]

    def ids(self, text: str) -> list[int]:
        self.lengths.append(len(text))
        return super().ids(text)


@pytest.fixture(params=FAMILIES, scope="module")
def tokenizer(request) -> Counted:
    """Of SmolLM2's own bundle, of Phi-3.5-mini's and -vision's small ones."""
    folder: Path = request.getfixturevalue(request.param)
    return Counted(folder, read_manifest(folder))


@pytest.mark.parametrize("kind", LONG)
def test_a_quarter_megabyte_of_anything(tokenizer, kind):
    """It is encoded in short slices, each once; a refusal comes as soon as the slices have more than the context.

    What one slice takes is bounded, since a word of it is; so is their number, by the context and the longest token.
    """
    text = LONG[kind](random.Random(0))
    tokenizer.lengths = []
    try:
        tokens = len(tokenizer.encode([{"role": "user", "content": text}]))
    except TooLarge:
        tokens = tokenizer._context + SLICE_CHARACTERS
    assert max(tokenizer.lengths, default=0) <= SLICE_CHARACTERS + 1
    assert sum(tokenizer.lengths) <= len(text) * 2
    assert len([length for length in tokenizer.lengths if length > 1]) <= tokens + 1
    assert tokens <= tokenizer._context or sum(tokenizer.lengths) < tokenizer._context * tokenizer._marks.longest


def test_what_cannot_fit_is_not_encoded_at_all(tokenizer):
    """Where even the longest token of the vocabulary, again and again, would be too much."""
    tokenizer.lengths = []
    text = "-" * int(tokenizer._context * tokenizer._marks.longest + 1)
    with pytest.raises(TooLarge, match="more than"):
        tokenizer.encode([{"role": "user", "content": text}])
    assert tokenizer.lengths == []


PIECES = ("lamp", "the", "  ", "\n", "\n\n", "\t", "é", "日本語", "1234", "3.14", ", ", ". ", "don't", " 'quoted' ", "{")
MORE_PIECES = ("}", "  indent", "🌱", "a_b", "==", "x\u0301", "Ⅷ", "½", " ", "<|", "a < b")


@pytest.mark.parametrize("seed", range(12))
def test_slices_change_no_token(tokenizer, seed):
    """Long texts of every kind, with white space behind words here and there, have the tokens that they have whole."""
    chance = random.Random(seed)
    roles = ("user", "assistant", "user")[: 1 + 2 * (seed % 2)]
    texts = ["".join(chance.choices((*PIECES, *MORE_PIECES), k=chance.randint(300, 2000))) for _ in roles]
    turns = [{"role": role, "content": f"{text}. It is so."} for role, text in zip(roles, texts, strict=True)]
    whole = tokenizer.ids(render(tokenizer._template, turns, tokenizer._special))
    tokenizer._context, before = 1_000_000, tokenizer._context
    try:
        assert tokenizer.encode(turns) == whole
    finally:
        tokenizer._context = before
    assert len(texts[0]) > SLICE_CHARACTERS / 2
