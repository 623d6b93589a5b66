"""What a bundle loses with each of its adapters: beside the source that the adapter is merged into, in floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx

from edge.bundle import GRAPH
from export.adapters.branches import DOWN, UP, products, with_branches
from export.adapters.stacking import Stack
from export.fidelity import Comparison, compare
from export.forward import BundleForward, Feeds, SourceForward
from export.oracle import Oracle, adapter_of
from export.plan import Plan
from export.progress import Report
from export.report import SOURCE, write_adapters
from export.stages import Layer
from export.tensor_file import TensorFile
from export.verify import TEXT, texts

TEXTS = 4
"""Of the evaluation's texts: every adapter reads all of the source once more."""


def losses(
    plan: Plan, tensors: TensorFile, folder: Path, merged: Mapping[str, Plan], report: Report
) -> dict[str, float]:
    """Measure each adapter into the report of a new bundle; figures for its manifest, none where it was not measured.

    merged: by the adapters' names, the plans of the source with each merged.
    """
    samples = texts(plan)[:TEXTS]
    if not samples:
        return {}
    skeleton, found = plan.skeleton, {}
    decoder = onnx.load(folder / GRAPH, load_external_data=False).graph
    for name, its in merged.items():
        source, adapter = SourceForward(its, Layer(skeleton, plan.sizes)), adapter_of(its.source)
        assert adapter
        feeds = Stack(adapter, products(decoder), plan.family.name).tensors()
        level = plan.recipe.accuracy_level if plan.is_rounded else 0
        bundle = AdaptedForward(feeds, plan, skeleton, tensors, folder, level)
        oracle = Oracle(its.source) if plan.recipe.oracle else None
        compared = compare(source, [bundle], samples, plan.sizes.num_layers, report, oracle)
        found[name] = dict(zip(("beside its base", SOURCE), compared, strict=False))
    write_adapters(folder, found)
    return {key: value for name, each in found.items() for key, value in _figures(name, each).items()}


def _figures(name: str, found: Mapping[str, Comparison]) -> dict[str, float]:
    told = asdict(next(iter(found.values())).losses[TEXT])
    return {f"adapter_{name}_{key}": float(f"{told[key]:.6g}") for key in ("kl_mean", "top1_agreement")}


class AdaptedForward(BundleForward):
    """The bundle's operators with the branches of one adapter. feeds: by the branches' inputs, as it is packed."""

    def __init__(self, feeds: Feeds, *bundle: Any) -> None:
        super().__init__(*bundle)
        self._feeds = feeds

    def layer_graph(self, index: int) -> tuple[onnx.ModelProto, Feeds]:
        """A layer with its branches, and what these are fed with."""
        model, _ = super().layer_graph(index)
        feeds: dict[str, Any] = {}
        parts = {}
        for product in products(model.graph):
            its = {name: values for name, values in self._feeds.items() if name.partition(".lora_")[0] == product.name}
            if its:
                parts[product] = sum(DOWN in name for name in its)
                feeds |= its
        branched = with_branches(model, parts)
        kept = [each for each in branched.graph.initializer if DOWN not in each.name and UP not in each.name]
        del branched.graph.initializer[:]
        branched.graph.initializer.extend(kept)
        return branched, feeds
