"""Whether a board takes more, as JSON: the retained `load`, for who chooses a board, and `member`, for its fleet.

`edge schema load` and `edge schema member` print both.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.wire.message import Message

Count = Annotated[int, Field(ge=0)]
Reason = Literal["full", "hot", "battery", "memory", "loading", "trial", "drained", "stopping"]
"""Why a board that is there takes no more."""
Absence = Literal["offline", "inheriting", "inherited", "gone"]
"""Why one that is away does not: what waits for it is still there, is being taken over, was taken over, was nothing."""
MEMBER_BYTES_MAX = 1024


class Load(BaseModel):
    """`edge/<device>/load`, retained: it holds as long as the board's `status` is not `offline`."""

    model_config = ConfigDict(extra="forbid")

    accepts: bool = Field(
        description="whether a request that comes now is wanted; one that is not may be taken all the same"
    )
    reason: Reason | None = Field(description="why it is not; null where it is")
    fleet: str | None = Field(description="whose requests it shares; null for none")
    is_joined: bool = Field(description="whether the broker gives it the fleet's requests now")
    queue_length: Count = Field(description="requests that wait")
    running: Count = Field(description="requests that are being answered")
    rows: int = Field(ge=1, description="answers that grow at once")
    wait_seconds: float = Field(ge=0, description="until one more would begin; 0 also before the first answer")


class Member(BaseModel):
    """`edge/<fleet>/member/<device>`, retained; with `offline` it is the Will of the board's second connection.

    What a newer board says beside this is passed over.
    """

    model_config = ConfigDict(extra="ignore")

    accepts: bool = Field(description="as in `load`")
    is_joined: bool = Field(description="whether the broker gives it the fleet's requests now")
    reason: Reason | Absence | None = Field(default=None, description="why it takes no more")
    heir: str | None = Field(
        default=None,
        max_length=64,
        description="the board that takes over, or has taken over, what waited for this one",
    )

    @property
    def is_away(self) -> bool:
        """Whether it is not at the broker."""
        return self.reason in get_args(Absence)


def parse_member(message: Message) -> Member | None:
    """What a board says to its fleet; None where it says nothing that can be read."""
    if not 0 < len(message.payload) <= MEMBER_BYTES_MAX:
        return None
    try:
        return Member.model_validate_json(message.payload)
    except ValidationError:
        return None
