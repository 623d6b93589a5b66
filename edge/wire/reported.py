"""Which bundle a board runs, and what became of a wish: `edge/<device>/reported`. `edge schema reported` prints it.

The daemon does not import this; the tests hold its messages to it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.wire.desired import Desired

State = Literal[
    "kept", "downloading", "verifying", "verified", "trying", "probation", "rolled_back", "refused", "waiting"
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Reported(_Part):
    """What the board answers with."""

    name: str = Field(description="the bundle's name")
    version: str
    digest: str | None = Field(description="sha256 of its manifest.json, in hex")
    source: Literal["store", "engine.bundle"] = Field(
        description="whether it was installed, or lies where a setting says"
    )


class Next(_Part):
    """What the board is about to answer with."""

    name: str
    version: str | None = Field(description="null as long as only `newest` is known")
    digest: str | None


class Report(_Part):
    """`edge/<device>/reported`, retained, at each change."""

    bundle: Reported = Field(description="that answers now")
    latest: str | None = Field(
        description="the repository's newest version of its name; null where that is not looked for, or not known yet"
    )
    state: State = Field(description="docs/wire.md says what each means")
    next: Next | None = Field(description="that is fetched or tried, or was rolled back or refused")
    progress: float | None = Field(ge=0, le=1, description="share of its bytes that are in place, while it downloads")
    desired: Desired | None = Field(description="the wish that all of this is about")
    id: str | None = Field(description="the wish's id")
    reason: str | None = Field(description="in words, for people")
