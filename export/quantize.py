"""Weights to 4- or 8-bit blocks as MatMulNBits reads them, plainly or so that the layer's output changes least.

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

CLIPS = np.linspace(0.75, 1.0, 6, dtype=np.float32)
"""Shares of a block's full range that the scale search tries; a smaller one clips its largest weight."""


@dataclass(frozen=True)
class Format:
    """How a matrix is stored. block_size is a power of two from 16 up, bits 4 or 8."""

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

    def bytes_of(self, rows: int, columns: int) -> int:
        """The stored size of a `[rows, columns]` matrix, scales and zero points included."""
        blocks = -(-columns // self.block_size)
        points = 0 if self.is_symmetric else -(-blocks * self.bits // 8)
        return rows * (blocks * (self.block_size * self.bits // 8 + 4) + points)


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


def round_to_nearest(weight: Floats, form: Format) -> Quantized:
    """Every weight to its nearest code; the scale spans the block's range. weight: float32 `[N, K]`."""
    blocks = _blocks(weight, form)
    scales, points = _grid(blocks, form, np.float32(1.0))
    codes = _codes(blocks, scales[..., None], points[..., None], form)
    return Quantized(form, weight.shape[1], codes, scales, points.astype(np.uint8))


def gptq(weight: Floats, spread: Floats, form: Format) -> Quantized:
    """Codes one column at a time, each column's error spread over the columns still to come.

    weight: float32 `[N, K]`. spread: what `error_spread` makes of the matrix's calibration inputs.
    Scales are fitted block by block to what the errors before have left of the weights.
    Source: Frantar et al., GPTQ, arXiv:2210.17323, algorithm 1.
    """
    rows, columns = weight.shape
    size, padded = form.block_size, len(spread)
    left = np.zeros((padded, rows), np.float32)
    left[:columns] = weight.T
    importance = (1 / np.diag(spread) ** 2).astype(np.float32)
    codes = np.empty((padded, rows), np.uint8)
    scales = np.empty((padded // size, rows), np.float32)
    points = np.empty((padded // size, rows), np.float32)
    for index, start in enumerate(range(0, padded, size)):
        block = slice(start, start + size)
        scales[index], points[index] = _fit(left[block], importance[block], form)
        errors = _settle(left[block], spread[block, block], scales[index], points[index], form, codes[block])
        left[block.stop :] -= spread[block, block.stop :].T @ errors
    stored = np.ascontiguousarray(codes.T).reshape(rows, -1, size)
    return Quantized(form, columns, stored, np.ascontiguousarray(scales.T), points.T.astype(np.uint8))


def error_spread(moments: Floats, block_size: int, damping: float = 0.01) -> Floats:
    """The upper Cholesky factor of the inverse of the damped moments, float32 `[K', K']`, K' being K in whole blocks.

    moments: float32 `[K, K]`, the sum of x xᵀ over what the matrix reads. Matrices that read the same share it.
    """
    padded = -(-len(moments) // block_size) * block_size
    full = np.zeros((padded, padded), np.float64)
    full[: len(moments), : len(moments)] = moments
    diagonal = np.arange(padded)
    mean = float(np.mean(np.diag(moments))) or 1.0
    full[diagonal, diagonal] += damping * mean
    inverse = np.linalg.inv(full)
    return np.ascontiguousarray(np.linalg.cholesky((inverse + inverse.T) / 2).T, dtype=np.float32)


def _settle(left: Floats, spread: Floats, scale: Floats, point: Floats, form: Format, codes: Codes) -> Floats:
    """Fix the codes of one block, column by column; return the errors that the later blocks must make good."""
    errors = np.empty_like(left)
    inverse = 1 / scale
    for column in range(len(left)):
        code = np.clip(np.rint(left[column] * inverse) + point, 0, form.top)
        codes[column] = code
        errors[column] = (left[column] - (code - point) * scale) / spread[column, column]
        left[column + 1 :] -= np.outer(spread[column, column + 1 :], errors[column])
    return errors


def _fit(block: Floats, importance: Floats, form: Format) -> tuple[Floats, Floats]:
    """The scale and zero point of each output whose rounding errors, weighted by importance, are least.

    block: `[block_size, N]`; importance: `[block_size]`.
    """
    least = np.full(block.shape[1], np.inf, np.float32)
    best = _grid(block.T[:, None], form, np.float32(1.0))
    scales, points = best[0][:, 0].copy(), best[1][:, 0].copy()
    for clip in CLIPS:
        tried = _grid(block.T[:, None], form, clip)
        scale, point = tried[0][:, 0], tried[1][:, 0]
        rounded = (np.clip(np.rint(block / scale) + point, 0, form.top) - point) * scale
        error = importance @ np.square(block - rounded)
        better = error < least
        least[better], scales[better], points[better] = error[better], scale[better], point[better]
    return scales, points


def _grid(blocks: Floats, form: Format, clip: np.float32) -> tuple[Floats, Floats]:
    """Scale and zero point for blocks `[..., block_size]`, spanning a share of their range.

    A symmetric block puts its largest weight, whatever its sign, on the code that has one step more.
    """
    low, high = blocks.min(-1), blocks.max(-1)
    if form.is_symmetric:
        largest = np.where(high > -low, high, low)
        scales = largest * clip / -form.middle
        points = np.full_like(scales, form.middle)
    else:
        low, high = np.minimum(low, 0) * clip, np.maximum(high, 0) * clip
        scales = (high - low) / form.top
        points = np.rint(-low / np.where(scales == 0, 1, scales))
    return np.where(scales == 0, np.float32(1), scales), points


def _codes(values: Floats, scales: Floats, points: Floats, form: Format) -> Codes:
    codes: Codes = np.clip(np.rint(values / scales) + points, 0, form.top).astype(np.uint8)
    return codes


def _blocks(weight: Floats, form: Format) -> Floats:
    """`[N, K]` as `[N, blocks, block_size]`, padded with zeros."""
    rows, columns = weight.shape
    padding = -columns % form.block_size
    return np.pad(weight, ((0, 0), (0, padding))).reshape(rows, -1, form.block_size)
