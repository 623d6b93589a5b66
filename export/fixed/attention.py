"""GroupQueryAttention in plain operators of fixed shapes, over a cache that comes in; what is new of it goes out.

Keys lie in the cache with their channels before their places, `[1, kv_heads, head_size, places]`, so that no product
turns them around; values are `[1, kv_heads, places, head_size]`. Heads that share keys are rows of one product. Each
channel of keys and values has a step of its own, as an int8 cache of ours has (decision 22); what is in the cache are
whole steps, and those of keys multiply the queries, those of values the sum, as in `export/prefill.py`. Heads change
places in three dimensions, before there is a fourth: onnxruntime moves a Transpose through whatever follows it, but a
Reshape, and where it ends QNN takes it no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from export.errors import UnsupportedError
from export.families.base import Dimensions
from export.prefill import Nodes
from export.quantize import Floats
from export.tensor_file import CACHE_SCALE

MASK = "attention_mask"
KNOWN = ("num_heads", "kv_num_heads", "scale", "do_rotary", "local_window_size")
"""Its attributes that are heeded here; the last is, where it says something, by for_fixed in checks.py."""


def attended(
    attention: onnx.NodeProto, sizes: Dimensions, tokens: int, vectors: dict[str, Floats]
) -> Iterator[onnx.NodeProto]:
    """The nodes in its place. vectors: the steps of its cache are there where it has some; what is made goes there.

    Source: ContribOperators.md, com.microsoft.GroupQueryAttention and com.microsoft.RotaryEmbedding.
    """
    yield from _Attention(attention, sizes, tokens, vectors).nodes


class _Attention:
    def __init__(self, attention: onnx.NodeProto, sizes: Dimensions, tokens: int, vectors: dict[str, Floats]) -> None:
        self._place, self.nodes = attention.output[0], Nodes(attention.output[0])
        self._sizes, self._tokens, self._vectors = sizes, tokens, vectors
        self._group = sizes.num_heads // sizes.num_kv_heads
        said: dict[str, Any] = {each.name: helper.get_attribute_value(each) for each in attention.attribute}
        if strange := [name for name, value in said.items() if name not in KNOWN and value]:
            raise UnsupportedError(f"{strange[0]} of attention has no form of fixed shapes yet")
        query, key, value = self._parts(attention)
        if said["do_rotary"]:
            tables = attention.input[7:9]
            query, key = (self._turned(each, *tables) for each in (query, key))
        self._attend(attention, query, key, value, said["scale"])

    def _attend(self, attention: onnx.NodeProto, query: str, key: str, value: str, scale: float) -> None:
        add, sizes, heads = self.nodes.add, self._sizes, self._sizes.num_kv_heads
        key_steps, value_steps = (self._steps(past) for past in attention.input[3:5])
        query = self._times(query, self._per_query(key_steps) * np.float32(scale), "query_steps")
        key, value = (
            self._times(each, np.float32(1) / steps[None], f"{name}_steps")
            for each, steps, name in ((key, key_steps, "key"), (value, value_steps, "value"))
        )
        new_key, new_value = attention.output[1:3]
        key, value = add("Transpose", key, perm=[1, 2, 0]), add("Transpose", value, perm=[1, 0, 2])
        keys = add("Concat", attention.input[3], self._shaped(key, heads, sizes.head_size, -1, makes=new_key), axis=3)
        values = add(
            "Concat", attention.input[4], self._shaped(value, heads, -1, sizes.head_size, makes=new_value), axis=2
        )
        rows = self._shaped(add("Transpose", query, perm=[1, 0, 2]), heads, -1, sizes.head_size)
        scores = self._shaped(add("MatMul", rows, keys), sizes.num_heads, self._tokens, -1)
        shares = add("Softmax", add("Add", scores, MASK), axis=-1)
        summed = add("MatMul", self._shaped(shares, heads, self._group * self._tokens, -1), values)
        flat = self.nodes.constant(TensorProto.INT64, [sizes.num_heads, self._tokens, sizes.head_size], [3])
        summed = add("Transpose", add("Reshape", summed, flat), perm=[1, 0, 2])
        summed = self._times(summed, self._per_query(value_steps), "sum_steps")
        self._shaped(summed, self._tokens, sizes.num_heads * sizes.head_size, makes=attention.output[0])

    def _parts(self, attention: onnx.NodeProto) -> list[str]:
        """Queries, keys and values, which may come as one, `[tokens, heads, head_size]`."""
        sizes = self._sizes
        heads = [sizes.num_heads, sizes.num_kv_heads, sizes.num_kv_heads]
        parts = list(attention.input[:3])
        if not parts[1]:
            widths = self.nodes.constant(TensorProto.INT64, [each * sizes.head_size for each in heads], [3])
            first = self.nodes.add("Split", parts[0], widths, more=2, axis=-1)
            parts = [first, f"{first}.0", f"{first}.1"]
        shapes = ([self._tokens, each, sizes.head_size] for each in heads)
        constants = [self.nodes.constant(TensorProto.INT64, shape, [3]) for shape in shapes]
        return [self.nodes.add("Reshape", part, shape) for part, shape in zip(parts, constants, strict=True)]

    def _turned(self, value: str, cosine: str, sine: str) -> str:
        """The two halves of what is turned of each head, by the angles of their positions."""
        add, half = self.nodes.add, self._sizes.rope.size // 2
        first, second = self._channels(value, 0, half), self._channels(value, half, 2 * half)
        left = add("Sub", add("Mul", first, cosine), add("Mul", second, sine))
        right = add("Add", add("Mul", second, cosine), add("Mul", first, sine))
        rest = [self._channels(value, 2 * half, self._sizes.head_size)] if 2 * half < self._sizes.head_size else []
        return add("Concat", left, right, *rest, axis=-1)

    def _channels(self, value: str, start: int, stop: int) -> str:
        ends = [self.nodes.constant(TensorProto.INT64, [each], [1]) for each in (start, stop, -1)]
        return self.nodes.add("Slice", value, *ends)

    def _steps(self, past: str) -> Floats:
        """Of each channel, float32 `[kv_heads, head_size]`; ones for a cache in floats."""
        steps = self._vectors.get(f"{past}{CACHE_SCALE}")
        shape = (self._sizes.num_kv_heads, self._sizes.head_size)
        return np.ones(shape, np.float32) if steps is None else steps.reshape(shape)

    def _per_query(self, steps: Floats) -> Floats:
        """Those of keys or values for every query head, `[1, heads, head_size]`."""
        return np.repeat(steps, self._group, axis=0)[None]

    def _times(self, value: str, factors: Floats, name: str) -> str:
        """Times a constant; as it is where that is all ones."""
        if (factors == 1).all():
            return value
        place = f"{self._place}/{name}"
        self._vectors[place] = factors.astype(np.float32)
        return self.nodes.add("Mul", value, place)

    def _shaped(self, value: str, *shape: int, makes: str = "") -> str:
        """The same in another shape, behind a dimension of 1."""
        return self.nodes.add(
            "Reshape", value, self.nodes.constant(TensorProto.INT64, [1, *shape], [1 + len(shape)]), makes=makes
        )
