"""A finished bundle with adapters beside its weights: decoder, weights and texts stay as they are, to the byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from edge.bundle import ADAPTER_GRAPH, ADAPTERS, GRAPH, Adapter, Manifest, hash_file
from export.adapters.branches import DOWN, Product, products, with_branches
from export.adapters.stacking import Stack
from export.errors import SourceError, UnsupportedError
from export.source.chat import chat_template_of
from export.source.shards import tensors_of, write_tensors


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
    wanted = _wanted(folder, made, found)
    (folder / ADAPTER_GRAPH).write_bytes(with_branches(model, wanted).SerializeToString(deterministic=True))
    before = sum(manifest.files[each.file].size_bytes for each in manifest.adapters)
    taken = sum((folder / each.file).stat().st_size for each in made.values())
    floor = manifest.memory_floor_bytes - before + taken
    return {"adapters": [made[name] for name in sorted(made)], "memory_floor_bytes": floor}


def files_of(changes: Mapping[str, Any]) -> list[str]:
    """The files that `write_adapters` has written or kept, by their places in the bundle."""
    return [ADAPTER_GRAPH, *(each.file for each in changes["adapters"])] if changes.get("adapters") else []


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


def _wanted(folder: Path, made: Mapping[str, Adapter], found: list[Product]) -> dict[Product, int]:
    """The products that some adapter changes, and in how many parts at the most."""
    changed = {name for each in made.values() for name in tensors_of([folder / each.file])}
    parts = Counter(name.partition(DOWN)[0] for name in changed if DOWN in name)
    return {each: parts[each.name] for each in found if each.name in parts}
