"""What onnxruntime's attention keeps keys and values in. Decision 90 rests on it: read that again where one fails."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.fusing.nodes import CONTRIB, OPSET, node
from export.runtime import open_graph

HEADS, SIZE = 2, 16
STEP = 0.25
WIDTHS = {TensorProto.INT8: SIZE, TensorProto.UINT8: SIZE // 2}


TOKEN = np.linspace(-3, 3, HEADS * SIZE, dtype=np.float32)[None, None]
CHANNELS = ("PER_CHANNEL", "PER_CHANNEL")


def attended(keys: int, values: int, bits: int, kinds: tuple[str, str] = CHANNELS) -> list[NDArray[np.generic]]:
    """What attention over caches of these types makes of a first token, and its keys and values as they are kept."""
    shapes = {name: [1, 1, HEADS * SIZE] for name in ("query", "key", "value")}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    types = {"past_key": keys, "past_value": values}
    inputs += [helper.make_tensor_value_info(name, kind, [1, HEADS, 0, WIDTHS[kind]]) for name, kind in types.items()]
    steps = {"PER_CHANNEL": np.full((HEADS, 1, SIZE), STEP, np.float32), "PER_TENSOR": np.full(1, STEP, np.float32)}
    given = {"last": np.array([0], np.int32), "total": np.array(1, np.int32)}
    given |= {name: steps[kind] for name, kind in zip(("key_steps", "value_steps"), kinds, strict=True)}
    made = node(
        "GroupQueryAttention",
        [*shapes, *types, "last", "total", *[""] * 5, "key_steps", "value_steps"],
        ["attended", "present_key", "present_value"],
        CONTRIB,
        num_heads=HEADS,
        kv_num_heads=HEADS,
        kv_cache_bit_width=bits,
        k_quant_type=kinds[0],
        v_quant_type=kinds[1],
    )
    outputs = [helper.make_tensor_value_info("attended", TensorProto.FLOAT, None)]
    outputs += [
        helper.make_tensor_value_info(f"present_{part}", kind, None)
        for part, kind in (("key", keys), ("value", values))
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in given.items()]
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
    graph = helper.make_graph([made], "attention", inputs, outputs, initializers)
    run = open_graph(helper.make_model(graph, opset_imports=opsets, ir_version=10))
    empty = {
        name: np.zeros((1, HEADS, 0, WIDTHS[kind]), helper.tensor_dtype_to_np_dtype(kind))
        for name, kind in types.items()
    }
    return run([each.name for each in outputs], {**dict.fromkeys(shapes, TOKEN), **empty})


def test_four_bits_are_two_to_a_byte():
    """The even channel in the low half, 8 added; to nearest, from -8 to 7 steps, and read back so."""
    made, keys, values = attended(TensorProto.UINT8, TensorProto.UINT8, 4)
    steps = np.clip(np.rint(TOKEN.reshape(1, HEADS, 1, SIZE) / STEP), -8, 7)
    codes = (steps + 8).astype(np.uint8)
    wanted = codes[..., 0::2] | codes[..., 1::2] << 4
    assert np.array_equal(keys, wanted)
    assert np.array_equal(values, wanted)
    assert np.allclose(made.reshape(HEADS, SIZE), steps.reshape(HEADS, SIZE) * STEP)


@pytest.mark.parametrize("bits", [4, 8])
def test_keys_and_values_cannot_have_two_widths(bits: int):
    """Not 8 bits for keys and 4 for values."""
    with pytest.raises(Exception, match="bound to different types"):
        attended(TensorProto.INT8, TensorProto.UINT8, bits)


def test_keys_and_values_cannot_have_two_kinds_of_steps():
    """Nor a step a channel for keys and one for all values."""
    with pytest.raises(Exception, match="k_quant_type == v_quant_type"):
        attended(TensorProto.UINT8, TensorProto.UINT8, 4, ("PER_CHANNEL", "PER_TENSOR"))
