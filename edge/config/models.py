"""Further bundles that this board answers with: `[models.NAME]`, a table each; without one there is the engine's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from edge.config.sections import Section

MODELS_MAX = 16
FOR_EVER = -1.0
"""Of `keep_alive_seconds`."""


class Model(Section):
    """`[models.NAME]`: a bundle that requests name, loaded when one does."""

    bundle: Path = Field(description="folder of the bundle")
    keep_alive_seconds: float = Field(
        default=300,
        description="how long it stays loaded after its last answer; 0 lets it go at once, -1 keeps it while there is"
        " memory",
    )

    @field_validator("keep_alive_seconds")
    @classmethod
    def _is_a_time(cls, seconds: float) -> float:
        if seconds < 0 and seconds != FOR_EVER:
            raise ValueError("should be 0 or more, or -1")
        return seconds


Models = Annotated[
    dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")], Model],
    Field(max_length=MODELS_MAX),
]
