"""One file a model family; `family_of` finds the one that a checkpoint's config names.

Start reading in base.py: what a family says of itself, and the sizes of one checkpoint. They are read with keys.py
(which keys of a config are known), values.py (what a value may be), rope.py (rotary positions) and attention.py
(windows). The families: llama.py, mistral.py, phi3.py, phi3_v.py, qwen2.py, qwen3.py, smollm3.py, gemma2.py,
gemma3.py, phimoe.py, phi3_small.py. A new
family is a new file here, its entry in `FAMILIES`, a skeleton (`make skeletons`; a Llama's layer has one, with
options), a recipe, and its rows in held.py, which has the kinds of checkpoint that were held to Transformers.
"""

from __future__ import annotations

from export.errors import SourceError, UnsupportedError
from export.families import gemma2, gemma3, llama, mistral, phi3, phi3_small, phi3_v, phimoe, qwen2, qwen3, smollm3
from export.families.base import Config, Family

FAMILIES: tuple[Family, ...] = (
    llama.FAMILY,
    mistral.FAMILY,
    phi3.FAMILY,
    phi3_v.FAMILY,
    qwen2.FAMILY,
    qwen3.FAMILY,
    smollm3.FAMILY,
    gemma2.FAMILY,
    gemma3.FAMILY,
    phimoe.FAMILY,
    phi3_small.FAMILY,
)


def family_of(architecture: str) -> Family:
    """The family of an architecture name as `config.json` (`LlamaForCausalLM`) or GGUF (`llama`) spells it."""
    for family in FAMILIES:
        if architecture in family.architectures:
            return family
    known = ", ".join(sorted(name for family in FAMILIES for name in family.architectures))
    raise UnsupportedError(f"no family exports the architecture {architecture!r}; known are {known}")


def family_of_config(config: Config) -> Family:
    """The family of a checkpoint, by the architecture and the model type of its config, which must agree.

    Raises UnsupportedError where there is none, and SourceError where they do not agree.
    """
    names, kind = config.get("architectures"), config.get("model_type")
    if not names:  # Transformers goes by the model type alone
        found = [family for family in FAMILIES if family.model_type == kind]
        return (found[0] if found else family_of("none")).of(config)
    if not isinstance(names, list) or len(names) != 1:
        raise UnsupportedError(f"config.json says architectures: {names!r}; one is exported at a time")
    family = family_of(names[0])
    if kind not in (None, family.model_type):
        raise SourceError(
            f"config.json says model_type: {kind!r}, but {names[0]} is {family.model_type!r}; which of the two is it?"
        )
    return family.of(config)
