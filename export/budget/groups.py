"""What is decided on together, and what it may be stored in.

A matrix for itself would be a finer choice of more measurements than there is time for; a kind of matrix in some
neighbouring layers is one that they are made for.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from export.families.base import EMBEDDING, EXPERTS, HEAD
from export.plan import Plan
from export.quantize import Format

PARTS, PARTS_OF_LARGE, LARGE = 6, 3, 20e6
"""Stretches of layers; of a model whose layers have many weights fewer, since each group is a pass through them."""
FOUR_BITS, EIGHT_BITS = (128, 64, 32), (128, 32)
"""Sizes of blocks."""
FIRST = (0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Shares of a table whose first rows have 8 bits where the others have 4."""


@dataclass(frozen=True)
class Group:
    """module: a matrix's name below its layer, a pattern for that of all experts; the whole name of a table.

    layers: where it is; empty for a table.
    """

    module: str
    layers: range = range(0)

    @property
    def patterns(self) -> list[str]:
        """The group as a recipe's overrides name it."""
        return [f"model.layers.{index}.{self.module}" for index in self.layers] or [self.module]

    def has(self, name: str) -> bool:
        """Whether a tensor is in it."""
        return any(fnmatchcase(name.removesuffix(".weight"), pattern) for pattern in self.patterns)

    def __str__(self) -> str:
        """For a person."""
        if not self.layers:
            return self.module
        return f"{self.module}, layers {self.layers.start} to {self.layers.stop - 1}"


def groups(plan: Plan) -> list[Group]:
    """All that a plan's matrices are in, the tables first."""
    tables = [EMBEDDING] if plan.sizes.tied_embeddings else [EMBEDDING, HEAD]
    return [*(Group(name.removesuffix(".weight")) for name in tables), *_in_layers(plan)]


def _in_layers(plan: Plan) -> Iterator[Group]:
    weights = sum(math.prod(plan.sizes.shape_of(module)) for module in plan.family.linear)
    parts = PARTS_OF_LARGE if weights > LARGE else PARTS
    ends = [plan.sizes.num_layers * part // parts for part in range(parts + 1)]
    for module in dict.fromkeys(map(_kind, plan.family.linear)):
        for start, stop in itertools.pairwise(ends):
            if start < stop:
                yield Group(module, range(start, stop))


def _kind(module: str) -> str:
    """A module's name, or the pattern of those that are its like: a matrix of all experts is decided on together."""
    return f"{EXPERTS}*.{module.rpartition('.')[2]}" if module.startswith(EXPERTS) else module


def base_of(plan: Plan) -> Format:
    """What everything is measured in."""
    return Format(4, 64, plan.recipe.is_symmetric)


def formats(plan: Plan) -> list[Format]:
    """What a matrix may be stored in, the smallest first; the one that is measured among them."""
    base = base_of(plan)
    return [
        replace(base, bits=bits, block_size=size)
        for bits, blocks in ((4, FOUR_BITS), (8, EIGHT_BITS))
        for size in blocks
    ]


def first_rows(plan: Plan) -> list[int]:
    """How many first rows of a table may have 8 bits where the others have 4."""
    return sorted({int(plan.sizes.vocab_size * share) for share in FIRST})
