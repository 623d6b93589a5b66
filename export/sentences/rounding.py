"""Matrices in 8 bits, as MatMulNBits reads them: evened out, then rounded by what calibration texts say (GPTQ).

Those that widen a layer's values stay floats, in half precision (decision 72).

A product in int8 rounds what it reads as well, block by block, and a few of a norm's channels are ten times as large
as the others of their block. So they are made smaller, and their weights larger: Xiao et al., SmoothQuant,
arXiv:2211.10438, at its strength of one half. What attention and GELU make is better left as it is (decision 55).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.fusing.nodes import CONTRIB
from export.quantize import METHODS, Floats, Format, Moments, quantize
from export.sentences.graph import Drawing, Linear, in_halves

BLOCKS = (16, 32)
"""The first that a matrix's inputs are a multiple of; what is finer takes as long, and loses less (decision 66)."""
IN_FLOATS = "wide"
"""What loses most by 8 bits: the matrices that make the four times wider values of a layer."""
INT8_PRODUCTS = 4
"""MatMulNBits' accuracy level that multiplies by blocks in int8."""
LEAST = 1e-5
"""In place of a largest value of zero."""


@dataclass
class Seen:
    """What a product reads over the calibration texts. largest: of each channel, without its sign, `[inputs]`."""

    moments: Moments
    largest: Floats

    @classmethod
    def of(cls, width: int) -> Seen:
        """Nothing yet."""
        return cls(Moments(width), np.zeros(width, np.float32))

    def add(self, values: Floats) -> None:
        """One text's, `[tokens, inputs]`."""
        self.moments.add(values)
        np.maximum(self.largest, np.abs(values).max(0), out=self.largest)

    def divided(self, by: Floats) -> Moments:
        """The moments of the same values, each channel divided."""
        made = Moments(len(by))
        made.products = self.moments.products / np.outer(by, by)
        return made


class InBlocks:
    """Draws products with matrices in blocks. seen: by the names of the values that they read."""

    def __init__(self, seen: Mapping[str, Seen]) -> None:
        self._seen = seen

    def __call__(self, drawing: Drawing, value: str, linear: Linear) -> str:
        """Source: ContribOperators.md, com.microsoft.MatMulNBits."""
        if linear.name.endswith(f".{IN_FLOATS}"):
            return in_halves(drawing, value, linear)
        seen, weight = self._seen[value], linear.weight
        size = next((size for size in BLOCKS if weight.shape[1] % size == 0), BLOCKS[-1])
        form = Format(bits=8, block_size=size)
        moments = seen.moments
        if linear.reads_norm:
            steps = evening(seen.largest, weight)
            even = drawing.constant(f"{linear.name}.evening", 1 / steps)
            value = drawing.add("Mul", [value, even], f"{linear.name}.even")
            weight, moments = weight * steps, seen.divided(steps)
        rounded = quantize(np.ascontiguousarray(weight.T), form, METHODS["gptq"], moments.feedback())
        codes = drawing.constant(f"{linear.name}.codes", rounded.packed())
        scales = drawing.constant(f"{linear.name}.scales", rounded.scales)
        bias = drawing.constant(f"{linear.name}.bias", linear.bias)
        rows, columns = weight.shape
        sizes = {"K": columns, "N": rows, "bits": form.bits, "block_size": form.block_size}
        inputs = [value, codes, scales, "", "", bias]
        return drawing.add("MatMulNBits", inputs, linear.name, CONTRIB, accuracy_level=INT8_PRODUCTS, **sizes)


def evening(largest: Floats, weight: Floats) -> Floats:
    """What each channel is divided by, and its weights `[outputs, inputs]` multiplied with; 1 in the middle."""
    steps = np.sqrt(np.maximum(largest, LEAST) / np.maximum(np.abs(weight).max(0), LEAST))
    made: Floats = (steps / np.exp(np.log(steps).mean())).astype(np.float32)
    return made
