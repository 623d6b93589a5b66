"""What a matrix's inputs say of its weights: which errors matter, and which weights can make good for which.

With H the second moments of the inputs, the error that rounding makes in a layer's output is tr(E H Eᵀ). Written
as H = U D Uᵀ, U unit upper triangular, it is a sum over single weights once each weight is rounded not to itself
but to itself plus what U says of the errors before it. That is GPTQ's result in QuIP's form, which needs one
Cholesky factor and no inverse.

Sources: Frantar et al., GPTQ, arXiv:2210.17323; Chee et al., QuIP, arXiv:2307.13304, section 3 (LDLQ, and that
both are the same); Li et al., GPTAQ, arXiv:2504.02692 (weights that look past the errors of the layers before).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.quantize.blocks import Floats

DAMPING = 0.01
"""Added to the moments' diagonal, as a share of its mean, so that no direction counts for nothing (GPTQ's value)."""
OUTPUTS_TRIED = 256
"""How many of a matrix's outputs show how far a step holds."""
SOLVED_AT_ONCE = 256
"""Rows of a triangular factor; what is between such blocks is plain products."""
FACTORED_AT_ONCE, FACTORED_WHOLE = 2048, 8192
"""Rows of a block, and up to how many LAPACK factors all at once: that of NumPy's wheels writes beyond its memory from
16,384 on, on two threads (OpenBLAS 0.3.31; the MLP of Phi-3-medium has 17,920)."""


@dataclass(frozen=True)
class Feedback:
    """The moments of one matrix's inputs, damped, and their factors.

    upper: U, float32 `[K, K]` with a unit diagonal. pivots: D, float32 `[K]`. diagonal: of H, float32 `[K]`.
    """

    upper: Floats
    pivots: Floats
    diagonal: Floats

    def solve(self, right: Floats) -> Floats:
        """X of H X = right, float32 `[K, N]`: U Z = right from the last block up, then D, then Uᵀ from the first down.

        NumPy's own solver works in float64 and factors anew, which here takes five times as long.
        """
        made = right.copy()
        starts = range(0, len(made), SOLVED_AT_ONCE)
        for block, after in ((slice(at, at + SOLVED_AT_ONCE), slice(at + SOLVED_AT_ONCE, None)) for at in starts[::-1]):
            made[block] -= self.upper[block, after] @ made[after]
            made[block] = np.linalg.solve(self.upper[block, block], made[block])
        made /= self.pivots[:, None]
        for block, before in ((slice(at, at + SOLVED_AT_ONCE), slice(at)) for at in starts):
            made[block] -= self.upper[before, block].T @ made[before]
            made[block] = np.linalg.solve(self.upper[block, block].T, made[block])
        return made


class Moments:
    """Over some calibration texts, for the matrices that read one value.

    products: the sum of x xᵀ of what they will read, float32 `[K, K]`. For each half of the texts also the sum of
    x yᵀ, float32 `[K, N]`, y being what their outputs will lack, so that what is fitted to one half can be tried on
    the other.
    """

    def __init__(self, width: int) -> None:
        self.products = np.zeros((width, width), np.float32)
        self._missing: list[Floats] = []

    def add(self, seen: Floats, lacking: Floats | None = None) -> None:
        """One text: what is read, float32 `[tokens, K]`, and what the outputs lack, float32 `[tokens, N]`."""
        self.products += seen.T @ seen
        if lacking is None:
            return
        self._missing.append(seen.T @ lacking)
        if len(self._missing) > 2:  # texts go to the two halves in turn
            third = self._missing.pop()
            self._missing[0] += third
            self._missing.reverse()

    def feedback(self, keeps: bool = True) -> Feedback:
        """H and its factors. keeps: whether the sum is wanted again: a gigabyte where an MLP is 17,920 wide."""
        mean = float(np.mean(np.diag(self.products))) or 1.0
        damped = self.products.astype(np.float64)
        if not keeps:
            self.products = np.zeros((0, 0), np.float32)
        np.fill_diagonal(damped, np.diag(damped) + DAMPING * mean)
        return _factored(damped)

    def corrected(self, weight: Floats, feedback: Feedback) -> Floats:
        """The weights `[K, N]` whose output on what is read is nearer to the one wanted.

        The least-squares step is taken as far as one half of the texts confirms the other's.
        """
        if len(self._missing) < 2:
            return weight
        first, second = self._missing
        corrected: Floats = feedback.solve(first + second)
        corrected *= _share(first, second, feedback)
        corrected += weight
        return corrected


def _factored(damped: NDArray[np.float64]) -> Feedback:
    diagonal = np.diag(damped).astype(np.float32)
    factor = _upper(damped) if len(damped) <= FACTORED_WHOLE else upper_by_blocks(damped)
    pivots = np.diag(factor).copy()
    factor /= pivots
    return Feedback(factor.astype(np.float32), np.square(pivots).astype(np.float32), diagonal)


def _upper(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """U with U Uᵀ = the matrix."""
    return np.asarray(np.linalg.cholesky(matrix[::-1, ::-1])[::-1, ::-1], np.float64)


def upper_by_blocks(matrix: NDArray[np.float64], rows: int = FACTORED_AT_ONCE) -> NDArray[np.float64]:
    """The same in the matrix's own memory, from its last block of rows and columns up."""
    for start in range(0, len(matrix), rows)[::-1]:
        stop = start + rows
        here, before, after = slice(start, stop), slice(start), slice(stop, None)
        matrix[:stop, here] -= matrix[:stop, after] @ matrix[here, after].T
        matrix[here, here] = _upper(matrix[here, here])
        matrix[before, here] = np.linalg.solve(matrix[here, here], matrix[before, here].T).T
        matrix[here, before] = 0
    return matrix


def _share(first: Floats, second: Floats, feedback: Feedback) -> np.float32:
    """How much of a step holds for other texts, between 0 and 1, seen on some of the outputs.

    With H⁻¹ between them, the product of what the two halves lack is what both have in common, c; of one with itself
    it is that and its noise, a. Of their sum 2c / (a + c) is what they have in common.
    """
    some = slice(None, None, max(1, first.shape[1] // OUTPUTS_TRIED))
    tried = feedback.solve(first[:, some])
    common, own = (float((tried * each[:, some]).sum()) for each in (second, first))
    return np.float32(np.clip(2 * common / ((own + common) or 1.0), 0, 1))
