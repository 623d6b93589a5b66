"""What can have graphs of fixed shapes, and the systems on a chip that these can be compiled for ahead."""

from __future__ import annotations

from edge.engine.providers import Row, row_of
from export.errors import UnsupportedError
from export.families.base import Dimensions, Family
from export.recipe import Recipe
from export.rotary import switches_rope

SOCS = {
    "SA8295": 39,
    "SM8450": 36,
    "SM8475": 42,
    "SM8550": 43,
    "SM8650": 57,
    "SC8380XP": 60,
    "QCS8550": 66,
    "SM8635": 68,
    "SM8750": 69,
    "QCS9100": 77,
    "QCS8300": 82,
    "SM8735": 85,
    "SM8850": 87,
    "SC8480XP": 88,
}
"""Systems on a chip by their names, as QNN numbers them (QnnTypes.h, Qnn_SocModel_t); others by that number."""


def check_soc(row: Row, soc: str) -> None:
    """UnsupportedError where nothing here compiles for it, or nobody knows it."""
    if not soc:
        return
    if row.shapes != "fixed":
        raise UnsupportedError(f"--soc is for providers that compile graphs ahead, and {row.name} does not")
    if soc not in SOCS and not soc.isdecimal():
        raise UnsupportedError(f"{soc} is no system on a chip that is known here: {', '.join(SOCS)}, or QNN's number")
    if not row.is_installed:
        raise UnsupportedError(
            f"to compile for {soc} {row.distribution} must be installed where the export runs: {row.how_to_install};"
            " without --soc the board compiles the graphs when it first loads them"
        )


def check_fixed(row: Row, family: Family, recipe: Recipe) -> None:
    """UnsupportedError for what has no form of fixed shapes where a provider wants these."""
    check_soc(row, recipe.soc)
    if row.shapes != "fixed":
        return
    called, reason = family.architectures[0], ""
    if family.sees_pictures or family.expert:
        reason = f"{called} has no form of fixed shapes yet"
    elif recipe.method == "none":
        reason = f"a bundle for {recipe.provider} is of whole numbers: export it without --method none"
    elif recipe.kv_cache == "float":
        reason = f"{recipe.provider} keeps keys and values in int8; export it without --kv-cache float"
    elif recipe.warm:
        reason = f"a bundle for {recipe.provider} knows no prompts from its first start; export it without --warm"
    if reason:
        raise UnsupportedError(reason)


def for_fixed(recipe: Recipe, sizes: Dimensions) -> Recipe:
    """The recipe of such a bundle: keys and values in steps, no blocks of the source's. Another's is as it is.

    Raises UnsupportedError where layers do not all look at the whole text, or turn positions in two ways.
    """
    if row_of(recipe.provider).shapes != "fixed":
        return recipe
    if any(attention.window for attention in sizes.attentions):
        raise UnsupportedError("a layer that looks back on a window has no form of fixed shapes yet")
    if switches_rope(sizes, recipe.context_length):
        switch = sizes.rope.original_length
        raise UnsupportedError(f"rotary factors change within this context; export it with --context {switch}")
    return recipe.model_copy(update={"kv_cache": "int8", "keep_blocks": False})
