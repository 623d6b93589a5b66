"""GroupQueryAttention over the last tokens alone, as the engine calls it: a window that is off by one shows here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from export.fusing.nodes import CONTRIB, OPSET

HEADS, KV_HEADS, SIZE, BUFFER, WINDOW = 4, 2, 16, 80, 20
NAMES = ("query", "key", "value", "past_key", "past_value", "seqlens_k", "total_sequence_length")
LENGTHS = (WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW)
"""What two rows hold after the call, in every pair."""
STEP = 0.02


@contextmanager
def kernel(flash: bool) -> Iterator[None]:
    """With or without the runtime's flash attention: the engine has either, by the context's length."""
    name = "ORT_GQA_DISABLE_FLASH_ATTENTION"
    before = os.environ.get(name)
    os.environ[name] = str(int(not flash))
    yield
    os.environ.pop(name)
    if before is not None:
        os.environ[name] = before


def session(kind: type, window: int) -> onnxruntime.InferenceSession:
    """One attention whose cache is of a kind."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    inputs = [*NAMES, "", ""]
    more: dict[str, object] = {}
    constants = []
    if kind is np.int8:
        scale = np.full((KV_HEADS, 1, SIZE), STEP, np.float32)
        constants = [helper.make_tensor(f"{part}_scale", TensorProto.FLOAT, scale.shape, scale) for part in "kv"]
        inputs += [*[""] * (12 - len(inputs)), "k_scale", "v_scale"]
        more = {"k_quant_type": "PER_CHANNEL", "v_quant_type": "PER_CHANNEL", "kv_cache_bit_width": 8}
    outputs = ["summed", "present_key", "present_value"]
    node = helper.make_node(
        "GroupQueryAttention",
        inputs,
        outputs,
        domain=CONTRIB,
        num_heads=HEADS,
        kv_num_heads=KV_HEADS,
        local_window_size=window,
        **more,
    )
    kinds = [TensorProto.FLOAT] * 3 + [element] * 2 + [TensorProto.INT32] * 2
    free = [helper.make_tensor_value_info(name, each, None) for name, each in zip(NAMES, kinds, strict=True)]
    made = [
        helper.make_tensor_value_info(name, each, None)
        for name, each in zip(outputs, [kinds[0], element, element], strict=True)
    ]
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
    graph = helper.make_graph([node], "attention", free, made, constants)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def attended(kind: type, window: int, lengths: tuple[int, ...], new: int) -> np.ndarray:
    """Rows that hold so many tokens after `new` more are read, over one buffer: `[rows, new, heads, size]`."""
    rows = len(lengths)
    query, keys, values = text(rows)
    queries = np.stack([query[row, length - new : length] for row, length in enumerate(lengths)])
    news = [
        np.stack([each[row, length - new : length] for row, length in enumerate(lengths)]) for each in (keys, values)
    ]
    caches = [np.zeros((rows, KV_HEADS, BUFFER, SIZE), kind) for _ in range(2)]
    for cache, each in zip(caches, (keys, values), strict=True):
        for row, length in enumerate(lengths):
            past = each[row, : length - new].transpose(1, 0, 2)
            cache[row, :, : length - new] = past if kind is np.float32 else np.round(past / STEP)
    run = session(kind, window)
    binding = run.io_binding()
    flat = [each.reshape(rows, new, -1) for each in (queries, *news)]
    counts = [np.array([length - 1 for length in lengths], np.int32), np.array(max(lengths), np.int32)]
    ready = [onnxruntime.OrtValue.ortvalue_from_numpy(each) for each in (*flat, *caches, *counts)]
    for name, each in zip(NAMES, ready, strict=True):
        binding.bind_ortvalue_input(name, each)
    binding.bind_output("summed")
    for name, each in zip(("present_key", "present_value"), ready[3:5], strict=True):
        binding.bind_ortvalue_output(name, each)
    run.run_with_iobinding(binding)
    return binding.get_outputs()[0].numpy().reshape(rows, new, HEADS, SIZE)


def text(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seeded queries, keys and values, these on the steps of the int8 cache."""
    chance = np.random.default_rng(5)
    query = chance.standard_normal((rows, BUFFER, HEADS, SIZE)).astype(np.float32)
    kept = [chance.integers(-100, 101, (rows, BUFFER, KV_HEADS, SIZE)) for _ in range(2)]
    return query, *((each * np.float32(STEP)).astype(np.float32) for each in kept)


def reckoned(window: int, lengths: tuple[int, ...], new: int) -> np.ndarray:
    """The same in NumPy: a token looks back on so many, itself among them, as Transformers' masks have it."""
    query, keys, values = text(len(lengths))
    made = np.zeros((len(lengths), new, HEADS, SIZE), np.float32)
    for row, length in enumerate(lengths):
        for place in range(new):
            at = length - new + place
            seen = slice(max(0, at + 1 - window), at + 1)
            for head in range(HEADS):
                group = head * KV_HEADS // HEADS
                scores = keys[row, seen, group] @ query[row, at, head] / np.sqrt(SIZE)
                weights = np.exp(scores - scores.max())
                made[row, place, head] = weights / weights.sum() @ values[row, seen, group]
    return made


@pytest.mark.parametrize("flash", [False, True], ids=["whole scores", "flash"])
@pytest.mark.parametrize("kind", [np.float32, np.int8])
@pytest.mark.parametrize("new", [1, 4, WINDOW - 1], ids=["one", "guesses", "slice"])
def test_attention_looks_back_on_a_window(kind, new, flash):
    """A token of each of two rows over one buffer, some guesses, a slice; below the window, at it, and beyond."""
    together = list(product(LENGTHS, LENGTHS)) if new == 1 else [(each,) for each in LENGTHS]
    with kernel(flash):
        for lengths in together:
            found = attended(kind, WINDOW, lengths, new)
            assert np.abs(found - reckoned(WINDOW, lengths, new)).max() < 2e-2, lengths
            for other in (WINDOW - 1, WINDOW + 1):
                if max(lengths) > other:
                    assert np.abs(found - reckoned(other, lengths, new)).max() > 5e-2, lengths
