"""What the engine's process says, a JSON object a line (`edge/engine/__main__.py` is the other end)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from edge.engine import Finished, Part
from edge.errors import FAULTS, MAY_PASS, Fault


@dataclass(frozen=True)
class Ready:
    """The model has answered a warm-up. rows: answers that it works on at once."""

    event: Literal["ready"]
    load_seconds: float
    rows: Annotated[int, Field(gt=0)] = 1


@dataclass(frozen=True)
class Failed:
    """It could not be made ready, and ends. status: what that means, as an exit status of ours."""

    event: Literal["failed"]
    message: str
    status: int = MAY_PASS


@dataclass(frozen=True)
class Counted:
    """What it did so far."""

    event: Literal["counters"]
    counters: dict[str, int | float]


@dataclass(frozen=True)
class Piece:
    """Text of a job's answer; an empty one says that it goes on. tokens: about how many it is.

    choice: of which of its answers, where it has several.
    """

    event: Literal["progress"]
    id: int
    text: str
    tokens: int = 0
    choice: int | None = None

    def what(self) -> str | Part:
        """As the engine had it."""
        return self.text if self.choice is None else Part(self.choice, self.text)


@dataclass(frozen=True)
class Refused:
    """A job ended with a fault."""

    event: Literal["fault"]
    id: int
    code: int
    message: str
    param: str | None = None

    def fault(self) -> Fault:
        """As an exception; EngineFailed for a code that there is not."""
        return FAULTS.get(self.code, FAULTS[500])(self.message, self.param)


@dataclass(frozen=True, kw_only=True)
class Ended(Finished):
    """A job ended with an answer."""

    event: Literal["finished"]
    id: int

    def finished(self) -> Finished:
        """Without the event's name and the job's number."""
        return Finished(**{each.name: getattr(self, each.name) for each in fields(Finished)})


OfJob = Piece | Refused | Ended
Said = Annotated[Ready | Failed | Counted | OfJob, Field(discriminator="event")]
_SAID: TypeAdapter[Ready | Failed | Counted | OfJob] = TypeAdapter(Said)


def understood(line: bytes) -> Ready | Failed | Counted | OfJob:
    """The event that a line is; ValueError where it is none."""
    return _SAID.validate_json(line)
