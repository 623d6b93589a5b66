"""The engine's side of the wall: what runs in the child process that holds the model.

`python -m edge.engine` reads jobs from standard input and writes events to standard output, a JSON object a
line; `edge/worker.py` is the other end. A child of its own, because onnxruntime-genai holds the interpreter's
lock through a whole prefill, and because a model that crashes must not take the daemon with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Cancelled = Callable[[], bool]
Emit = Callable[[str], None]
"""Called with each piece of text; an empty one means progress without text."""


@dataclass(frozen=True)
class Job:
    """What to answer, as plain values that cross the wall.

    guidance: a JSON schema that the answer must match; may_be_text: free text would do as well, so that only an
    answer that begins with `{` must.
    """

    id: int
    messages: list[dict[str, str]]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int | None = None
    stop: list[str] = field(default_factory=list)
    guidance: dict[str, Any] | None = None
    may_be_text: bool = False


@dataclass(frozen=True)
class Finished:
    """How a job ended. finish_reason: `stop`, `length` or `cancelled`; times in seconds."""

    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    prefill_seconds: float
    decode_seconds: float


class TextEngine(Protocol):
    """Answers one job at a time."""

    def generate(self, job: Job, emit: Emit, cancelled: Cancelled) -> Finished:
        """Answer a job, handing out text as it comes; raises Fault where the job cannot be answered."""
        ...


def open_engine(bundle: Path, provider: str, threads: int, prefill_slice_tokens: int) -> TextEngine:
    """The engine for a bundle that was verified."""
    from edge.engine.genai import GenaiEngine

    return GenaiEngine(bundle, provider, threads, prefill_slice_tokens)
