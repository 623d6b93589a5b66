"""tokenizer.json of a file of ranks, as tiktoken keeps a vocabulary: each token's bytes in base64, and its number.

Two neighbours become one where the two together are a token, the lowest number first. `tokenizers` wants the pairs that
may, in their order: every cut of every token into two others. Of two pairs that make the same token tiktoken takes the
left one and `tokenizers` the one whose parts are lower, which no text is known to show; tests hold the two together.

One vocabulary is known here: that of Phi-3-small, which is cl100k_base with control tokens of its own.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path

from export.errors import SourceError
from export.tokenizer.byte_level import merging
from export.tokenizer.cuts import LLAMA3, Cuts
from export.tokenizer.format import written
from export.tokenizer.texts import BYTES
from export.tokenizer.vocabulary import LONGEST

FILE = "cl100k_base.tiktoken"
FILE_BYTES_MAX, TOKENS_MAX = 16 << 20, 1 << 20
"""Ten times what is published."""
NAMED = {
    "<|dummy_id_2|>": 100256,
    "<|endoftext|>": 100257,
    "<|fim_prefix|>": 100258,
    "<|fim_middle|>": 100259,
    "<|fim_suffix|>": 100260,
    "<|system|>": 100261,
    "<|user|>": 100262,
    "<|assistant|>": 100263,
    "<|dummy_id_0|>": 100264,
    "<|dummy_id_1|>": 100265,
    "<|end|>": 100266,
    "<|endofprompt|>": 100276,
}
CONTROL = {
    **NAMED,
    **{f"<|dummy_id_{number - 100264}|>": number for number in range(100267, 100276)},
    **{f"<|dummy_id_{number - 100265}|>": number for number in range(100277, 100352)},
}
"""Phi-3-small's control tokens, which its code has and no file says. Source: the hub's tokenization_phi3_small.py."""
COUNT = min(CONTROL.values())
"""So many tokens are before them; `tokenizers` would number them anew behind fewer."""
IDLE = frozenset(number for text, number in CONTROL.items() if text.startswith(("<|dummy", "<|fim", "<|endofp")))
"""Those that stand for nothing: its code lets none of them be chosen (`dummy_token_indices`)."""
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


def tokenizer_json(file: Path) -> str:
    """Phi-3-small's tokenizer.json; SourceError where the file is no list of ranks."""
    ranks = _read(file)
    letters = {byte: letter for letter, byte in BYTES.items()}

    def spelled(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    added = [{"id": number, "content": text, **FLAGS} for text, number in CONTROL.items()]
    return written(
        merging(
            Cuts((LLAMA3,), ignores_merges=True),
            sorted(added, key=lambda each: each["id"]),
            {spelled(token): rank for token, rank in ranks.items()},
            [[spelled(left), spelled(right)] for left, right in _merges(ranks)],
            None,
        )
    )


def _merges(ranks: dict[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
    """Every pair of tokens that makes a third, in the order of what they make."""
    for token in sorted(ranks, key=ranks.__getitem__):
        cuts = ((token[:place], token[place:]) for place in range(1, len(token)))
        pairs = [(left, right) for left, right in cuts if left in ranks and right in ranks]
        yield from sorted(pairs, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))


def _read(file: Path) -> dict[bytes, int]:
    """By its bytes, each token's number."""
    if file.stat().st_size > FILE_BYTES_MAX:
        raise SourceError(f"{file} is larger than {FILE_BYTES_MAX >> 20} MiB, which no list of ranks is; copy it again")
    lines = file.read_bytes().splitlines()
    if len(lines) > TOKENS_MAX:
        raise SourceError(f"{file} has {len(lines)} lines, more than a vocabulary has tokens; copy it again")
    ranks = dict(_token(file, number, line) for number, line in enumerate(lines, 1) if line.strip())
    if sorted(ranks.values()) != list(range(COUNT)) or not all(bytes([byte]) in ranks for byte in range(256)):
        raise SourceError(
            f"{file} should have {COUNT} tokens, numbered from 0 on, and one for every byte among them, but has"
            f" {len(ranks)}; copy it again"
        )
    return ranks


def _token(file: Path, number: int, line: bytes) -> tuple[bytes, int]:
    try:
        text, rank = line.split()
        token, found = base64.b64decode(text, validate=True), int(rank)
    except (ValueError, binascii.Error) as error:
        raise SourceError(
            f"{file}, line {number}, should be a token in base64 and its number; copy it again"
        ) from error
    if not 0 < len(token) <= LONGEST:
        raise SourceError(f"{file}, line {number}, has a token of {len(token)} bytes")
    return token, found
