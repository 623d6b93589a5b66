"""fp8 as Transformers' FineGrainedFP8Config has it: 8-bit floats, and a scale for each tile of a matrix.

Source: Transformers 5.24, integrations/finegrained_fp8.py (`Fp8Dequantize`). That it rounds activations, too, where it
runs on a GPU that can, is left out, as it is there with `dequantize`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes  # noqa: F401 - teaches numpy 8-bit floats
import numpy as np

from export.errors import SourceError
from export.families.keys import Key, check_known, named
from export.quantize import Floats, Format, Quantized
from export.source.quantised.raw import Raw

KNOWN = {
    "quant_method": Key("it says what this is", ("fp8",)),
    "fmt": Key("another kind of float is read otherwise", ("e4m3",)),
    "activation_scheme": Key("activations with stored scales would be another model", ("dynamic",)),
    "scale_fmt": Key("scales in 8 bits are read otherwise", ("float",)),
    "expert_dtype": Key("experts are not exported", ("fp8",)),
    **named(
        "it is read from the tensors", "weight_block_size modules_to_not_convert modules_to_convert ignored_layers"
    ),
    **named("it says how the library runs the model, not what the model computes", "dequantize"),
}


class Fp8:
    """fp8 matrices. config: quantization_config."""

    parts: tuple[str, ...] = (".weight_scale_inv", ".weight")

    def __init__(self, config: Mapping[str, Any]) -> None:
        check_known(config, KNOWN, "config.json's quantization_config")

    def shape(self, raw: Raw, module: str) -> tuple[int, int]:
        """The matrix's, which its tiles cover."""
        (_, scales), (kind, shape) = (raw.stored_type(module + part) for part in self.parts)
        is_flat = kind == "F8_E4M3" and len(shape) == len(scales) == 2
        if not is_flat or any(not count or size % count for size, count in zip(shape, scales, strict=True)):
            raise SourceError(f"{module} has {scales} scales for {shape} of {kind}, which do not fit each other")
        return shape[0], shape[1]

    def format(self, raw: Raw, module: str) -> Format | None:  # noqa: ARG002 - the protocol's
        """None: the steps of floats are not even."""
        return None

    def blocks(self, raw: Raw, module: str, form: Format) -> Quantized:
        """There are none."""
        raise NotImplementedError

    def floats(self, raw: Raw, module: str) -> Floats:
        """Each value times its tile's scale, in float32."""
        rows, columns = self.shape(raw, module)
        scales, values = (raw.stored(module + part).astype(np.float32) for part in self.parts)
        down, across = scales.shape
        product: Floats = values.reshape(down, rows // down, across, columns // across) * scales[:, None, :, None]
        return product.reshape(rows, columns)
