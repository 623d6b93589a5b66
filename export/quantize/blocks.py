"""A matrix in 4- or 8-bit blocks, and how it lies in a file.

Source of the layout: onnxruntime's ContribOperators.md, com.microsoft.MatMulNBits: each row of `[N, K]` is cut
into blocks along K, a block has one float32 scale and, unless symmetric, one zero point; 4-bit values are packed
two a byte, low nibble first. Without zero points the operator takes 8 (4 bits) or 128 (8 bits).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Format:
    """How a matrix is stored. block_size is a power of two from 16 up, or 0 for a row each; bits 4 or 8."""

    bits: int = 4
    block_size: int = 32
    is_symmetric: bool = True

    @property
    def top(self) -> int:
        """The largest code."""
        return (1 << self.bits) - 1

    @property
    def middle(self) -> int:
        """The zero point of a symmetric block."""
        return 1 << (self.bits - 1)

    def bytes_of(self, rows: int, columns: int, scale_bytes: int = 4) -> int:
        """The stored size of a `[rows, columns]` matrix, scales and zero points included."""
        return sum(self.parts_of(rows, columns, scale_bytes))

    def parts_of(self, rows: int, columns: int, scale_bytes: int = 4) -> tuple[int, ...]:
        """The stored sizes of its codes, its scales and, where it has any, its zero points."""
        if not self.block_size:
            return rows * -(-columns * self.bits // 8), rows * scale_bytes
        blocks = -(-columns // self.block_size)
        points = () if self.is_symmetric else (rows * -(-blocks * self.bits // 8),)
        return rows * blocks * self.block_size * self.bits // 8, rows * blocks * scale_bytes, *points


@dataclass(frozen=True)
class Quantized:
    """A quantised `[N, K]` matrix: codes uint8 `[N, blocks, block_size]`, scales float32 and points `[N, blocks]`."""

    format: Format
    columns: int
    codes: Codes
    scales: Floats
    points: Codes

    @property
    def rows(self) -> int:
        """N, the number of outputs."""
        return int(self.codes.shape[0])

    def dequantized(self) -> Floats:
        """The float32 `[N, K]` matrix that the codes stand for."""
        values = self.codes.astype(np.float32)
        values -= self.points[:, :, None]
        values *= self.scales[:, :, None]
        return values.reshape(self.rows, -1)[:, : self.columns]

    def part(self, rows: slice | NDArray[np.int64]) -> Quantized:
        """Some of the outputs."""
        return Quantized(self.format, self.columns, self.codes[rows], self.scales[rows], self.points[rows])

    def packed(self) -> Codes:
        """The operator's B: uint8 `[N, blocks, block_size * bits / 8]`."""
        return _pairs(self.codes) if self.format.bits == 4 else self.codes

    def packed_points(self) -> Codes | None:
        """The operator's zero points: uint8 `[N, ceil(blocks * bits / 8)]`, None where symmetric."""
        if self.format.is_symmetric:
            return None
        if self.format.bits == 8:
            return self.points
        odd = self.points.shape[1] % 2
        return _pairs(np.pad(self.points, ((0, 0), (0, odd))))


def _pairs(codes: Codes) -> Codes:
    return np.ascontiguousarray(codes[..., 0::2] | (codes[..., 1::2] << 4))
