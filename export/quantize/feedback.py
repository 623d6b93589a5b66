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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.quantize.blocks import Floats

DAMPING = 0.01
"""Added to the moments' diagonal, as a share of its mean, so that no direction counts for nothing (GPTQ's value)."""
OUTPUTS_TRIED = 256
"""How many of a matrix's outputs show how far a step holds."""


@dataclass(frozen=True)
class Feedback:
    """The moments of one matrix's inputs, damped, and their factors.

    upper: U, float32 `[K, K]` with a unit diagonal. pivots: D, float32 `[K]`. diagonal: of H, float32 `[K]`.
    """

    upper: Floats
    pivots: Floats
    diagonal: Floats


class Sums:
    """Over some calibration texts, for the matrices that read one value.

    products: x xᵀ of what they will read, float32 `[K, K]`. drift: x (x' - x)ᵀ, x' being what they would read
    were nothing before them rounded. residual: x (r' - r)ᵀ, float32 `[K, hidden_size]`, r being what their output
    is added to, where it is.
    """

    def __init__(self, width: int) -> None:
        self.products = np.zeros((width, width), np.float32)
        self.drift = np.zeros((width, width), np.float32)
        self.residual: Floats | None = None

    def add(self, seen: Floats, wanted: Floats, residual_drift: Floats | None) -> None:
        """One text, each value float32 `[tokens, width]`."""
        self.products += seen.T @ seen
        self.drift += seen.T @ (wanted - seen)
        if residual_drift is not None:
            made = seen.T @ residual_drift
            self.residual = made if self.residual is None else self.residual + made

    def missing(self, weight: Floats, outputs: slice = slice(None)) -> Floats:
        """The sum of x yᵀ, y being what the output of the weights `[K, N]`, or of some of their columns, lacks."""
        missing: Floats = self.drift @ weight[:, outputs]
        return missing if self.residual is None else missing + self.residual[:, outputs]

    def __add__(self, other: Sums) -> Sums:
        """Over the texts of both."""
        both = Sums(0)
        both.products, both.drift = self.products + other.products, self.drift + other.drift
        if self.residual is not None and other.residual is not None:
            both.residual = self.residual + other.residual
        return both


class Moments:
    """Sums over two halves of the texts, so that what is fitted to one can be tried on the other."""

    def __init__(self, width: int) -> None:
        self._halves = (Sums(width), Sums(width))
        self._texts = 0

    def add(self, seen: Floats, wanted: Floats, residual_drift: Floats | None = None) -> None:
        """One text, each value float32 `[tokens, width]`: what is read, what should be, and r' - r."""
        self._halves[self._texts % 2].add(seen, wanted, residual_drift)
        self._texts += 1

    @property
    def products(self) -> Floats:
        """The sum of x xᵀ over all texts, float32 `[K, K]`."""
        total: Floats = self._halves[0].products + self._halves[1].products
        return total

    def feedback(self) -> Feedback:
        """H and its factors."""
        damped = _damped(self.products)
        diagonal = np.diag(damped).astype(np.float32)
        factor = np.linalg.cholesky(damped[::-1, ::-1])[::-1, ::-1]
        pivots = np.diag(factor).copy()
        factor /= pivots
        return Feedback(factor.astype(np.float32), np.square(pivots).astype(np.float32), diagonal)

    def corrected(self, weight: Floats) -> Floats:
        """The weights `[K, N]` whose output on what is read is nearer to the one wanted.

        The least-squares step is taken as far as a step fitted to one half of the texts is right on the other.
        """
        if self._texts < 2:  # nothing to try a step on
            return weight
        both = self._halves[0] + self._halves[1]
        return weight + self._share(weight) * _step(both.products, both.missing(weight))

    def _share(self, weight: Floats) -> np.float32:
        """How much of a step holds for other texts, between 0 and 1, seen on some of the outputs."""
        first, second = self._halves
        some = slice(None, None, max(1, weight.shape[1] // OUTPUTS_TRIED))
        tried = _step(first.products, first.missing(weight, some))
        right = float((tried * second.missing(weight, some)).sum())
        return np.float32(np.clip(right / (float((tried * (second.products @ tried)).sum()) or 1.0), 0, 1))


def _step(products: Floats, missing: Floats) -> Floats:
    """H⁻¹ times what is missing; float32 is enough, since the step is an estimate that is scaled afterwards."""
    step: Floats = np.linalg.solve(_damped(products, np.float32), missing)
    return step


def _damped(products: Floats, kind: type[np.floating[Any]] = np.float64) -> NDArray[Any]:
    full = products.astype(kind)
    diagonal = np.arange(len(full))
    full[diagonal, diagonal] += kind(DAMPING * (float(np.mean(np.diag(products))) or 1.0))
    return full
