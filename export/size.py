"""How many bytes a plan's weights take in their file, before any is made."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator

from export.families.base import EMBEDDING, HEAD, ROUTER
from export.plan import Plan
from export.quantize import Format
from export.rotary import bundle_rotary_tables
from export.tables import first_format
from export.tensor_file import aligned
from export.weights import together

CACHE_SCALE_BYTES = 4
TABLES = (EMBEDDING, HEAD)


def weights_bytes(plan: Plan) -> int:
    """What a budget says, where there is one; else as they will be: to the byte where they are in blocks.

    In floats, and for providers of fixed shapes, without rotary tables and the gaps between tensors.
    """
    if plan.recipe.weights_bytes:
        return plan.recipe.weights_bytes
    if not plan.is_rounded:
        return sum(4 * math.prod(shape) for shape in plan.shapes.values())
    if plan.is_fixed:
        return sum(_whole(plan, name, shape) for name, shape in {HEAD: plan.shapes[EMBEDDING], **plan.shapes}.items())
    end = 0
    for size in _tensors(plan):
        end = aligned(end, size) + size
    return end


def _whole(plan: Plan, name: str, shape: tuple[int, ...]) -> int:
    if len(shape) != 2 or name.endswith(ROUTER):
        return plan.float_bytes * math.prod(shape)
    return plan.format_of(name).bytes_of(shape[0], shape[1], plan.float_bytes)


def _tensors(plan: Plan) -> Iterator[int]:
    """The bytes of each tensor, in the order of `export/weights.py`."""
    sizes, width = plan.sizes, plan.float_bytes
    yield width * sizes.hidden_size
    yield from (width * table.size for table in bundle_rotary_tables(sizes, plan.recipe.context_length).values())
    yield from (width * sizes.outside_size(name) for name in plan.family.outside)
    if plan.tower:
        yield from (width * math.prod(shape) for shape in plan.tower.others().values())
        yield from (size for name in plan.tower.matrices() for size in _matrices(plan, [name]))
    yield from _matrices(plan, [EMBEDDING])
    for index in range(sizes.num_layers):
        yield from _layer(plan, index)
    if not sizes.tied_embeddings:
        yield from _matrices(plan, [HEAD])


def _layer(plan: Plan, index: int) -> Iterator[int]:
    for modules in together(plan):
        yield from _matrices(plan, [f"model.layers.{index}.{module}.weight" for module in modules])
    if plan.has_int8_cache:
        yield from [CACHE_SCALE_BYTES * plan.sizes.num_kv_heads * plan.sizes.head_size] * 2
    yield from (plan.float_bytes * math.prod(plan.shapes[name]) for name in plan.vectors_of(index).values())


def _matrices(plan: Plan, names: Iterable[str]) -> Iterator[int]:
    """Those that multiply the same values; of one format they are one."""
    rows: Counter[Format] = Counter()
    columns = 0
    for name in names:
        count, columns = plan.shapes[name]
        first = plan.recipe.first_rows(name) if name in TABLES else 0
        if first:
            rows[first_format(plan.format_of(name))] = first
        rows[plan.format_of(name)] += count - first
    for form, count in rows.items():
        yield from form.parts_of(count, columns, plan.float_bytes)
