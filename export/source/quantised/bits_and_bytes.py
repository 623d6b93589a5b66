"""bitsandbytes: nf4 and fp4 with scales that may be rounded themselves, and int8 by rows.

Source: bitsandbytes 0.50, functional.py (`QuantState`, `dequantize_4bit`, `dequantize_blockwise`), _ops.py
(`int8_vectorwise_dequant`). None of these lies on the grids of MatMulNBits: all are read as floats.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import ml_dtypes  # noqa: F401 - teaches numpy bfloat16
import numpy as np
from numpy.typing import NDArray

from export.errors import SourceError
from export.families.keys import Key, check_known, named
from export.quantize import Floats, Format, Quantized
from export.source.quantised.raw import Raw

ROW = np.float32(7.874015718698502e-3)
"""One of 127, as bitsandbytes writes it."""
TYPES = ("float16", "bfloat16", "float32")
STATE_BYTES_MAX = 4096
KNOWN = {
    "quant_method": Key("it says what this is", ("bitsandbytes",)),
    "llm_int8_has_fp16_weight": Key("such a checkpoint is not rounded", (False,)),
    **named("it is read from the tensors", "load_in_4bit load_in_8bit _load_in_4bit _load_in_8bit"),
    **named("it is read from the tensors", "bnb_4bit_quant_type bnb_4bit_use_double_quant llm_int8_skip_modules"),
    **named(
        "it says how the library runs the model, not what the model computes",
        "bnb_4bit_compute_dtype bnb_4bit_quant_storage llm_int8_enable_fp32_cpu_offload llm_int8_threshold",
    ),
}


class BitsAndBytes:
    """Their matrices. config: quantization_config."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        check_known(config, KNOWN, "config.json's quantization_config")
        self._is_small = bool(config.get("load_in_4bit", config.get("_load_in_4bit")))
        four, eight = (f".weight.{name}" for name in ("absmax", "quant_map")), (".SCB", ".weight", ".weight_format")
        states = (f".weight.quant_state.bitsandbytes__{kind}" for kind in ("nf4", "fp4"))
        nested = (".weight.nested_absmax", ".weight.nested_quant_map")
        self.parts = (*four, ".weight", *states, *nested) if self._is_small else eight

    def shape(self, raw: Raw, module: str) -> tuple[int, int]:
        """The matrix's, or what is told of it."""
        kind, shape = raw.stored_type(f"{module}.weight")
        if not self._is_small:
            if kind != "I8" or len(shape) != 2 or raw.stored_type(f"{module}.SCB")[1] != (shape[0],):
                raise SourceError(f"{module} is not stored as bitsandbytes stores int8")
            return shape[0], shape[1]
        rows, columns = _state(raw, module)["shape"]
        if math.prod(shape) * _width(kind) * 2 != rows * columns:
            raise SourceError(f"{module} has {shape} of {kind}, which are not {rows} times {columns} numbers of 4 bits")
        return rows, columns

    def format(self, raw: Raw, module: str) -> Format | None:  # noqa: ARG002 - the protocol's
        """None."""
        return None

    def blocks(self, raw: Raw, module: str, form: Format) -> Quantized:
        """There are none."""
        raise NotImplementedError

    def floats(self, raw: Raw, module: str) -> Floats:
        """As the library dequantises it."""
        shape = self.shape(raw, module)
        return _four_bits(raw, module, shape) if self._is_small else _eight_bits(raw, module)


def _eight_bits(raw: Raw, module: str) -> Floats:
    order = f"{module}.weight_format"
    if order in raw.tensor_names() and raw.stored(order).any():
        raise SourceError(f"{order} says that the matrix lies in another order than by rows")
    whole, scales = raw.stored(f"{module}.weight"), raw.stored(f"{module}.SCB")
    product: Floats = whole.astype(np.float32) * scales.astype(np.float32)[:, None] * ROW
    return product


def _four_bits(raw: Raw, module: str, shape: tuple[int, int]) -> Floats:
    state = _state(raw, module)
    packed = np.ascontiguousarray(raw.stored(f"{module}.weight")).reshape(-1).view(np.uint8)
    codes = np.stack([packed >> 4, packed & 15], axis=1).reshape(-1)
    values = _table(raw, f"{module}.weight.quant_map", 16)[codes]
    scales = _scales(raw, module, state, -(-len(codes) // state["blocksize"]))
    product = values * np.repeat(scales, state["blocksize"])[: len(codes)]
    return product.astype(state["dtype"]).astype(np.float32).reshape(shape)


def _scales(raw: Raw, module: str, state: Mapping[str, Any], count: int) -> Floats:
    """Of each block, taken apart where they are rounded themselves."""
    stored = raw.stored(f"{module}.weight.absmax")
    if stored.shape != (count,):
        raise SourceError(f"{module}.weight.absmax has {stored.shape} scales, but there are {count} blocks")
    if "nested_blocksize" not in state:
        return stored.astype(np.float32)
    if stored.dtype != np.uint8:
        raise SourceError(f"{module}.weight.absmax is {stored.dtype}, but its config says that it is rounded itself")
    outer = raw.stored(f"{module}.weight.nested_absmax").astype(np.float32)
    wide = np.repeat(outer, state["nested_blocksize"])[:count]
    if wide.shape != (count,):
        raise SourceError(f"{module}.weight.nested_absmax has too few scales for {count} blocks")
    scales: Floats = _table(raw, f"{module}.weight.nested_quant_map", 256)[stored] * wide
    return scales + np.float32(state["nested_offset"])


def _table(raw: Raw, name: str, size: int) -> NDArray[np.float32]:
    found = raw.stored(name).astype(np.float32)
    if found.shape != (size,):
        raise SourceError(f"{name} has {found.shape} values, not {size}")
    return found


def _state(raw: Raw, module: str) -> dict[str, Any]:
    """What is told of a matrix of 4 bits, as JSON in bytes."""
    for kind in ("nf4", "fp4"):
        name = f"{module}.weight.quant_state.bitsandbytes__{kind}"
        if name not in raw.tensor_names():
            continue
        _, shape = raw.stored_type(name)
        if len(shape) != 1 or shape[0] > STATE_BYTES_MAX:
            raise SourceError(f"{name} is larger than {STATE_BYTES_MAX} bytes")
        try:
            told = json.loads(raw.stored(name).tobytes())
            return _sound(told, kind)
        except (ValueError, TypeError, KeyError) as error:
            raise SourceError(f"{name} cannot be understood: {error}") from error
    raise SourceError(f"{module} has no quant_state of nf4 or fp4")


def _sound(told: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """ValueError, TypeError or KeyError where it is not."""
    shape = [int(each) for each in told["shape"]]
    found: dict[str, Any] = {"shape": shape, "blocksize": int(told["blocksize"]), "dtype": str(told["dtype"])}
    if "nested_blocksize" in told:
        found |= {"nested_blocksize": int(told["nested_blocksize"]), "nested_offset": float(told["nested_offset"])}
    numbers = [*shape, found["blocksize"], found.get("nested_blocksize", 1)]
    if told["quant_type"] != kind or found["dtype"] not in TYPES or len(shape) != 2 or min(numbers) <= 0:
        raise ValueError(dict(told))
    return found


def _width(kind: str) -> int:
    """Bytes of a type that 4-bit numbers are stored in."""
    return {"U8": 1, "I8": 1, "BF16": 2, "F16": 2, "F32": 4}.get(kind, 0)
