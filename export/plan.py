"""What is about to be exported: a source, its family and sizes, and the recipe, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from edge.bundle import USUAL, Sampling
from edge.engine.providers import FloatType, row_of
from export.errors import SourceError, UnsupportedError
from export.families import family_of_config
from export.families.base import EMBEDDING, HEAD, Dimensions, Family
from export.families.held import held_to, variant_of
from export.families.phi3_small import multiplier
from export.families.values import flag
from export.fixed.checks import check_fixed, for_fixed
from export.graphs import Skeleton, skeleton_of
from export.naming import name_of
from export.quantize import METHODS, Floats, Format
from export.recipe import Recipe
from export.sampling import sampling_of
from export.source import Source
from export.source.regrouped import RegroupedSource
from export.source.shards import beside
from export.source.split import SplitSource
from export.source.text_part import left_out, text_part
from export.source.zero_biases import ZeroBiases
from export.tokenizer.serving import Served, served
from export.unread import check_all_read
from export.vision import TowerSizes

FIRST_NORM = "model.layers.0.input_layernorm.weight"


@dataclass(frozen=True)
class Plan:
    """One export. Every step reads it, none changes it.

    notes: what whoever asked for it should hear. is_rehearsal: whether it is only tried, so that what it loses need not
    be known.
    """

    source: Source
    family: Family
    sizes: Dimensions
    recipe: Recipe
    notes: tuple[str, ...] = ()
    is_rehearsal: bool = False

    @cached_property
    def tower(self) -> TowerSizes | None:
        """The picture tower's sizes, None where the model has none."""
        return TowerSizes.from_config(self.source.config) if self.family.sees_pictures else None

    @cached_property
    def skeleton(self) -> Skeleton:
        """Head, layer and tail of its graph."""
        return skeleton_of(self.family, self.sizes)

    @property
    def name(self) -> str:
        """The bundle's: as the recipe says, else after the model's place."""
        return named(self.recipe, self.source.path)

    @cached_property
    def tokenizer(self) -> Served:
        """The bundle's tokenizer and what reads it; SourceError and UnsupportedError where none can."""
        return served(self.source.tokenizer_files, self.source.chat_template, self.sizes.vocab_size)

    @cached_property
    def sampling(self) -> Sampling:
        """How its makers would have tokens chosen; SourceError where they name a value that cannot be."""
        return sampling_of(self.source)

    @property
    def held_to(self) -> list[str]:
        """The versions of Transformers that a checkpoint of this kind was held to."""
        return held_to(variant_of(self.family, self.source.config))

    @property
    def matrices(self) -> list[str]:
        """The weight matrices of all layers, by their Transformers names."""
        return [name for index in range(self.sizes.num_layers) for name in self.matrices_of(index)]

    def matrices_of(self, index: int) -> list[str]:
        """The weight matrices of one layer."""
        return [f"model.layers.{index}.{module}.weight" for module in self.family.linear]

    def vectors_of(self, index: int) -> dict[str, str]:
        """Tensors of what a stamped layer has beside its matrices, by the skeleton's names; the norm behind it, too."""
        own = {name: f"model.layers.{index}.{name}" for name in self.family.vectors}
        following = self.next_norm(index).removesuffix(".weight")
        kinds = [kind for kind in ("weight", "bias") if f"post_attention_layernorm.{kind}" in own]
        return {**own, **{f"next_layernorm.{kind}": f"{following}.{kind}" for kind in kinds}}

    def read_vectors(self, index: int) -> dict[str, Floats]:
        """Their values."""
        return {name: self.vector(tensor) for name, tensor in self.vectors_of(index).items()}

    @property
    def first_norm(self) -> Floats:
        """The values of the norm before all layers."""
        return self.vector(FIRST_NORM)

    def vector(self, name: str) -> Floats:
        """A norm or a bias as the graph has it: what the family adds to the weights of its norms is in them."""
        values = self.source.tensor(name)
        return values + np.float32(self.family.norm_offset) if name.endswith("norm.weight") else values

    def read_outside(self) -> dict[str, Floats]:
        """What head and tail have beside their tables and the first norm's weight, by the tensors' names."""
        return {name: self.source.tensor(name) for name in self.family.outside}

    def next_norm(self, index: int) -> str:
        """The norm that closes a layer: the next one's first, or the model's last."""
        last = index + 1 == self.sizes.num_layers
        return "model.norm.weight" if last else f"model.layers.{index + 1}.input_layernorm.weight"

    @property
    def is_rounded(self) -> bool:
        """Whether matrices are stored in blocks at all."""
        return self.recipe.method != "none"

    @property
    def is_fixed(self) -> bool:
        """Whether its graphs are of fixed shapes, with a head of its own beside the embedding."""
        return row_of(self.recipe.provider).shapes == "fixed"

    @property
    def float_type(self) -> FloatType:
        """What the bundle's activations are, and everything that meets them."""
        return row_of(self.recipe.provider).float_type

    @property
    def float_bytes(self) -> int:
        """How much a float takes."""
        return np.dtype(self.float_type).itemsize

    @property
    def cache_type(self) -> Literal[FloatType, "int8"]:
        """What keys and values are remembered in."""
        return "int8" if self.has_int8_cache else self.float_type

    @property
    def kv_bytes_per_token(self) -> int:
        """What keys and values of a token take."""
        return self.sizes.kv_bytes_per_token(np.dtype(self.cache_type).itemsize)

    @property
    def has_int8_cache(self) -> bool:
        """Whether keys and values are remembered in int8."""
        is_free = row_of(self.recipe.provider).int8_cache == "by default" and self._looks_at_texts
        return self.is_rounded and (self.recipe.kv_cache == "int8" or (self.recipe.kv_cache == "auto" and is_free))

    @property
    def _looks_at_texts(self) -> bool:
        """Whether rounding needs them."""
        fits = METHODS[self.recipe.method].is_calibrated if self.is_rounded else False
        return fits and not all(map(self.is_kept, self.matrices))

    def with_float_cache(self) -> Plan:
        """The same with keys and values in floats."""
        return replace(self, recipe=self.recipe.model_copy(update={"kv_cache": "float"}))

    @property
    def is_calibrated(self) -> bool:
        """Whether texts pass through the layers while these are rounded."""
        return self.has_int8_cache or self._looks_at_texts

    def is_kept(self, name: str) -> bool:
        """Whether a matrix stays in the blocks that the source stores it in."""
        return self.is_rounded and self.recipe.keep_blocks and self.source.stored_format(name) is not None

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor that the export reads, with the shape that the config promises."""
        sizes = self.sizes
        tables = [EMBEDDING] if sizes.tied_embeddings else [EMBEDDING, HEAD]
        vectors: dict[str, tuple[int, ...]] = {FIRST_NORM: (sizes.hidden_size,)}
        vectors |= {name: (sizes.outside_size(name),) for name in self.family.outside}
        for index in range(sizes.num_layers):
            vectors |= {there: sizes.vector_shape(name) for name, there in self.vectors_of(index).items()}
        return {
            **dict.fromkeys(tables, (sizes.vocab_size, sizes.hidden_size)),
            **vectors,
            **{name: sizes.shape_of(module_of(name)) for name in self.matrices},
            **({**self.tower.matrices(), **self.tower.others()} if self.tower else {}),
        }

    def format_of(self, name: str) -> Format:
        """How a matrix will be stored: as it is, or as the recipe says."""
        kept = self.source.stored_format(name) if self.is_kept(name) else None
        return kept or self.recipe.format_of(name)


def module_of(name: str) -> str:
    """`model.layers.3.mlp.up_proj.weight` as `mlp.up_proj`."""
    return name.split(".", 3)[3].removesuffix(".weight")


def named(recipe: Recipe, model: Path) -> str:
    """What a bundle is called: as its recipe says, else after the model on the hub, the file or the folder."""
    return recipe.name or name_of(Path(recipe.repository) if recipe.repository else model)


def check_provider(family: Family, recipe: Recipe) -> None:
    """UnsupportedError where no such bundle can be made for the recipe's provider.

    The rows of experts are gathered, which is fast on the CPU alone.
    """
    row, called = row_of(recipe.provider), family.architectures[0]
    if not row.kinds:
        raise UnsupportedError(f"no bundle is made for the provider {row.name}: {row.lacks}")
    if recipe.kv_cache == "int8" and row.int8_cache == "never":
        raise UnsupportedError(f"{row.name} keeps no keys and values in int8; export it without --kv-cache int8")
    if family.needs_float32 and row.float_type == "float16":
        raise UnsupportedError(
            f"what {called} computes is too large for float16, which a bundle for {row.name} has; export it with"
            f" --provider {USUAL}"
        )
    check_fixed(row, family, recipe)
    if recipe.weights_bytes and (recipe.method == "none" or row.shapes == "fixed"):
        raise UnsupportedError(
            f"there are no formats to choose for a size by --method {recipe.method} for {row.name}: leave --size,"
            " --bits and --fit, or take another method or provider"
        )
    if (family.expert or family.for_cpu) and not row.is_batched:
        raise UnsupportedError(f"{called} is exported for the CPU; export it with --provider {USUAL}")


def plan_of(source: Source, recipe: Recipe) -> Plan:
    """The plan for a source's config.

    Raises SourceError and UnsupportedError where the config is not sound, or says what is not exported.
    """
    source = text_part(source)
    family = family_of_config(source.config)
    sizes = Dimensions.from_config(source.config, family)
    recipe, notes = fitted(recipe, sizes)
    sizes = sizes.up_to(recipe.context_length)
    if recipe.oracle and (family.sees_pictures or family.regroups):
        raise UnsupportedError(
            f"{family.architectures[0]} wants code of the checkpoint's own in Transformers, which is not run here;"
            " export it without --oracle"
        )
    if recipe.kv_cache == "int8" and recipe.method == "none":
        raise UnsupportedError(
            "a bundle in floats remembers floats, too; export it without --kv-cache int8, or with another --method"
        )
    check_provider(family, recipe)
    recipe = for_fixed(recipe, sizes)
    if recipe.sample_pictures and not family.sees_pictures:
        raise UnsupportedError(f"{family.architectures[0]} reads text alone; export it without --pictures")
    if recipe.split_packed and family.packed:
        source, family = SplitSource(source, sizes.parts_of(family.packed)), family.apart()
    if family.regroups:
        divisor = multiplier({**family.defaults, **source.config}, "mup_width_multiplier")
        source = RegroupedSource(source, sizes, divisor)
    if family.expert:
        source, family = ZeroBiases(source, missing_biases(source, family, sizes)), family.routed(sizes.num_experts)
    plan = Plan(source, family, sizes, recipe, notes)
    _ = plan.tower  # raises where it is another than what is exported
    return plan


def missing_biases(source: Source, family: Family, sizes: Dimensions) -> dict[str, int]:
    """How long each bias is that the skeleton adds and the config says is not there, by its tensor's name."""
    lacks = [key for key in family.missing if not flag({**family.defaults, **source.config}, key)]
    names = [name for key in lacks for name in family.missing[key]]
    layers = [name for name in names if name not in family.outside]
    inside = {
        f"model.layers.{index}.{name}": sizes.vector_size(name) for index in range(sizes.num_layers) for name in layers
    }
    return inside | {name: sizes.outside_size(name) for name in names if name in family.outside}


def fitted(recipe: Recipe, sizes: Dimensions) -> tuple[Recipe, tuple[str, ...]]:
    """A recipe whose context the model bears, and a line where it was made shorter for that.

    Only a context that nobody named becomes shorter; UnsupportedError for one that was asked for.
    """
    asked, exact = recipe.context_length, sizes.context_length
    if asked <= exact:
        return recipe, ()
    if "context_length" in recipe.model_fields_set:
        raise UnsupportedError(
            f"a context of {asked} tokens is asked for, but this model is exact up to {exact}; pass --context {exact}"
            " or less"
        )
    line = f"this model is exact up to {exact} tokens, so that is the context instead of the usual {asked}"
    return recipe.model_copy(update={"context_length": exact}), (line,)


def make_plan(source: Source, recipe: Recipe) -> Plan:
    """The plan for a source and a recipe that fit each other.

    Raises SourceError where the source is not the recipe's or lacks what a bundle needs, and UnsupportedError
    where the recipe asks for more than the model can do.
    """
    if recipe.sha256 and (found := source.checksum()) != recipe.sha256:
        raise SourceError(f"{source.path} has sha256 {found}, but the recipe pins {recipe.sha256}")
    plan = plan_of(source, recipe)
    check_tokens(plan)
    if not source.chat_template:
        raise SourceError(
            f"{source.path} has no chat template, as base models have none; write one to chat_template.jinja beside its"
            " weights, or export the model that was trained to chat"
        )
    _ = plan.sampling, plan.tokenizer  # they raise where they cannot be, before hours go into weights
    check_shapes(plan)
    check_all_read(plan.source, plan.shapes, plan.sizes, plan.tower)
    return replace(plan, notes=(*plan.notes, *unread_files(source), *left_out(plan.source)))


def unread_files(source: Source) -> list[str]:
    """A line where other weights lie beside those that are read; Transformers does not read them either."""
    names = beside(source.path) if source.path.is_dir() else []
    return [f"not read, as Transformers would not: {', '.join(names)} of {source.path}"] if names else []


def check_tokens(plan: Plan) -> None:
    """Every token that ends an answer, and the one that begins a text, is one of the vocabulary's."""
    source, size = plan.source, plan.sizes.vocab_size
    if not source.stop_token_ids:
        raise SourceError(f"{source.path} names no token that ends an answer (eos_token_id)")
    begins = [value for value in [source.config.get("bos_token_id")] if value is not None]
    for key, ids in (("eos_token_id", source.stop_token_ids), ("bos_token_id", begins)):
        for each in ids:
            if not is_token(each, size):
                raise SourceError(
                    f"{source.path} names {each!r} as {key}, but its vocabulary has tokens 0 to {size - 1}"
                )


def is_token(value: object, vocabulary: int) -> bool:
    """Whether a value is a token's number."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < vocabulary


def check_shapes(plan: Plan) -> None:
    """Every tensor is there and as large as the config says, before hours go into the first ones."""
    for name, wanted in plan.shapes.items():
        found = plan.source.shape(name)
        if found != wanted:
            raise SourceError(f"{name} is {list(found)}, but by the config of {plan.source.path} it is {list(wanted)}")
