"""AWQ as AutoAWQ's `gemm` layout has it: 4 bits, eight columns a word in an order of its own.

Source: AutoAWQ 0.2.9, awq/utils/packing_utils.py (`unpack_awq`, `reverse_awq_order`, `dequantize_gemm`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import SourceError
from export.families.keys import Key, check_known, named
from export.quantize import Codes, Floats, Format, Quantized
from export.source.quantised.grid import Grid, form_of
from export.source.quantised.packing import unpacked
from export.source.quantised.raw import Raw

BITS, IN_WORD = 4, 8
ORDER = [0, 4, 1, 5, 2, 6, 3, 7]
"""Which of a word's numbers is each column's."""
KNOWN = {
    "quant_method": Key("it says what this is", ("awq",)),
    "bits": Key("AutoAWQ packs four", (BITS,)),
    "w_bit": Key("an older word for bits", (BITS,)),
    "group_size": Key("it is read from the scales"),
    "q_group_size": Key("an older word for group_size"),
    "zero_point": Key("a layout without zero points is another", (True,)),
    "version": Key("another layout is packed in another order", ("gemm", "GEMM")),
    "format": Key("another layout is packed in another order", ("gemm",)),
    **named(
        "which matrices are rounded is read from the tensors",
        "modules_to_not_convert ignore lm_head dynamic desc_act sym",
    ),
    **named(
        "it says how the library runs the model, not what the model computes",
        "backend do_fuse fuse_max_seq_len exllama_config modules_to_fuse pack_dtype",
    ),
    **named(
        "it says how the weights were found",
        "dataset tokenizer damp_percent true_sequential block_name_to_quantize meta model_seqlen batch_size"
        " module_name_preceding_first_block pad_token_id max_input_length cache_block_outputs act_group_aware"
        " modules_in_block_to_quantize",
    ),
}


class Awq:
    """AWQ matrices. config: quantization_config."""

    parts: tuple[str, ...] = (".qweight", ".qzeros", ".scales")

    def __init__(self, config: Mapping[str, Any]) -> None:
        check_known(config, KNOWN, "config.json's quantization_config")

    def shape(self, raw: Raw, module: str) -> tuple[int, int]:
        """From three headers: `[in, out / 8]`, `[groups, out / 8]`, `[groups, out]`."""
        (kind, (columns, words)), zeros, (_, scales) = (raw.stored_type(module + part) for part in self.parts)
        groups, rows = scales
        if (kind, *zeros) != ("I32", "I32", (groups, words)) or rows != words * IN_WORD or columns % groups:
            raise SourceError(f"{module} is not packed as AutoAWQ packs: its tensors' shapes do not fit each other")
        return rows, columns

    def format(self, raw: Raw, module: str) -> Format | None:
        """Blocks with zero points."""
        _, columns = self.shape(raw, module)
        return form_of(BITS, columns // raw.stored_type(f"{module}.scales")[1][0], is_symmetric=False)

    def floats(self, raw: Raw, module: str) -> Floats:
        """As `dequantize_gemm` has it."""
        return self._grid(raw, module).floats()

    def blocks(self, raw: Raw, module: str, form: Format) -> Quantized:
        """Code by code."""
        return self._grid(raw, module).blocks(form)

    def _grid(self, raw: Raw, module: str) -> Grid:
        self.shape(raw, module)
        codes, points, scales = (raw.stored(module + part) for part in self.parts)
        return Grid(BITS, _ordered(codes), np.ascontiguousarray(scales.T), _ordered(points))


def _ordered(words: NDArray[Any]) -> Codes:
    """`[out, …]` of words `[…, out / 8]`."""
    apart = unpacked(words, BITS, 1).reshape(len(words), -1, IN_WORD)[:, :, ORDER]
    return np.ascontiguousarray(apart.reshape(len(words), -1).T)
