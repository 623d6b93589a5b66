"""What the door says it offers, which Home Assistant reads when it is set up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wyoming.info import Attribution, HandleModel, HandleProgram, Info

from edge.config import Assist

MADE_BY = Attribution("Edge SLM", "")


def description(info: Mapping[str, Any], device: str, settings: Assist) -> Info:
    """The board as a service that answers.

    It is that alone where it finds intents, too: Home Assistant takes an `intent` from whoever it asks, but to one that
    says it finds them it gives nearly every sentence, past its own that it should have tried first.

    info: the body of the info message.
    """
    model = HandleModel(
        str(info.get("model", "model")), MADE_BY, True, "the board's model", info.get("model_version"),
        [*settings.languages],
    )  # fmt: skip
    program = HandleProgram(
        f"Edge SLM {device}", MADE_BY, True, "answers on a board of one's own", info.get("version"), [model], True
    )
    return Info(handle=[program])
