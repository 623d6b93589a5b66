"""What each group loses alone, rounded as an export rounds, and how much its matrices would err in other formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from export.budget.forwards import AsItIs, WithGroup, WithTable, Workbench, calibrator
from export.budget.groups import Group, base_of, first_rows, formats, groups
from export.calibration_text import LENGTH, pieces, read_text, tokens_of, topics
from export.families.base import HEAD
from export.fidelity import Forward, Sample, compare
from export.plan import Plan
from export.progress import Report
from export.quantize import METHODS, Feedback, Floats, Format, Quantized, quantize
from export.stages import Layer, Text
from export.tables import Make, Table, first_format, fitting, moments_behind, to_nearest, whole

MEASURED_TOKENS = 2048
"""Held back from calibration: what groups lose is measured on them."""
ROWS_TRIED = 64
"""A matrix's outputs that show how its error grows from one format to another."""
KIND = "held back"


@dataclass
class Measured:
    """A group.

    losses: nats a token where it alone is in the format that is measured; for a table by how many of its first rows
    have 8 bits. errors: of its outputs, by format.
    """

    group: Group
    losses: dict[int, float] = field(default_factory=lambda: {0: 0.0})
    errors: Counter[Format] = field(default_factory=Counter)

    def reckoned(self, form: Format, base: Format, first_rows: int = 0) -> float:
        """What it would lose in another format: the loss grows as the square of the outputs' error does."""
        return self.losses[first_rows] * self.errors[form] / self.errors[base] if self.errors[base] else 0.0


def measure(plan: Plan, report: Report) -> list[Measured]:
    """Every group of a plan, in one pass over the source's layers, after one for a table that is embedding and head."""
    found = {group: Measured(group) for group in groups(plan)}
    looked, held = _texts(plan)
    layer = Layer(plan.skeleton, plan.sizes)
    bench = Workbench(plan, calibrator(plan, layer, looked), partial(_rounded, plan, found))
    weighed = [(each, *one) for each in found.values() for one in _forwards(bench, each, looked, report)]
    samples = [Sample(KIND, tokens) for tokens in held]
    forwards = [forward for _, _, forward in weighed]
    losses = compare(AsItIs(bench), forwards, samples, plan.sizes.num_layers, partial(_told, report))
    for (each, first, _), loss in zip(weighed, losses, strict=True):
        each.losses[first] = loss.losses[KIND].kl_mean
    return list(found.values())


def _told(report: Report, _stage: str, done: int, total: int, now: str) -> None:
    report("weigh", done, total, now)


def _texts(plan: Plan) -> tuple[list[Text], list[NDArray[np.int64]]]:
    """Pieces of the calibration text: those that are looked at, and those between them that are measured on."""
    file = plan.recipe.calibration_text
    ids = tokens_of(plan.tokenizer.files["tokenizer.json"], read_text(file) if file else topics("calibration"))
    wanted = max(plan.recipe.calibration_tokens, LENGTH)
    chosen = pieces(ids, wanted + MEASURED_TOKENS, min(plan.sizes.context_length, plan.recipe.context_length))
    each = max(2, len(chosen) * chosen[0].size // MEASURED_TOKENS)
    held = chosen[each // 2 :: each]
    return [Text(piece) for number, piece in enumerate(chosen) if number % each != each // 2], held


def _rounded(plan: Plan, found: dict[Group, Measured], name: str, weight: Floats, feedback: Feedback) -> Quantized:
    """A layer's matrix as it is measured; what two layers of its group err by is noted."""
    group = next(group for group in found if group.has(name))
    if int(name.split(".")[2]) in (group.layers.start, (group.layers.start + group.layers.stop) // 2):
        _note(plan, found[group], weight, feedback)
    return quantize(weight, base_of(plan), METHODS[plan.recipe.method], feedback)


def _note(plan: Plan, into: Measured, weight: Floats, feedback: Feedback | None) -> None:
    """The error of some outputs in every format, as much as all of them would have. weight: `[K, N]`."""
    some = weight[:, :: max(1, weight.shape[1] // ROWS_TRIED)]
    method = METHODS[plan.recipe.method if feedback else "rtn"]
    for form in formats(plan):
        wrong = some - quantize(some, form, method, feedback).dequantized().T
        spread = np.square(feedback.upper.T @ wrong).T @ feedback.pivots if feedback else np.square(wrong)
        into.errors[form] += float(spread.sum()) * weight.shape[1] / some.shape[1]


def _forwards(bench: Workbench, each: Measured, looked: list[Text], report: Report) -> Iterator[tuple[int, Forward]]:
    """What is compared for a group; for a table by how many of its first rows have 8 bits."""
    plan, name = bench.plan, f"{each.group.module}.weight"
    if each.group.layers:
        yield 0, WithGroup(bench, each.group)
        return
    tables = _Tables(plan, each, name)
    if name == HEAD:
        heads = cache(lambda: tables.fitted(bench.calibrator.behind().feedback(keeps=False)))
        yield from ((first, WithTable(bench, None, partial(_one, heads, first))) for first in first_rows(plan))
    elif plan.sizes.tied_embeddings:
        both = tables.fitted(moments_behind(plan, looked, report).feedback(keeps=False))
        yield from ((first, WithTable(bench, one, partial(_one, lambda: both, first))) for first, one in both.items())
    else:
        yield from ((first, WithTable(bench, one, None)) for first, one in tables.to_nearest().items())


def _one(tables: Callable[[], dict[int, Table]], first: int) -> Table:
    return tables()[first]


@dataclass(frozen=True)
class _Tables:
    """A table as it is measured, by how many of its first rows have 8 bits; its error is noted in what is measured."""

    plan: Plan
    into: Measured
    name: str

    def fitted(self, feedback: Feedback) -> dict[int, Table]:
        """Fitted to what is multiplied with it."""
        return self._made(feedback, fitting(self.plan, feedback))

    def to_nearest(self) -> dict[int, Table]:
        """As an embedding alone is stored."""
        return self._made(None, to_nearest)

    def _made(self, feedback: Feedback | None, make: Make) -> dict[int, Table]:
        rows, base = self.plan.source.tensor(self.name), base_of(self.plan)
        _note(self.plan, self.into, rows.T, feedback)
        few, many = whole(rows, base, make), whole(rows[: first_rows(self.plan)[-1]], first_format(base), make)
        return {
            first: Table((many.part(slice(first)), few.part(slice(first, None))) if first else (few,))
            for first in first_rows(self.plan)
        }
