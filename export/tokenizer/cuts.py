r"""How text is cut before merging, by the name that GGUF gives it. Source: llama.cpp's src/llama-vocab.cpp.

There stand the expressions of the models' own tokenizer.json, and beside them what its own engine reads instead; these
are the former. Every cut is spelled out, because the engine reads the format's shorter `Digits` and `use_regex`
differently where a number follows white space: `tokenizers` keeps the two line feeds of "\n\n1" together, the engine
does not (docs/decisions/0008-spelled-out-cuts.md).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cuts:
    """Expressions applied one after the other, each match and what lies between on its own.

    ignores_merges: whether a piece that is a token is taken whole, whatever merges make of it. composes: whether text
    is brought to NFC before. adds_bos: whether a text begins with bos where the header does not say.
    """

    expressions: tuple[str, ...]
    ignores_merges: bool = False
    composes: bool = False
    adds_bos: bool = False


APOSTROPHES = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
MARKS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
MARKS_AND_SLASHES = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"
WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
BEFORE = r"[^\r\n\p{L}\p{N}]?"

DIGITS = r"\p{N}"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = rf"{APOSTROPHES}|{WORD}|\p{{N}}{{1,3}}|{MARKS}|{SPACES}"
QWEN2 = rf"{APOSTROPHES}|{WORD}|\p{{N}}|{MARKS}|{SPACES}"
QWEN35 = rf"{APOSTROPHES}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{SPACES}"
TEKKEN = rf"{BEFORE}{UPPER}*{LOWER}+|{BEFORE}{UPPER}+{LOWER}*|\p{{N}}|{MARKS_AND_SLASHES}|{SPACES}"
GPT4O = (
    rf"{BEFORE}{UPPER}*{LOWER}+{APOSTROPHES}?|{BEFORE}{UPPER}+{LOWER}*{APOSTROPHES}?"
    rf"|\p{{N}}{{1,3}}|{MARKS_AND_SLASHES}|{SPACES}"
)
SEED_CODER = rf"{APOSTROPHES}|{WORD}|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{SPACES}"
MINICPM5 = rf"{APOSTROPHES}|{WORD}|\p{{N}}+|{MARKS}|{SPACES}"
DEEPSEEK3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    rf"|{SPACES}"
)
HAN, HAN_AND_KANA = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
LETTERS = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373"
    "\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f"
    "\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
    "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-"
    "\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec"
    "\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-"
    "\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
    "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17"
    "\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-"
    "\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"
)
DEEPSEEK_MARKS = "!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002"
DEEPSEEK = ("[\r\n]", rf"\s?[{LETTERS}]+", rf"\s?[{DEEPSEEK_MARKS}]+", r"\s+$", HAN, r"\p{N}+")
DEEPSEEK_CODER = ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", HAN, DIGITS)
FALCON = (r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]")
BLOOM_MARKS = "\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c"
BLOOM = rf" ?[^(\s|.,!?{BLOOM_MARKS})]+"

LLAMA3_WHOLE, SMOLLM, PLAIN = Cuts((LLAMA3,), ignores_merges=True, adds_bos=True), Cuts((DIGITS, GPT2)), Cuts((GPT2,))
CUTS: dict[str, Cuts] = {
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "midm-2.0"), LLAMA3_WHOLE),
    **dict.fromkeys(("smaug-bpe", "dbrx"), Cuts((LLAMA3,))),
    **dict.fromkeys(("gpt-4o", "llama4", "kanana2"), Cuts((GPT4O,))),
    **dict.fromkeys(("gpt-2", "phi-2", "mellum", "granite-docling"), PLAIN),
    **dict.fromkeys(("mpt", "olmo"), Cuts((GPT2,), composes=True)),
    **dict.fromkeys(("smollm", "starcoder", "refact", "codeshell", "minerva-7b"), SMOLLM),
    "command-r": Cuts((DIGITS, GPT2), composes=True),
    "qwen2": Cuts((QWEN2,), composes=True),
    "qwen35": Cuts((QWEN35,)),
    **dict.fromkeys(("deepseek-r1-qwen", "stablelm2", "megrez"), Cuts((QWEN2,))),
    "tekken": Cuts((TEKKEN,), ignores_merges=True, adds_bos=True),
    "deepseek-llm": Cuts(DEEPSEEK),
    "deepseek-coder": Cuts(DEEPSEEK_CODER),
    "deepseek-v3": Cuts((r"\p{N}{1,3}", HAN_AND_KANA, DEEPSEEK3)),
    "seed-coder": Cuts((SEED_CODER,)),
    "minicpm5": Cuts((r"\p{N}{1,3}", MINICPM5), ignores_merges=True),
    "falcon": Cuts(FALCON),
    **dict.fromkeys(("bloom", "poro-chat"), Cuts((BLOOM,))),
    "viking": Cuts((BLOOM, DIGITS)),
}
