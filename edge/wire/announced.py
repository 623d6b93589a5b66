"""What a board says of itself and keeps at its broker, as JSON: the retained `status` and `info`.

`edge schema` prints both. The daemon does not import this; the tests hold its messages to it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]


class Status(BaseModel):
    """`edge/<device>/status`, retained; with `offline` it is the board's Will (MQTT 5, section 3.1.2.5)."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["loading", "online", "unloaded", "stopping", "offline"] = Field(
        description="docs/wire.md says what each means"
    )
    version: str = Field(description="of the daemon")
    reason: str | None = Field(
        default=None, description="why it went offline, where it was not asked to; a Will has none"
    )
    governor: Literal["slowed", "blind", "off"] | None = Field(
        default=None, description="what the board's governor does, where that is not nothing; telemetry says why"
    )


class Sampling(BaseModel):
    """How tokens are chosen where a request does not say."""

    model_config = ConfigDict(extra="forbid")

    temperature: float = Field(ge=0, description="0 is greedy")
    top_p: float = Field(gt=0, le=1)
    top_k: Count = Field(description="0 is off")
    min_p: float = Field(ge=0, le=1)
    repetition_penalty: float = Field(gt=0, description="1 is off")


class Embeddings(BaseModel):
    """The model that makes vectors of texts."""

    model_config = ConfigDict(extra="forbid")

    model: str
    dimensions: int = Field(ge=1, description="values of a vector")
    tokens_max: int = Field(ge=3, description="of a text, those at its ends among them; what is behind is not read")


class Model(BaseModel):
    """A bundle that requests may name beside the one in use: what is told of that one, too."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(description="what requests call it")
    model_version: str
    family: str
    capabilities: list[Literal["text", "vision", "json_schema"]]
    context_length: int = Field(ge=1)
    sampling: Sampling
    adapters: list[str] = []
    picture_bytes: Count | None = None
    crops_max: Count | None = None
    embeddings: Embeddings | None = None


class Info(BaseModel):
    """`edge/<device>/info`, retained: which model answers, and what may be asked of it."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(description="of the daemon")
    wire_version: int = Field(ge=1, description="of docs/wire.md")
    model: str = Field(description="the bundle's name")
    model_version: str
    adapters: list[str] = Field(default=[], description="asked for as model:adapter; left out where there are none")
    family: str = Field(description="which skeleton the bundle was made on")
    provider: str = Field(description="the execution provider")
    capabilities: list[Literal["text", "vision", "json_schema"]]
    context_length: int = Field(ge=1, description="tokens of prompt and answer together")
    max_tokens: int = Field(ge=1, description="of an answer whose asker sets none")
    max_tokens_ceiling: int | None = Field(
        ge=1, description="the longest that may be asked for; null where none is set"
    )
    priority_ceiling: Literal["high", "normal", "low"]
    sampling: Sampling
    payload_bytes: Count = Field(description="largest payload that is read")
    queue_length: Count = Field(description="requests that may wait")
    queue_per_client: Count = Field(description="of one client")
    rows: int = Field(ge=1, description="answers that grow at once")
    picture_bytes: Count | None = Field(default=None, description="as payload_bytes, where it has pictures")
    crops_max: Count | None = Field(default=None, description="crops of one picture")
    documents: list[str] = Field(description="names of documents that answers may come from")
    board_tools: list[str] = Field(description="names of tools that the board uses for who may use them")
    scorers: list[str] = Field(default=[], description="names of functions that may weigh an answer's tokens")
    embeddings: Embeddings | None = Field(default=None, description="where the bundle brings a model for that")
    models: list[Model] = Field(default=[], description="others that requests may name; left out where there are none")
