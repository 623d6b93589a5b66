"""A model that sees pictures, seen as the language model within it: its pictures are left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from export.errors import SourceError, UnsupportedError
from export.families.keys import COMMON, Table, check_known, named
from export.quantize import Format, Quantized
from export.source.base import Floats, Source
from export.source.wrapped import WrappedSource

WITHIN = {"Gemma3ForConditionalGeneration": "Gemma3ForCausalLM"}
"""By the whole model's architecture, that of the language model."""
OUTER: Table = {
    **COMMON,
    **named("it is read", "text_config"),
    **named(
        "it is of pictures, which are left out",
        "vision_config mm_tokens_per_image boi_token_index eoi_token_index image_token_index image_token_id"
        " boi_token_id eoi_token_id",
    ),
}
FROM_OUTSIDE = ("bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings", "dtype", "torch_dtype")
"""Keys that stand for the language model, too, where its own config lacks them."""
TOWER = ("vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector.")
PLACES = (
    ("model.", "language_model.model."),
    ("lm_head.", "language_model.lm_head."),
    ("model.", "model.language_model."),
)
"""How the language model's names begin, alone and within: as published, and as Transformers has them since 4.52."""


def text_part(source: Source) -> Source:
    """The language model of a source that has more; any other source as it is."""
    names = source.config.get("architectures")
    has_more = isinstance(names, list) and len(names) == 1 and names[0] in WITHIN
    return TextPart(source) if has_more else source


def left_out(source: Source) -> list[str]:
    """A line where pictures are left out."""
    while isinstance(source, WrappedSource):
        if isinstance(source, TextPart):
            return [f"{source.path} sees pictures; its language model is exported, which does not"]
        source = source.inner
    return []


class TextPart(WrappedSource):
    """Its config is text_config, and its tensors have the names that they would have alone."""

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Raises SourceError where there is no text_config, and UnsupportedError for keys that nobody knows."""
        outer = self._inner.config
        check_known(outer, OUTER)
        text = outer.get("text_config")
        if not isinstance(text, Mapping):
            raise SourceError(f"{self.path} has no text_config in its config.json")
        ties = {each["tie_word_embeddings"] for each in (outer, text) if each.get("tie_word_embeddings") is not None}
        if len(ties) > 1:
            raise UnsupportedError("config.json and its text_config disagree on tie_word_embeddings; write one value")
        beside = {key: outer[key] for key in FROM_OUTSIDE if outer.get(key) is not None}
        own = {key: value for key, value in text.items() if value is not None}
        return {**beside, **own, "architectures": [WITHIN[outer["architectures"][0]]]}

    @cached_property
    def _there(self) -> Mapping[str, str]:
        """By its name alone, what the whole model calls each tensor of the language model."""
        found = {}
        for name in self._inner.tensor_names():
            if not name.startswith(TOWER):
                ours = next((a + name.removeprefix(w) for a, w in PLACES if name.startswith(w)), name)
                found[ours] = name
        return found

    def _called(self, name: str) -> str:
        return self._there.get(name, name)

    def tensor_names(self) -> set[str]:
        """Those of the language model."""
        return set(self._there)

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape."""
        return super().shape(self._called(name))

    def tensor(self, name: str) -> Floats:
        """A tensor as float32."""
        return super().tensor(self._called(name))

    def stored_format(self, name: str) -> Format | None:
        """The blocks that a matrix is stored in."""
        return super().stored_format(self._called(name))

    def stored_blocks(self, name: str) -> Quantized | None:
        """A matrix code by code."""
        return super().stored_blocks(self._called(name))

    def check_values(self, names: Iterable[str]) -> None:
        """Whether every value is a number."""
        super().check_values([self._called(name) for name in names])
