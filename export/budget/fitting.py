"""A plan's recipe with the formats that fit its budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from export.budget.choosing import Option, Point, chosen, smallest
from export.budget.groups import Group, base_of, formats, groups
from export.budget.measuring import Measured, measure
from export.budget.telling import tell
from export.errors import UnsupportedError
from export.plan import Plan
from export.progress import Report
from export.quantize import Format
from export.recipe import Override, Recipe
from export.size import weights_bytes
from export.tables import first_format

TRIES = 8
"""How often gaps between tensors, which hang on the choice, may make the file larger than was reckoned."""


def within_budget(plan: Plan, folder: Path, report: Report) -> Recipe:
    """The plan's recipe with a format for each matrix in place of a budget; what was weighed is told in a folder.

    Raises UnsupportedError where nothing is small enough.
    """
    budget = plan.recipe.weights_bytes
    _check_smallest(plan, budget)
    options = weighed(plan, report)
    point = fitting(plan, options, budget)
    recipe = recipe_of(plan, point)
    tell(folder, options, point, _bytes_with(plan, recipe), budget)
    return recipe


def weighed(plan: Plan, report: Report) -> dict[Group, list[Option]]:
    """By measurement, what every group takes and loses in every format."""
    return {each.group: options_of(plan, each) for each in measure(plan, report)}


def _check_smallest(plan: Plan, budget: int) -> None:
    """Before anything is measured: each group in its smallest format fits."""
    unweighed = {group: options_of(plan, Measured(group)) for group in groups(plan)}
    size = _bytes_with(plan, recipe_of(plan, smallest(unweighed)))
    if size > budget:
        raise UnsupportedError(
            f"the weights of {plan.name} take {size / 1e6:.1f} MB at the least, but {budget / 1e6:.1f} MB are allowed;"
            " allow more, or take a smaller model"
        )


def options_of(plan: Plan, measured: Measured) -> list[Option]:
    """A group in every format, a table with every number of first rows."""
    shapes = [shape for name, shape in plan.shapes.items() if len(shape) == 2 and measured.group.has(name)]
    return [
        Option(form, _bytes_of(plan, shapes, form, first), measured.reckoned(form, base_of(plan), first), first)
        for form in formats(plan)
        for first in (measured.losses if form.bits == 4 else [0])
    ]


def _bytes_of(plan: Plan, shapes: Sequence[tuple[int, ...]], form: Format, first: int) -> int:
    return sum(
        part.bytes_of(count, columns, plan.float_bytes)
        for rows, columns in shapes
        for part, count in ((first_format(form), first), (form, rows - first))
    )


def fitting(plan: Plan, options: Mapping[Group, list[Option]], budget: int) -> Point:
    """The best choice whose file is no larger than the budget."""
    point = smallest(options)
    allowed = budget - _bytes_with(plan, recipe_of(plan, point)) + point.size_bytes
    for _ in range(TRIES):
        point = chosen(options, allowed)
        over = _bytes_with(plan, recipe_of(plan, point)) - budget
        if over <= 0:
            return point
        allowed -= over
    return smallest(options)


def recipe_of(plan: Plan, point: Point) -> Recipe:
    """The plan's recipe with a choice in place of a budget."""
    made = {pattern: Override.of(each.form) for group, each in point.options.items() for pattern in group.patterns}
    return plan.recipe.model_copy(update={"overrides": plan.recipe.overrides | made, "weights_bytes": 0})


def _bytes_with(plan: Plan, recipe: Recipe) -> int:
    return weights_bytes(replace(plan, recipe=recipe))
