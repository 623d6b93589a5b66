"""An adapter's pairs as a bundle's branches take them: those of one product as one, the scale within.

Phi-3's adapters change `qkv_proj` and `gate_up_proj`; where a bundle stores the parts, each has its rows of B.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from export.adapters.branches import PART_RANKS, UP, Product, down_names
from export.errors import SourceError, UnsupportedError
from export.families import FAMILIES
from export.quantize import Floats
from export.source.adapter import pairs_of
from export.source.adapter_config import AdapterConfig
from export.source.shards import adapter_file, read_tensor, tensors_of

Pair = tuple[str, Floats, Floats]
"""A pair's own name, A `[rank, in]`, and of the scaled B the rows of one module, `[out, rank]`."""


class Stack:
    """An adapter folder, read for a bundle's products. Raises SourceError or UnsupportedError, naming what is wrong."""

    def __init__(self, folder: Path, products: list[Product], family: str) -> None:
        self._folder, self._products = folder, products
        self._shapes = {module: (rows, each.columns) for each in products for module, rows in each.rows.items()}
        self._packed = next((each.packed for each in FAMILIES if each.name == family), {})
        self.config, self.file = AdapterConfig(folder), adapter_file(folder)
        self._names = pairs_of(folder, set(tensors_of([self.file])))
        self._pairs = {module: pair for name in self._names for module, pair in self._read(name)}

    @property
    def rank(self) -> int:
        """The largest of its pairs."""
        return max(int(down.shape[0]) for _, down, _ in self._pairs.values())

    @property
    def targets(self) -> list[str]:
        """What it changes, by the last part of each module's name."""
        return sorted({name.removesuffix(".weight").rpartition(".")[2] for name in self._names})

    def tensors(self) -> dict[str, Floats]:
        """By the branches' inputs, what they are fed."""
        made: dict[str, Floats] = {}
        for product in self._products:
            if any(module in self._pairs for module in product.rows):
                down, made[product.name + UP] = _stacked(product, self._pairs)
                made |= _parts(product, down)
        return made

    def _read(self, name: str) -> Iterator[tuple[str, Pair]]:
        """A pair by the modules that it changes."""
        module = name.removesuffix(".weight")
        self.config.check_target(module)
        parts = self._parts(module)
        rows, columns = sum(self._shapes[part][0] for part in parts), self._shapes[parts[0]][1]
        down, up = (read_tensor(self.file, part) for part in self._names[name])
        if (
            down.ndim != 2
            or up.ndim != 2
            or (up.shape[0], down.shape[1], down.shape[0]) != (rows, columns, up.shape[1])
        ):
            raise SourceError(
                f"the adapter {self._folder} changes {name} by {list(up.shape)} times {list(down.shape)},"
                f" but the bundle has {[rows, columns]}; is it another model's?"
            )
        if (rank := self.config.rank_of(module)) != down.shape[0]:
            raise SourceError(f"the adapter {self._folder} says a rank of {rank} for {name}, but has {down.shape[0]}")
        if not (np.isfinite(down).all() and np.isfinite(up).all()):
            raise SourceError(f"the adapter {self._folder} changes {name} by values that are no numbers")
        up = up * np.float32(self.config.scale_of(module))
        ends = np.cumsum([self._shapes[part][0] for part in parts])[:-1]
        for part, its in zip(parts, np.split(up, ends), strict=True):
            yield part, (name, down, its)

    def _parts(self, module: str) -> list[str]:
        """The bundle's modules that one of the adapter's stands for."""
        if module in self._shapes:
            return [module]
        for packed, parts in self._packed.items():
            scope = module.removesuffix(f".{packed}")
            found = [f"{scope}.{part}" for part in parts]
            if scope != module and all(part in self._shapes for part in found):
                return found
        raise UnsupportedError(
            f"the adapter {self._folder} changes {module}, which is no matrix of a layer of this bundle; is it another"
            " model's? Tables can be changed by merging alone, so export the model with --adapter, without --keep-apart"
        )


def _parts(product: Product, down: Floats) -> dict[str, Floats]:
    """D `[in, rank]` by the inputs that it is fed by, side by side no more columns than a part has."""
    count = -(-down.shape[1] // PART_RANKS)
    parts = np.split(down, range(PART_RANKS, down.shape[1], PART_RANKS), axis=1)
    return dict(zip(down_names(product.name, count), map(np.ascontiguousarray, parts), strict=True))


def _stacked(product: Product, pairs: Mapping[str, Pair]) -> tuple[Floats, Floats]:
    """D `[in, rank]` and U `[rank, out]`: a pair that several modules share is there once."""
    downs = {name: down for name, down, _ in (pairs[module] for module in product.rows if module in pairs)}
    ends = dict(zip(downs, np.cumsum([down.shape[0] for down in downs.values()]).tolist(), strict=True))
    up = np.zeros((sum(down.shape[0] for down in downs.values()), product.width), np.float32)
    first = 0
    for module, rows in product.rows.items():
        if module in pairs:
            name, down, its = pairs[module]
            up[ends[name] - down.shape[0] : ends[name], first : first + rows] = its.T
        first += rows
    return np.ascontiguousarray(np.concatenate(list(downs.values())).T), up
