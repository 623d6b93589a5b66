"""What an export will need, from the model's sizes and the recipe alone: disk, memory, time."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.board.disk import free_bytes
from edge.board.memory import available_bytes
from export.budget.groups import FIRST, groups
from export.budget.measuring import MEASURED_TOKENS
from export.families.base import CHOSEN, EMBEDDING, EXPERTS, Dimensions
from export.pack import RUNTIME_BYTES, beside_weights_bytes
from export.plan import Plan
from export.quantize.descent import SWEEPS
from export.quantize.feedback import FACTORED_WHOLE
from export.size import weights_bytes
from export.tables import is_head_fitted_first

BASE_BYTES = 600 << 20
"""Interpreter, libraries, sessions and their arenas (measured)."""
BUNDLE_FACTOR = 1.1
"""A bundle against its weights: tokenizer, graph, report."""
QUESTION_TOKENS = 60
"""Of a task question, its turns and its answer (measured with a vocabulary of 49,152; larger ones need fewer)."""
ENGINE_SECONDS = 6.0
"""To start the engine and ask the golden prompts, a small model's at least."""


@dataclass(frozen=True)
class Needs:
    """bundle_bytes: on disk, beside the source. memory_bytes: at the peak. seconds: on this machine."""

    bundle_bytes: int
    memory_bytes: int
    seconds: float

    def text(self) -> str:
        """A line for a person."""
        minutes = f"{self.seconds / 60:.0f} min" if self.seconds > 90 else f"{self.seconds:.0f} s"
        return (
            f"about {self.bundle_bytes / 1e6:.0f} MB of disk for the bundle,"
            f" {self.memory_bytes / 2**30:.1f} GiB of memory, {minutes} on this machine"
        )


def needs(plan: Plan) -> Needs:
    """The estimate for a plan; nothing but sizes and the recipe is looked at."""
    copies = 3 if plan.recipe.soc else 1  # the weights, and those of both graphs that are compiled
    return Needs(
        bundle_bytes=int(weights_bytes(plan) * BUNDLE_FACTOR) * copies,
        memory_bytes=BASE_BYTES + max(part(plan) for part in PARTS),
        seconds=ENGINE_SECONDS + _operations(plan) / _operations_per_second(),
    )


@dataclass(frozen=True)
class Room:
    """What is free: on the disk of the target, and in memory."""

    disk_bytes: int
    memory_bytes: int


def room(target: Path) -> Room:
    """What is free now; OSError where the target's disk cannot be asked."""
    return Room(free_bytes(target), available_bytes(Path("/")) or sys.maxsize)


def as_fields(plan: Plan, wanted: Needs, have: Room) -> dict[str, Any]:
    """An estimate for programs: what the bundle will be, what making it takes, what there is.

    floor_bytes: memory that a board will need to serve it, as its manifest will say.
    """
    return {
        "name": plan.name,
        "licence": plan.recipe.licence,
        "context_length": plan.recipe.context_length,
        "bundle_bytes": wanted.bundle_bytes,
        "floor_bytes": weights_bytes(plan) + beside_weights_bytes(plan),
        "memory_bytes": wanted.memory_bytes,
        "seconds": round(wanted.seconds, 1),
        "disk_free_bytes": have.disk_bytes,
        "memory_available_bytes": have.memory_bytes,
    }


def _table_bytes(plan: Plan) -> int:
    """A table in float32, its codes, and those as they are packed."""
    rows, columns = plan.shapes[EMBEDDING]
    return rows * columns * (4 + 1 + 2)


def _layer_bytes(plan: Plan) -> int:
    """The largest stage of a layer while its matrices are rounded."""
    shapes = [plan.sizes.shape_of(module) for module in plan.family.linear]
    if not plan.is_calibrated:
        return max(rows * columns for rows, columns in shapes) * (2 + 4 + 4 + 2)
    width = max(columns for _, columns in shapes)
    copies = 1 if width > FACTORED_WHOLE else 3  # a wide one is factored where it lies, else with NumPy's copies
    moments = width * width * (4 + copies * 8 + 4)
    weights = max(rows * columns for rows, columns in shapes) * 4 * 7
    codes = _weights_of_experts(plan) * 5 // 4  # rounded, a byte each and their steps, until the texts have passed
    return moments + weights + codes + _whole_bytes(plan) + _text_bytes(plan, 2 * plan.recipe.calibration_tokens)


def _weigh_bytes(plan: Plan) -> int:
    """Where formats are chosen for a budget: the layer as it is rounded and whole, a table, every group's texts."""
    if not plan.recipe.weights_bytes:
        return 0
    layer = sum(math.prod(plan.sizes.shape_of(module)) for module in plan.family.linear)
    streams = len(groups(plan)) + 2 * len(FIRST)
    texts = streams * MEASURED_TOKENS * 2 * 4 * plan.sizes.hidden_size
    return _layer_bytes(plan) + 4 * _weights_at_once(plan) + layer * 5 // 4 + _table_bytes(plan) + texts


def _whole_bytes(plan: Plan) -> int:
    """The largest tensor that parts are taken from by their rows, where a source is seen so."""
    rows, columns = plan.sizes.shape_of("mlp.up_proj")
    return 2 * rows * columns * 4 if plan.family.regroups else 0


def _weights_of_experts(plan: Plan) -> int:
    """Those of a layer; 0 where it has none."""
    return sum(math.prod(plan.sizes.shape_of(module)) for module in plan.family.linear if module.startswith(EXPERTS))


def _weights_at_once(plan: Plan) -> int:
    """Those of a layer that are in memory in floats together: all but experts, of which there is one, and a copy."""
    experts = _weights_of_experts(plan)
    whole = sum(math.prod(plan.sizes.shape_of(module)) for module in plan.family.linear)
    return whole - experts + 2 * experts // max(1, plan.sizes.num_experts)


def _weights_used(plan: Plan) -> float:
    """Those of a layer that a token is multiplied with."""
    experts = _weights_of_experts(plan)
    whole = sum(math.prod(plan.sizes.shape_of(module)) for module in plan.family.linear)
    return whole - experts + experts * CHOSEN / max(1, plan.sizes.num_experts)


def _text_bytes(plan: Plan, tokens: int) -> int:
    """Texts within a layer: what the MLP multiplies, and the residual."""
    return tokens * 4 * (plan.sizes.intermediate_size + 2 * plan.sizes.hidden_size)


def _verify_bytes(plan: Plan) -> int:
    """A layer in float32, as it is stored and as the operators pack it, the texts of three models, logits."""
    layer = sum(math.prod(plan.sizes.shape_of(module)) for module in plan.family.linear)
    logits = 256 * plan.sizes.vocab_size * 8 * 4
    return (
        4 * _weights_at_once(plan)
        + 2 * layer
        + _text_bytes(plan, max(3 * plan.recipe.evaluation_tokens, QUESTION_TOKENS * plan.recipe.task_questions))
        + logits
        + _oracle_bytes(plan)
    )


def _oracle_bytes(plan: Plan) -> int:
    """The whole model in Transformers, where it is asked: its floats, and those of a GGUF file twice while it loads."""
    copies = 2 if plan.source.path.suffix == ".gguf" else 1
    floats = sum(4 * math.prod(shape) for shape in plan.shapes.values())
    return copies * floats if plan.recipe.oracle else 0


def _engine_bytes(plan: Plan) -> int:
    """The engine that is asked the golden prompts: the weights, packed, and what it takes beside them (measured).

    Of a pair of graphs each has them.
    """
    return int(weights_bytes(plan) * (2.4 if plan.is_fixed else 1.2)) + RUNTIME_BYTES


PARTS = (_table_bytes, _layer_bytes, _weigh_bytes, _verify_bytes, _engine_bytes)
"""The steps of an export, one after the other, by what each takes at the most."""


def _operations(plan: Plan) -> float:
    """Multiplications and additions of the whole export, in float32's measure."""
    sizes, recipe = plan.sizes, plan.recipe
    layer = _weights_used(plan)
    tokens = recipe.calibration_tokens if plan.is_calibrated else 0
    asked = 2 * QUESTION_TOKENS * recipe.task_questions
    passes = 3 * recipe.evaluation_tokens + asked + (3 if is_head_fitted_first(plan) else 2) * tokens
    each = 2.0 * layer * passes
    each += _weigh_operations(plan)
    if plan.is_calibrated:
        each += sum(_fit_operations(plan, module) for module in plan.family.linear) + 4.0 * layer * tokens
        each += sum(2.0 * width**2 * tokens + 4 / 3 * width**3 for width in _stage_widths(sizes))
        each += max(0, sizes.num_experts - 1) * 4 / 3 * (sizes.hidden_size**3 + sizes.intermediate_size**3)
    return sizes.num_layers * each + 2.0 * sizes.vocab_size * sizes.hidden_size * 3 * recipe.evaluation_tokens


def _weigh_operations(plan: Plan) -> float:
    """Of a layer, where formats are chosen for a budget: rounded once more, and passed by texts of every group."""
    if not plan.recipe.weights_bytes:
        return 0.0
    passes = sum(each.layers.stop for each in groups(plan)) / plan.sizes.num_layers
    texts = plan.recipe.calibration_tokens + passes * MEASURED_TOKENS
    fits = sum(_fit_operations(plan, module) for module in plan.family.linear)
    return 2.0 * _weights_used(plan) * texts + fits


def _fit_operations(plan: Plan, module: str) -> float:
    """Step and feedback of one matrix, and the sweeps after it."""
    rows, columns = plan.sizes.shape_of(module)
    return (4.0 + 2.0 * SWEEPS) * columns**2 * rows


def _stage_widths(sizes: Dimensions) -> tuple[int, ...]:
    return (sizes.hidden_size, sizes.num_heads * sizes.head_size, sizes.hidden_size, sizes.intermediate_size)


def _operations_per_second() -> float:
    """Half of what a product of two matrices gets here: what an export was seen to get."""
    square = np.ones((1024, 1024), np.float32)
    square @ square
    started = time.perf_counter()
    for _ in range(4):
        square @ square
    return 4 * 2 * 1024**3 / (time.perf_counter() - started) / 2
