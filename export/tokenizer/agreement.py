"""Whether two readers of a tokenizer give the same tokens, and the same text back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from edge.engine.text.exact import ExactReader


class Reader(Protocol):
    """What the engine asks of either of its readers (edge/engine/genai/reader.py, edge/engine/text/exact.py)."""

    def encode(self, text: str) -> list[int]:
        """A text's token ids."""
        ...

    def text(self, tokens: list[int]) -> str:
        """What token ids stand for."""
        ...

    def stream(self) -> Any:
        """A decoder of one answer, with `decode(token_id)`."""
        ...


def disagreement(ours: Reader, theirs: ExactReader, texts: Iterable[str]) -> str | None:
    """The first text that one reader cuts into other tokens, or gets back as another, than `tokenizers`; None: none."""
    return next((text for text in texts if not agree_on(ours, theirs, text)), None)


def agree_on(ours: Reader, theirs: ExactReader, text: str) -> bool:
    """Whether they agree on one text: its tokens, what these stand for, and that read token by token."""
    wanted = theirs.encode(text)
    told = theirs.text(wanted)
    is_nothing = not told  # control tokens alone: onnxruntime-genai's decoder takes no text for a damaged one
    return ours.encode(text) == wanted and (is_nothing or goes_back(ours, wanted, told))


def goes_back(reader: Reader, tokens: list[int], text: str) -> bool:
    """Whether tokens stand for a text, all at once and one by one."""
    stream = reader.stream()
    return reader.text(tokens) == text and "".join(stream.decode(token) for token in tokens) == text


def unstreamable(reader: ExactReader, texts: Iterable[str]) -> str | None:
    """The first text whose tokens one by one give another text than all at once; None where there is none."""
    for text in texts:
        tokens = reader.encode(text)
        if not goes_back(reader, tokens, reader.text(tokens)):
            return text
    return None
