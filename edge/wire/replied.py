"""What comes back on a reply topic, as JSON: `queued`, `delta` and the one `reply` that ends a request.

`edge schema reply` prints it. The daemon makes them in `reply.py` and does not import this.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Reason = Literal["stop", "length", "loop", "tool_calls", "cancelled", "deadline", "error"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Message(_Part):
    id: str = Field(description="the request's own, or the board's where it had none")


class Queued(_Message):
    """The request waits."""

    type: Literal["queued"]
    place: Count = Field(description="how many are before it")
    seconds: Seconds = Field(description="until its turn, about")


class Delta(_Message):
    """A piece of the answer."""

    type: Literal["delta"]
    index: Count = Field(description="counts from 0, so that a gap shows")
    choice: Count | None = Field(default=None, description="where several answers were asked for: of which of them")
    text: str


class Usage(_Part):
    """Tokens of a request."""

    prompt_tokens: Count
    completion_tokens: Count
    cached_tokens: Count = Field(description="of the prompt, which an earlier text had begun with")
    picture_tokens: list[Count] | None = Field(default=None, description="of each picture, where there are some")


class Timings(_Part):
    """Where the time went."""

    queue_seconds: Seconds
    prefill_seconds: Seconds
    decode_seconds: Seconds
    first_token_seconds: Seconds | None = Field(description="since the request's arrival; null where none came")


class Function(_Part):
    """What is called."""

    name: str
    arguments: str = Field(description="JSON, as the OpenAI API has it")


class Call(_Part):
    """A function that the model calls."""

    id: str
    type: Literal["function"]
    function: Function


class Likely(_Part):
    """A token, and how likely it was."""

    token: str
    logprob: float = Field(le=0)


class Chosen(Likely):
    """A token of the answer, and the likeliest in its place."""

    top_logprobs: list[Likely]


class Logprobs(_Part):
    """Of every token of the answer."""

    content: list[Chosen]


class Why(_Part):
    """What was wrong."""

    message: str
    param: str | None = Field(description="the field that it is about")
    retry_after: Seconds | None = Field(description="seconds after which the same may be asked again")


class Energy(_Part):
    """What an answer took of the board."""

    gross_joules: float = Field(ge=0)
    net_joules: float | None = Field(description="without what the board takes when nothing runs")
    scope: str = Field(description="what was measured: SoC rails, module or package")
    samples: Count
    coverage: float = Field(ge=0, le=1, description="share of its time that lies between samples")
    longest_gap_seconds: Seconds
    is_shared: bool = Field(description="others ran meanwhile, and this is its share by tokens")


class Slowed(_Part):
    """The most that the board's governor did to it."""

    duty: float = Field(gt=0, le=1, description="share of the time that was worked")
    clock_cap_hertz: Count | None
    threads: Count | None
    reason: str


class Source(_Part):
    """A piece of a document that the model was given."""

    path: str = Field(description="of the document, from the folder that was added")
    title: str
    heading: str = Field(description="those above it, outermost first, ` > ` between them; may be empty")
    page: Annotated[int, Field(ge=1)] | None = Field(description="of a PDF")
    text: str


class Answerer(_Part):
    """Another server that the request was passed to."""

    name: str = Field(description="what the board's operator calls it")
    model: str = Field(description="as that server calls it")
    reason: Literal["asked", "model", "length", "hot"]


class BoardCall(_Part):
    """A tool of the board's that was used for the answer."""

    name: str
    arguments: dict[str, Any]
    result: str | None = Field(default=None, description="what the model was told; instead of it there may be an error")
    error: str | None = Field(default=None, description="why there is no result, or why that is not known")


class Embeddings(_Part):
    """Vectors of texts, each of length 1."""

    model: str = Field(description="what made them; vectors of two models are not to be compared")
    dimensions: int = Field(ge=1, description="values of a vector")
    vectors: list[list[float]] | list[str] = Field(
        description="one a text, in their order: numbers, or little-endian float32 in base64"
    )


class Choice(_Part):
    """One of several answers."""

    index: Count
    finish_reason: Reason
    text: str
    tool_calls: list[Call] | None = None
    logprobs: Logprobs | None = None


class Reply(_Message):
    """How the request ended: its one terminal message."""

    type: Literal["reply"]
    code: int = Field(ge=200, lt=600, description="200, or as docs/wire.md has it")
    finish_reason: Reason
    text: str
    index: Count = Field(description="the deltas before it")
    usage: Usage
    timings: Timings
    energy: Energy | None = Field(description="null where the board does not measure it, or could not this time")
    warnings: list[str]
    slowed: Slowed | None = None
    sources: list[Source] | None = Field(
        default=None, description="where documents were asked for: what was found in them; empty: nothing"
    )
    answered_by: Answerer | None = Field(
        default=None, description="where it was not this board; whatever came of it, the request has left the board"
    )
    board_calls: list[BoardCall] | None = Field(
        default=None, description="where the board's tools were asked for: what was called of them, in its order"
    )
    embeddings: Embeddings | None = Field(default=None, description="where vectors were asked for")
    choices: list[Choice] | None = Field(
        default=None, description="where several answers were asked for: each of them, the first of which is `text`"
    )
    tool_calls: list[Call] | None = None
    logprobs: Logprobs | None = None
    error: Why | None = None


class Said(RootModel[Annotated[Queued | Delta | Reply, Field(discriminator="type")]]):
    """What comes on `edge/<device>/reply`, or on the topic that the asker named."""
