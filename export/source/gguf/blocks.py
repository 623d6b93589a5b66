"""The values of a tensor's rows, and the blocks that MatMulNBits computes as they are.

Q4_0 and Q8_0 are such: blocks of 32, one scale, the zero point in the middle. They pass through unchanged. Q4_1 has a
floating offset a block, which the operator takes only on its slow path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import UnsupportedError
from export.quantize import Codes, Format


def dequantized(name: str, kind: str, rows: NDArray[Any]) -> NDArray[Any]:
    """Some rows of a tensor as floats; UnsupportedError for a type that holds none. kind: ggml's name of it.

    gguf does the reckoning; of what is a float already it leaves out the widest.
    """
    if kind == "F64":
        return rows
    import gguf
    from gguf.quants import dequantize

    try:
        values: NDArray[Any] = dequantize(rows, gguf.GGMLQuantizationType[kind])
    except NotImplementedError as error:
        raise UnsupportedError(f"{name} is stored as {kind}, which is not read; export the original") from error
    return values


def _unpack_q4_0(data: Codes) -> tuple[Codes, NDArray[np.float16]]:
    """Rows of 18-byte blocks: a half-precision scale, then 16 bytes, the first 16 codes in their low nibbles."""
    blocks = data.reshape(len(data), -1, 18)
    packed = blocks[..., 2:]
    codes = np.concatenate([packed & 15, packed >> 4], axis=-1)
    return codes, _scales(blocks)


def _unpack_q8_0(data: Codes) -> tuple[Codes, NDArray[np.float16]]:
    """Rows of 34-byte blocks: a half-precision scale, then 32 signed codes."""
    blocks = data.reshape(len(data), -1, 34)
    return blocks[..., 2:] ^ np.uint8(128), _scales(blocks)


def _scales(blocks: Codes) -> NDArray[np.float16]:
    return np.ascontiguousarray(blocks[..., :2]).view(np.float16)[..., 0]


BLOCKS: dict[str, tuple[Format, Callable[[Codes], tuple[Codes, NDArray[np.float16]]]]] = {
    "Q4_0": (Format(4, 32, True), _unpack_q4_0),
    "Q8_0": (Format(8, 32, True), _unpack_q8_0),
}
"""By ggml's name of a type. Source: ggml's ggml-common.h, block_q4_0 and block_q8_0."""
