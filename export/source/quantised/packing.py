"""Small numbers out of 32-bit words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.quantize import Codes

WORD_BITS = 32


def unpacked(words: NDArray[Any], bits: int, axis: int) -> Codes:
    """Numbers of some bits, the lowest of a word first, along an axis of int32 `[rows, columns]`. bits: 2, 4 or 8."""
    count = WORD_BITS // bits
    shifts = np.arange(0, WORD_BITS, bits, dtype=np.uint32)
    apart = np.expand_dims(np.ascontiguousarray(words).view(np.uint32), axis + 1)
    apart = apart >> shifts.reshape(-1, *[1] * (1 - axis)) & np.uint32((1 << bits) - 1)
    shape = list(words.shape)
    shape[axis] *= count
    return apart.astype(np.uint8).reshape(shape)
