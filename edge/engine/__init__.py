"""The engine's side of the wall: what runs in the child process that holds the model.

Jobs come in, events go out: as Python objects here, as a JSON object a line where `python -m edge.engine` reads
standard input and writes standard output; `edge/service/worker.py` is the other end. A child of its own, because
onnxruntime-genai holds the interpreter's lock through a whole prefill, and because a model that crashes must not take
the daemon with it. Start reading in this file, then `batch/engine.py`.

    __main__.py  the process: jobs in, events out
    opening.py   which engine runs a bundle
    providers.py  what it can run on, a row each
    embedding.py texts to vectors, beside the engine
    budget.py    how much memory it may take
    pace.py      a duty cycle, where the board is too hot
    batch/       our own engine: several answers grow together
    draft/       guesses at what an answer says next, by what was said before or by a small bundle
    static/      the same over graphs of fixed shapes, as NPUs take them
    genai/       onnxruntime-genai's, for what ours does not run on; the tokenizer of both
    graph/       the bundle's graph, run by onnxruntime
    cache/       keys and values of texts
    text/        chat template, sampling, grammars, stop strings
    pictures/    crops and the tower
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from edge.bundle import Provider
from edge.errors import Fault
from edge.wire.pictures import Picture

Kind = Literal["auto", "batched", "genai", "static"]


@dataclass(frozen=True)
class Options:
    """How to run a bundle; the fields are `[engine]`'s settings of the same names, with the same defaults.

    Those that begin with `documents_` are `[documents]`'s. documents_folder: empty for none but the bundle's own.
    scorers: `[scorers.NAME]`'s, by their names.
    """

    provider: Provider = "cpu"
    kind: Kind = "auto"
    threads: int = 0
    prefill_slice_tokens: int = 128
    rows: int = 8
    kv_bytes: int | None = None
    prefix_bytes: int | None = None
    cache_folder: str = ""
    prefix_disk_bytes: int | None = None
    packs: bool | None = None
    drafts: bool = True
    draft: str = ""
    documents_folder: str = ""
    documents_tokens: int = 768
    documents_pieces: int = 8
    documents_when_nothing: Literal["say", "answer"] = "say"
    documents_nothing_text: str = "I found nothing about that in the documents."
    scorers: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """What to answer, as plain values that cross the wall.

    messages: where the last is the assistant's, the answer goes on with it.
    presence_penalty, frequency_penalty: off the logits of tokens that the answer has, once and for each time.
    logit_bias: to logits, by token id. min_tokens: before which no token ends the answer, but where it is held to a
    schema. stop_token_ids: that end it beside the bundle's own.
    n: answers to make of one prompt, which is read once; where there is a seed, the next ones are those of the others.
    scorers: names of the board's that weigh the answer's tokens, beside those that weigh all (text/scorers.py).
    num_beams: over 1, the best answers that are found by a search with so many texts at a time (batch/beams.py).
    guidance: a JSON schema that the answer must match; may_be_text: free text would do as well, so that only an
    answer that begins with `{` must. top_logprobs: None for no logprobs, else how many others to name a token.
    loop_guard: end an answer that says the same over and over (text/loops.py). ignore_eos: go on past the tokens that
    end an answer, for measuring. cache_salt: who may find what this leaves behind, which are those that give the same.
    keep: whether that may be on disk. documents: the name of those that the answer is to come from, found by questions.
    texts: to make vectors of, in place of an answer, by the bundle's embedding model and beside the engine; else None.
    adapter: the name of the bundle's that it is answered with, empty for the bundle alone.
    """

    id: int
    messages: list[dict[str, str]]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: dict[int, float] = field(default_factory=dict)
    min_tokens: int = 0
    stop_token_ids: list[int] = field(default_factory=list)
    scorers: list[str] = field(default_factory=list)
    n: int = 1
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    seed: int | None = None
    stop: list[str] = field(default_factory=list)
    guidance: dict[str, Any] | None = None
    may_be_text: bool = False
    top_logprobs: int | None = None
    loop_guard: bool = False
    ignore_eos: bool = False
    cache_salt: str = ""
    pictures: list[Picture] = field(default_factory=list)
    keep: bool = True
    documents: str | None = None
    questions: list[str] = field(default_factory=list)
    texts: list[str] | None = None
    adapter: str = ""

    @property
    def must_match(self) -> bool:
        """Whether the whole answer is held to a schema."""
        return self.guidance is not None and not self.may_be_text

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Job:
        """The job that `dataclasses.asdict` took apart."""
        biases = {int(token): bias for token, bias in values.get("logit_bias", {}).items()}  # JSON's names are texts
        pictures = [Picture(**each) for each in values.get("pictures", [])]
        return cls(**{**values, "pictures": pictures, "logit_bias": biases})


@dataclass(frozen=True)
class Choice:
    """How one of several answers ended. logprobs: as with `Finished`."""

    finish_reason: str
    completion_tokens: int
    logprobs: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Finished:
    """How a job ended. finish_reason: `stop`, `length`, `loop` or `cancelled`; times in seconds.

    cached_tokens: of the prompt, found in the prefix cache. logprobs: a token each, with the OpenAI API's names.
    picture_tokens: of each picture, in their order. sources: the pieces of documents that were read, with the wire's
    names; None where there were to be none. warnings: what could not be done as asked. embeddings: of a job's texts,
    with the wire's names, each vector as base64 of little-endian float32. choices: of a job for several answers each,
    of which the first is told above, too, and the tokens of all; None where one was asked for.
    """

    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    prefill_seconds: float
    decode_seconds: float
    cached_tokens: int = 0
    logprobs: list[dict[str, Any]] | None = None
    picture_tokens: list[int] = field(default_factory=list)
    sources: list[dict[str, Any]] | None = None
    warnings: list[str] = field(default_factory=list)
    embeddings: dict[str, Any] | None = None
    choices: list[Choice] | None = None


@dataclass(frozen=True)
class Part:
    """A piece of the text of one of several answers. choice: which, from 0."""

    choice: int
    text: str


@dataclass(frozen=True)
class Event:
    """Something that became of a job: a piece of text (an empty one says that it goes on), or its end."""

    job_id: int
    what: str | Part | Finished | Fault


class TextEngine(Protocol):
    """Answers jobs a step at a time."""

    rows: int
    """Jobs that it can work on at once."""
    step_seconds: float | None
    """How long a step may take, about, as far as that can be chosen; None for as long as suits the kernels."""

    def submit(self, job: Job, tokens: list[int] | None = None) -> None:
        """Take a job, to be begun as soon as there is room. tokens: its prompt, in place of its messages."""

    def cancel(self, job_id: int) -> None:
        """Have a job end soon; may be called from another thread, in the middle of a step too."""

    @property
    def is_idle(self) -> bool:
        """Whether a step would do nothing."""
        ...

    def step(self) -> Iterator[Event]:
        """Work for a moment: a slice of a prompt, a token of each answer."""
        ...

    def counters(self) -> Mapping[str, int | float]:
        """What it did since it was opened, for telemetry."""
        ...

    def ease(self) -> None:
        """Let go of what is kept only to be faster; between two steps."""

    def forget(self, salt: str) -> None:
        """Let go of all that jobs of one salt have left, here and on disk; between two steps."""

    def close(self) -> None:
        """Finish what is still to be written."""


def answer(
    engine: TextEngine,
    job: Job,
    emit: Callable[[str], None] = lambda _text: None,
    tokens: list[int] | None = None,
) -> Finished:
    """One job from its start to its end, its text handed out as it comes; raises Fault where it failed.

    Of several answers the pieces come as they grow.

    tokens: its prompt, in place of its messages.
    """
    engine.submit(job, tokens)
    while not engine.is_idle:
        for event in engine.step():
            if isinstance(event.what, Fault):
                raise event.what
            if isinstance(event.what, Finished):
                return event.what
            emit(event.what.text if isinstance(event.what, Part) else event.what)
    raise RuntimeError("the engine forgot its job")
