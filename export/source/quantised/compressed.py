"""compressed-tensors' `pack-quantized`: whole numbers of 4 or 8 bits packed along the inputs.

Source: compressed-tensors 0.20, compressors/pack_quantized (`unpack_from_int32`) and quantization/lifecycle/forward.py
(`dequantize`). A number is kept as the code above half of its range, which is where MatMulNBits has its own middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from export.errors import SourceError, UnsupportedError
from export.families.keys import Key, check_known, named
from export.quantize import Codes, Floats, Format, Quantized
from export.source.quantised.grid import Grid, form_of
from export.source.quantised.packing import WORD_BITS, unpacked
from export.source.quantised.raw import Raw

WHERE = "config.json's quantization_config"
KNOWN = {
    "quant_method": Key("it says what this is", ("compressed-tensors",)),
    "format": Key("another format is packed in another way", ("pack-quantized",)),
    "quantization_status": Key("otherwise its matrices are not packed", ("compressed",)),
    "kv_cache_scheme": Key("keys and values are rounded here as the recipe says", ({},)),
    "sparsity_config": Key("a sparse matrix is stored in another way", ({},)),
    "transform_config": Key("a rotation would be another model", ({},)),
    "config_groups": Key("it is read"),
    **named("it is read from the tensors", "ignore"),
    **named("it says how the weights were found", "global_compression_ratio version"),
}
GROUP = {
    "weights": Key("it is read"),
    "format": Key("another format is packed in another way", ("pack-quantized",)),
    **named("which matrices are rounded is read from the tensors", "targets"),
    **named("rounded activations would be another model", "input_activations output_activations", {}),
}
WEIGHTS = {
    "num_bits": Key("numbers of other widths are packed across words", (4, 8)),
    "type": Key("whole numbers are read", ("int",)),
    "strategy": Key("scales of single rows or groups are read", ("group", "channel")),
    "dynamic": Key("its scales are stored", (False,)),
    "actorder": Key("another leaves groups in an order of their own", ("weight", "static")),
    **named("it is read from the tensors", "symmetric group_size"),
    **named("it says how the weights were found", "observer observer_kwargs block_structure scale_dtype zp_dtype"),
}


class Compressed:
    """Their matrices. config: quantization_config."""

    parts: tuple[str, ...] = (".weight_packed", ".weight_scale", ".weight_shape", ".weight_zero_point", ".weight_g_idx")

    def __init__(self, config: Mapping[str, Any]) -> None:
        check_known(config, KNOWN, WHERE)
        groups = config.get("config_groups")
        if not isinstance(groups, Mapping) or not groups:
            raise SourceError(f"{WHERE} has no config_groups")
        found: set[int | None] = set()
        for name, group in groups.items():
            weights = group.get("weights") if isinstance(group, Mapping) else None
            if not isinstance(weights, Mapping):
                raise SourceError(f"{WHERE} says nothing of weights in config_groups.{name}")
            check_known(group, GROUP, f"{WHERE} in config_groups.{name}")
            check_known(weights, WEIGHTS, f"{WHERE} in config_groups.{name}.weights")
            found.add(weights.get("num_bits"))
        bits = found.pop()
        if found or bits is None:
            raise UnsupportedError(f"{WHERE} has groups of several widths, or of none; export the original")
        self._bits = bits

    def shape(self, raw: Raw, module: str) -> tuple[int, int]:
        """As it is told, held against the headers."""
        kind, (rows, words) = raw.stored_type(f"{module}.weight_packed")
        told = raw.stored(f"{module}.weight_shape").reshape(-1)
        scales = raw.stored_type(f"{module}.weight_scale")[1]
        columns = int(told[-1]) if len(told) == 2 and told[0] == rows else 0
        is_packed = kind == "I32" and words == -(-columns * self._bits // WORD_BITS)
        if columns <= 0 or not is_packed or len(scales) != 2 or scales[0] != rows or columns % scales[1]:
            raise SourceError(f"{module} is not packed as config.json says: its tensors' shapes do not fit")
        if f"{module}.weight_g_idx" in raw.tensor_names():
            raise UnsupportedError(f"{module} has groups in an order of their own (weight_g_idx); export the original")
        return rows, columns

    def format(self, raw: Raw, module: str) -> Format | None:
        """Blocks, with zero points where they have some."""
        _, columns = self.shape(raw, module)
        size = columns // raw.stored_type(f"{module}.weight_scale")[1][1]
        return form_of(self._bits, size, f"{module}.weight_zero_point" not in raw.tensor_names())

    def floats(self, raw: Raw, module: str) -> Floats:
        """As `dequantize` has it."""
        return self._grid(raw, module).floats()

    def blocks(self, raw: Raw, module: str, form: Format) -> Quantized:
        """Code by code."""
        return self._grid(raw, module).blocks(form)

    def _grid(self, raw: Raw, module: str) -> Grid:
        _, columns = self.shape(raw, module)
        codes = np.ascontiguousarray(unpacked(raw.stored(f"{module}.weight_packed"), self._bits, 1)[:, :columns])
        scales = raw.stored(f"{module}.weight_scale")
        return Grid(self._bits, codes, scales, self._points(raw, module, scales.shape))

    def _points(self, raw: Raw, module: str, shape: tuple[int, ...]) -> Codes:
        """Zero points `[out, groups]`, packed along the outputs where there are some."""
        name = f"{module}.weight_zero_point"
        if name not in raw.tensor_names():
            return np.full(shape, 1 << self._bits - 1, np.uint8)
        points = unpacked(raw.stored(name), self._bits, 0)[: shape[0]]
        if points.shape != shape:
            raise SourceError(f"{name} has {points.shape} zero points, but there are {shape} scales")
        return np.ascontiguousarray(points)
