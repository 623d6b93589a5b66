"""Codes and scales of a rounded matrix moved, one at a time, to where the error of its output is least.

GPTQ settles each weight once, by the errors of those before it; what comes later is not known then. Afterwards every
weight can be looked at with all others as they are: the best code for it is known in closed form, and so is the best
scale for a block. Each move lowers the error, none raises it.

Source: Behdin et al., QuantEase, arXiv:2309.01885, section 3 (cyclic coordinate descent; here it starts at GPTQ's
codes, takes scales along, and works on the factors of the moments, so that no second `[K, K]` is in memory).
"""

from __future__ import annotations

import numpy as np

from export.quantize.blocks import Floats, Format, Quantized
from export.quantize.feedback import Feedback

SWEEPS = 3
"""How often each weight is looked at: the first takes two thirds of what ten would."""
PANEL = 256
"""Columns whose moves are told to the rest of the matrix together: products as wide as that run at full speed."""
ROWS_AT_ONCE = 1024
"""Outputs that are moved together: what a step touches stays in the processor's cache."""


def descend(weight: Floats, rounded: Quantized, feedback: Feedback, sweeps: int = SWEEPS) -> None:
    """Move a matrix's codes and scales, in place. weight: what it should be, float32 `[K, N]`."""
    for start in range(0, rounded.rows, ROWS_AT_ONCE):
        part = rounded.part(slice(start, start + ROWS_AT_ONCE))
        _sweep(weight[:, start : start + ROWS_AT_ONCE] - part.dequantized().T, part, feedback, sweeps)


def _sweep(error: Floats, part: Quantized, feedback: Feedback, sweeps: int) -> None:
    """Some outputs. error: `[K, rows]`, what they lack.

    With H = U D Uᵀ the output's error is the sum of D f², f = Uᵀ e; its slope by e, half of it, is U D f.
    """
    upper, width = feedback.upper, _panel(part.format.block_size)
    factored = upper.T @ error
    for start in (start for _ in range(sweeps) for start in range(0, part.columns, width)):
        panel, later = slice(start, min(start + width, part.columns)), slice(start, None)
        spread = upper[panel, later]
        weighted: Floats = spread * feedback.pivots[later]
        slope, moments = weighted @ factored[later], weighted @ spread.T
        factored[later] -= spread.T @ _through(part, start, slope, moments)


def _panel(block_size: int) -> int:
    """Whole blocks that are passed before the rest of the matrix hears of it."""
    return max(block_size, PANEL // block_size * block_size)


def _through(part: Quantized, start: int, slope: Floats, moments: Floats) -> Floats:
    """The blocks of one panel, which begins at a column; by how much its weights rose. slope: it is written over."""
    size, rises = part.format.block_size, np.empty_like(slope)
    for first in range(0, len(slope), size):
        block, after = slice(first, first + size), slice(first + size, None)
        rises[block] = _moved(part, (start + first) // size, slope[block], moments[block, block])
        slope[after] -= moments[after, block] @ rises[block]
    return rises


def _moved(part: Quantized, index: int, slope: Floats, moments: Floats) -> Floats:
    """One block of each output: its scale, then its codes one after the other; by how much its weights rose.

    slope: `[size, rows]`, half of what the error falls by as a weight rises. moments: H of the block.
    """
    length = len(slope)
    point = part.points[:, index].astype(np.float32)
    steps = part.codes[:, index, :length].T - point
    before = steps * part.scales[:, index]
    scale = _better_scale(part.scales[:, index], steps, slope, moments)
    slope = slope - moments @ (steps * (scale - part.scales[:, index]))
    _settle(steps, scale, point, slope, moments, part.format)
    part.scales[:, index] = scale
    part.codes[:, index, :length] = (steps + point).T.astype(np.uint8)
    after: Floats = steps * scale
    return after - before


def _better_scale(scale: Floats, steps: Floats, slope: Floats, moments: Floats) -> Floats:
    """The scale of each output's block at which the error is least with its codes as they are."""
    curve = (steps * (moments @ steps)).sum(0)
    rise = (steps * slope).sum(0)
    better = scale + np.divide(rise, curve, out=np.zeros_like(rise), where=curve > 0)
    kept: Floats = np.where(better * scale > 0, better, scale)
    return kept


def _settle(steps: Floats, scale: Floats, point: Floats, slope: Floats, moments: Floats, form: Format) -> None:
    """Each weight's code, in place, as steps from the zero point."""
    inverse, least, most = 1 / scale, -point, form.top - point
    rises = np.empty_like(steps)
    for index, before in enumerate(steps):
        left = slope[index] - moments[index, :index] @ rises[:index]
        found = np.clip(np.rint(before + left * (inverse / moments[index, index])), least, most)
        rises[index] = (found - before) * scale
        steps[index] = found
