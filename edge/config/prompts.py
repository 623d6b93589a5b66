"""What can be set of how prompts are laid before they are read."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from edge.config.sections import Section

FIXED_CHARACTERS_MIN = 8
"""Of a form, beside its asterisks and white space: with fewer it would fit lines that say something else."""


def _is_of_one_line(form: str) -> str:
    if not form.isprintable():
        raise ValueError(f"{form!r} has a line break, or what is not seen: a form is of one line")
    if sum(not character.isspace() for character in form.replace("*", "")) < FIXED_CHARACTERS_MIN:
        raise ValueError(f"{form!r} would fit too much: beside * it needs {FIXED_CHARACTERS_MIN} characters")
    return form


Form = Annotated[str, Field(max_length=256), AfterValidator(_is_of_one_line)]
OF_HOME_ASSISTANT = (
    "Current time is ##:##:##. Today's date is ####-##-##.",
    "You are in area * and all generic commands like 'turn on the lights' should target this area.",
    "The current time and date is ##:## *",
    "Current Time: ####-##-## ##:##:##*",
)
"""Lines of Assist's prompt: the time, and the room that a question comes from; and of two integrations, Local LLMs and
Extended OpenAI Conversation."""


class Prompts(Section):
    """`[prompts]`: how long prompts are laid, so that what comes again is not read again."""

    volatile: list[Form] = Field(
        default=list(OF_HOME_ASSISTANT),
        max_length=32,
        description="lines of system prompts that change from call to call, * for any text, # for a digit: laid before"
        " the user's last words, and the reply says so; [] lays none",
    )
