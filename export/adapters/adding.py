"""A finished bundle with adapters beside its weights: decoder, weights and texts stay as they are, to the byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from edge.bundle import ADAPTER_GRAPH, ADAPTERS, GRAPH, TOGETHER_GRAPH, Adapter, Manifest, hash_file
from export.adapters.branches import DOWN, PART_RANKS, PARTS_MAX, UP, Product, products, with_branches
from export.adapters.stacking import Stack
from export.errors import SourceError, UnsupportedError
from export.source.chat import chat_template_of
from export.source.shards import tensor_shape, tensors_of, write_tensors

GRAPHS_BYTES = 2 * (16 << 20) + (64 << 20)
"""What two more graphs take, without weights (measured: 14 MiB), and the matrices of several adapters as one."""


def write_adapters(folder: Path, manifest: Manifest, adapters: Mapping[str, Path]) -> dict[str, Any]:
    """Put adapters into a bundle's folder that nobody reads yet; what changes in its manifest, its files aside.

    adapters: PEFT's folders by the names that requests choose them by. One of a name that is there is replaced.
    Raises SourceError and UnsupportedError for an adapter that does not fit, or that a sum does not carry.
    """
    if manifest.provider != "cpu":
        raise UnsupportedError(f"a bundle for {manifest.provider} takes no adapters that stay apart: merge them")
    model = onnx.load(folder / GRAPH, load_external_data=False)
    found = products(model.graph)
    (folder / ADAPTERS).mkdir(exist_ok=True)
    made = {each.name: each for each in manifest.adapters}
    for name, source in adapters.items():
        made[name] = _written(folder, name, source, found, manifest)
    one, several = _wanted(folder, made, found)
    graphs = {ADAPTER_GRAPH: with_branches(model, one), TOGETHER_GRAPH: with_branches(model, several, differ=True)}
    for file, graph in graphs.items():
        (folder / file).write_bytes(graph.SerializeToString(deterministic=True))
    before = sum(manifest.files[each.file].size_bytes for each in manifest.adapters)
    taken = sum((folder / each.file).stat().st_size for each in made.values())
    floor = manifest.memory_floor_bytes - before + taken + (0 if manifest.adapters else GRAPHS_BYTES)
    return {"adapters": [made[name] for name in sorted(made)], "memory_floor_bytes": floor}


def files_of(changes: Mapping[str, Any]) -> list[str]:
    """The files that `write_adapters` has written or kept, by their places in the bundle."""
    return (
        [ADAPTER_GRAPH, TOGETHER_GRAPH, *(each.file for each in changes["adapters"])] if changes.get("adapters") else []
    )


def _written(folder: Path, name: str, source: Path, found: list[Product], manifest: Manifest) -> Adapter:
    """One adapter's file, and what the manifest says of it."""
    template = chat_template_of(source)
    if template and template.strip() != manifest.chat_template.strip():
        raise SourceError(
            f"{source} has another chat template than the bundle, which its requests would not be written by;"
            " remove it if the adapter was trained with the base's, else merge the adapter"
        )
    stack = Stack(source, found, manifest.family)
    adapter = Adapter(
        name=name, rank=stack.rank, alpha=stack.config.alpha, targets=stack.targets, source=hash_file(stack.file)
    )
    write_tensors(folder / adapter.file, stack.tensors())
    return adapter


def _wanted(
    folder: Path, made: Mapping[str, Adapter], found: list[Product]
) -> tuple[dict[Product, int], dict[Product, int]]:
    """The products that some adapter changes, with how many parts one of them has, and all of them together."""
    one: Counter[str] = Counter()
    ranks: Counter[str] = Counter()
    for each in made.values():
        file = folder / each.file
        names = tensors_of([file])
        one |= Counter(name.partition(DOWN)[0] for name in names if DOWN in name)
        ranks.update({name.removesuffix(UP): tensor_shape(file, name)[0] for name in names if name.endswith(UP)})
    several = {name: min(PARTS_MAX, -(-rank // PART_RANKS)) for name, rank in ranks.items()}
    changed = [each for each in found if each.name in one]
    return {each: one[each.name] for each in changed}, {each: several[each.name] for each in changed}
