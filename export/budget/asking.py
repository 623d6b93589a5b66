"""`--size`, `--bits` and `--fit` of the command line."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable

from export.budget.boards import BOARDS, memory_for_a_bundle
from export.errors import UnsupportedError
from export.pack import beside_weights_bytes
from export.plan import Plan
from export.recipe import Recipe

UNITS = {"": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def size(text: str) -> int:
    """Bytes, of a number and a unit."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)", text[:40])
    unit = UNITS.get(found[2].upper()) if found else None
    if found is None or unit is None or not 1 <= float(found[1]) * unit < 1e15:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no size; it is a number and MB or GB, as 2.0GB")
    return int(float(found[1]) * unit)


def bits(text: str) -> float:
    """Bits a weight, scales and tables and all."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1 <= value <= 16:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number of bits a weight from 1 to 16, as 4.2")
    return value


def board(text: str) -> int:
    """The bytes that a board has for a bundle."""
    try:
        return memory_for_a_bundle(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_budget(made: argparse.ArgumentParser) -> None:
    """The arguments; each matrix gets the bits that lose least then, by measurement."""
    budget = made.add_mutually_exclusive_group()
    budget.add_argument(
        "--size",
        type=size,
        metavar="SIZE",
        help="choose each matrix's bits by measured loss; all weights take at most SIZE (2.0GB)",
    )
    budget.add_argument("--bits", type=bits, metavar="BITS", help="likewise, so many bits a weight in all (4.2)")
    known = f"likewise, what fits a board's memory with the context: {', '.join(BOARDS)}, or its memory as 4GB"
    budget.add_argument("--fit", type=board, metavar="BOARD", help=known)


def budgeted(options: argparse.Namespace, recipe: Recipe, plan_of: Callable[[Recipe], Plan]) -> Recipe:
    """A recipe with the budget that was asked for, if any. plan_of: the plan for it. Raises UnsupportedError."""
    if options.size:
        return recipe.within(options.size)
    if options.bits:
        plan = plan_of(recipe)
        return recipe.within(int(options.bits / 8 * sum(math.prod(each) for each in plan.shapes.values())))
    if options.fit:
        return recipe.within(_left(options.fit, plan_of(recipe)))
    return recipe


def _left(memory_bytes: int, plan: Plan) -> int:
    """What is left to weights on a board beside a context's keys and values and the runtime."""
    beside = beside_weights_bytes(plan)
    if beside >= memory_bytes:
        raise UnsupportedError(
            f"a context of {plan.recipe.context_length} tokens takes {beside >> 20} MiB beside the weights, and there"
            f" are {memory_bytes >> 20}; pass a shorter --context"
        )
    return memory_bytes - beside
