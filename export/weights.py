"""Every weight of a plan into the bundle's tensor file, one layer in memory at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Calibration
from export.calibrate import Calibrator
from export.calibration_text import calibration_tokens
from export.graphs import TensorFile, load_skeleton, rotary_tables
from export.plan import HEAD, Plan
from export.quantize import Quantized, error_spread, gptq, round_to_nearest

Floats = NDArray[np.float32]
Layer = dict[str, Quantized]
Report = Callable[[str, int, int], None]
"""Called with the stage's name, the steps done and the steps there are."""

EMBEDDING = "model.embed_tokens.weight"
FIRST_NORM = "model.layers.0.input_layernorm.weight"


def write_weights(plan: Plan, tensors: TensorFile, report: Report) -> Calibration | None:
    """Write every tensor; say what text the quantisation looked at, if it looked at any."""
    write_tables(plan, tensors)
    calibrator, calibration = start_calibration(plan)
    count = plan.sizes.num_layers
    for index in range(count):
        report("quantise", index, count)
        write_layer(plan, tensors, index, calibrator)
    report("quantise", count, count)
    return calibration


def write_tables(plan: Plan, tensors: TensorFile) -> None:
    """The embedding, the head where it has weights of its own, the first norm and the rotary tables."""
    for name in [EMBEDDING] if plan.sizes.tied_embeddings else [EMBEDDING, HEAD]:
        tensors.add_matrix(name, stored_or_nearest(plan, name))
    tensors.add(FIRST_NORM, plan.source.tensor(FIRST_NORM))
    tables = rotary_tables(plan.sizes, plan.recipe.context_length)
    for name, table in zip(("cos_cache", "sin_cache"), tables, strict=True):
        tensors.add(name, table)


def stored_or_nearest(plan: Plan, name: str) -> Quantized:
    """A table in the blocks it is stored in, else every weight to its nearest code."""
    kept = plan.source.stored_blocks(name) if plan.is_kept(name) else None
    return kept or round_to_nearest(plan.source.tensor(name), plan.recipe.table_format)


def start_calibration(plan: Plan) -> tuple[Calibrator | None, Calibration | None]:
    """The texts at the first layer's door, and a record of them; neither where no matrix will look at them."""
    if plan.recipe.method != "gptq" or all(map(plan.is_kept, plan.matrices)):
        return None, None
    tokenizer = plan.source.tokenizer_files["tokenizer.json"]
    count, context = plan.recipe.calibration_tokens, plan.sizes.context_length
    texts, calibration = calibration_tokens(tokenizer, count, context)
    calibrator = Calibrator(plan.family, plan.sizes, load_skeleton(plan.family.name))
    calibrator.enter(texts, plan.source.tensor(EMBEDDING), plan.source.tensor(FIRST_NORM))
    return calibrator, calibration


def write_layer(plan: Plan, tensors: TensorFile, index: int, calibrator: Calibrator | None) -> None:
    """One layer: its matrices as blocks, its norms as they are; the calibration texts move on through it."""
    prefix = f"model.layers.{index}"
    norms = layer_norms(plan, index)
    layer = quantize_layer(plan, index, norms, calibrator)
    for module, matrix in layer.items():
        tensors.add_matrix(f"{prefix}.{module}.weight", matrix)
    tensors.add(f"{prefix}.post_attention_layernorm.weight", norms["post_attention_layernorm.weight"])
    tensors.add(next_norm(plan, index), norms["next_layernorm.weight"])
    if calibrator:
        calibrator.advance(inputs_of({module: matrix.dequantized() for module, matrix in layer.items()}, norms))


def quantize_layer(plan: Plan, index: int, norms: dict[str, Floats], calibrator: Calibrator | None) -> Layer:
    """Every matrix of a layer: as stored, by GPTQ on what it reads, or to nearest where nothing is calibrated."""
    kept, floats = read_layer(plan, index)
    formats = {module: plan.recipe.format_of(module) for module in floats}
    if calibrator is None or not floats:
        rounded = {module: round_to_nearest(matrix, formats[module]) for module, matrix in floats.items()}
    else:
        known = floats | {module: matrix.dequantized() for module, matrix in kept.items()}
        spreads = error_spreads(plan, calibrator, inputs_of(known, norms))
        rounded = {module: gptq(matrix, spreads[module], formats[module]) for module, matrix in floats.items()}
    return {module: kept.get(module) or rounded[module] for module in plan.family.linear}


def read_layer(plan: Plan, index: int) -> tuple[Layer, dict[str, Floats]]:
    """A layer's matrices by module name: those kept in their blocks, and the others as floats."""
    kept, floats = Layer(), dict[str, Floats]()
    for module, name in zip(plan.family.linear, plan.matrices_of(index), strict=True):
        blocks = plan.source.stored_blocks(name) if plan.is_kept(name) else None
        if blocks:
            kept[module] = blocks
        else:
            floats[module] = plan.source.tensor(name)
    return kept, floats


def error_spreads(plan: Plan, calibrator: Calibrator, weights: dict[str, Floats]) -> dict[str, Floats]:
    """What `gptq` needs for each module of a layer; modules that read the same value share it."""
    moments = calibrator.moments(weights)
    spreads = {value: error_spread(sums, plan.recipe.block_size) for value, sums in moments.items()}
    return {module: spreads[calibrator.reads[f"{module}.weight"]] for module in plan.family.linear}


def next_norm(plan: Plan, index: int) -> str:
    """The norm that closes a layer: the next one's first, or the model's last."""
    last = index + 1 == plan.sizes.num_layers
    return "model.norm.weight" if last else f"model.layers.{index + 1}.input_layernorm.weight"


def layer_norms(plan: Plan, index: int) -> dict[str, Floats]:
    """The two norms of a stamped layer, by their names in the skeleton."""
    return {
        "post_attention_layernorm.weight": plan.source.tensor(f"model.layers.{index}.post_attention_layernorm.weight"),
        "next_layernorm.weight": plan.source.tensor(next_norm(plan, index)),
    }


def inputs_of(matrices: dict[str, Floats], norms: dict[str, Floats]) -> dict[str, Floats]:
    """Weights as the skeleton's MatMuls take them: `[in, out]`."""
    return {f"{module}.weight": np.ascontiguousarray(matrix.T) for module, matrix in matrices.items()} | norms
