"""What a job has an engine read: its tokens, and the pictures among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.bundle import Manifest
from edge.engine import Job
from edge.engine.genai.tokenizer import Tokenizer
from edge.errors import Unsupported

if TYPE_CHECKING:
    from edge.engine.pictures.vision import Seen


def prompt_of(
    job: Job, given: list[int] | None, tokenizer: Tokenizer, manifest: Manifest
) -> tuple[list[int], list[Seen]]:
    """The tokens, and the pictures in the order of their places. given: the tokens, in place of the job's messages.

    Raises Unsupported where the model reads text alone, BadRequest and TooLarge where a picture is none that can be.
    """
    if not job.pictures:
        return list(given or tokenizer.encode(job.messages)), []
    if manifest.pictures is None:
        raise Unsupported(f"{manifest.name} reads text alone, no pictures", "messages")
    from edge.engine.pictures.vision import prompt_with_pictures  # a board that only reads loads nothing for pictures

    return prompt_with_pictures(job, tokenizer.encode, manifest.pictures)
