"""Which blocks of a text each head sees, as numbers that GroupQueryAttention adds to its scores: 0, or next to nothing.

In a graph they are reckoned from how long each row is, once for all layers; over arrays, for one text read at once. The
operator adds them over keys in floats and in int8, for one token of several rows and for some of one row.
Source: the hub's triton_flash_blocksparse_attn.py of Phi-3-small, `_get_sparse_attn_mask`; arXiv:2404.14219.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto

from export.families.base import Blocks, Dimensions
from export.fusing.options import BIAS
from export.prefill import IS_PREFILL, Nodes
from export.quantize import Floats

UNSEEN = float(np.finfo(np.float32).min)
"""Of a key that a head does not see. It is finite, since where a whole stretch of keys is unseen a kernel may subtract
it from itself."""
BYTES = 6
"""A head, a token and a key: a float, and two answers to whether it is seen."""


def block_bias(blocks: Blocks, heads: int, length: int) -> Floats:
    """For a text read at once, `[1, heads, length, length]`; later tokens are the operator's to hide.

    One number stands for all heads where nothing is hidden yet.
    """
    if length <= blocks.reach:
        return np.zeros((1, 1, length, length), np.float32)
    places = np.arange(length) // blocks.size
    near = places[:, None] - places < blocks.local
    kept = (places + _shifts(blocks, heads)) % blocks.stride == 0
    return np.where(near | kept[:, None], np.float32(0), np.float32(UNSEEN))[None]


def _shifts(blocks: Blocks, heads: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """What makes a block's number a multiple of the stride where a head keeps it, `[heads, 1]`."""
    return np.arange(heads, dtype=np.int64)[:, None] * blocks.shift + 1


def bias_nodes(blocks: Blocks, sizes: Dimensions, normed: str, two_ways: bool) -> list[onnx.NodeProto]:
    """The same in a graph, `[rows, heads, tokens, keys]`: the tokens of each row are the last of it.

    normed: a value whose second axis are the tokens. two_ways: whether a slice of a prompt is read another way than
    answers are made; that looks at as many keys as the row has, and not as the mask is long. `row_lengths` and
    `longest` are the head's.
    """
    nodes = Nodes("blocks")
    add = nodes.add
    zero, one, size, local, stride = (
        nodes.constant(TensorProto.INT64, [value], [1]) for value in (0, 1, blocks.size, blocks.local, blocks.stride)
    )
    tokens = add("Shape", normed, start=1, end=2)
    first = add("Unsqueeze", add("Sub", "row_lengths", tokens), one)
    places = add("Div", add("Add", first, _counted(nodes, tokens)), size)
    most = "longest"
    if two_ways:
        most = add("Where", IS_PREFILL, add("ReduceMax", "row_lengths", keepdims=0), most)
    keys = add("Div", _counted(nodes, most), size)
    gap = add("Sub", add("Unsqueeze", places, nodes.constant(TensorProto.INT64, [1, 3], [2])), keys)
    near = add("Less", gap, local)
    kinds = min(sizes.num_heads, blocks.stride // math.gcd(blocks.stride, blocks.shift))  # after them heads are alike
    shifts = nodes.constant(TensorProto.INT64, _shifts(blocks, kinds).ravel().tolist(), [kinds, 1])
    run = add("Mod", add("Add", keys, shifts), stride)
    kept = add("Unsqueeze", add("Equal", run, zero), nodes.constant(TensorProto.INT64, [0, 2], [2]))
    values = (nodes.constant(TensorProto.FLOAT, [value], []) for value in (0.0, UNSEEN))
    apart = add("Where", add("Or", near, kept), *values)
    which = nodes.constant(TensorProto.INT64, [head % kinds for head in range(sizes.num_heads)], [sizes.num_heads])
    add("Gather", apart, which, makes=BIAS, axis=1)
    return nodes


def _counted(nodes: Nodes, count: str) -> str:
    """The numbers from 0 to below a count of one value or `[1]`."""
    none, step = (nodes.constant(TensorProto.INT64, [value], []) for value in (0, 1))
    scalar = nodes.add("Reshape", count, nodes.constant(TensorProto.INT64, [], [0]))
    return nodes.add("Range", none, scalar, step)


def bias_bytes(sizes: Dimensions, length: int, tokens: int) -> int:
    """What they take where so many tokens are read at the end of a text; 0 for a model that sees everything."""
    return BYTES * sizes.num_heads * tokens * length if sizes.blocks else 0
