"""onnxruntime-genai's reader of a tokenizer; it needs no model."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: the wheels phone home otherwise

import onnxruntime_genai as og

from edge.errors import BundleError

ELSEWHERE = re.compile(
    "[\x01-\x08\x0e-\x1f\x7f\x85\u0870-\u088e\u08b5\u08c8\u08c9\u0c5d\u0cdd\u170d\u171f\u1b4c\u1c89\u1c8a\u2c2f\u2c5f\u9ffd-\u9fff\ua7c0\ua7c1"
    "\ua7cb-\ua7dc\ua7f2-\ua7f4\U00010570-\U000105f3\U00010780-\U000107ba\U00010d40-\U00010d85\U00010ec2-\U00010ec4"
    "\U00010f70-\U00010f81\U00011071-\U00011075\U0001123f-\U00011240\U00011380-\U000113d3\U000116d0-\U000116e3"
    "\U00011740-\U00011746\U00011ab0-\U00011abf\U00011bc0-\U00011bf9\U00011f02-\U00011f59\U00012f90-\U00012ff0"
    "\U0001342f-\U000143fa\U00016100-\U00016139\U00016a70-\U00016ac9\U00016d40-\U00016d79\U00018cff"
    "\U0001aff0-\U0001affe\U0001b11f-\U0001b155\U0001ccf0-\U0001ccf9\U0001d2c0-\U0001d2d3\U0001df00-\U0001df2a"
    "\U0001e030-\U0001e06d\U0001e290-\U0001e2ad\U0001e4d0-\U0001e5fa\U0001e7e0-\U0001e7fe\U0002a6de\U0002a6df"
    "\U0002b735-\U0002b739\U0002ebf0-\U0002ee5d\U00031350-\U000323af]"
)
"""Characters that this reader may take otherwise than `tokenizers`: control characters, where a vocabulary lacks their
bytes; U+0085, which is no white space to it; the letters and digits that came to Unicode after version 13. Found by
asking both for every character."""


class GenaiReader:
    """Text to token ids and back. bundle: a folder with a tokenizer and genai_config.json."""

    def __init__(self, bundle: Path) -> None:
        try:
            self._tokenizer = og.Tokenizer(str(bundle))
        except Exception as error:  # genai raises plain RuntimeError for everything
            raise BundleError(f"onnxruntime-genai cannot read the tokenizer of {bundle}: {error}") from error

    def encode(self, text: str) -> list[int]:
        """A text's token ids; a null character ends it, and bytes that the vocabulary lacks have none."""
        return [number for number in map(int, self._tokenizer.encode(text)) if number >= 0]

    def text(self, tokens: list[int]) -> str:
        """What token ids stand for; control tokens stand for nothing."""
        return str(self._tokenizer.decode(tokens))

    def id_of(self, token: str) -> int | None:
        """A token's id."""
        return int(self._tokenizer.to_token_id(token))

    def stream(self) -> Any:
        """A decoder of one answer."""
        return self._tokenizer.create_stream()
