"""Rotary positions as tables: of the short factors, of the long ones, or of both."""

from __future__ import annotations

import numpy as np

from export.families.base import Dimensions
from export.quantize import Floats

ROTARY = ("cos_cache", "sin_cache")


def rotary_tables(sizes: Dimensions, length: int, text_length: int | None = None) -> tuple[Floats, Floats]:
    """Cos and sin of every position, float32 `[length, head_size / 2]`, as GroupQueryAttention takes them.

    text_length: of the whole text, which decides between short and long factors; `length` where it is None.
    """
    exponents = np.arange(0, sizes.head_size, 2, dtype=np.float64) / sizes.head_size
    frequencies = 1 / sizes.rope_theta**exponents
    is_long = (text_length or length) > sizes.original_length
    if factors := sizes.long_factors if is_long else sizes.short_factors:
        frequencies /= np.asarray(factors)
    angles = np.outer(np.arange(length), frequencies)
    scale = sizes.rope_scale
    return (np.cos(angles) * scale).astype(np.float32), (np.sin(angles) * scale).astype(np.float32)


def switches_rope(sizes: Dimensions, context_length: int) -> bool:
    """Whether a context is long enough for texts on both sides of where the long factors begin."""
    return bool(sizes.long_factors) and context_length > sizes.original_length


def bundle_rotary_tables(sizes: Dimensions, length: int) -> dict[str, Floats]:
    """The tables as a bundle stores them: cos and sin, or `[2, length, head_size / 2]` of each, short before long."""
    if not switches_rope(sizes, length):
        return dict(zip(ROTARY, rotary_tables(sizes, length), strict=True))
    both = [rotary_tables(sizes, length, text_length) for text_length in (1, length)]
    return {f"{name}s": np.stack(pair) for name, pair in zip(ROTARY, zip(*both, strict=True), strict=True)}
