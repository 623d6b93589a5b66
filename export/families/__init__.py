"""One file a model family; `family_of` finds the one that a checkpoint's config names.

A new family is a new file here, its entry in `FAMILIES`, a skeleton (`make skeletons`) and a recipe.
"""

from __future__ import annotations

from export.errors import UnsupportedError
from export.families import llama, phi3, phi3_v
from export.families.base import Family

FAMILIES: tuple[Family, ...] = (llama.FAMILY, phi3.FAMILY, phi3_v.FAMILY)


def family_of(architecture: str) -> Family:
    """The family of an architecture name as `config.json` (`LlamaForCausalLM`) or GGUF (`llama`) spells it."""
    for family in FAMILIES:
        if architecture in family.architectures:
            return family
    known = ", ".join(sorted(name for family in FAMILIES for name in family.architectures))
    raise UnsupportedError(f"no family exports the architecture {architecture!r}; known are {known}")
