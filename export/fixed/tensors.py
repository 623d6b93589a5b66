"""Weights for graphs of fixed shapes, as DequantizeLinear takes them: 4 or 8 bits, one step a channel, none moved.

A matrix whose rows are one block each (`Format.block_size` 0) is written as MatMul multiplies with it, `[in, out]`, in
int4 or int8; the embedding, which is looked up on the processor, in blocks as in any bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from export.quantize import Codes, Floats, Quantized
from export.tensor_file import Stored, TensorFile

KINDS = {4: TensorProto.INT4, 8: TensorProto.INT8}
PARTS = ("", ".scales", ".zeros")
"""What a matrix is stored as, behind its name. Zero points are all zero and might be left out, but then QNN's provider
(2.7.0) reads int4 wrongly."""


class ChannelFile(TensorFile):
    """The tensors of a bundle of fixed shapes.

    table: the file of what is looked up for tokens, which stays where the graphs are compiled.
    vectors: what is constant beside matrices, float32 by name, which the graphs hold themselves.
    """

    def __init__(self, path: Path, table: Path) -> None:
        super().__init__(path)
        self.vectors: dict[str, Floats] = {}
        self._table = TensorFile(table)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._table.__exit__(kind, error, at)
        super().__exit__(kind, error, at)

    def place(self, name: str, kind: int, dims: Sequence[int], values: NDArray[np.generic]) -> None:
        """Append a tensor; the size is that of both files."""
        super().place(name, kind, dims, values)
        self.size += self._table.size

    def add(self, name: str, values: NDArray[np.generic]) -> None:
        """Floats are only remembered."""
        if values.dtype == np.float32 and not name.endswith(".scales"):
            self.vectors[name] = values.astype(np.float32)
        else:
            super().add(name, values)

    def add_joined(self, matrices: Mapping[str, Quantized]) -> None:
        """Each apart: values of one product have steps of their own."""
        for name, each in matrices.items():
            if each.format.block_size:
                self._table.add_joined({name: each})
                self.matrices[name] = self._table.matrices[name]
                self.initializers += [entry for entry in self._table.initializers if entry not in self.initializers]
            else:
                self._add_channels(name, each)

    def _add_channels(self, name: str, matrix: Quantized) -> None:
        self.matrices[name] = Stored(matrix.format, matrix.rows, matrix.columns, name)
        codes = matrix.codes.reshape(matrix.rows, -1)[:, : matrix.columns].T - matrix.format.middle
        kind, dims = KINDS[matrix.format.bits], (matrix.columns, matrix.rows)
        self.place(name, kind, dims, pairs(codes.ravel()) if matrix.format.bits == 4 else codes.view(np.int8))
        super().add(f"{name}.scales", matrix.scales[:, 0])
        self.place(f"{name}.zeros", kind, (matrix.rows,), np.zeros(-(-matrix.rows * matrix.format.bits // 8), np.uint8))


def pairs(codes: Codes) -> Codes:
    """Codes of 4 bits two a byte, the first in the lower half. Source: onnx.proto, TensorProto.raw_data of INT4."""
    even = np.pad(codes & 15, (0, codes.size % 2))
    return np.ascontiguousarray(even[0::2] | (even[1::2] << 4))
