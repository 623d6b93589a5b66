"""Weights to 4- or 8-bit blocks as MatMulNBits reads them.

One loop serves every method: take a matrix block by block along what it multiplies, fit a grid to each block,
round. The methods differ in how the grid is fitted (`grids.py`) and in whether the error of what is rounded
already is made good by what is not (`feedback.py`).
"""

from __future__ import annotations

from export.quantize.blocks import Codes, Floats, Format, Quantized
from export.quantize.feedback import Feedback, Moments
from export.quantize.rounding import METHODS, Method, quantize, round_to_nearest

__all__ = [
    "METHODS",
    "Codes",
    "Feedback",
    "Floats",
    "Format",
    "Method",
    "Moments",
    "Quantized",
    "quantize",
    "round_to_nearest",
]
