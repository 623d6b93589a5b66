"""What the door says it offers, which Home Assistant reads when it is set up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wyoming.info import Attribution, HandleModel, HandleProgram, Info

MADE_BY = Attribution("Edge SLM", "")


def description(info: Mapping[str, Any], device: str, languages: Sequence[str]) -> Info:
    """The board as a service that answers.

    info: the body of the info message. languages: that Assist may use it for.
    """
    model = HandleModel(
        str(info.get("model", "model")), MADE_BY, True, "the board's model", info.get("model_version"), [*languages]
    )
    program = HandleProgram(
        f"Edge SLM {device}", MADE_BY, True, "answers on a board of one's own", info.get("version"), [model], True
    )
    return Info(handle=[program])
