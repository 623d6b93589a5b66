"""Rotary positions as tables: of the short factors, of the long ones, or of both."""

from __future__ import annotations

import numpy as np

from export.families.base import Dimensions
from export.families.rope import Rope
from export.quantize import Floats

ROTARY = ("cos_cache", "sin_cache")


def table_name(table: str, rope: str) -> str:
    """What a bundle calls `cos_cache` or `sin_cache` of one of a model's ropes (`Attention.rope`)."""
    return f"{table}.{rope}" if rope else table


def rotary_tables(rope: Rope, length: int, text_length: int | None = None) -> tuple[Floats, Floats]:
    """Cos and sin of every position, float32 `[length, rope.size / 2]`, as GroupQueryAttention takes them.

    text_length: of the whole text, which decides between short and long factors; `length` where it is None.
    """
    is_long = bool(rope.long_frequencies) and (text_length or length) > rope.original_length
    angles = np.outer(np.arange(length), rope.long_frequencies if is_long else rope.frequencies)
    scale = (rope.long_scale if is_long else 0) or rope.scale
    return (np.cos(angles) * scale).astype(np.float32), (np.sin(angles) * scale).astype(np.float32)


def switches_rope(sizes: Dimensions, context_length: int) -> bool:
    """Whether a context is long enough for texts on both sides of where the long factors begin."""
    return bool(sizes.rope.long_frequencies) and context_length > sizes.rope.original_length


def bundle_rotary_tables(sizes: Dimensions, length: int) -> dict[str, Floats]:
    """The tables as a bundle stores them: cos and sin, or `[2, length, rope.size / 2]` of each, short before long.

    Those of further ropes beside them have no long factors.
    """
    more = {
        table_name(table, name): values
        for name, rope in sizes.ropes.items()
        for table, values in zip(ROTARY, rotary_tables(rope, length), strict=True)
    }
    if not switches_rope(sizes, length):
        return more | dict(zip(ROTARY, rotary_tables(sizes.rope, length), strict=True))
    both = [rotary_tables(sizes.rope, length, text_length) for text_length in (1, length)]
    return more | {f"{name}s": np.stack(pair) for name, pair in zip(ROTARY, zip(*both, strict=True), strict=True)}
