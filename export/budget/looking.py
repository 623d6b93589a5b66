"""A layer's matrices as the source has them, with the moments of what they read there."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from export.calibrate import Calibrator, SourceCalibrator
from export.families.base import EXPERTS
from export.mixture import Lazy, as_one
from export.plan import Plan
from export.quantize import Feedback, Floats
from export.stages import Stage


@dataclass(frozen=True)
class Seen:
    """A matrix by its tensor's name, float32 `[K, N]`, and the factors of its inputs' moments."""

    name: str
    weight: Floats
    feedback: Feedback


def look(plan: Plan, index: int, calibrator: SourceCalibrator) -> Iterator[Seen]:
    """The matrices of a layer one after the other; behind the last one the texts have passed it."""
    prefix, vectors = f"model.layers.{index}.", plan.read_vectors(index)
    for stage in calibrator.layer.stages(index):
        if stage.routing:
            yield from _experts(plan, prefix, calibrator, stage)
            own = Lazy(_of_experts(plan, prefix), lambda name: plan.source.tensor(name).T.copy())
            calibrator.pass_on(stage, as_one(vectors, own))
        else:
            weights = yield from _stage(plan, prefix, calibrator, stage)
            calibrator.pass_on(stage, {**stage.own(weights), **vectors})


def _stage(plan: Plan, prefix: str, calibrator: Calibrator, stage: Stage) -> Generator[Seen, None, dict[str, Floats]]:
    """What multiplies one value; the weights come back by their tensors' names."""
    feedback = calibrator.moments(stage).feedback(keeps=False)
    weights = {}
    for module in stage.modules:
        name = f"{prefix}{module}.weight"
        weights[name] = plan.source.tensor(name).T.copy()
        yield Seen(name, weights[name], feedback)
    return weights


def _experts(plan: Plan, prefix: str, calibrator: Calibrator, stage: Stage) -> Iterator[Seen]:
    for number in range(plan.sizes.num_experts):
        reached = calibrator.reaching(stage, number)
        for inner in reached.layer.stages(0):
            weights = yield from _stage(plan, f"{prefix}{EXPERTS}{number}.", reached, inner)
            reached.advance(inner, inner.own(weights), inner.own(weights))


def _of_experts(plan: Plan, prefix: str) -> dict[str, str]:
    modules = [module for module in plan.family.linear if module.startswith(EXPERTS)]
    return {f"{module}.weight": f"{prefix}{module}.weight" for module in modules}
