"""The grid of a block: the scale and zero point that its weights are rounded to.

A fit takes weights `[block_size, ...]`, how much each one's error matters (`importance`, broadcast against them),
and the format; it returns scales and zero points `[...]`, float32, the points being whole numbers.
MatMulNBits takes whole zero points on its fast path alone, so every fit ends in one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from export.quantize.blocks import Floats, Format

Grid = tuple[Floats, Floats]
Fit = Callable[[Floats, Floats, Format], Grid]

CLIPS = np.linspace(0.75, 1.0, 6, dtype=np.float32)
"""Shares of a block's full range that `search` tries; a smaller one clips its largest weight."""
ROW_CLIPS = np.linspace(0.4, 1.0, 13, dtype=np.float32)
"""The same for a row that is one block: among so many weights the largest is far from the others."""


def span(block: Floats, importance: Floats, form: Format) -> Grid:  # noqa: ARG001 - a fit that weighs nothing
    """The whole range of the block, and nothing else looked at."""
    return _grid(block, form, np.float32(1))


def search(block: Floats, importance: Floats, form: Format) -> Grid:
    """The share of the range whose rounding errors, weighted by importance, are least."""
    clips = CLIPS if form.block_size else ROW_CLIPS
    return _best(block, importance, form, (_grid(block, form, clip) for clip in clips))


def k_quant(block: Floats, importance: Floats, form: Format) -> Grid:
    """Scales around the range's own, each then moved to the least-squares optimum of the codes it gives.

    Large weights count more: sqrt(mean x²) + |x|. Source: ggml's ggml-quants.c, make_qkx2_quants, whose floating
    minimum becomes a whole zero point here.
    """
    weights = importance * (np.sqrt(np.square(block).mean(0)) + np.abs(block))
    return _best(block, weights, form, _refitted(block, weights, form))


def _refitted(block: Floats, weights: Floats, form: Format) -> Iterator[Grid]:
    scale, point = _grid(block, form, np.float32(1))
    for change in np.linspace(-1, 0.9, 20, dtype=np.float32):
        tried = scale * form.top / (form.top + change)
        codes = _rounded(block, tried, point, form) - point
        total = (weights * codes * codes).sum(0)
        yield np.where(total > 0, (weights * codes * block).sum(0) / np.where(total > 0, total, 1), tried), point


def hqq(block: Floats, importance: Floats, form: Format) -> Grid:
    """The zero point moved until the errors are few and large rather than many and small (their 0.7-norm).

    Source: Badri and Shaji, Half-Quadratic Quantization, 2023; its floating zero point is made whole at the end.
    """
    scale, point = _grid(block, form, np.float32(1))
    if form.is_symmetric:
        return scale, point
    moved, strength = point, 10.0
    for _ in range(20):
        codes = np.clip(np.rint(block / scale + moved), 0, form.top)
        error = block - (codes - moved) * scale
        few = np.sign(error) * np.maximum(np.abs(error) - _shrink(error) / strength, 0)
        moved = (codes - (block - few) / scale).mean(0)
        strength *= 1.01
    whole = np.clip(np.rint(moved), 0, form.top).astype(np.float32)
    return _best(block, importance, form, iter([(scale, point), (scale, whole)]))


def _shrink(error: Floats) -> Floats:
    shrunk: Floats = np.power(np.abs(error) + 1e-8, np.float32(-0.3))
    return shrunk


def _grid(block: Floats, form: Format, clip: np.float32) -> Grid:
    """A share of the range of each block.

    A symmetric block puts its largest weight, whatever its sign, on the code that has one step more; but a row that is
    one block has a step above zero, which providers of fixed shapes want.
    """
    low, high = block.min(0), block.max(0)
    if form.is_symmetric and not form.block_size:
        scales = np.maximum(high / (form.middle - 1), -low / form.middle) * clip
        points = np.full_like(scales, form.middle)
    elif form.is_symmetric:
        scales = np.where(high > -low, high, low) * clip / -form.middle
        points = np.full_like(scales, form.middle)
    else:
        low, high = np.minimum(low, 0) * clip, np.maximum(high, 0) * clip
        scales = (high - low) / form.top
        points = np.rint(-low / np.where(scales == 0, 1, scales))
    return np.where(scales == 0, np.float32(1), scales), points


def _best(block: Floats, importance: Floats, form: Format, tries: Iterator[Grid]) -> Grid:
    """Of several grids, for each block the one with the least weighted error."""
    scales, points = (value.copy() for value in next(tries))
    least = _error(block, importance, form, (scales, points))
    for scale, point in tries:
        error = _error(block, importance, form, (scale, point))
        better = error < least
        least[better], scales[better], points[better] = error[better], scale[better], point[better]
    return scales, points


def _error(block: Floats, importance: Floats, form: Format, grid: Grid) -> Floats:
    scale, point = grid
    errors = block - (_rounded(block, scale, point, form) - point) * scale
    total: Floats = (importance * np.square(errors)).sum(0)
    return total


def _rounded(block: Floats, scale: Floats, point: Floats, form: Format) -> Floats:
    codes: Floats = np.clip(np.rint(block / scale) + point, 0, form.top)
    return codes
