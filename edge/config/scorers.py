"""Functions that weigh an answer's next token: `[scorers.NAME]`, a table each; without one there is none."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge.config.sections import Section

SCORERS_MAX = 16


class Scorer(Section):
    """`[scorers.NAME]`: what an installed package has under that name in the entry points `edge.scorers`."""

    always: bool = Field(default=False, description="weigh every answer, those too that do not ask for it")
    call_seconds: float = Field(
        default=0.25,
        gt=0,
        le=60,
        description="that one call may take; an answer in which one takes longer is broken off",
    )


Scorers = Annotated[
    dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")], Scorer],
    Field(max_length=SCORERS_MAX),
]
