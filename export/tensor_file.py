"""Weights on their way into a bundle: written one at a time, found again by the graphs that use them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from export.errors import UnsupportedError
from export.quantize import Format, Quantized

PAGE, LINE = 4096, 64
"""A large tensor begins on a page, so that a board can map it; a small one on a cache line."""
CACHE_SCALE = ".cache_scale"
"""How the steps of an int8 cache are named; they are float32 whatever the activations are."""


@dataclass(frozen=True)
class Stored:
    """How a matrix `[rows, columns]` is stored. whole: the name of the tensors that it is some rows of."""

    format: Format
    rows: int
    columns: int
    whole: str


class TensorFile:
    """The external data of a graph, written one tensor at a time; used with `with`.

    float_type: what float32 tensors are written as, and what the graph's activations are.
    """

    def __init__(self, path: Path, float_type: str = "float32") -> None:
        self._path = path
        self._float_type = float_type
        self.activations = helper.np_dtype_to_tensor_dtype(np.dtype(float_type))
        self._file = path.open("wb")
        self.initializers: list[TensorProto] = []
        self.matrices: dict[str, Stored] = {}
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor written so far."""
        return {entry.name: tuple(entry.dims) for entry in self.initializers}

    def with_float_cache(self) -> TensorFile:
        """The same file for a graph that remembers keys and values as they are."""
        other = copy.copy(self)
        other.initializers = [entry for entry in self.initializers if not entry.name.endswith(CACHE_SCALE)]
        return other

    def add(self, name: str, values: NDArray[np.generic]) -> None:
        """Append a tensor and remember where it lies."""
        if values.dtype == np.float32 and not name.endswith(CACHE_SCALE):
            values = self._narrowed(name, values)
        self.place(name, helper.np_dtype_to_tensor_dtype(values.dtype), values.shape, values)

    def place(self, name: str, kind: int, dims: Sequence[int], values: NDArray[np.generic]) -> None:
        """Append a tensor of a type and shape as it lies in memory, whatever NumPy takes it for."""
        at = self._file.tell()
        self._file.write(b"\0" * (aligned(at, values.nbytes) - at))
        entry = TensorProto(name=name, dims=dims, data_location=TensorProto.EXTERNAL)
        entry.data_type = TensorProto.DataType.ValueType(kind)
        place = {"location": self._path.name, "offset": self._file.tell(), "length": values.nbytes}
        for key, value in place.items():
            entry.external_data.add(key=key, value=str(value))
        self._file.write(np.ascontiguousarray(values).data)
        self.size = self._file.tell()
        self.initializers.append(entry)

    def _narrowed(self, name: str, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """As wide as activations are; UnsupportedError for values that are too large for that."""
        with np.errstate(over="ignore"):
            narrow = values.astype(self._float_type, copy=False)
        if narrow is not values and not np.isfinite(narrow).all():
            raise UnsupportedError(
                f"{name} has values beyond {np.finfo(self._float_type).max:g}, the largest that {self._float_type}"
                " holds; export the model with --provider cpu"
            )
        return narrow

    def add_matrix(self, name: str, matrix: Quantized) -> None:
        """Append a quantised matrix under the name of the weight that it stands for."""
        self.add_joined({name: matrix})

    def add_joined(self, matrices: Mapping[str, Quantized]) -> None:
        """Append quantised matrices of one format and one width as one, the rows of each below those of the last."""
        whole = joined_name(list(matrices))
        for name, each in matrices.items():
            self.matrices[name] = Stored(each.format, each.rows, each.columns, whole)
        self.add(f"{whole}.codes", np.concatenate([each.packed() for each in matrices.values()]))
        self.add(f"{whole}.scales", np.concatenate([each.scales for each in matrices.values()]))
        points = [packed for each in matrices.values() if (packed := each.packed_points()) is not None]
        if points:
            self.add(f"{whole}.zero_points", np.concatenate(points))


def aligned(end: int, size_bytes: int) -> int:
    """Where a tensor begins that follows what ends there."""
    alignment = PAGE if size_bytes >= 16 * PAGE else LINE
    return end + -end % alignment


def first_of(name: str) -> str:
    """What the first rows of a table are called, where they have another format than those that have its name."""
    return f"{name.removesuffix('.weight')}.first.weight"


def joined_name(names: list[str]) -> str:
    """`a.k_proj.weight` and `a.v_proj.weight` as `a.k_proj+v_proj.weight`."""
    if len(names) == 1:
        return names[0]
    parts = [name.rsplit(".", 2) for name in names]
    return f"{parts[0][0]}.{'+'.join(part[1] for part in parts)}.weight"
