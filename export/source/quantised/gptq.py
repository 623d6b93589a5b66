"""GPTQ as AutoGPTQ and GPTQModel write it: numbers of 2, 4 or 8 bits packed along the inputs.

Source: AutoGPTQ 0.7.1 (qlinear_cuda_old.py) and GPTQModel 7.7 (nn_modules/qlinear, `dequantize_weight`;
utils/model.py, `convert_gptq_v1_to_v2_format`). The first version's files have each zero point less one; zero itself
became -1 there, which the libraries read back in different ways, so that such a matrix is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import SourceError, UnsupportedError
from export.families.keys import Key, check_known, named
from export.quantize import Codes, Floats, Format, Quantized
from export.source.quantised.grid import Grid, form_of
from export.source.quantised.packing import WORD_BITS, unpacked
from export.source.quantised.raw import Raw

BITS = (2, 4, 8)
FIRST, SECOND = "gptq", "gptq_v2"
FORMAT = "it says whether zero points are kept less one"
KNOWN = {
    "quant_method": Key("it says what this is", ("gptq",)),
    "bits": Key("numbers of other widths are packed across words", BITS),
    "checkpoint_format": Key(FORMAT, (FIRST, SECOND)),
    "format": Key(FORMAT, (FIRST, SECOND)),
    "is_marlin_format": Key("Marlin's order is another", (False,)),
    "pack_dtype": Key("words of 32 bits are read", ("int32",)),
    **named(
        "it is read from the tensors",
        "group_size desc_act sym static_groups lm_head dynamic modules_in_block_to_quantize modules_to_not_convert",
    ),
    **named(
        "it says how the weights were found",
        "damp_percent damp_auto_increment true_sequential model_name_or_path model_file_base_name dataset tokenizer"
        " block_name_to_quantize module_name_preceding_first_block batch_size pad_token_id model_seqlen mse meta"
        " cache_block_outputs act_group_aware quantizer",
    ),
    **named(
        "it says how the library runs the model, not what the model computes",
        "use_exllama use_cuda_fp16 disable_exllama exllama_config max_input_length backend",
    ),
}


class Gptq:
    """GPTQ matrices. config: quantization_config."""

    parts: tuple[str, ...] = (".qweight", ".qzeros", ".scales", ".g_idx")

    def __init__(self, config: Mapping[str, Any]) -> None:
        check_known(config, KNOWN, "config.json's quantization_config")
        self._less = int(config.get("checkpoint_format", config.get("format", FIRST)) == FIRST)
        self._bits = None if config.get("dynamic") else config.get("bits")

    def shape(self, raw: Raw, module: str) -> tuple[int, int]:
        """From headers: `[in * bits / 32, out]`, `[groups, out * bits / 32]`, `[groups, out]`."""
        (kind, (words, rows)), (zeros, (groups, packed)), (_, scales) = (
            raw.stored_type(module + part) for part in self.parts[:3]
        )
        bits = packed * WORD_BITS // max(1, rows)
        is_sound = (kind, zeros, scales) == ("I32", "I32", (groups, rows)) and bits in BITS
        if not is_sound or packed * WORD_BITS != rows * bits or (self._bits or bits) != bits:
            raise SourceError(f"{module} is not packed as config.json says: its tensors' shapes do not fit")
        return rows, words * WORD_BITS // bits

    def format(self, raw: Raw, module: str) -> Format | None:
        """Blocks where groups lie one after the other, which the order of `desc_act` seldom leaves."""
        rows, columns = self.shape(raw, module)
        points = self._points(raw, module)
        bits = self._bits_of(raw, module, rows)
        size = columns // points.shape[1]
        if size * points.shape[1] != columns or self._order(raw, module, columns, size) is not None:
            return None
        return form_of(bits, size, bool((points == 1 << bits - 1).all()))

    def floats(self, raw: Raw, module: str) -> Floats:
        """As `dequantize_weight` has it."""
        return self._grid(raw, module).floats()

    def blocks(self, raw: Raw, module: str, form: Format) -> Quantized:
        """Code by code."""
        return self._grid(raw, module).blocks(form)

    def _bits_of(self, raw: Raw, module: str, rows: int) -> int:
        return raw.stored_type(f"{module}.qzeros")[1][1] * WORD_BITS // rows

    def _grid(self, raw: Raw, module: str) -> Grid:
        rows, columns = self.shape(raw, module)
        bits = self._bits_of(raw, module, rows)
        codes = np.ascontiguousarray(unpacked(raw.stored(f"{module}.qweight"), bits, 0).T)
        scales = np.ascontiguousarray(raw.stored(f"{module}.scales").T)
        size = -(-columns // scales.shape[1])
        order = self._order(raw, module, columns, size)
        if order is None and size * scales.shape[1] != columns:
            order = np.arange(columns) // size
        return Grid(bits, codes, scales, self._points(raw, module), order)

    def _points(self, raw: Raw, module: str) -> Codes:
        """Zero points `[out, groups]`. UnsupportedError where one cannot be told."""
        rows, _ = self.shape(raw, module)
        bits = self._bits_of(raw, module, rows)
        stored = unpacked(raw.stored(f"{module}.qzeros"), bits, 1)
        if self._less and int(stored.max(initial=0)) == (1 << bits) - 1:
            raise UnsupportedError(
                f"{module} has a zero point that the first version of GPTQ's format cannot hold, and its libraries read"
                " it in different ways; export the original, or one with checkpoint_format gptq_v2"
            )
        return np.ascontiguousarray((stored + np.uint8(self._less)).T)

    def _order(self, raw: Raw, module: str, columns: int, size: int) -> NDArray[np.intp] | None:
        """Which group each input is in; None where they lie one after the other. SourceError for one that is none."""
        if f"{module}.g_idx" not in raw.tensor_names():
            return None
        found = raw.stored(f"{module}.g_idx")
        groups = raw.stored_type(f"{module}.scales")[1][0]
        if found.shape != (columns,) or found.min() < 0 or found.max() >= groups:
            raise SourceError(f"{module}.g_idx does not name one of {groups} groups for each of {columns} inputs")
        return None if np.array_equal(found, np.arange(columns) // size) else found.astype(np.intp)
