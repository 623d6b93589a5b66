"""A plan to a whole bundle in a folder: weights, graphs, texts, what it lost, the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx

from edge.bundle import Calibration
from export import pack, vision
from export.adapters.losses import losses
from export.fixed import making as fixed
from export.graphs import load_skeleton, stamp
from export.plan import Plan
from export.progress import Report
from export.tasks import measuring
from export.tensor_file import TensorFile
from export.verify import check_limits, loses_by_its_cache, verify
from export.vision_graphs import embedding_model, vision_model
from export.warm import warm
from export.weights import write_weights


def make(folder: Path, plan: Plan, report: Report, merged: Mapping[str, Plan] | None = None) -> None:
    """The bundle's files into an empty folder. Raises ExportError, also where it lost more than its recipe allows.

    merged: by the names of adapters that will stay apart, what they would be merged into; each is measured.
    """
    if plan.is_fixed:
        fixed.make(folder, plan, report)
        return
    with TensorFile(folder / pack.WEIGHTS, plan.float_type) as tensors:
        calibration = write_weights(plan, tensors, report)
    fidelity = packed(folder, plan, tensors, calibration, report)
    if loses_by_its_cache(plan, fidelity):
        plan, tensors = plan.with_float_cache(), tensors.with_float_cache()
        fidelity = packed(folder, plan, tensors, calibration, report)
    fidelity |= losses(plan, tensors, folder, merged, report) if merged else {}
    tasks = measuring.measure(plan, tensors, folder, report)
    fidelity |= tasks
    check_limits(plan, fidelity)
    if plan.recipe.warm:
        warm(folder, plan.recipe.warm)
    if plan.recipe.warm or merged or tasks:
        pack.write_manifest(folder, plan, tensors, calibration, fidelity)


def packed(
    folder: Path, plan: Plan, tensors: TensorFile, calibration: Calibration | None, report: Report
) -> dict[str, float]:
    """Everything beside the weights into the folder; what the bundle lost, which is in its manifest then."""
    for name, model in graphs(plan, tensors).items():
        pack.write_graph(folder / name, model)
    pack.write_texts(folder, plan)
    pack.write_manifest(folder, plan, tensors, calibration)
    fidelity = verify(plan, tensors, folder, report)
    pack.write_manifest(folder, plan, tensors, calibration, fidelity)
    return fidelity


def graphs(plan: Plan, tensors: TensorFile) -> dict[str, onnx.ModelProto]:
    """The bundle's graphs by their files' names: the decoder, and what makes it see where it does."""
    skeleton, level, tower = plan.skeleton, plan.recipe.accuracy_level, plan.tower
    decoder = stamp(skeleton, plan.sizes, tensors, level, reads_embeddings=tower is not None)
    if tower is None:
        return {pack.GRAPH: decoder}
    return {
        pack.GRAPH: decoder,
        pack.VISION: vision_model(load_skeleton(vision.SKELETON), tower, tensors, level),
        pack.EMBEDDING: embedding_model(skeleton, plan.sizes, tensors),
    }
