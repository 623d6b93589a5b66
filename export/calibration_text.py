"""The text that GPTQ looks at: half of Python's own documentation topics; the other half is for evaluation.

It comes with every Python, is free of cost and licence questions, and its split is by name, so that what
a figure is measured on was never calibrated on.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Calibration
from edge.engine.text.exact import ExactReader
from export.errors import SourceError

Tokens = NDArray[np.int64]
LENGTH = 512
SHORTEST = 2000
"""Characters of a text that is worth looking at."""


def topics(half: Literal["calibration", "evaluation"]) -> str:
    """One half of the documentation topics, sorted by name."""
    try:
        from pydoc_data.topics import topics as texts
    except ImportError as error:
        raise SourceError("this Python has no pydoc_data; install the whole standard library") from error
    wanted = 0 if half == "calibration" else 1
    names = [name for name in sorted(texts) if hashlib.sha256(name.encode()).digest()[0] % 2 == wanted]
    return "\n\n".join(texts[name] for name in names)


def tokens_of(tokenizer_json: str, text: str) -> Tokens:
    """The text's token ids, int64 `[n]`."""
    return np.array(ExactReader(tokenizer_json).encode(text), np.int64)


def calibration_tokens(
    tokenizer_json: str, count: int, context: int, file: Path | None
) -> tuple[list[Tokens], Calibration]:
    """Evenly spaced pieces of a text of one's own or of the calibration half, `count` tokens in all."""
    text = read_text(file) if file else topics("calibration")
    chosen = pieces(tokens_of(tokenizer_json, text), count, context)
    used = sum(piece.size for piece in chosen)
    digest = hashlib.sha256(text.encode()).hexdigest()
    name = file.name if file else "python documentation topics, first half"
    return chosen, Calibration(name=name, tokens=used, sha256=digest)


def evaluation_tokens(tokenizer_json: str, count: int, context: int, file: Path | None = None) -> list[Tokens]:
    """Evenly spaced pieces of the other half or of a text of one's own, none where `count` is 0.

    Each is one token longer, to know what follows.
    """
    if not count:
        return []
    text = read_text(file) if file else topics("evaluation")
    return pieces(tokens_of(tokenizer_json, text), count, context - 1, 1)


def read_text(file: Path) -> str:
    """A text of one's own; SourceError where it is none in UTF-8, or too short to tell anything."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{file} cannot be read as text: {getattr(error, 'strerror', error)}") from error
    if len(text) < SHORTEST:
        raise SourceError(f"{file} has {len(text)} characters; give at least {SHORTEST}, better some hundred thousand")
    return text


def pieces(ids: Tokens, count: int, context: int, more: int = 0) -> list[Tokens]:
    """`count` tokens in pieces int64 `[1, n]`: 512 tokens each, fewer where context or count are, and `more`.

    All that there are where the text has fewer: pieces that say the same again would only look like more.
    Raises SourceError where the text is next to none in this tokenizer's eyes.
    """
    if len(ids) < 2:
        raise SourceError("the tokenizer makes no tokens of a whole text; is tokenizer.json this model's?")
    count = min(count, len(ids) - more)
    length = min(LENGTH, context, count or LENGTH) + more
    starts = np.linspace(0, max(0, len(ids) - length), max(1, count // (length - more))).astype(int)
    return [ids[None, start : start + length] for start in starts]
