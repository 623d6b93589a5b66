"""Every weight of a plan into the bundle's tensor file, one layer in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from edge.bundle import Calibration
from export.calibrate import Calibrator
from export.calibration_text import calibration_tokens
from export.families.base import EMBEDDING, EXPERTS, HEAD
from export.look import places, sample_cuts, source_tower
from export.mixture import Lazy, as_one
from export.operators import cache_scale, read_together
from export.plan import FIRST_NORM, Plan
from export.progress import Report
from export.quantize import METHODS, Floats, Quantized, quantize
from export.rotary import bundle_rotary_tables
from export.stages import Layer, Stage, Text
from export.tables import Table, stored_or_rounded, write_embedding, write_head
from export.tensor_file import TensorFile
from export.vision import PREFIX, TowerSizes

Looked = tuple[Text, Floats | None]
"""A text, and the features of its picture where it has one."""


def write_weights(plan: Plan, tensors: TensorFile, report: Report) -> Calibration | None:
    """Write every tensor; say what text the quantisation looked at, if it looked at any."""
    tensors.add(FIRST_NORM, plan.first_norm)
    for name, values in bundle_rotary_tables(plan.sizes, plan.recipe.context_length).items():
        tensors.add(name, values)
    for name, values in plan.read_outside().items():
        tensors.add(name, values)
    if plan.tower:
        write_tower(plan, plan.tower, tensors, report)
    if not plan.is_rounded:
        write_floats(plan, tensors, report)
        return None
    looked, calibration = calibration_of(plan)
    table = write_embedding(plan, tensors, [text for text, _ in looked], report)
    calibrator = calibrator_of(plan, looked, table) if looked else None
    matrices = plan.matrices
    for index in range(plan.sizes.num_layers):
        write_layer(plan, tensors, index, calibrator, lambda name: tell(report, matrices, name))
    report("quantise", len(matrices), len(matrices), "")
    write_head(plan, tensors, calibrator)
    return calibration


def write_tower(plan: Plan, tower: TowerSizes, tensors: TensorFile, report: Report) -> None:
    """The picture tower: what it multiplies with as blocks, everything else as it is."""
    for name in tower.others():
        tensors.add(name, plan.source.tensor(name))
    matrices = list(tower.matrices())
    for number, name in enumerate(matrices):
        report("tower", number, len(matrices), name.removeprefix(PREFIX).removesuffix(".weight"))
        if plan.is_rounded:
            tensors.add_matrix(name, stored_or_rounded(plan, name, "rtn"))
        else:
            tensors.add(name, plan.source.tensor(name).T)
    report("tower", len(matrices), len(matrices), "")


def tell(report: Report, matrices: list[str], name: str) -> None:
    """Report the matrix that is rounded now, and how many are."""
    report("quantise", matrices.index(name), len(matrices), name.removeprefix("model.").removesuffix(".weight"))


def write_floats(plan: Plan, tensors: TensorFile, report: Report) -> None:
    """Every matrix in float32, as a MatMul takes it: `[in, out]`."""
    tensors.add(EMBEDDING, plan.source.tensor(EMBEDDING))
    tensors.add(HEAD, plan.source.tensor(EMBEDDING if plan.sizes.tied_embeddings else HEAD).T)
    for index in range(plan.sizes.num_layers):
        report("write", index, plan.sizes.num_layers, f"layer {index}")
        for name in plan.matrices_of(index):
            tensors.add(name, plan.source.tensor(name).T)
        write_vectors(plan, tensors, index, plan.read_vectors(index))


def write_vectors(plan: Plan, tensors: TensorFile, index: int, vectors: dict[str, Floats]) -> None:
    """A layer's norms and biases, and the norm that follows it."""
    for name, tensor in plan.vectors_of(index).items():
        tensors.add(tensor, vectors[name])


def calibration_of(plan: Plan) -> tuple[list[Looked], Calibration | None]:
    """What is calibrated on, and a record of it; nothing where no matrix will look at it."""
    if not plan.is_calibrated:
        return [], None
    tokenizer = plan.tokenizer.files["tokenizer.json"]
    count, context = plan.recipe.calibration_tokens, plan.sizes.context_length
    texts, calibration = calibration_tokens(tokenizer, count, context, plan.recipe.calibration_text)
    looked = [*((Text(tokens), None) for tokens in texts), *_looked(plan)]
    pictures = sum(text.picture is not None for text, _ in looked)
    return looked, calibration.model_copy(update={"pictures": pictures})


def calibrator_of(plan: Plan, looked: list[Looked], table: Table) -> Calibrator:
    """The texts at the first layer's door. table: the bundle's embedding."""
    layer = Layer(plan.skeleton, plan.sizes)
    used = np.unique(np.concatenate([text.tokens.ravel() for text, _ in looked]).clip(0))  # a table is a gigabyte
    looked = [(text.renumbered(used), features) for text, features in looked]
    tables, norm = (plan.source.tensor(EMBEDDING)[used], table.rows(used)), plan.first_norm
    wanted, seen = (
        [layer.enter(text, each, norm, features, plan.read_outside()) for text, features in looked] for each in tables
    )
    return Calibrator(layer, wanted, seen)


def _looked(plan: Plan) -> Iterator[Looked]:
    """Pictures to calibrate on, with what the source's tower makes of them."""
    if plan.tower:
        look = source_tower(plan, plan.tower)
        for cut in sample_cuts(plan.recipe.sample_pictures, plan.recipe.calibration_pictures, 0):
            yield Text(places(cut)[None], cut), look(cut)


def write_layer(
    plan: Plan, tensors: TensorFile, index: int, calibrator: Calibrator | None, tell: Callable[[str], None]
) -> None:
    """One layer: its matrices as blocks, its norms as they are. tell: called with the name of what is rounded next."""
    if calibrator is None:
        for modules in together(plan):
            names = [f"model.layers.{index}.{module}.weight" for module in modules]
            tell(names[0])
            write_together(tensors, {name: stored_or_rounded(plan, name, plan.recipe.method) for name in names})
    else:
        calibrate_layer(plan, tensors, index, calibrator, tell)
        if plan.has_int8_cache:
            write_cache_scales(tensors, index, calibrator)
    write_vectors(plan, tensors, index, plan.read_vectors(index))


def together(plan: Plan) -> Iterator[tuple[str, ...]]:
    """A layer's matrices by their module names, those together that multiply the same values."""
    skeleton = plan.skeleton
    yield from read_together(skeleton["layer"])
    for number in range(plan.sizes.num_experts):
        for parts in read_together(skeleton["expert"]):
            yield tuple(f"{EXPERTS}{number}.{part}" for part in parts)


def calibrate_layer(
    plan: Plan, tensors: TensorFile, index: int, calibrator: Calibrator, tell: Callable[[str], None]
) -> None:
    """Stage by stage: round what the stage multiplies with, then take the texts through it."""
    vectors = plan.read_vectors(index)
    for stage in calibrator.layer.stages(index):
        if stage.routing:
            calibrate_experts(plan, tensors, index, calibrator, stage, tell)
            continue
        names = [f"model.layers.{index}.{module}.weight" for module in stage.modules]
        tell(names[0])
        source, blocks = fitted(plan, tensors, calibrator, stage, names)
        rounded = {name: each.dequantized().T.copy() for name, each in blocks.items()}
        calibrator.advance(stage, *({**stage.own(weights), **vectors} for weights in (source, rounded)))


def fitted(
    plan: Plan, tensors: TensorFile, calibrator: Calibrator, stage: Stage, names: list[str]
) -> tuple[dict[str, Floats], dict[str, Quantized]]:
    """A stage's matrices `[in, out]` as the source has them, and as they are written: kept, or fitted to the texts."""
    source = {name: plan.source.tensor(name).T.copy() for name in names}
    kept = {name: its for name in names if plan.is_kept(name) and (its := plan.source.stored_blocks(name))}
    rounded = rounded_stage(plan, calibrator, stage, {n: w for n, w in source.items() if n not in kept})
    blocks = {name: {**kept, **rounded}[name] for name in names}
    write_together(tensors, blocks)
    return source, blocks


def calibrate_experts(
    plan: Plan, tensors: TensorFile, index: int, calibrator: Calibrator, stage: Stage, tell: Callable[[str], None]
) -> None:
    """The experts one after the other, each fitted to the tokens that reach it; then the texts through all of them."""
    prefix = f"model.layers.{index}."
    rounded: dict[str, Quantized] = {}
    for number in range(plan.sizes.num_experts):
        reached = calibrator.reaching(stage, number)
        for inner in reached.layer.stages(0):
            names = [f"{prefix}{EXPERTS}{number}.{module}.weight" for module in inner.modules]
            tell(names[0])
            source, blocks = fitted(plan, tensors, reached, inner, names)
            back = {name: each.dequantized().T.copy() for name, each in blocks.items()}
            reached.advance(inner, inner.own(source), inner.own(back))
            rounded |= blocks
    names_of = {name.removeprefix(prefix): name for name in rounded}
    vectors = plan.read_vectors(index)
    reads = (lambda name: plan.source.tensor(name).T.copy(), lambda name: rounded[name].dequantized().T.copy())
    calibrator.advance(stage, *(as_one(vectors, Lazy(names_of, read)) for read in reads))


def write_together(tensors: TensorFile, matrices: dict[str, Quantized]) -> None:
    """Matrices that multiply the same values, those of one format as one: a product less for the engine each."""
    for form in dict.fromkeys(each.format for each in matrices.values()):
        tensors.add_joined({name: each for name, each in matrices.items() if each.format == form})


def write_cache_scales(tensors: TensorFile, index: int, calibrator: Calibrator) -> None:
    """The steps of a layer's keys and values, named after the cache that they are of."""
    for part, scales in zip(("key", "value"), calibrator.cache_scales(), strict=True):
        tensors.add(cache_scale(index, part), scales)


def rounded_stage(plan: Plan, calibrator: Calibrator, stage: Stage, weights: dict[str, Floats]) -> dict[str, Quantized]:
    """A stage's matrices `[in, out]`, fitted to what the calibration texts show of it; by their tensors' names."""
    if not weights:
        return {}
    method = METHODS[plan.recipe.method]
    if not method.is_calibrated:
        return {name: quantize(weight, plan.format_of(name), method) for name, weight in weights.items()}
    together = np.concatenate(list(weights.values()), axis=1) if method.feeds_back else None
    moments = calibrator.moments(stage, together)
    feedback = moments.feedback(keeps=False)
    if together is not None:
        together = moments.corrected(together, feedback)
        ends = np.cumsum([weight.shape[1] for weight in weights.values()])[:-1]
        weights = dict(zip(weights, np.split(together, ends, axis=1), strict=True))
    return {name: quantize(weight, plan.format_of(name), method, feedback) for name, weight in weights.items()}
