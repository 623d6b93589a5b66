"""A finished bundle with adapters beside its weights: decoder, weights and texts stay as they are, to the byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import onnx

from edge.bundle import ADAPTER_GRAPH, ADAPTERS, ADOPTED, GRAPH, TOGETHER_GRAPH, Adapter, Manifest, hash_file
from edge.engine.providers import row_of
from export.adapters.branches import DOWN, PART_RANKS, PARTS_MAX, UP, Product, products, with_branches
from export.adapters.stacking import Stack
from export.errors import SourceError, UnsupportedError
from export.source.chat import chat_template_of
from export.source.shards import tensor_shape, tensors_of, write_tensors

GRAPH_BYTES, TOGETHER_BYTES = 16 << 20, 64 << 20
"""What one more graph takes, without weights (measured: 14 MiB), and the matrices of several adapters as one."""
OWN_GRAPHS_MAX = 3
"""Of adapters that do not change all that some adapter does; further ones share the graph that has branches for all."""
Parts = Mapping[Product, int]
"""Products with branches, and of how many parts D is."""


def write_adapters(folder: Path, manifest: Manifest, adapters: Mapping[str, Path]) -> dict[str, Any]:
    """Put adapters into a bundle's folder that nobody reads yet; what changes in its manifest, its files aside.

    adapters: PEFT's folders by the names that requests choose them by. One of a name that is there is replaced.
    Raises SourceError and UnsupportedError for an adapter that does not fit, or that a sum does not carry.
    """
    if not row_of(manifest.provider).is_batched:
        raise UnsupportedError(f"a bundle for {manifest.provider} takes no adapters that stay apart: merge them")
    if manifest.origin.revision == ADOPTED:
        raise UnsupportedError("a bundle that another program made takes no adapters: export the model from its source")
    model = onnx.load(folder / GRAPH, load_external_data=False)
    found = products(model.graph)
    (folder / ADAPTERS).mkdir(exist_ok=True)
    made = {each.name: each for each in manifest.adapters}
    for name, source in adapters.items():
        made[name] = _written(folder, name, source, found, manifest)
    made, own = _with_graphs(folder, made, found)
    graphs = {file: with_branches(model, parts) for file, parts in own.items()}
    graphs[TOGETHER_GRAPH] = with_branches(model, _of_all(folder, made, found), differ=True)
    for each in manifest.adapters:
        (folder / each.graph).unlink(missing_ok=True)  # one that nobody has any more
    for file, graph in graphs.items():
        (folder / file).write_bytes(graph.SerializeToString(deterministic=True))
    listed = [made[name] for name in sorted(made)]
    sizes = {each.file: (folder / each.file).stat().st_size for each in listed}
    before = {name: file.size_bytes for name, file in manifest.files.items()}
    floor = manifest.memory_floor_bytes - _taken(manifest.adapters, before)
    return {"adapters": listed, "memory_floor_bytes": floor + _taken(listed, sizes)}


def _taken(adapters: Sequence[Adapter], sizes: Mapping[str, int]) -> int:
    """Bytes of memory for adapters of these files' sizes."""
    graphs = {ADAPTER_GRAPH, TOGETHER_GRAPH, *(each.graph for each in adapters)}
    return sum(sizes[each.file] for each in adapters) + (len(graphs) * GRAPH_BYTES + TOGETHER_BYTES if adapters else 0)


def files_of(changes: Mapping[str, Any]) -> list[str]:
    """The files that `write_adapters` has written or kept, by their places in the bundle."""
    adapters: Sequence[Adapter] = changes.get("adapters", ())
    graphs = {ADAPTER_GRAPH, TOGETHER_GRAPH, *(each.graph for each in adapters)}
    return [*sorted(graphs), *(each.file for each in adapters)] if adapters else []


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


def _with_graphs(
    folder: Path, made: Mapping[str, Adapter], found: list[Product]
) -> tuple[dict[str, Adapter], dict[str, Parts]]:
    """The adapters, each with the name of the graph that it is fed to, and by their names the graphs' branches.

    An adapter pays for every branch that its graph has. One graph has those of all, for boards that keep no packed
    weights: with these a further graph takes little memory, without them the weights once more.
    """
    wanted = {name: _parts_of(folder / each.file) for name, each in made.items()}
    union: Counter[str] = reduce(or_, wanted.values(), Counter())
    names = {_key(union): ADAPTER_GRAPH}
    for name in sorted(wanted):
        if len(names) <= OWN_GRAPHS_MAX:
            names.setdefault(_key(wanted[name]), f"adapters-{len(names)}.onnx")
    named = {
        name: each.model_copy(update={"graph": names.get(_key(wanted[name]), ADAPTER_GRAPH)})
        for name, each in made.items()
    }
    return named, {file: _by_product(dict(key), found) for key, file in names.items()}


def _key(parts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(parts.items()))


def _parts_of(file: Path) -> Counter[str]:
    """By the products that an adapter changes, of how many parts D is."""
    return Counter(name.partition(DOWN)[0] for name in tensors_of([file]) if DOWN in name)


def _of_all(folder: Path, made: Mapping[str, Adapter], found: list[Product]) -> Parts:
    """The same for all adapters side by side."""
    ranks: Counter[str] = Counter()
    for each in made.values():
        file = folder / each.file
        names = [name for name in tensors_of([file]) if name.endswith(UP)]
        ranks.update({name.removesuffix(UP): tensor_shape(file, name)[0] for name in names})
    return _by_product({name: min(PARTS_MAX, -(-rank // PART_RANKS)) for name, rank in ranks.items()}, found)


def _by_product(parts: Mapping[str, int], found: list[Product]) -> Parts:
    return {each: parts[each.name] for each in found if each.name in parts}
