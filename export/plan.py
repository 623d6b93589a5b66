"""What is about to be exported: a source, its family and sizes, and the recipe, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass

from export.errors import SourceError, UnsupportedError
from export.families import family_of
from export.families.base import Dimensions, Family
from export.recipe import Recipe
from export.source import Source


@dataclass(frozen=True)
class Plan:
    """One export. Every step reads it, none changes it."""

    source: Source
    family: Family
    sizes: Dimensions
    recipe: Recipe

    @property
    def matrices(self) -> list[str]:
        """The weight matrices of all layers, by their Transformers names."""
        return [name for index in range(self.sizes.num_layers) for name in self.matrices_of(index)]

    def matrices_of(self, index: int) -> list[str]:
        """The weight matrices of one layer."""
        return [f"model.layers.{index}.{module}.weight" for module in self.family.linear]

    def is_kept(self, name: str) -> bool:
        """Whether a matrix stays in the blocks that the source stores it in."""
        return self.recipe.keep_blocks and self.source.stored_format(name) is not None

    def estimated_bytes(self) -> int:
        """About how large the weights will be, from the sizes alone."""
        sizes, recipe = self.sizes, self.recipe
        attention = (2 * sizes.num_heads + 2 * sizes.num_kv_heads) * sizes.head_size
        layer = recipe.format_of("").bytes_of(attention + 3 * sizes.intermediate_size, sizes.hidden_size)
        tables = 1 if sizes.tied_embeddings else 2
        return sizes.num_layers * layer + tables * recipe.table_format.bytes_of(sizes.vocab_size, sizes.hidden_size)


def make_plan(source: Source, recipe: Recipe) -> Plan:
    """The plan for a source and a recipe that fit each other.

    Raises SourceError where the source is not the recipe's or lacks what a bundle needs, and UnsupportedError
    where the recipe asks for more than the model can do.
    """
    if recipe.sha256 and (found := source.checksum()) != recipe.sha256:
        raise SourceError(f"{source.path} has sha256 {found}, but the recipe pins {recipe.sha256}")
    architectures = source.config.get("architectures") or ["none"]
    plan = Plan(source, family_of(architectures[0]), Dimensions.from_config(source.config), recipe)
    if recipe.context_length > plan.sizes.context_length:
        raise UnsupportedError(
            f"a context of {recipe.context_length} tokens is asked for, but this model is exact up to"
            f" {plan.sizes.context_length}; pass --context {plan.sizes.context_length} or less"
        )
    if not source.stop_token_ids:
        raise SourceError(f"{source.path} names no token that ends an answer (eos_token_id)")
    if not source.chat_template:
        raise SourceError(f"{source.path} has no chat template")
    return plan
