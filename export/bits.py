"""Which tensors are worth 8 bits: measured one group at a time, then taken by what a megabyte of each buys.

A group is one kind of matrix in a third of the layers. Each is rounded to 8 bits while the rest has the recipe's
usual format, all to nearest, and the divergence from the source says what that buys. Groups are then taken while
they fit into the budget. The gains of groups that are taken together do not add up exactly; their order is what counts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from export.fidelity import compare
from export.forward import SourceForward
from export.plan import Plan
from export.progress import Report
from export.quantize import Format
from export.source.rounded import FormatOf, RoundedSource
from export.stages import Layer
from export.verify import TEXT, texts

THIRDS = 3


@dataclass(frozen=True)
class Group:
    """Matrices that are decided on together. gain: nats a token that 8 bits save; cost_bytes: what they take."""

    module: str
    layers: range
    gain: float
    cost_bytes: int

    @property
    def patterns(self) -> list[str]:
        """The group as a recipe's overrides name it."""
        return [f"model.layers.{index}.{self.module}" for index in self.layers]


def search(plan: Plan, budget_bytes: int, report: Report) -> tuple[list[Group], list[Group]]:
    """All groups by what a byte of them buys, and those of them that fit into the budget."""
    groups = sorted(measured(plan, report), key=lambda group: group.gain / group.cost_bytes, reverse=True)
    left = budget_bytes - usual(plan).estimated_bytes()
    taken = []
    for group in groups:
        if group.gain > 0 and group.cost_bytes <= left:
            taken.append(group)
            left -= group.cost_bytes
    return groups, taken


def usual(plan: Plan) -> Plan:
    """The plan with no layer's matrix in a format of its own, and none kept as it is stored."""
    tables = {
        name: change for name, change in plan.recipe.overrides.items() if name in ("lm_head", "model.embed_tokens")
    }
    return replace(plan, recipe=plan.recipe.model_copy(update={"overrides": tables, "keep_blocks": False}))


def measured(plan: Plan, report: Report) -> Iterator[Group]:
    """Each group with its gain, all of them in one pass over the source's layers."""
    base = usual(plan)
    candidates = list(_candidates(base))
    layer = Layer(plan.skeleton, plan.sizes)
    formats = [base.format_of, *(_raised(base, module, layers) for module, layers in candidates)]
    forwards = [SourceForward(_rounded(base, form), layer) for form in formats]
    found = compare(SourceForward(base, layer), forwards, texts(plan), plan.sizes.num_layers, report)
    plain, *raised = (each.losses[TEXT].kl_mean for each in found)
    for (module, layers), loss in zip(candidates, raised, strict=True):
        yield Group(module, layers, plain - loss, _cost(base, module, layers))


def _candidates(plan: Plan) -> Iterator[tuple[str, range]]:
    ends = [plan.sizes.num_layers * part // THIRDS for part in range(THIRDS + 1)]
    for module in plan.family.linear:
        for start, stop in itertools.pairwise(ends):
            if start < stop:
                yield module, range(start, stop)


def _rounded(plan: Plan, format_of: FormatOf) -> Plan:
    return replace(plan, source=RoundedSource(plan.source, format_of))


def _raised(plan: Plan, module: str, layers: range) -> FormatOf:
    names = {f"model.layers.{index}.{module}.weight" for index in layers}
    return lambda name: replace(plan.format_of(name), bits=8) if name in names else plan.format_of(name)


def _cost(plan: Plan, module: str, layers: range) -> int:
    rows, columns = plan.sizes.shape_of(module)
    form: Format = plan.format_of(f"model.layers.0.{module}.weight")
    return len(layers) * (replace(form, bits=8).bytes_of(rows, columns) - form.bytes_of(rows, columns))


def as_recipe(groups: list[Group], taken: list[Group]) -> str:
    """What was measured as comments, what was taken as a recipe's overrides in TOML."""
    rows = [
        f"# {group.module:24} layers {group.layers.start:2}-{group.layers.stop - 1:<2}"
        f" {group.gain:8.4f} nats for {group.cost_bytes / 1e6:6.2f} MB{'' if group in taken else '   (left out)'}"
        for group in groups
    ]
    names = [f'"{pattern}" = {{ bits = 8 }}' for group in taken for pattern in group.patterns]
    total = math.fsum(group.cost_bytes for group in taken) / 1e6
    return "\n".join([*rows, f"# {total:.1f} MB more than without", "[overrides]", *names])
