"""The tokenizer made of a GGUF header: the engine cuts text as `tokenizers` does, and gets it back."""

from __future__ import annotations

import random

import onnxruntime_genai
import pytest
from tokenizers import Tokenizer, pre_tokenizers

TEXTS = [
    "What is the capital of France?",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "  two leading spaces,\ttab\n\n\nthree newlines  ",
    "It's 12345.67 °C, isn't it? 100%",
    "naïve café – “quotes” … ½",
    "a ½ b, x² and ² ٣٤ １２ Ⅷ",
    "日本語のテキストと한국어",
    "Здравствуй, мир! مرحبا",
    "🙂👩‍🚀🏳️‍🌈 flags 🇨🇭",
    "def f(x):\n    return {'a': [1, 2, 3]}  # comment",
    "e\u0301 combining, \u200b zero width, \ufeff mark",
    "a" * 300,
    "",
]


@pytest.fixture(scope="module")
def engines(bundle):
    """The engine's own reader, and the library that wrote the format."""
    model = onnxruntime_genai.Model(str(bundle))
    return onnxruntime_genai.Tokenizer(model), Tokenizer.from_file(str(bundle / "tokenizer.json"))


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_both_readers_agree(engines, text):
    """Token by token, special tokens whole, and the way back gives the text."""
    ours, theirs = engines
    ids = list(map(int, ours.encode(text)))
    assert ids == theirs.encode(text, add_special_tokens=False).ids
    if "<|" not in text:
        assert ours.decode(ids) == text


def test_the_cuts_are_the_models_own(engines):
    """On seeded strings of awkward pieces the cuts spelled out give the tokens of the digits-then-bytes they stand for.

    SmolLM2's own tokenizer is `Digits` one by one, then `ByteLevel`.
    """
    ours, theirs = engines
    original = Tokenizer.from_str(theirs.to_str())
    original.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    chance = random.Random(0)
    pieces = [*"ab1½²Ⅷ٣ \n\t!'sd日é\u00a0—", "'ll", " x", "  ", "\n\n", "👩"]
    for _ in range(2000):
        text = "".join(chance.choices(pieces, k=chance.randint(1, 12)))
        wanted = original.encode(text, add_special_tokens=False).ids
        assert list(map(int, ours.encode(text))) == wanted, repr(text)
