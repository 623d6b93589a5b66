"""The loop over a matrix's blocks, and the methods that go through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.quantize.blocks import Codes, Floats, Format, Quantized
from export.quantize.descent import descend
from export.quantize.feedback import Feedback
from export.quantize.grids import Fit, Grid, hqq, k_quant, search, span


@dataclass(frozen=True)
class Method:
    """How weights are rounded: the grid's fit, and what it takes from calibration texts.

    is_calibrated: whether each weight's error is weighted by what it multiplies.
    feeds_back: whether the weights still to be rounded make good the errors of those that are. descends: whether
        codes and scales of 4 bits are moved to where the output's error is less, once all are rounded.
    """

    fit: Fit
    is_calibrated: bool = False
    feeds_back: bool = False
    descends: bool = False


METHODS: dict[str, Method] = {
    "rtn": Method(span),
    "search": Method(search),
    "k_quant": Method(k_quant),
    "hqq": Method(hqq),
    "weighted": Method(search, is_calibrated=True),
    "gptq": Method(search, is_calibrated=True, feeds_back=True, descends=True),
}
"""By the name that a recipe gives: quick ones first, then those that look at calibration texts."""


SETTLED_AT_ONCE = 64
"""Columns of a matrix whose rows are one block each that are rounded before what they err by goes to the others."""


def round_to_nearest(weight: Floats, form: Format) -> Quantized:
    """Every weight `[N, K]` to its nearest code; the grid spans the block's range."""
    return quantize(weight.T, form, METHODS["rtn"])


def quantize(weight: Floats, form: Format, method: Method, feedback: Feedback | None = None) -> Quantized:
    """A matrix by a method. weight: float32 `[K, N]`, as a MatMul takes it; feedback: of what it multiplies."""
    columns, rows = weight.shape
    size = form.block_size or SETTLED_AT_ONCE
    blocks = -(-columns // size)
    codes = np.zeros((rows, blocks, size), np.uint8)
    scales, points = np.empty((rows, blocks), np.float32), np.empty((rows, blocks), np.uint8)
    importance = _importance(columns, method, feedback)
    whole = None if form.block_size else method.fit(weight, importance[:, None], form)
    errors = np.zeros((columns, rows) if method.feeds_back else (0, 0), np.float32)
    for index, start in enumerate(range(0, columns, size)):
        block = slice(start, min(start + size, columns))
        left = np.array(weight[block], np.float32)
        if feedback and method.feeds_back:
            left += feedback.upper[:start, block].T @ errors[:start]
        grid = whole or method.fit(left, importance[block, None], form)
        if feedback and method.feeds_back:
            made = _settle(left, feedback.upper[block, block], grid, form, weight[block], errors[block])
        else:
            made = np.clip(np.rint(left / grid[0]) + grid[1], 0, form.top).astype(np.uint8)
        codes[:, index, : len(made)] = made.T
        scales[:, index], points[:, index] = grid
    if whole:
        codes, scales, points = codes.reshape(rows, 1, -1), scales[:, :1], points[:, :1]
    rounded = Quantized(form, columns, codes, scales, points)
    if feedback and method.descends and form.bits == 4 and not whole:
        descend(weight, rounded, feedback)
    return rounded


def _importance(columns: int, method: Method, feedback: Feedback | None) -> Floats:
    """How much the error of each of a matrix's columns matters."""
    if feedback is None:
        return np.ones(columns, np.float32)
    return feedback.pivots if method.feeds_back else feedback.diagonal


def _settle(left: Floats, upper: Floats, grid: Grid, form: Format, weight: Floats, errors: Floats) -> Codes:
    """The codes of one block `[size, N]`, weight by weight; what each errs by is written into `errors`."""
    scale, point = grid
    inverse = 1 / scale
    codes = np.empty(left.shape, np.uint8)
    for index in range(len(left)):
        wanted = left[index] + upper[:index, index] @ errors[:index]
        code = np.clip(np.rint(wanted * inverse) + point, 0, form.top)
        codes[index] = code
        errors[index] = weight[index] - (code - point) * scale
    return codes
