"""Adapters of a bundle as the branches of its graph are fed with them: files that are mapped, not read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.errors import BundleError

HEADER_BYTES_MAX = 1 << 20
"""Of a file's own description of its tensors."""
Feeds = Mapping[str, NDArray[np.float32]]
"""By an input's name, what it is fed; memory of the file's, which the system may take back at any time."""


def open_adapters(bundle: Bundle) -> dict[str, Feeds]:
    """Each adapter's feeds by its name. Raises BundleError for a file that is none."""
    return {each.name: mapped(bundle.path / each.file) for each in bundle.manifest.adapters}


def mapped(path: Path) -> Feeds:
    """The tensors of a safetensors file: eight bytes say how long its header is, JSON says where each tensor lies."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > HEADER_BYTES_MAX:
                raise BundleError(f"{path} has a header of {length} bytes; {HEADER_BYTES_MAX} are allowed")
            header: dict[str, Any] = json.loads(file.read(length))
        values = np.memmap(path, np.uint8, "r", 8 + length)
        return {name: _tensor(values, told) for name, told in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path} is no file of tensors: {error}; copy the bundle again") from error


def _tensor(values: NDArray[np.uint8], told: dict[str, Any]) -> NDArray[np.float32]:
    """One of them; ValueError where it would lie outside, or is no float32."""
    (start, stop), shape = told["data_offsets"], told["shape"]
    if told["dtype"] != "F32" or not 0 <= start <= stop <= len(values) or stop - start != 4 * math.prod(shape):
        raise ValueError("a tensor is not where the header says")
    return values[start:stop].view(np.float32).reshape(shape)
