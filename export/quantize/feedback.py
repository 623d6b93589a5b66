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
CORRECTION = 0.5
"""How much of the drift a matrix makes good. All of it fits the calibration texts rather than the model (measured)."""


@dataclass(frozen=True)
class Feedback:
    """The moments of one matrix's inputs, damped, and their factors.

    upper: U, float32 `[K, K]` with a unit diagonal. pivots: D, float32 `[K]`. diagonal: of H, float32 `[K]`.
    """

    upper: Floats
    pivots: Floats
    diagonal: Floats


class Moments:
    """Sums over calibration texts for the matrices that read one value.

    products: x xᵀ of what they will read, float32 `[K, K]`. drift: x (x' - x)ᵀ, x' being what they would read
    were nothing before them rounded. residual: x (r' - r)ᵀ, float32 `[K, hidden_size]`, r being what their output
    is added to, where it is.
    """

    def __init__(self, width: int) -> None:
        self.products = np.zeros((width, width), np.float32)
        self.drift = np.zeros((width, width), np.float32)
        self.residual: Floats | None = None

    def add(self, seen: Floats, wanted: Floats, residual_drift: Floats | None = None) -> None:
        """One text, each value float32 `[tokens, width]`: what is read, what should be, and r' - r."""
        self.products += seen.T @ seen
        self.drift += seen.T @ (wanted - seen)
        if residual_drift is not None:
            made = seen.T @ residual_drift
            self.residual = made if self.residual is None else self.residual + made

    def feedback(self) -> Feedback:
        """H and its factors."""
        damped = self._damped()
        factor = np.linalg.cholesky(damped[::-1, ::-1])[::-1, ::-1]
        pivots = np.diag(factor).copy()
        upper = np.divide(factor, pivots, dtype=np.float64).astype(np.float32)
        return Feedback(upper, np.square(pivots).astype(np.float32), np.diag(damped).astype(np.float32))

    def corrected(self, weight: Floats) -> Floats:
        """The weights `[K, N]` whose output on what is read is nearer to the one wanted.

        W + c H⁻¹(drift W + residual): the least-squares answer where c is 1.
        """
        wanted = self.drift @ weight
        if self.residual is not None:
            wanted += self.residual
        step = np.linalg.solve(self._damped(), (CORRECTION * wanted).astype(np.float64))
        return weight + step.astype(np.float32)

    def _damped(self) -> NDArray[np.float64]:
        full = self.products.astype(np.float64)
        diagonal = np.arange(len(full))
        full[diagonal, diagonal] += DAMPING * (float(np.mean(np.diag(self.products))) or 1.0)
        return full
