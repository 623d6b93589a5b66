"""Matrices in 8 bits, as MatMulNBits reads them."""

from __future__ import annotations

from export.fuse import CONTRIB
from export.quantize import Format, round_to_nearest
from export.sentences.graph import Drawing, Linear

BITS, BLOCK = 8, 32
INT8_PRODUCTS = 4
"""MatMulNBits' accuracy level that multiplies by blocks in int8."""


def in_blocks(drawing: Drawing, value: str, linear: Linear) -> str:
    """A product with a matrix in blocks. Source: ContribOperators.md, com.microsoft.MatMulNBits."""
    rows, columns = linear.weight.shape
    rounded = round_to_nearest(linear.weight, Format(BITS, BLOCK))
    codes = drawing.constant(f"{linear.name}.codes", rounded.packed())
    scales = drawing.constant(f"{linear.name}.scales", rounded.scales)
    bias = drawing.constant(f"{linear.name}.bias", linear.bias)
    sizes = {"K": columns, "N": rows, "bits": BITS, "block_size": BLOCK, "accuracy_level": INT8_PRODUCTS}
    return drawing.add("MatMulNBits", [value, codes, scales, "", "", bias], linear.name, CONTRIB, **sizes)
