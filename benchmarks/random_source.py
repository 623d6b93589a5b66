"""A model's true shape with random weights that are drawn as they are read: no disk is taken by it."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from benchmarks.phi_shape import DATA, STOPS, TEMPLATE
from export.plan import plan_of
from export.quantize import Format, Quantized
from export.recipe import Recipe
from export.source.base import Floats
from export.source.config_only import ConfigSource


class RandomSource(ConfigSource):
    """A checkpoint of a config whose tensors are drawn anew whenever they are read; Phi-3's tokenizer and template."""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        super().__init__(name, config)
        plan = plan_of(ConfigSource(name, config), Recipe(licence="none", context_length=1))
        self._shapes, self.sizes = plan.shapes, plan.sizes

    @property
    def chat_template(self) -> str:
        """Phi-3.5's."""
        return (DATA / "tokenizer" / TEMPLATE).read_text(encoding="utf-8")

    @property
    def stop_token_ids(self) -> list[int]:
        """Phi-3.5's."""
        return STOPS

    @property
    def generation(self) -> Mapping[str, Any]:
        """Nothing is said."""
        return {}

    @property
    def tokenizer_files(self) -> Mapping[str, str]:
        """Phi-3.5's."""
        names = ("tokenizer.json", "tokenizer_config.json")
        return {name: (DATA / "tokenizer" / name).read_text(encoding="utf-8") for name in names}

    def tensor_names(self) -> set[str]:
        """All that an export reads."""
        return set(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        """As the config promises."""
        return self._shapes[name]

    def tensor(self, name: str) -> Floats:
        """Norms of ones; of everything else values that keep an input's size, seeded by the name."""
        shape = self._shapes[name]
        if "norm" in name:
            return np.ones(shape, np.float32)
        chance = np.random.default_rng(zlib.crc32(name.encode()))
        values = chance.standard_normal(shape, np.float32)
        values /= np.float32(np.sqrt(shape[-1]))
        return values

    def stored_format(self, name: str) -> Format | None:  # noqa: ARG002 - the protocol's
        """None: floats."""
        return None

    def stored_blocks(self, name: str) -> Quantized | None:  # noqa: ARG002 - the protocol's
        """None."""
        return None

    def check_values(self, names: Iterable[str]) -> None:
        """They are numbers."""

    def checksum(self) -> str:
        """Of nothing."""
        return "0" * 64
