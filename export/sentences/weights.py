"""The tensors of a BERT: each is there in its shape, and none is there that nothing reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edge.bundle import hash_file
from export.errors import SourceError, UnsupportedError
from export.quantize import Floats
from export.sentences.config import Encoder
from export.source.shards import checkpoint_files, read_tensor, tensor_shape

EMBEDDINGS, LAYERS = "embeddings", "encoder.layer"
IDLE = ("pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids")
"""What changes no token's vector: another pooling's, and the numbers 0, 1, 2 … of the places."""
NAMED = 4
Shapes = dict[str, tuple[int, ...]]


class Weights:
    """A folder's tensors under Transformers' names. Raises SourceError or UnsupportedError, naming the tensor."""

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        self._files = checkpoint_files(folder)
        shapes = dict(_shapes(encoder))
        for name, shape in shapes.items():
            if name not in self._files:
                raise SourceError(f"{folder} has no tensor {name}")
            if (found := tensor_shape(self._files[name], name)) != shape:
                raise SourceError(f"the tensor {name} is {list(found)}, but config.json makes it {list(shape)}")
        if odd := sorted(set(self._files) - set(shapes) - set(IDLE)):
            more = f" and {len(odd) - NAMED} more" if len(odd) > NAMED else ""
            raise UnsupportedError(f"{folder} has tensors that nothing here reads: {', '.join(odd[:NAMED])}{more}")

    def tensor(self, name: str) -> Floats:
        """A tensor as float32; SourceError where it has a value that is no finite number."""
        return read_tensor(self._files[name], name)

    def checksum(self) -> str:
        """sha256 over the files' own, in hex."""
        digests = [hash_file(file) for file in sorted(set(self._files.values()))]
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    def linear(self, *modules: str) -> tuple[Floats, Floats]:
        """Matrices that multiply the same value as one `[outputs, inputs]`, and their biases `[outputs]`."""
        parts = [[self.tensor(f"{module}.{kind}") for module in modules] for kind in ("weight", "bias")]
        return np.concatenate(parts[0]), np.concatenate(parts[1])


def _shapes(encoder: Encoder) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor that is read, with its shape."""
    width, inner = encoder.width, encoder.inner
    for name, rows in (("word", encoder.words), ("position", encoder.places), ("token_type", encoder.types)):
        yield f"{EMBEDDINGS}.{name}_embeddings.weight", (rows, width)
    yield from _norm(f"{EMBEDDINGS}.LayerNorm", width)
    for layer in range(encoder.layers):
        prefix = f"{LAYERS}.{layer}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            yield from _linear(f"{prefix}.{part}", width, width)
        yield from _linear(f"{prefix}.intermediate.dense", inner, width)
        yield from _linear(f"{prefix}.output.dense", width, inner)
        yield from _norm(f"{prefix}.attention.output.LayerNorm", width)
        yield from _norm(f"{prefix}.output.LayerNorm", width)


def _linear(module: str, rows: int, columns: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{module}.weight", (rows, columns)
    yield f"{module}.bias", (rows,)


def _norm(module: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{module}.weight", (width,)
    yield f"{module}.bias", (width,)
