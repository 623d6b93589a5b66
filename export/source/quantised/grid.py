"""A matrix of codes on a grid: what AWQ, GPTQ and compressed-tensors have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.quantize import Codes, Floats, Format, Quantized

BLOCKS = (16, 32, 64, 128, 256)
"""Sizes of blocks that MatMulNBits takes."""
BITS = (4, 8)


@dataclass(frozen=True)
class Grid:
    """codes: uint8 `[out, in]`. scales: in the type that they are stored in, `[out, groups]`; points: uint8, as many.

    group_of: of each input, which group's scale it has; None where they lie one after the other.
    """

    bits: int
    codes: Codes
    scales: NDArray[Any]
    points: Codes
    group_of: NDArray[np.intp] | None = None

    def floats(self) -> Floats:
        """What it stands for, each product rounded to the type of the scales, as their libraries multiply."""
        whole = self.codes.astype(np.int16)
        if self.group_of is None:
            size = self.codes.shape[1] // self.scales.shape[1]
            points, scales = (np.repeat(each, size, axis=1) for each in (self.points, self.scales))
        else:
            points, scales = self.points[:, self.group_of], self.scales[:, self.group_of]
        with np.errstate(invalid="ignore"):  # who reads it looks for what is no number
            products = (whole - points).astype(np.float32) * scales.astype(np.float32)
        rounded: Floats = products.astype(self.scales.dtype).astype(np.float32)
        return rounded

    def blocks(self, form: Format) -> Quantized:
        """The same as MatMulNBits reads it, code by code."""
        rows, columns = self.codes.shape
        codes = self.codes.reshape(rows, -1, form.block_size)
        return Quantized(form, columns, codes, self.scales.astype(np.float32), self.points)


def form_of(bits: int, group_size: int, is_symmetric: bool) -> Format | None:
    """The format of groups that lie one after the other; None where MatMulNBits takes none such."""
    return Format(bits, group_size, is_symmetric) if bits in BITS and group_size in BLOCKS else None
